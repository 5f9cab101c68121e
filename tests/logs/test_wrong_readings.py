"""Logs that were read as another curve without a word: what they mean, or what is said of them."""

import numpy as np
import pandas as pd
import pytest
from smooth_run import loss_at, only, read, write

from bayeslr import schedules
from bayeslr.errors import LogError
from bayeslr.logs import read_logs
from bayeslr.logs.draft import draft
from bayeslr.logs.sources import ColumnNames

TOTAL = 4000
PLAN = schedules.cosine(peak_lr=3e-3, final_lr=3e-4, warmup_steps=200, total_steps=TOTAL)


def every(interval, plan=PLAN, **more):
    """A table with a row each few steps."""
    steps = np.arange(interval, plan.total_steps + 1, interval)
    rates = plan.lr[np.minimum(steps, plan.total_steps - 1)]
    return {"step": steps, "loss": loss_at(steps.astype(float)), "lr": rates, **more}


# --- a warm-up before the first row ---

LOST = "the first rate is logged at step"


@pytest.mark.parametrize(("interval", "lost"), [(20, ""), (100, ""), (200, "4.4%"), (400, "8.7%")])
def test_a_warm_up_before_the_first_row_is_missed(tmp_path, interval, lost):
    _, notes = only(write(tmp_path, every(interval)))
    assert [LOST in note for note in notes] == [True] * bool(lost)
    assert all(f"make the sum of the rates up to {lost} smaller" in note for note in notes)


def test_a_constant_rate_may_have_had_a_warm_up_too(tmp_path):
    for interval, lost in ((50, 0), (100, 1)):
        flat = schedules.constant(peak_lr=1e-3, total_steps=TOTAL)
        _, notes = only(write(tmp_path, every(interval, flat)))
        assert [LOST in note for note in notes] == [True] * lost


def test_a_schedule_says_that_nothing_is_missing(tmp_path):
    path = write(tmp_path, every(400))
    assert only(path, schedule=PLAN)[1] == []


def test_of_many_runs_it_is_said_once(tmp_path):
    for interval in (200, 250, 400):
        write(tmp_path, every(interval), f"{interval}.csv")
    (note,) = read(tmp_path)[1]
    assert f"200.csv and 2 more: {LOST} 200" in note


# --- whose counter it is ---


def blocks(step, loss, own_step, own_loss):
    """Training and evaluations side by side, each with its steps, as they are pasted into one sheet."""
    left = pd.DataFrame(every(20)).rename(columns={"step": step, "loss": loss})
    evaluated = np.arange(200, TOTAL + 1, 200)
    right = pd.DataFrame({own_step: evaluated, own_loss: loss_at(evaluated.astype(float)) + 0.1})
    return pd.concat([left, right], axis=1)


@pytest.mark.parametrize(
    "names",
    [
        ("train_step", "train_loss", "val_step", "val_loss"),
        ("step", "loss", "valid_steps", "valid_loss"),
        ("iter", "train_loss", "eval_iter", "eval_loss"),
    ],
)
def test_blocks_side_by_side_have_their_own_steps(tmp_path, names):
    path = write(tmp_path, blocks(*names))
    curve, _ = only(path)
    assert curve.steps.tolist() == list(range(200, TOTAL + 1, 200))
    assert curve.loss[-1] == pytest.approx(loss_at(4000.0) + 0.1)
    assert curve.schedule.lr[[200, 2000]] == pytest.approx(PLAN.lr[[200, 2000]])
    curve, _ = only(path, loss=names[1])
    assert curve.steps.tolist() == list(range(20, TOTAL + 1, 20))


@pytest.mark.parametrize("own", ["evaluations", "batches"])
def test_a_counter_of_evaluations_beside_the_step_counts_no_updates(tmp_path, own):
    frame = pd.DataFrame(every(200)).rename(columns={"loss": "val_loss"})
    frame["eval_step"] = np.arange(1, 21) * (1 if own == "evaluations" else 50)
    assert only(write(tmp_path, frame))[0].steps.tolist() == list(range(200, TOTAL + 1, 200))


def test_evaluations_that_are_counted_alone(tmp_path):
    rows = []
    for i, step in enumerate(range(20, TOTAL + 1, 20)):
        rows.append({"step": step, "loss": loss_at(step), "lr": PLAN.lr[step - 1]})
        if step % 200 == 0:
            rows.append({"eval_step": (i + 1) // 10, "eval_loss": loss_at(step) + 0.1})
    curve, notes = only(write(tmp_path, rows, "log.jsonl"))
    assert curve.steps.tolist() == list(range(200, TOTAL + 1, 200))
    assert any("belong to the step in the row before" in note for note in notes)
    alone = pd.DataFrame({"eval_step": range(1, 21), "eval_loss": loss_at(np.arange(200.0, 4001.0, 200.0)), "lr": 1e-3})
    path = write(tmp_path, alone)
    with pytest.raises(LogError, match="counted one by one in 'eval_step': it counts evaluations, not updates"):
        read_logs(path)
    with pytest.raises(LogError, match="counted one by one"):
        read_logs(path, schedule=PLAN)
    assert len(only(path, step="eval_step")[0]) == 20


@pytest.mark.parametrize(
    ("micro", "update"),
    [("step", "global_step"), ("iter", "optimizer_step"), ("step", "update"), ("global_step", "opt_step")],
)
def test_updates_beside_their_micro_batches(tmp_path, micro, update):
    frame = pd.DataFrame(every(20)).rename(columns={"step": update})
    frame[micro] = 8 * frame[update] - 3
    curve, notes = only(write(tmp_path, frame))
    assert curve.steps.tolist() == list(range(20, TOTAL + 1, 20))
    assert f"{update!r} was taken, not {micro!r}" in notes[0]


def test_rows_that_are_counted_beside_the_step_are_no_updates(tmp_path):
    frame = pd.DataFrame(every(20)).assign(update=range(1, 201))
    curve, notes = only(write(tmp_path, frame))
    assert curve.steps[-1] == TOTAL
    assert "'step' was taken, not 'update'" in notes[0]


# --- rows of several splits ---


@pytest.mark.parametrize(
    "line",
    [
        "eval {n} at step {s}: loss {x:.4f}",
        "eval {n} at step {s} valid loss {x:.4f}",
        "step {s} | eval {n} | loss {x:.4f}",
        "validation {n}, step {s}: loss={x:.4f}",
    ],
)
def test_numbered_evaluations_on_a_console(tmp_path, line):
    lines = []
    for s in range(20, TOTAL + 1, 20):
        lines.append(f"step {s} lr {PLAN.lr[s - 1]:.4e} loss {loss_at(s):.4f}")
        if s % 200 == 0:
            lines.append(line.format(n=s // 200, s=s, x=loss_at(s) + 0.1))
    path = tmp_path / "train.log"
    path.write_text("\n".join(lines) + "\n")
    curve, _ = only(path)
    assert curve.steps.tolist() == list(range(200, TOTAL + 1, 200))
    assert curve.loss == pytest.approx(loss_at(curve.steps.astype(float)) + 0.1, abs=1e-4)


def test_a_column_that_numbers_evaluations_names_no_split(tmp_path):
    rows = every(200, eval=range(1, 21))
    assert len(only(write(tmp_path, rows))[0]) == 20


def among(tmp_path, evaluation, *, first=200, apart=200, name="log.jsonl"):
    """A log whose evaluations are rows of the same name, as a function of the step writes them."""
    rows = []
    for s in range(10, TOTAL + 1, 10):
        if s % 20 == 0:
            rows.append({"step": s, "loss": loss_at(s), "lr": PLAN.lr[s - 1]})
        if s >= first and (s - first) % apart == 0:
            rows.append(evaluation(s))
    return write(tmp_path, rows, name)


@pytest.mark.parametrize(("first", "apart"), [(200, 200), (190, 190), (500, 500)])
@pytest.mark.parametrize("more", [{}, {"ppl": 30.0}, {"task": "c4"}])
def test_evaluations_among_training_losses_have_no_rate(tmp_path, first, apart, more):
    path = among(tmp_path, lambda s: {"step": s, "loss": loss_at(s) + 0.1, **more}, first=first, apart=apart)
    curve, notes = only(path)
    assert curve.steps.tolist() == list(range(20, TOTAL + 1, 20))
    assert curve.loss == pytest.approx(loss_at(curve.steps.astype(float)))
    (note,) = notes
    assert f"losses are in rows without a rate among rows with one (the first at step {first})" in note


def test_evaluations_among_training_losses_that_have_a_rate_are_spoken_of(tmp_path):
    path = among(tmp_path, lambda s: {"step": s, "loss": loss_at(s) + 0.1, "lr": PLAN.lr[s - 1]}, name="log.csv")
    (note,) = only(path)[1]
    assert "20 steps are repeated with other values (first 200): the last one counts; are these evaluations" in note


def test_a_rate_that_is_logged_now_and_then_makes_no_evaluations(tmp_path):
    table = pd.DataFrame(every(20))
    for kept in (table.step % 100 == 0, table.step <= 3900, table.step != 2000, table.step % 40 == 0):
        frame = table.assign(lr=table.lr.where(kept))
        curve, notes = only(write(tmp_path, frame))
        assert len(curve) == len(table)
        assert not any("evaluations" in note for note in notes)
    rng = np.random.default_rng(0)
    noisy = table.assign(lr=table.lr.where(rng.random(len(table)) > 0.1), loss=table.loss + rng.normal(0, 0.05, 200))
    assert len(only(write(tmp_path, noisy))[0]) == len(table)


# --- other units ---


@pytest.mark.parametrize(("batch", "told"), [(240, True), (480, True), (96, True), (1, False), (100, False)])
def test_steps_that_are_samples(tmp_path, batch, told):
    frame = pd.DataFrame(every(20)).assign(step=lambda table: batch * table.step)
    _, notes = only(write(tmp_path, frame))
    assert [f"all steps are multiples of {20 * batch} in 'step'" in note for note in notes] == [True] * told


@pytest.mark.parametrize("interval", [1000, 1024, 1200, 1500, 2500, 5000])
def test_intervals_at_which_people_log_are_no_batches(tmp_path, interval):
    frame = pd.DataFrame(every(20)).assign(step=interval * np.arange(1, 201))
    assert not any("multiples" in note for note in only(write(tmp_path, frame))[1])


@pytest.mark.parametrize(("factor", "told"), [(0.1, True), (0.5, True), (1.0, False)])
def test_rates_of_one_shape_and_other_peaks(tmp_path, factor, told):
    rates = np.array(every(20)["lr"])
    frame = pd.DataFrame(every(20)).drop(columns="lr").assign(lr_muon=rates, lr_adam=factor * rates)
    curve, notes = only(write(tmp_path, frame))
    assert curve.schedule.peak_lr == pytest.approx(3e-3)
    expected = f"'lr_muon' was taken, not 'lr_adam' ({factor:.3g} times as high)"
    assert [expected in note for note in notes] == [True] * told


@pytest.mark.parametrize(("factors", "told"), [((1, 100), True), ((1, 10, 100), False), ((1, 1, 0.01), True)])
def test_peak_rates_that_lie_far_apart(tmp_path, factors, told):
    for i, factor in enumerate(factors):
        frame = pd.DataFrame(every(20)).assign(lr=lambda table, by=factor: by * table.lr)
        write(tmp_path, frame, f"{i}.csv")
    _, notes = read(tmp_path)
    assert [note.startswith("the peak rates of the runs lie far apart") for note in notes] == [True] * told
    checks = draft(tmp_path, folder=tmp_path, columns=ColumnNames()).checks
    assert any("lie far apart" in check for check in checks) == told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: x / np.log(2), True),
        (lambda x: (x + 0.05) / np.log(2), True),
        (lambda x: x + 0.1, False),
        (lambda x: x + 1.44, False),
        (lambda x: 1.3 * x, False),
    ],
)
def test_a_validation_loss_in_bits_beside_a_training_loss_in_nats(tmp_path, change, told):
    frame = pd.DataFrame(every(20)).rename(columns={"loss": "train_loss"})
    frame["val_loss"] = change(frame.train_loss).where(frame.step % 200 == 0)
    path = write(tmp_path, frame)
    assert any("from the beginning to the end: is it in bits" in note for note in only(path)[1]) == told
    assert not any("in bits" in note for note in only(path, loss_unit="bits")[1])


def test_negative_losses_are_refused(tmp_path):
    path = write(tmp_path, {**every(20), "loss": -loss_at(np.array(every(20)["step"], dtype=float))})
    with pytest.raises(LogError, match="all losses in 'loss' are negative"):
        read_logs(path)
    with pytest.raises(LogError, match="all losses in 'loss' are negative"):
        draft(path, folder=tmp_path, columns=ColumnNames())


# --- ends and beginnings ---


@pytest.mark.parametrize(("first", "said"), [(3000, "from line 151 to the end all are: the run diverged"), (4000, "")])
def test_nan_to_the_end_is_the_death_of_a_run(tmp_path, first, said):
    frame = pd.DataFrame(every(20))
    frame["loss"] = frame.loss.where(frame.step < first, "nan")
    curve, (note,) = only(write(tmp_path, frame))
    assert curve.steps[-1] == first - 20
    assert note.endswith(f"NaN or infinite: dropped{'; ' * bool(said)}{said}")


def test_a_jump_may_be_a_divergence(tmp_path):
    frame = pd.DataFrame(every(20))
    for after, said in ((10.4, "did the run diverge, or is it another unit"), (1.1, "times lower: another unit")):
        changed = frame.assign(loss=frame.loss.where(frame.step < 3000, after))
        assert any(said in note for note in only(write(tmp_path, changed))[1])


@pytest.mark.parametrize("rows", [50, 40, 3])
def test_parts_that_were_put_together_by_their_names(tmp_path, rows):
    frame = pd.DataFrame(every(20))
    parts = [frame[i : i + rows] for i in range(0, len(frame), rows)]
    names = sorted(range(len(parts)), key=lambda i: f"part-{(i + 3) % len(parts)}")
    curve, notes = only(write(tmp_path, pd.concat([parts[i] for i in names])))
    assert curve.steps.tolist() == frame.step.tolist()
    assert curve.schedule.lr[2000] == pytest.approx(PLAN.lr[2000])
    assert any("sorted" in note for note in notes)


def test_rows_sorted_as_text(tmp_path):
    frame = pd.DataFrame(every(20)).sort_values("step", key=lambda steps: steps.astype(str))
    assert len(only(write(tmp_path, frame))[0]) == 200


def test_a_restart_is_not_taken_for_parts(tmp_path):
    frame = pd.DataFrame(every(20))
    again = frame[100:].assign(loss=lambda table: table.loss + 0.01)
    curve, (note,) = only(write(tmp_path, pd.concat([frame[:115], again])))
    assert "after a restart 15 earlier rows do not count" in note
    assert curve.loss[110] == pytest.approx(loss_at(2220.0) + 0.01)
    # between the steps that were there before
    again = again.assign(step=again.step + 10)
    curve, (note,) = only(write(tmp_path, pd.concat([frame[:115], again])))
    assert "after a restart 14 earlier rows do not count" in note


def test_a_tail_in_another_encoding_is_said_once(tmp_path):
    frame = pd.DataFrame(every(20))
    path = tmp_path / "log.csv"
    tail = frame[150:].to_csv(index=False, header=False)
    path.write_bytes(frame[:150].to_csv(index=False).encode() + tail.encode("utf-16-le"))
    curve, (note,) = only(path)
    assert curve.steps[-1] == 3000
    assert "zeros in 51 lines, the first is line 152" in note


@pytest.mark.parametrize(
    ("columns", "cut", "kept"),
    [("step,lr,loss", 7, False), ("step,lr,loss", 1, True), ("loss,lr,step", 2, False), ("loss,lr,step", 0, True)],
)
def test_a_last_number_that_is_cut(tmp_path, columns, cut, kept):
    frame = pd.DataFrame(every(20)).round({"loss": 9, "lr": 9})
    frame.loc[frame.index[-1], "loss"] = 3.123456789
    rows = frame.iloc[:, [["step", "loss", "lr"].index(name) for name in columns.split(",")]].to_csv(index=False)
    path = tmp_path / "log.csv"
    path.write_text(rows.rstrip("\n")[: -cut or None])
    curve, notes = only(path)
    assert curve.steps[-1] == (TOTAL if kept else TOTAL - 20)
    assert ["cut off: left out" in note for note in notes] == [True] * (not kept)
