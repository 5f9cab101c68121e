"""The shipped set: complete, small, as planned, and as law-like as its data card says."""

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import least_squares

from bayeslr.datasets import load, manifest_path
from bayeslr.errors import BayeslrError

MANIFEST = manifest_path("tiny_lm")
SIZES = {"25k": (2, 32), "80k": (3, 48), "200k": (4, 64), "450k": (4, 96)}


@pytest.fixture(scope="module")
def curves():
    return load("tiny_lm")


def test_the_runs_are_the_planned_ones_and_complete(curves):
    path = Path(__file__).with_name("train_tiny_lm.py")
    spec = importlib.util.spec_from_file_location("train_tiny_lm", path)
    trainer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(trainer)
    planned = {run.name: (run.file, run.size.label, run.spec, run.parent, run.split) for run in trainer.all_runs()}
    with MANIFEST.open() as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    columns = ("file", "size", "schedule", "parent", "split")
    assert {name: tuple(row[column] for column in columns) for name, row in rows.items()} == planned
    assert set(curves.names) == set(rows)
    assert {curve.weight_decay for curve in curves} == {trainer.Settings().weight_decay}
    for curve in curves:
        # A branch has its parent's history, so every run has every validation from the first to the last.
        assert curve.steps.tolist() == list(range(50, curve.schedule.total_steps + 1, 50))
        layers, width = SIZES[curve.size]
        assert curve.params == 12 * layers * width**2 + (2 * layers + 1) * width


def test_branches_hold_the_losses_of_their_parents(curves):
    trunk, branch = (curves[f"25k/{name}"] for name in ("constant_4000", "wsd20_4000"))
    shared = trunk.steps <= 3200
    np.testing.assert_array_equal(trunk.loss[shared], branch.loss[shared])
    assert branch.loss[-1] < trunk.loss[-1] - 0.05


def test_the_set_is_small_and_says_how_it_was_made():
    files = [path for path in MANIFEST.parent.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 2_000_000
    described = json.loads((MANIFEST.parent / "settings.json").read_text())
    assert len(described["corpus"]["sha256"]) == 64
    assert {size["label"]: (size["layers"], size["width"]) for size in described["sizes"]} == SIZES


@pytest.mark.parametrize("size", SIZES)
def test_a_point_fit_of_the_law_explains_the_curves(curves, size):
    runs = [curve for curve in curves if curve.size == size and curve.metadata["split"] != "seed"]

    def areas(curve, decay):
        """S1 and S2, by the definition."""
        lr, momentum, annealing, s2 = curve.schedule.lr, 0.0, 0.0, []
        for i in range(len(lr)):
            if i > curve.schedule.warmup_steps:
                momentum = decay * momentum + lr[i - 1] - lr[i]
            annealing += momentum
            s2.append(annealing)
        kept = curve.steps[curve.steps > 200]
        return np.cumsum(lr)[kept - 1], np.array(s2)[kept - 1]

    def explained(tau):
        decay = 1 - 1 / tau
        s1, s2 = (np.concatenate(part) for part in zip(*(areas(curve, decay) for curve in runs), strict=True))
        loss = np.concatenate([curve.loss[curve.steps > 200] for curve in runs])
        fit = least_squares(lambda p: p[0] + p[1] * s1 ** -p[2] - p[3] * s2 / tau - loss, [1.2, 0.5, 0.5, 10.0])
        return 1 - 2 * fit.cost / np.sum((loss - loss.mean()) ** 2)

    assert max(explained(tau) for tau in (30.0, 100.0, 300.0)) >= 0.99


def test_unknown_sets_are_refused():
    with pytest.raises(BayeslrError, match="allowed: tiny_lm"):
        load("huge_lm")
    with pytest.raises(BayeslrError, match="use fetch"):
        load("multi_power_law")
