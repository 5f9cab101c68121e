"""Run a command in this process, and the files that commands work on."""

import sys

import numpy as np
import pandas as pd
import pytest

from bayeslr.cli import main

WSD = "wsd(peak_lr=1e-3, warmup_steps=100, decay_steps=500, total_steps=2000)"
COSINE = "cosine(peak_lr=1e-3, warmup_steps=100, total_steps=2000)"


@pytest.fixture
def run(capsys, monkeypatch):
    """A function that runs a command and returns exit code, stdout and stderr."""
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)
    monkeypatch.setattr(sys, "argv", ["bayeslr"])

    def command(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture(scope="session")
def posterior_file(small_posterior, tmp_path_factory):
    return small_posterior.save(tmp_path_factory.mktemp("posterior") / "small.nc")


@pytest.fixture(scope="session")
def manifest(small_curves, tmp_path_factory):
    """A manifest of the small curves with their logs."""
    folder = tmp_path_factory.mktemp("runs")
    rows = []
    for curve in small_curves:
        log = pd.DataFrame({"step": curve.steps, "loss": curve.loss})
        log.to_csv(folder / f"{curve.name}.csv", index=False, float_format="%.17g")
        rows.append(
            {"run": curve.name, "file": f"{curve.name}.csv", "size": "small", "params": 1e7, "split": "train"}
            | {"weight_decay": curve.weight_decay}
            | {"schedule": curve.schedule.spec}
        )
    bad = {"run": "broken", "file": "broken.csv", "size": "small", "params": 1e7, "split": "broken"}
    (folder / "broken.csv").write_text("step,loss\n100,3.0\n200,three\n")
    pd.DataFrame([*rows, bad | {"schedule": rows[0]["schedule"]}]).to_csv(folder / "runs.csv", index=False)
    return folder / "runs.csv"


@pytest.fixture(scope="session")
def partial_run(small_curves, tmp_path_factory):
    """The log of a run that has been observed to step 1200."""
    seen = small_curves["constant"].steps <= 1200
    path = tmp_path_factory.mktemp("partial") / "partial.csv"
    values = np.column_stack([small_curves["constant"].steps[seen], small_curves["constant"].loss[seen]])
    pd.DataFrame(values, columns=["step", "loss"]).astype({"step": int}).to_csv(path, index=False)
    return path
