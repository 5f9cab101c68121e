"""More of the kinds of dirt: what a first reading of the shown cases left out."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from smooth_run import EVERY_50, LOSS, LR, STEPS, TRAIN, N, assert_whole, loss_at, only, rate_at, read, write

from bayeslr.errors import CurveError, LogError
from bayeslr.logs import read_curves, read_logs

TABLE = {"step": STEPS, "val_loss": LOSS, "lr": LR}
CONSTANT = "constant(peak_lr=1e-3, total_steps=2000)"


def text(folder, content, name="run.log"):
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content)
    return path


# --- what counts updates ---


def test_a_call_counter_is_not_taken_where_most_steps_are_missing(tmp_path):
    kept = [i % 5 == 0 for i in range(N)]
    steps = [s if k else None for s, k in zip(STEPS, kept, strict=True)]
    curve, notes = only(write(tmp_path, {"_step": range(N), "train/global_step": steps, "loss": LOSS, "lr": LR}))
    assert curve.steps.tolist() == [s for s, k in zip(STEPS, kept, strict=True) if k]
    assert "16 rows are without a step in 'train/global_step'" in notes[0]


def test_rows_that_have_only_the_call_counter_follow_the_step_before(tmp_path):
    rows = []
    for s in EVERY_50:
        rows.append({"_step": len(rows), "global_step": s, "train_loss": loss_at(s) - 0.02, "lr": rate_at(s)})
        rows.append({"_step": len(rows), "val_loss": loss_at(s)})
    curve, notes = only(write(tmp_path, rows, "log.jsonl"))
    assert_whole(curve, EVERY_50)
    assert any("rows without a step in 'global_step' belong to the step in the row before" in note for note in notes)


def test_an_export_that_counts_calls_beside_the_global_step(tmp_path):
    rows = {"Step": range(N), "a - train/global_step": STEPS, "a - val/loss": LOSS, "a - lr": LR}
    assert_whole(only(write(tmp_path, rows))[0])
    curve, notes = only(write(tmp_path, {"step": range(N), "global_step": STEPS, "val_loss": LOSS, "lr": LR}))
    assert_whole(curve)
    assert "several columns may count the steps: 'global_step' was taken, not 'step'" in notes[0]


def test_losses_counted_one_by_one_before_the_rates(tmp_path):
    rows = [{"step": i + 1, "val_loss": x} for i, x in enumerate(LOSS)]
    rows += [{"step": s, "lr": rate_at(s)} for s in EVERY_50]
    with pytest.raises(LogError, match="'val_loss' end at step 20, the rates at step 2000"):
        read_logs(write(tmp_path, rows, "log.jsonl"))


def test_validation_at_the_end_of_epochs_whose_steps_start_again(tmp_path):
    rows = []
    for s in EVERY_50:
        within = {"epoch": (s - 1) // 500, "iter": (s - 1) % 500 + 1}
        rows.append({**within, "train_loss": loss_at(s) - 0.02, "lr": rate_at(s)})
        if s % 500 == 0:
            rows.append({**within, "val_loss": loss_at(s)})
    curve, _ = only(write(tmp_path, rows))
    assert_whole(curve, (500, 1000, 1500, 2000))


def test_epochs_with_fractions_say_how_long_they_are(tmp_path):
    rows = [{"epoch": s / 487, "step": (s - 1) % 487 + 1, "loss": loss_at(s), "lr": rate_at(s)} for s in EVERY_50]
    curve, notes = only(write(tmp_path, rows))
    assert_whole(curve, EVERY_50)
    assert "one has 487 updates, as its fractions show" in notes[0]


@pytest.mark.parametrize(("crash", "checkpoint"), [(300, 300), (1500, 1500), (1000, 800)])
def test_a_resume_that_counts_its_own_steps(tmp_path, crash, checkpoint):
    """After a crash that came later than the checkpoint the rates are repeated, which shows the step."""
    rows = [{"step": s, "loss": loss_at(s), "lr": rate_at(s)} for s in EVERY_50 if s <= crash]
    rows += [{"step": s - checkpoint, "loss": loss_at(s), "lr": rate_at(s)} for s in EVERY_50 if s > checkpoint]
    curve, notes = only(write(tmp_path, rows))
    assert_whole(curve, EVERY_50)
    assert f"they are counted on from {checkpoint}" in notes[0]


@pytest.mark.parametrize(
    "order", [[*range(1, N), 0], [*range(10), *range(12, N), 10, 11], [N - 1, *range(N - 1)]], ids=str
)
def test_rows_that_were_written_late_are_sorted(tmp_path, order):
    curve, notes = only(write(tmp_path, pd.DataFrame(TABLE).iloc[order]))
    assert_whole(curve)
    assert "not in the order of the steps" in notes[0]


def test_a_clock_that_starts_again_beside_a_counter_that_does(tmp_path):
    rows = [{"wall_time": i, "step": s, "loss": loss_at(s), "lr": rate_at(s)} for i, s in enumerate(EVERY_50[:20])]
    rows += [
        {"wall_time": i, "step": s - 1000, "loss": loss_at(s), "lr": rate_at(s)} for i, s in enumerate(EVERY_50[20:])
    ]
    assert_whole(only(write(tmp_path, rows))[0], EVERY_50)


# --- whose columns they are ---


@pytest.mark.parametrize("separator", ["_", "/", "."])
def test_runs_side_by_side_under_any_separator(tmp_path, separator):
    columns = {"step": STEPS}
    for run, more, rates in (("cosine", 0.0, LR), ("const", 0.1, [5e-4, *[1e-3] * (N - 1)])):
        columns[f"{run}{separator}val_loss"] = [x + more for x in LOSS]
        columns[f"{run}{separator}lr"] = rates
    curves, notes = read(write(tmp_path, columns))
    assert curves.names == ("cosine", "const")
    assert_whole(curves["cosine"])
    assert_whole(curves["const"], loss=[x + 0.1 for x in LOSS], last_rate=1e-3)
    assert notes == []


@pytest.mark.parametrize("column", ["group", "arm", "lr_schedule", "foo"])
def test_runs_told_apart_by_any_column_of_texts(tmp_path, column):
    rows = [
        {column: name, "step": s, "val_loss": loss_at(s) + more, "lr": rate_at(s)}
        for name, more in (("a", 0.0), ("b", 0.1))
        for s in STEPS
    ]
    curves, _ = read(write(tmp_path, rows))
    assert curves.names == ("a", "b")
    assert_whole(curves["b"], loss=[x + 0.1 for x in LOSS])


def test_machines_and_stages_are_no_runs(tmp_path):
    rows = [{"host": "a", "stage": "warm", "step": s, "loss": loss_at(s), "lr": rate_at(s)} for s in STEPS[:12]]
    rows += [{"host": "b", "stage": "main", "step": s, "loss": loss_at(s), "lr": rate_at(s)} for s in STEPS[7:]]
    assert_whole(only(write(tmp_path, rows))[0])


@pytest.mark.parametrize(("column", "train", "val"), [("name", "train", "val"), ("log_type", "fit", "validate")])
def test_splits_under_any_name(tmp_path, column, train, val):
    rows = []
    for s in STEPS:
        rows.append({"step": s, column: val, "loss": loss_at(s)})
        rows.append({"step": s, column: train, "loss": loss_at(s) - 0.02, "lr": rate_at(s)})
    assert_whole(only(write(tmp_path, rows))[0])


def test_several_data_sets_in_turn(tmp_path):
    rows = [{"step": s, "dataset": d, "loss": loss_at(s) + more} for s in STEPS for d, more in (("c4", 0), ("wiki", 1))]
    curve, notes = only(write(tmp_path, rows), schedule=CONSTANT)
    assert_whole(curve, last_rate=1e-3)
    assert "those whose 'dataset' is 'c4' were taken, not 'wiki'" in notes[0]


@pytest.mark.parametrize("nothing", [-1, 0])
def test_an_evaluation_that_was_never_made(tmp_path, nothing):
    columns = {"step": STEPS, "eval_loss": nothing, "train_loss": TRAIN, "lr": LR}
    np.testing.assert_allclose(only(write(tmp_path, columns))[0].loss, TRAIN)
    columns["eval_loss"] = [x if i % 2 else nothing for i, x in enumerate(LOSS)]
    curve, notes = only(write(tmp_path, columns))
    assert_whole(curve, STEPS[1::2])
    assert any(f"10 losses are {float(nothing)}, as" in note for note in notes)


def test_a_rate_may_be_named_across_runs_and_a_schedules_name_is_none(tmp_path):
    columns = {"Step": STEPS, "a - val/loss": LOSS, "b - val/loss": LOSS, "a - lr": LR}
    assert_whole(only(write(tmp_path, columns), loss="b - val/loss", lr="a - lr")[0])
    assert only(write(tmp_path, {**TABLE, "lr_schedule": "cosine"}))[1] == []


# --- what cannot be a loss ---


@pytest.mark.parametrize(
    ("at", "change", "said"),
    [
        (
            (8, 9),
            lambda x: x + 512,
            "a loss of 515.37 at step 900 (line 10) is many times its neighbours: dropped, with",
        ),
        (
            (7, 12),
            lambda x: 1e30,
            "a loss of 1e+30 at step 800 (line 9) is many times its neighbours: dropped, with 1 more",
        ),
        ((7,), lambda x: x / 100, "is far below its neighbours: dropped"),
        ((7,), lambda x: -x, "is far below its neighbours: dropped"),
    ],
)
def test_values_that_are_no_losses(tmp_path, at, change, said):
    loss = [change(x) if i in at else x for i, x in enumerate(LOSS)]
    curve, notes = only(write(tmp_path, {"step": STEPS, "loss": loss, "lr": LR}))
    assert_whole(curve, [s for i, s in enumerate(STEPS) if i not in at])
    assert said in notes[0]


def test_an_evaluation_that_is_repeated_until_the_next(tmp_path):
    held = [loss_at(s - s % 200) if s >= 200 else None for s in EVERY_50]
    rows = {"step": EVERY_50, "val_loss": held, "lr": map(rate_at, EVERY_50)}
    curve, notes = only(write(tmp_path, rows))
    assert_whole(curve, tuple(range(200, 2001, 200)), last_rate=1e-4)
    assert "each loss stands in 4 rows" in notes[0]


def test_a_label_smoothed_loss_beside_the_likelihood(tmp_path):
    bits = [x / math.log(2) for x in LOSS]
    columns = {"num_updates": STEPS, "loss": [x + 0.5 for x in bits], "nll_loss": bits}
    columns |= {"ppl": [math.exp(x) for x in LOSS], "lr": LR}
    curve, notes = only(write(tmp_path, columns))
    assert_whole(curve)
    assert any("'nll_loss' is in bits" in note for note in notes)


def test_bits_or_other_data_in_one_run(tmp_path):
    a = write(tmp_path, TABLE, "a.csv")
    b = write(tmp_path, {**TABLE, "val_loss": [x / math.log(2) for x in LOSS]}, "b.csv")
    assert any("run 'b' is 1.443 times that of the other runs: is it in bits" in note for note in read([a, b])[1])
    a = write(tmp_path, {"step": STEPS, "eval/c4/loss": LOSS, "lr": LR}, "a.csv")
    b = write(tmp_path, {"step": STEPS, "eval/wiki/loss": LOSS, "lr": LR}, "b.csv")
    assert any("losses on different data: 'eval/c4/loss' in run 'a'" in note for note in read([a, b])[1])
    b = write(tmp_path, {"step": STEPS, "validation_loss": LOSS, "lr": LR}, "b.csv")
    assert read([write(tmp_path, TABLE, "a.csv"), b])[1] == []


def test_a_single_wild_rate_is_dropped(tmp_path):
    curve, notes = only(write(tmp_path, {**TABLE, "lr": [512.0 if s == 700 else rate_at(s) for s in STEPS]}))
    assert curve.schedule.peak_lr == pytest.approx(1e-3)
    assert "the rate of 512 at step 700 is many times those beside it: dropped" in notes[0]
    pulses = {**TABLE, "lr": [1.0 if i % 2 else 0.01 for i in range(N)]}
    assert only(write(tmp_path, pulses))[0].schedule.peak_lr == 1.0


def test_what_is_missing_is_said_with_what_the_file_is(tmp_path):
    path = text(tmp_path, "".join(f"iter {s}: loss {loss_at(s):.4f}, time 100ms\n" for s in STEPS))
    with pytest.raises(LogError, match="no rates are logged in this console output"):
        read_logs(path)
    path = text(tmp_path, json.dumps({"epoch": [1, 2, 3], "loss": [3, 2, 1]}), "log.json")
    with pytest.raises(LogError, match=r"no column for the step in this object of lists \(epoch counts something else"):
        read_logs(path)


# --- branches ---


@pytest.mark.parametrize("branch", [300, 1800])
def test_a_cool_down_with_its_own_steps_that_begins_with_its_parents_log(tmp_path, branch):
    trunk = {"step": EVERY_50, "loss": [loss_at(s) for s in EVERY_50], "lr": 1e-3}
    steps = range(50, 401, 50)
    loss = [loss_at(branch) - 1e-4 * s for s in steps]
    write(tmp_path, trunk, "trunk.csv")
    write(tmp_path, {"step": steps, "loss": loss, "lr": [1e-3 * (1 - s / 400) for s in steps]}, "cool.csv")
    (tmp_path / "runs.csv").write_text("run,file,parent\ntrunk,trunk.csv,\ncool,cool.csv,trunk\n")
    with pytest.raises(CurveError, match=r"run 'cool': it begins at step 50 .* so it counts its own steps"):
        read_curves(tmp_path / "runs.csv")


def test_only_the_end_of_a_cool_down_with_its_rates(tmp_path):
    warm = [min(s, 100) * 1e-5 for s in EVERY_50]
    write(tmp_path, {"step": EVERY_50, "loss": [loss_at(s) for s in EVERY_50], "lr": warm}, "trunk.csv")
    steps = range(1300, 1401, 20)
    write(tmp_path, {"step": steps, "loss": 3.3, "lr": [1e-3 * (1400 - s) / 400 for s in steps]}, "cool.csv")
    (tmp_path / "runs.csv").write_text("run,file,parent\ntrunk,trunk.csv,\ncool,cool.csv,trunk\n")
    with pytest.warns(match="first logged rate, at step 1300, is 0.00025, but its parent 'trunk' has 0.001 there"):
        read_curves(tmp_path / "runs.csv")


# --- files ---


@pytest.mark.parametrize("cut", [1, 2, 3, 6])
def test_a_last_number_with_an_exponent_that_is_cut_off(tmp_path, cut):
    rows = "".join(f"{s},{x:.4f},{lr:.6e}\n" for s, x, lr in zip(STEPS, LOSS, LR, strict=True))
    curve, notes = only(text(tmp_path, "step,val_loss,lr\n" + rows[: -1 - cut], "log.csv"))
    assert curve.steps.tolist() == list(STEPS[:-1])
    assert curve.schedule.peak_lr < 1.01e-3
    assert "has no line end and is cut off" in notes[0]


def test_a_damaged_row_is_left_out(tmp_path):
    content = pd.DataFrame(TABLE).to_csv(index=False).encode()
    curve, notes = only(text(tmp_path, content[:300] + b"\xff\xfe\x80\x81" + content[310:], "log.csv"))
    assert len(curve) == N - 1
    assert "has bytes that are no text: damaged, left out" in notes[0]


@pytest.mark.parametrize(
    "line",
    [
        lambda s: f"INFO:root:step {s} loss {loss_at(s):.9f} lr {rate_at(s):.9e}",
        lambda s: f"[{s}/2000] loss: {loss_at(s):.9f} | lr: {rate_at(s):.9e}",
        lambda s: f"iter: {s} | lr: {rate_at(s):.9e} | loss: {loss_at(s):.9f}",
        lambda s: f"step {s} | lr {rate_at(s):.9e} | loss 9.0 | val_loss {loss_at(s):.9f}",
        lambda s: f" iteration {s:8d}/    2000 | learning rate {rate_at(s):.9E} | lm loss {loss_at(s):.9E} |",
        lambda s: (
            f"[Rank 0] step={s}, skipped=0, lr=[{rate_at(s):.9e}], mom=[[0.9]]\nsteps: {s} loss: {loss_at(s):.9f}"
        ),
        lambda s: f"completed step: {s}, TFLOP/s/device: 1.2, loss: {loss_at(s):.9f}, lr: {rate_at(s):.9e}",
        lambda s: f"INFO\t[step={s}/2000]\n    optim/LR (group 0)={rate_at(s):.9E}\n    train/CE loss={loss_at(s):.9f}",
    ],
)
def test_lines_of_any_program(tmp_path, line):
    assert_whole(only(text(tmp_path, "".join(f"{line(s)}\n" for s in STEPS)))[0])


def test_lines_of_lightning_and_of_fairseqs_validation(tmp_path):
    bar = "".join(f"\rEpoch 0: 5%|# | {s}/2000 [00:10<00:10, 1.10it/s, train_loss={loss_at(s):.9f}]" for s in STEPS)
    assert_whole(only(text(tmp_path, bar + "\n"), schedule=CONSTANT)[0], last_rate=1e-3)
    lines = [
        f"2021 | INFO | train_inner | epoch 001: {s} / 5000 loss=9, num_updates={s}, lr={rate_at(s):.9g}, gnorm=1\n"
        f"2021 | INFO | valid | epoch 001 | valid on 'valid' subset | loss {loss_at(s) / math.log(2):.9f} | "
        f"ppl {math.exp(loss_at(s)):.4f} | num_updates {s}\n"
        for s in STEPS
    ]
    assert_whole(only(text(tmp_path, "".join(lines)))[0])


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"history": {"step": STEPS, "val_loss": LOSS, "lr": LR}}),
        json.dumps({"train": {"step": STEPS, "lr": LR, "loss": TRAIN}, "val": {"step": STEPS, "loss": LOSS}}),
        "sep=;\nstep;val_loss;lr\n" + "".join(f"{s};{x!r};{r!r}\n" for s, x, r in zip(STEPS, LOSS, LR, strict=True)),
        "step,config,val_loss,lr\n"
        + "".join(f'{s},"lr=1, step=3",tensor({x!r}),{r!r}\n' for s, x, r in zip(STEPS, LOSS, LR, strict=True)),
    ],
    ids=["one object inside", "two objects inside", "sep=", "tensors, and a text like a console's"],
)
def test_other_forms_of_tables(tmp_path, content):
    assert_whole(only(text(tmp_path, content, "log.txt"))[0])


def test_tensorboards_download_of_one_scalar(tmp_path):
    path = text(tmp_path, json.dumps([[1.7e9 + s, s, x] for s, x in zip(STEPS, LOSS, strict=True)]), "log.json")
    assert_whole(only(path, schedule=CONSTANT)[0], last_rate=1e-3)


def test_a_table_without_a_header_says_so(tmp_path):
    path = text(tmp_path, "".join(f"{s},{x:.4f}\n" for s, x in zip(STEPS, LOSS, strict=True)), "log.csv")
    with pytest.raises(LogError, match=r"the first line has numbers only .* allowed: a header"):
        read_logs(path)


def test_folders_of_runs_with_a_log_each(tmp_path):
    for run in ("a", "b"):
        (tmp_path / run).mkdir()
        write(tmp_path / run, TABLE, "log.csv")
        (tmp_path / run / "train.log").write_text("step 1 loss 3\n")
    curves, _ = read(tmp_path)
    assert curves.names == ("a", "b")
    assert_whole(curves["a"])


def test_folders_of_splits_are_one_run(tmp_path):
    from test_log_formats import event_file

    event_file(tmp_path / "train", new_style=False)
    event_file(tmp_path / "validation", new_style=True)
    curve, _ = only(tmp_path, loss="validation/eval/loss", lr="train/train/learning_rate")
    assert len(curve) == 10
    event_file(tmp_path / "set" / "train-25M", new_style=False)
    event_file(tmp_path / "set" / "train-100M", new_style=False)
    assert read(tmp_path / "set")[0].names == ("train-100M", "train-25M")
