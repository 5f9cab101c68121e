"""Tables of quantities in folders by their names, exports with contexts, and names of losses of further programs."""

import json

import numpy as np
import pytest
from smooth_run import EVERY_50, LOSS, LR, STEPS, TRAIN, assert_whole, loss_at, only, rate_at, read

from bayeslr.errors import LogError
from bayeslr.logs.columns import loss_kind


def save(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def series(path, name, values, steps=EVERY_50, sep="\t"):
    rows = "".join(f"{s}{sep}{values(s):.10g}\n" for s in steps)
    save(path, f"step{sep}{name}\n{rows}")


def dvclive(folder, *, shift=0.0):
    plots = folder / "plots" / "metrics"
    series(plots / "train" / "loss.tsv", "loss", lambda s: loss_at(s) - 0.02)
    series(plots / "train" / "lr.tsv", "lr", rate_at)
    series(plots / "eval" / "loss.tsv", "loss", lambda s: loss_at(s) + shift, STEPS)
    save(folder / "metrics.json", json.dumps({"train": {"loss": 3.2, "lr": 1e-4}, "step": 2000}))
    save(folder / "params.yaml", "lr: 0.001\n")


def test_a_folder_of_dvclive(tmp_path):
    dvclive(tmp_path / "dvclive")
    curve, _ = only(tmp_path / "dvclive")
    assert_whole(curve)


def test_experiments_with_folders_of_dvclive(tmp_path):
    for k, name in enumerate(("a", "b")):
        dvclive(tmp_path / name / "dvclive", shift=0.1 * k)
    curves, _ = read(tmp_path)
    assert [curve.name for curve in curves] == ["a", "b"]
    np.testing.assert_allclose([curve.loss[0] for curve in curves], [loss_at(100), loss_at(100) + 0.1])


def test_series_of_neptune_in_folders(tmp_path):
    for name, values in (("loss", lambda s: loss_at(s)), ("lr", rate_at)):
        rows = "".join(f"{s}.0,{values(s):.10g},2025-05-01 12:00:00\n" for s in STEPS)
        save(tmp_path / "RUN-1" / "metrics" / "train" / f"{name}.csv", f"step,value,timestamp\n{rows}")
    curve, _ = only(tmp_path / "RUN-1")
    assert_whole(curve)


def test_folders_of_runs_are_no_quantities_of_one(tmp_path):
    for run in ("small", "large"):
        for name, values in (("loss", loss_at), ("lr", rate_at)):
            series(tmp_path / run / f"{name}.csv", name, values, STEPS, ",")
    curves, _ = read(tmp_path)
    assert sorted(curve.name for curve in curves) == ["large", "small"]


def test_an_export_with_contexts(tmp_path):
    rows = []
    for s in EVERY_50:
        rows.append(f"""r,loss,"{{'subset': 'train'}}",{s},{loss_at(s) - 0.02}""")
        rows.append(f"r,learning_rate,{{}},{s},{rate_at(s)}")
        if s in STEPS:
            rows.append(f"""r,loss,"{{'subset': 'val'}}",{s},{loss_at(s)}""")
    save(tmp_path / "aim.csv", "run,metric,context,step,value\n" + "\n".join(rows) + "\n")
    curve, notes = only(tmp_path / "aim.csv")
    assert_whole(curve)
    assert any("'context'" in note for note in notes)


def test_a_header_after_a_percent_sign(tmp_path):
    rows = "".join(f"{s}, {loss}, {rate}\n" for s, loss, rate in zip(STEPS, LOSS, LR, strict=True))
    save(tmp_path / "run.txt", f"% written by hand\n% step, loss, lr\n{rows}")
    curve, _ = only(tmp_path / "run.txt")
    assert_whole(curve)


def test_names_of_losses():
    assert loss_kind("loss/out") == "plain"
    assert loss_kind("smoothed_ce_loss")


def test_what_wandb_writes_beside_the_output_is_no_log(tmp_path):
    run = tmp_path / "run-1"
    lines = "".join(f"step {s} | loss {x} | lr {rate}\n" for s, x, rate in zip(STEPS, TRAIN, LR, strict=True))
    save(run / "files" / "output.log", lines)
    save(run / "files" / "wandb-summary.json", json.dumps({"_step": 2000, "loss": 3.0, "lr": 1e-4}))
    save(run / "logs" / "debug.log", "2025-05-01 12:00:00 INFO setup\n")
    curve, _ = only(run)
    assert_whole(curve, loss=TRAIN)


def test_a_tree_without_a_rate_says_so(tmp_path):
    series(tmp_path / "run" / "metrics" / "train" / "loss.csv", "loss", loss_at, STEPS, ",")
    with pytest.raises(LogError):
        read(tmp_path / "run")
