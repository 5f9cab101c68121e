"""Repetitions, restarts and disorder: what becomes of the rows of a log."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeslr.errors import LogError
from bayeslr.logs.formats import open_log
from bayeslr.logs.history import history
from bayeslr.logs.tidy import tidy


def read(tmp_path, text, **names):
    path = tmp_path / "log.csv"
    path.write_text(text)
    return tidy(open_log(path), **names)


def rows(steps, losses=None):
    losses = range(1, len(steps) + 1) if losses is None else losses
    return "step,loss\n" + "".join(f"{s},{x}\n" for s, x in zip(steps, losses, strict=True))


def replayed(steps, values):
    """The history, told row by row: whoever goes back erases what he comes to again."""
    told = {}
    for step, value in zip(steps, values, strict=True):
        told = {s: v for s, v in told.items() if s < step}
        told[step] = value
    return told


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(8, 40)), min_size=1, max_size=5))
def test_restarts_against_a_replay(stretches):
    steps = np.array([s for start, length in stretches for s in range(start, start + length)])
    values = np.arange(steps.size, dtype=float)
    kept, notes = history(steps, values)
    # stretches that make up one log without a gap are parts of it in the wrong order
    parts = (np.diff(np.sort(steps)) == 1).mean() >= 0.95 and np.unique(steps).size == steps.size
    told = dict(sorted(zip(steps.tolist(), values.tolist(), strict=True))) if parts else replayed(steps, values)
    assert dict(zip(steps[kept].tolist(), values[kept].tolist(), strict=True)) == told
    assert bool(notes) == bool((np.diff(steps) <= 0).any())
    assert (np.diff(steps[kept]) > 0).all()


@given(st.permutations(range(1, 60)), st.integers(0, 3))
def test_disorder_is_sorted(steps, repetitions):
    steps = np.array(steps + steps[:repetitions])
    values = np.arange(steps.size, dtype=float)
    if 4 * (np.diff(steps) < 0).sum() <= steps.size:
        return  # hardly shuffled: a restart by the rule
    kept, notes = history(steps, values)
    assert steps[kept].tolist() == list(range(1, 60))
    last = dict(zip(steps.tolist(), values.tolist(), strict=True))
    assert values[kept].tolist() == [last[s] for s in range(1, 60)]
    assert "sorted" in notes[0]


def test_a_restart_voids_what_it_comes_before(tmp_path):
    steps = [*range(1, 11), *range(6, 8)]
    log = read(tmp_path, rows(steps))
    assert log.steps.tolist() == list(range(1, 8))
    assert log.loss.tolist() == [1, 2, 3, 4, 5, 11, 12]
    assert log.notes == ("the step goes back once (first to 6): after a restart 5 earlier rows do not count",)


def test_a_reversed_file(tmp_path):
    log = read(tmp_path, rows([5, 4, 3, 2, 1]))
    assert log.loss.tolist() == [5, 4, 3, 2, 1]
    assert "sorted" in log.notes[0]


def test_time_shows_what_came_later(tmp_path):
    """Shuffled, but with the time of writing: the restart can be told."""
    frame = pd.DataFrame(
        {"step": [*range(1, 9), *range(4, 7)], "loss": range(1, 12), "_timestamp": np.arange(11) + 0.5}
    )
    shuffled = frame.sample(frac=1, random_state=0)
    log = read(tmp_path, shuffled.to_csv(index=False))
    assert log.steps.tolist() == [1, 2, 3, 4, 5, 6]
    assert log.loss.tolist() == [1, 2, 3, 9, 10, 11]


def test_the_last_of_repeated_steps_counts(tmp_path):
    log = read(tmp_path, rows([1, 2, 2, 3], [5, 4, 3.5, 3]))
    assert log.loss.tolist() == [5, 3.5, 3]
    assert log.notes == ("1 step is repeated with other values (first 2): the last one counts",)
    assert read(tmp_path, rows([1, 2, 2, 3], [5, 4, 4, 3])).notes == ()


def test_a_second_header_is_no_row(tmp_path):
    log = read(tmp_path, rows(range(1, 9)) + rows(range(5, 10)))
    assert log.loss.tolist() == [1, 2, 3, 4, 1, 2, 3, 4, 5]


def test_evaluations_that_arrive_late_are_no_restart(tmp_path):
    """The loss column is in order although its rows lag behind those of the training loss."""
    text = "step,train_loss,val_loss\n"
    text += "".join(f"{s},3,\n" + (f"{s - 150},,{s / 1000}\n" if s > 150 else "") for s in range(100, 1000, 100))
    log = read(tmp_path, text, loss="val_loss")
    assert log.steps.tolist() == list(range(50, 800, 100))
    assert log.notes == ()


def test_losses_that_are_no_numbers_are_dropped_and_counted(tmp_path):
    log = read(tmp_path, rows([1, 2, 3, 4, 5], [5, "NaN", "inf", "", 3]))
    assert log.steps.tolist() == [1, 5]
    assert log.notes == ("2 losses are NaN or infinite: dropped",)


def test_the_loss_before_the_first_update_is_left_out(tmp_path):
    assert read(tmp_path, rows([0, 1, 2])).steps.tolist() == [1, 2]
    with pytest.raises(LogError, match="the only loss is at step 0"):
        read(tmp_path, rows([0]))


def test_a_missing_step_costs_its_row_and_not_the_column(tmp_path):
    log = read(tmp_path, "step,_step,loss\n10,1,5\n,2,4\n30,3,3\n")
    assert log.steps.tolist() == [10, 30]
    assert log.notes == ("1 row is without a step in 'step' (the first is line 3): left out",)
