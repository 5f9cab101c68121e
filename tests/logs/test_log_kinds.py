"""Kinds of dirt, each with the right reading: what counts updates, whose columns they are, what cannot be a loss."""

import math

import numpy as np
import pandas as pd
import pytest
from smooth_run import EVERY_50, LOSS, LR, STEPS, TRAIN, N, assert_whole, loss_at, only, rate_at, read, write

from bayeslr.errors import DataWarning, LogError
from bayeslr.logs import read_curves, read_logs

# --- what counts updates ---


@pytest.mark.parametrize("missing", [0, 7, N - 1])
def test_one_missing_step_costs_one_row(tmp_path, missing):
    steps = [float("nan") if i == missing else s for i, s in enumerate(STEPS)]
    path = write(tmp_path, {"_step": range(N), "train/global_step": steps, "train/loss": TRAIN, "train/lr": LR})
    curve, notes = only(path)
    assert curve.steps.tolist() == [s for i, s in enumerate(STEPS) if i != missing]
    assert f"1 row is without a step in 'train/global_step' (the first is line {missing + 2})" in notes[0]


def test_losses_that_count_epochs_are_refused_unless_another_loss_counts_updates(tmp_path):
    rows = []
    for step in EVERY_50:
        rows.append({"step": step, "lr": rate_at(step), "train_loss": loss_at(step) - 0.02})
        if step % 500 == 0:
            rows.append({"step": step // 500, "val_loss": loss_at(step)})
    curve, notes = only(write(tmp_path, rows, "a.jsonl"))
    assert curve.steps.tolist() == list(EVERY_50)
    assert any("the losses in 'val_loss' end at step 4, the rates at step 2000" in note for note in notes)
    for row in rows:
        row.pop("train_loss", None)
    with pytest.raises(LogError, match=r"one of them counts something else than updates .epochs, evaluations, batches"):
        read_logs(write(tmp_path, rows, "b.jsonl"))


def test_steps_that_are_tokens(tmp_path):
    tokens = [s * 524_288 for s in STEPS]
    path = write(tmp_path, {"step": tokens, "loss": LOSS, "lr": LR})
    with pytest.raises(
        LogError, match="end at 1048576000; allowed: at most 20000000 updates; tokens or samples are no"
    ):
        read_logs(path)
    assert_whole(only(write(tmp_path, {"step": tokens, "iter": STEPS, "loss": LOSS, "lr": LR}))[0])
    _, notes = only(write(tmp_path, {"step": [s * 256 for s in STEPS], "loss": LOSS, "lr": LR}))
    assert any("all steps are multiples of 25600 in 'step': tokens or samples are no updates" in note for note in notes)


@pytest.mark.parametrize("first_epoch", [0, 1])
@pytest.mark.parametrize("name", ["step", "iter", "batch_idx"])
def test_steps_within_epochs(tmp_path, first_epoch, name):
    rows = [
        {"epoch": first_epoch + (s - 1) // 500, name: (s - 1) % 500 + 1, "loss": loss_at(s), "lr": rate_at(s)}
        for s in EVERY_50
    ]
    curve, notes = only(write(tmp_path, pd.DataFrame(rows)))
    assert_whole(curve, EVERY_50)
    assert "count within each epoch: 500 updates an epoch are assumed" in notes[0]


def test_steps_within_epochs_of_different_lengths_are_refused(tmp_path):
    steps = [*range(50, 501, 50), *range(50, 601, 50), *range(50, 301, 50)]
    epochs = [0] * 10 + [1] * 12 + [2] * 6
    path = write(tmp_path, {"epoch": epochs, "step": steps, "loss": np.linspace(4, 3, 28), "lr": 1e-3})
    with pytest.raises(
        LogError, match=r"go back where an epoch begins \(2 times, first from 500 to 50\): they count within each epoch"
    ):
        read_logs(path)


@pytest.mark.parametrize("again", [0, 50])
def test_a_resume_that_counts_from_zero_while_the_loss_goes_on(tmp_path, again):
    rows = [{"step": s, "loss": loss_at(s), "lr": rate_at(s)} for s in EVERY_50 if s <= 1000]
    rows += [{"step": s - 1000, "loss": loss_at(s), "lr": rate_at(s)} for s in EVERY_50 if s >= 1000 + again]
    curve, notes = only(write(tmp_path, pd.DataFrame(rows)))
    assert_whole(curve, EVERY_50)
    assert any("they are counted on from 1000" in note for note in notes)


def test_a_run_that_was_started_again_is_none(tmp_path):
    """Here the loss starts again too: what was before is void."""
    rows = [{"step": s, "loss": loss_at(s) + 0.01, "lr": rate_at(s)} for s in EVERY_50 if s <= 600]
    rows += [{"step": s, "loss": loss_at(s), "lr": rate_at(s)} for s in EVERY_50]
    curve, notes = only(write(tmp_path, pd.DataFrame(rows)))
    assert_whole(curve, EVERY_50)
    assert "after a restart 12 earlier rows do not count" in notes[0]


@pytest.mark.parametrize("order", [[0, 1, 2, 4, 3, *range(5, N)], [0, 1, 12, *range(2, 12), *range(13, N)]])
def test_one_row_out_of_order_is_sorted(tmp_path, order):
    rows = pd.DataFrame({"step": STEPS, "loss": LOSS, "lr": LR}).iloc[order]
    curve, notes = only(write(tmp_path, rows))
    assert_whole(curve)
    assert "1 row is not in the order of the steps" in notes[0]


def test_a_clock_that_starts_again_does_not_sort(tmp_path):
    steps = [*STEPS[:10], *STEPS[8:]]
    clock = [*range(10), *range(12)]
    loss = [loss_at(s) for s in steps]
    rows = {"wall_time": clock, "step": steps, "loss": loss, "lr": [rate_at(s) for s in steps]}
    curve, notes = only(write(tmp_path, rows))
    assert_whole(curve)
    assert len(notes) == 1
    assert "after a restart 2 earlier rows do not count" in notes[0]


# --- whose columns they are ---


def test_columns_of_several_runs(tmp_path):
    columns = {"Step": STEPS, "a - val/loss": LOSS, "a - val/loss__MIN": 0, "a - lr": LR}
    columns |= {"b - val/loss": [x + 0.1 for x in LOSS], "b - lr": 1e-3}
    path = write(tmp_path, columns)
    curves, _ = read(path)
    assert curves.names == ("a", "b")
    assert_whole(curves["a"])
    assert_whole(curves["b"], loss=[x + 0.1 for x in LOSS], last_rate=1e-3)
    curve, _ = only(path, loss="b - val/loss")
    assert curve.schedule.lr.tolist() == [1e-3] * 2000
    (tmp_path / "runs.csv").write_text("run,file\nb,log.csv\n")
    with pytest.warns(DataWarning, match="the first rate is logged at step 100, and the rates do not rise"):
        assert read_curves(tmp_path / "runs.csv")["b"].schedule.lr.tolist() == [1e-3] * 2000


@pytest.mark.parametrize("column", ["run", "name", "experiment", "seed"])
def test_rows_of_several_runs(tmp_path, column):
    rows = [
        {column: name, "step": s, "val_loss": loss_at(s) + more, "lr": lr}
        for s in STEPS
        for name, more, lr in (("7", 0.0, rate_at(s)), ("8", 0.1, 1e-3))
    ]
    curves, _ = read(write(tmp_path, pd.DataFrame(rows)))
    assert curves.names == ("7", "8")
    assert_whole(curves["7"])
    assert_whole(curves["8"], loss=[x + 0.1 for x in LOSS], last_rate=1e-3)


@pytest.mark.parametrize("names", [("tag", "value"), ("metric", "value"), ("key", "value"), ("name", "value")])
def test_one_value_a_row(tmp_path, names):
    tag, value = names
    rows = []
    for s in STEPS:
        for metric, number in (("train_loss", loss_at(s) - 0.02), ("val_loss", loss_at(s)), ("lr", rate_at(s))):
            rows.append({tag: metric, value: number, "step": s})
    curve, _ = only(write(tmp_path, pd.DataFrame(rows)))
    assert_whole(curve)


@pytest.mark.parametrize(
    ("column", "train", "val"),
    [
        ("split", "train", "val"),
        ("phase", "training", "validation"),
        ("mode", "train", "eval"),
        ("is_train", True, False),
    ],
)
def test_rows_of_two_splits(tmp_path, column, train, val):
    rows = []
    for s in STEPS:
        rows.append({"step": s, column: train, "loss": loss_at(s) - 0.02, "lr": rate_at(s)})
        rows.append({"step": s, column: val, "loss": loss_at(s)})
    for name in ("log.csv", "log.jsonl"):
        curve, notes = only(write(tmp_path, rows, name))
        assert_whole(curve)
        assert f"those whose {column!r} is {str(val)!r} were taken, not {str(train)!r}" in notes[0]


@pytest.mark.parametrize(
    ("others", "taken"),
    [
        ({"best_val_loss": 1.0}, "train_loss"),
        ({"test_loss": [*[float("nan")] * (N - 1), 3.3]}, "train_loss"),
        ({"test_loss": LOSS[::-1], "val_loss": LOSS}, "val_loss"),
        ({"eval_loss": float("nan")}, "train_loss"),
        ({"loss": float("nan"), "test_loss": LOSS}, "test_loss"),
    ],
)
def test_which_loss(tmp_path, others, taken):
    columns = {"step": STEPS, **others, "train_loss": TRAIN, "lr": LR}
    curve, _ = only(write(tmp_path, columns))
    np.testing.assert_allclose(curve.loss, {"train_loss": TRAIN}.get(taken, LOSS))


@pytest.mark.parametrize(
    ("rates", "taken", "said"),
    [
        ({"learning_rate": 1e-3, "current_lr": LR}, LR, True),
        ({"adam_lr": 3e-4, "muon_lr": [20 * x for x in LR]}, [20 * x for x in LR], True),
        ({"lr": float("nan"), "train/lr": LR}, LR, False),
        ({"lr/group0": LR, "lr/group1": [0.1 * x for x in LR]}, LR, True),
        ({"lr/group0": LR, "lr/group1": LR}, LR, False),
        ({"lr-DecoupledAdamW/group0": LR}, LR, False),
        ({"optim/LR (group 0)": LR}, LR, False),
        ({"lr": [f"[{x}]" for x in LR]}, LR, False),
    ],
)
def test_which_rate(tmp_path, rates, taken, said):
    curve, notes = only(write(tmp_path, {"step": STEPS, "val_loss": LOSS, **rates}))
    np.testing.assert_allclose(curve.schedule.lr[list(STEPS[:-1])], taken[:-1])
    assert [("several columns may be the rate" in note) for note in notes] == [True] * said


def test_validation_in_one_run_and_training_in_the_other(tmp_path):
    a = write(tmp_path, {"step": STEPS, "val_loss": LOSS, "lr": LR}, "a.csv")
    b = write(tmp_path, {"step": STEPS, "train_loss": TRAIN, "lr": LR}, "b.csv")
    with pytest.warns(DataWarning, match=r"run 'a' has the validation loss .*, run 'b' has the training loss"):
        read_logs([a, b])


# --- what cannot be a loss ---


def test_zeros_and_single_wild_values_are_dropped_with_their_rows(tmp_path):
    zeros = [0.0 if s in (700, 800) else x for s, x in zip(STEPS, LOSS, strict=True)]
    curve, notes = only(write(tmp_path, {"step": STEPS, "loss": zeros, "lr": LR}))
    assert len(curve) == N - 2
    assert "2 losses are 0.0, as after an overflow (first at step 700, line 8): dropped" in notes[0]
    wild = [x + 512 if s == 700 else x for s, x in zip(STEPS, LOSS, strict=True)]
    curve, notes = only(write(tmp_path, {"step": STEPS, "loss": wild, "lr": LR}))
    assert len(curve) == N - 1
    assert "at step 700 (line 8) is many times its neighbours: dropped" in notes[0]


def test_spikes_and_a_steep_beginning_are_losses(tmp_path):
    steps = range(1, 201)
    loss = [11 * s**-0.3 + 0.05 * math.sin(9 * s) + (3 if s == 150 else 0) for s in steps]
    curve, notes = only(write(tmp_path, {"step": steps, "loss": loss, "lr": 1e-3}))
    assert curve.loss.tolist() == pytest.approx(loss)
    assert notes == []


@pytest.mark.parametrize(("factor", "after"), [(8, 1000), (2, 1500), (4, 500)])
def test_another_unit_from_the_middle_on(tmp_path, factor, after):
    loss = [x * (factor if s > after else 1) for s, x in zip(STEPS, LOSS, strict=True)]
    _, notes = only(write(tmp_path, {"step": STEPS, "loss": loss, "lr": LR}))
    assert f"at step {after} to" in notes[0]
    assert "another unit from there on" in notes[0]


def test_another_unit_in_one_run(tmp_path):
    a = write(tmp_path, {"step": STEPS, "loss": LOSS, "lr": LR}, "a.csv")
    b = write(tmp_path, {"step": STEPS, "loss": [4 * x for x in LOSS], "lr": LR}, "b.csv")
    _, notes = read([a, b])
    assert any("the loss of run 'b' ends at 13.02, 4 times that of the other runs" in note for note in notes)


@pytest.mark.parametrize("convert", [math.exp, lambda x: 1024 * x])
def test_what_is_no_loss_per_token_is_named(tmp_path, convert):
    _, notes = only(write(tmp_path, {"step": STEPS, "loss": [convert(x) for x in LOSS], "lr": LR}))
    assert "which is no loss in nats per token" in notes[0]


def test_units(tmp_path):
    log2 = math.log(2)
    rows = {"step": STEPS, "lr": LR}
    path = write(tmp_path, {**rows, "val_ppl": [math.exp(x) for x in LOSS]})
    with pytest.raises(LogError, match="'val_ppl' holds perplexity; allowed: `loss_unit` 'perplexity'"):
        read_logs(path)
    assert_whole(only(path, loss_unit="perplexity")[0])
    path = write(tmp_path, {**rows, "val_bpb": [x / log2 / 4.5 for x in LOSS]})
    assert_whole(only(path, loss_unit="bits per byte", bytes_per_token=4.5)[0])
    path = write(tmp_path, {**rows, "loss": [x / log2 for x in LOSS]})
    assert_whole(only(path, loss_unit="bits")[0])
    path = write(tmp_path, {**rows, "loss": [x / log2 for x in LOSS], "ppl": [math.exp(x) for x in LOSS]})
    curve, notes = only(path)
    assert_whole(curve)
    assert "'loss' is in bits, as its perplexity shows" in notes[0]
    for options in ({"loss_unit": "shannons"}, {"loss_unit": "bits per byte"}, {"bytes_per_token": -1.0}):
        with pytest.raises(LogError, match=r"loss_unit is|bytes_per_token is"):
            read_logs(path, **options)


def test_rates(tmp_path):
    falling = [1e-3 * (1 - s / 2000) for s in STEPS]
    curve, notes = only(write(tmp_path, {"step": STEPS, "loss": LOSS, "lr": [*falling[:-1], -5e-7]}))
    assert curve.schedule.lr.min() >= 0
    assert "1 rates are negative by rounding (lowest -5e-07): taken as 0" in notes[0]
    _, notes = only(write(tmp_path, {"step": STEPS, "loss": LOSS, "lr": [1e-3 if s < 1500 else 1e-4 for s in STEPS]}))
    assert "the rate falls from 0.001 at step 1400 to 0.0001 at step 1500: it is interpolated between them" in notes[1]
    for steady, lost in ((falling, 1), (LR, 0), ([1e-3] * N, 1), ([*falling[:-1], 0.0], 1)):
        _, notes = only(write(tmp_path, {"step": STEPS, "loss": LOSS, "lr": steady}))
        assert ["the first rate is logged at step 100" in note for note in notes] == [True] * lost


def test_a_history_that_is_missing_and_one_that_is_not(tmp_path):
    late = [s for s in range(10, 2001, 10) if s >= 1000]
    path = write(tmp_path, {"step": late, "loss": [loss_at(s) for s in late], "lr": 1e-3})
    with pytest.raises(Exception, match="starts at step 1000 and its earlier rates are not logged"):
        read_logs(path)
    curve, notes = only(path, allow_late_start=True)
    assert curve.schedule.warmup_steps == 1000
    assert curve.schedule.lr[500] == pytest.approx(5e-4)
    assert "a warm-up of 1000 steps is assumed" in notes[0]
    rows = [{"step": s, "lr": rate_at(s)} for s in range(10, 2001, 10)]
    rows += [{"step": s, "val_loss": loss_at(s)} for s in late]
    curve, notes = only(write(tmp_path, rows, "log.jsonl"))
    assert curve.steps.tolist() == late
    assert curve.schedule.warmup_steps == 200
    assert notes == []


def test_specs_may_leave_out_what_the_log_has(tmp_path):
    path = write(tmp_path, {"step": EVERY_50, "loss": [loss_at(s) for s in EVERY_50], "lr": map(rate_at, EVERY_50)})
    curve, notes = only(path, schedule="cosine(peak_lr=1e-3, final_lr=1e-4)")
    assert (curve.schedule.total_steps, curve.schedule.warmup_steps) == (2000, 200)
    assert notes == []
    (tmp_path / "runs.csv").write_text('run,file,schedule\na,log.csv,"cosine(peak_lr=1e-3, final_lr=1e-4)"\n')
    assert read_curves(tmp_path / "runs.csv")["a"].schedule == curve.schedule


def test_a_folder_is_a_set_of_runs(tmp_path):
    for name in ("a", "b"):
        write(tmp_path, {"step": STEPS, "val_loss": LOSS, "lr": LR}, f"{name}.csv")
    (tmp_path / "config.json").write_text('{"width": 512}')
    (tmp_path / "slurm.out").write_text("srun: job 1 queued\nsrun: job 1 started\n")
    curves, notes = read(tmp_path)
    assert curves.names == ("a", "b")
    assert notes == [f"{tmp_path}: 1 files are no logs (slurm.out): left out"]
    with pytest.warns(DataWarning, match="slurm.out"):
        assert len(read_curves(tmp_path)) == 2
    (tmp_path / "runs.csv").write_text("run,file\nx,a.csv\n")
    assert read_curves(tmp_path).names == ("x",)


def test_mlflow(tmp_path):
    run = tmp_path / "mlruns" / "0" / "abc"
    (run / "metrics" / "eval").mkdir(parents=True)
    (run / "meta.yaml").write_text("run_id: abc\n")
    lines = {"eval/loss": LOSS, "lr": LR}
    for name, values in lines.items():
        text = "".join(f"{1_700_000_000_000 + s} {x!r} {s}\n" for s, x in zip(STEPS, values, strict=True))
        (run / "metrics" / name).write_text(text)
    assert_whole(only(tmp_path / "mlruns")[0])
