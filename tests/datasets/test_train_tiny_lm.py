"""The trainer of the shipped set: a training of seconds, its logs, and what ships."""

import csv
import importlib.util
import json
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from bayeslr.errors import DataWarning
from bayeslr.logs import read_curves

HORIZON = 40


@pytest.fixture(scope="module")
def tiny_lm():
    path = Path(__file__).with_name("train_tiny_lm.py")
    spec = importlib.util.spec_from_file_location("train_tiny_lm", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def corpus(tiny_lm):
    files = {f"part_{i}.py": f"x_{i} = {i}\nprint(x_{i})\n".encode() * 20 for i in range(10)}
    files["json/decoder.py"] = b"import re\ny = 3\n" * 40
    return tiny_lm.make_corpus(files, block=16, validation_blocks=32)


@pytest.fixture(scope="module")
def training(tiny_lm, corpus, tmp_path_factory):
    """Train a cosine run, a constant one, and the branches of the latter; also give a function that trains again."""
    root = tmp_path_factory.mktemp("runs")
    size = tiny_lm.Size(label="1k", layers=1, width=8, heads=1)
    settings = tiny_lm.Settings(batch=2, block=16, validation_blocks=32, validate_every=4, checkpoint_every=8)
    runs = tiny_lm.base_runs(size, peak_lr=0.01, horizon=HORIZON)
    runs += tiny_lm.further_runs(size, peak_lr=0.01, horizon=HORIZON)[1:3]

    trainer = tiny_lm.Trainer(size, settings, corpus)  # compiled once for all trainings

    def train(**changes):
        # The library computes in float64 in these tests; the trainer is a float32 program like most.
        with jax.enable_x64(False), jax.numpy_rank_promotion("allow"), pytest.MonkeyPatch.context() as patch:
            patch.setattr(tiny_lm, "Trainer", lambda *_: trainer)
            tiny_lm.train(runs, root, **{"settings": settings, "corpus": corpus, **changes})

    train()
    return root, runs, train


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_what_ships_reads_back_as_it_was_logged_bit_for_bit(tiny_lm, training, tmp_path):
    root, runs, _ = training
    with jax.enable_x64(False):
        tiny_lm.ship(runs, root, tmp_path)
    with pytest.warns(DataWarning, match="params 792: fewer than any language model has"):
        curves = read_curves(tmp_path / "runs.csv", loss="val_loss")
    assert list(curves.names) == [run.name for run in runs]
    for run, curve in zip(runs, curves, strict=True):
        history, first = rows_of(root / run.file), run.first
        while run.parent:
            run = next(other for other in runs if other.name == run.parent)
            history = [row for row in rows_of(root / run.file) if int(row["step"]) < first] + history
            first = run.first
        assert curve.steps.tolist() == [int(row["step"]) for row in history]
        assert curve.loss.tolist() == [float(row["val_loss"]) for row in history]
        assert curve.params == 12 * 8**2 + 3 * 8
        np.testing.assert_array_equal(
            [float(row["lr"]) for row in history], np.append(curve.schedule.lr, curve.schedule.lr[-1])[curve.steps]
        )
    assert (tmp_path / "settings.json").read_bytes() == (root / "settings.json").read_bytes()


def test_a_branch_logs_its_own_steps_from_the_branch_point_on(training):
    root, runs, _ = training
    firsts = {run.name.split("/")[1]: int(rows_of(root / run.file)[0]["step"]) for run in runs}
    assert firsts["wsd20_40"] == 32
    assert firsts["two_stage_40"] == 20
    assert firsts["constant_120"] == 40
    assert firsts["wsd20_120"] == 96
    assert firsts["cosine_40"] == 4


def test_logged_rates_are_those_of_optax(training):
    root, _, _ = training
    schedule = optax.warmup_cosine_decay_schedule(0.0, 0.01, warmup_steps=2, decay_steps=HORIZON, end_value=0.001)
    rows = rows_of(root / "1k" / "cosine_40.csv")[:-1]
    np.testing.assert_allclose(
        [float(row["lr"]) for row in rows], [schedule(int(row["step"])) for row in rows], rtol=1e-6
    )


def test_an_interrupted_run_ends_as_the_unbroken_one(tiny_lm, training):
    root, runs, train = training
    run = next(run for run in runs if run.name == "1k/cosine_40")
    log, checkpoint = root / run.file, tiny_lm.checkpoint_path(root, run.name, HORIZON)
    text, state = log.read_bytes(), checkpoint.read_bytes()
    log.unlink()
    checkpoint.unlink()
    write_table = tiny_lm.write_table

    def killed_after_step_20(path, columns, rows):
        write_table(path, columns, rows)
        if rows[-1][0] == 20:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_lm, "write_table", killed_after_step_20)
        with pytest.raises(KeyboardInterrupt):
            train()
    assert len(rows_of(log)) == 5
    assert [path.stem for path in checkpoint.parent.glob("*.npz")] == ["16"]
    train()
    assert log.read_bytes() == text
    assert checkpoint.read_bytes() == state


def test_tensorboard_gets_the_same_numbers(tiny_lm, training):
    root, runs, train = training
    run = next(run for run in runs if run.name == "1k/wsd10_40")
    tiny_lm.checkpoint_path(root, run.name, HORIZON).unlink()
    train(tensorboard=True)
    events = EventAccumulator(str(root / "tensorboard" / run.name), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    own = rows_of(root / run.file)[1:]  # the first row is the parent's
    for name in ("lr", "train_loss", "val_loss"):
        logged = {event.step: make_ndarray(event.tensor_proto).item() for event in events.Tensors(name)}
        assert logged == {int(row["step"]): np.float32(row[name]) for row in own}


def test_finished_runs_are_left_alone(training):
    root, runs, train = training
    before = {run.name: (root / run.file).stat().st_mtime_ns for run in runs}
    train()
    assert {run.name: (root / run.file).stat().st_mtime_ns for run in runs} == before


def test_other_settings_are_not_mixed_in(tiny_lm, training):
    _, _, train = training
    with pytest.raises(SystemExit, match="other settings"):
        train(settings=tiny_lm.Settings(batch=3, block=16))


def test_settings_say_what_the_curves_depend_on(training, corpus):
    root, _, _ = training
    described = json.loads((root / "settings.json").read_text())
    assert described["settings"]["batch"] == 2
    assert described["corpus"]["sha256"] == corpus.sha256
    assert described["versions"]["jax"] == jax.__version__


def test_held_out_packages_are_never_trained_on(tiny_lm):
    files = {
        "json/decoder.py": b"SECRET_1 " * 30,
        "test/test_json/test_fail.py": b"SECRET_2 " * 30,
        "test/test_logging.py": b"SECRET_3 " * 30,
        "ast.py": b"public " * 30,
        "test/test_ast.py": b"public too " * 30,
    }
    corpus = tiny_lm.make_corpus(files, block=32, validation_blocks=8)
    text = corpus.train.tobytes()
    assert b"SECRET" not in text
    assert b"public too" in text
    assert b"SECRET" in corpus.validation.tobytes()
    assert b"public" not in corpus.validation.tobytes()
    assert corpus.validation.shape == (8, 33)


def test_the_plan_names_parents_before_their_branches(tiny_lm):
    runs = tiny_lm.all_runs()
    names = [run.name for run in runs]
    assert len(set(names)) == len(names) == 44
    for run in runs:
        schedule = tiny_lm.parse_schedule(run.spec)
        assert run.first % tiny_lm.Settings().validate_every == 0
        if run.parent:
            parent = runs[names.index(run.parent)]
            assert names.index(run.parent) < names.index(run.name)
            rates = tiny_lm.parse_schedule(parent.spec).lr
            np.testing.assert_array_equal(schedule.lr[: run.first], rates[: run.first])
            assert (parent.size, parent.seed) == (run.size, run.seed)
