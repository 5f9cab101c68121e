"""Schedule: the array, its warm-up, prefixes, equality."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bayeslr.errors import ScheduleError
from bayeslr.schedules import Schedule, constant, cosine, join, linear

rates = arrays(np.float64, st.integers(1, 30), elements=st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0])).filter(np.any)


def test_fields_and_properties():
    schedule = Schedule(lr=[0, 1, 2, 3, 3, 1])
    assert schedule.lr.dtype == np.float64
    assert (schedule.total_steps, schedule.peak_lr, schedule.final_lr, schedule.warmup_steps) == (6, 3.0, 1.0, 3)
    assert schedule.spec == ""
    assert "total_steps=6" in repr(schedule)
    assert "\n" not in repr(schedule)


def test_rates_are_a_read_only_copy():
    given_rates = np.array([1.0, 2.0, 1.0])
    schedule = Schedule(lr=given_rates)
    given_rates[0] = 9.0
    assert schedule.lr[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        schedule.lr[0] = 9.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.lr = given_rates


@settings(deadline=None)
@given(lr=rates | arrays(np.float64, st.integers(2, 60), elements=st.sampled_from([0.5, 1.0, 2.0, 3.0])).map(np.sort))
def test_detected_warmup_is_the_initial_rise(lr):
    # a plain loop: up to the highest rate before a fall, unless the rate stays where it is for long before
    first = top = next(i for i, rate in enumerate(lr) if rate > 0)
    while top + 1 < len(lr) and lr[top + 1] >= lr[top]:
        top += 1
    while top > first and lr[top - 1] == lr[top]:
        top -= 1
    begun = first
    for i in range(first + 1, top + 1):
        if lr[i] > lr[i - 1]:
            if i - begun > 1 + (top - first) / 5:
                break
            begun = i
    assert Schedule(lr=lr).warmup_steps == begun


@pytest.mark.parametrize(
    ("lr", "warmup_steps"),
    [([3.0], 0), ([1, 1, 1], 0), ([3, 2, 1], 0), ([0, 1, 2], 2), ([0, 0, 1, 2, 2], 3), ([0, 2, 1, 5], 1)],
)
def test_detected_warmup_examples(lr, warmup_steps):
    assert Schedule(lr=lr).warmup_steps == warmup_steps


def test_given_warmup_is_kept():
    assert Schedule(lr=[1, 1, 1, 1], warmup_steps=2).warmup_steps == 2
    assert Schedule(lr=[0, 1, 2, 2], warmup_steps=0).warmup_steps == 0


@pytest.mark.parametrize(
    "bad",
    [
        {"lr": []},
        {"lr": 3e-4},
        {"lr": [[1.0, 2.0]]},
        {"lr": [[1.0], [1.0, 2.0]]},
        {"lr": ["1", "2"]},
        {"lr": [True, False]},
        {"lr": [1j]},
        {"lr": [0.0, 0.0]},
        {"lr": [1.0, -1e-9]},
        {"lr": [1.0, np.nan]},
        {"lr": [1.0, np.inf]},
        {"lr": [1.0, 1.0], "warmup_steps": 2},
        {"lr": [1.0, 1.0], "warmup_steps": 0.5},
        {"lr": [1.0, 1.0], "warmup_steps": True},
    ],
)
def test_bad_schedules_are_one_line_errors(bad):
    with pytest.raises(ScheduleError) as caught:
        Schedule(**bad)
    assert "\n" not in str(caught.value)
    assert "allowed" in str(caught.value)


def test_error_names_the_update():
    with pytest.raises(ScheduleError, match="rate of update 2 is -1"):
        Schedule(lr=[1, 2, -1])


def test_equality_is_of_rates_and_warmup():
    one, same = Schedule(lr=[0, 1, 2]), Schedule(lr=np.array([-0.0, 1, 2]), spec="made elsewhere")
    assert one == same
    assert hash(one) == hash(same)
    assert one != Schedule(lr=[0, 1, 2], warmup_steps=0)
    assert one != Schedule(lr=[0, 1, 3])
    assert one != Schedule(lr=[0, 1])
    assert one != "a schedule"
    assert len({one, same}) == 1


@settings(deadline=None)
@given(lr=rates, data=st.data())
def test_prefix_keeps_rates_and_warmup(lr, data):
    schedule = Schedule(lr=lr)
    first = int(np.flatnonzero(lr)[0]) + 1
    n = data.draw(st.integers(first, len(lr)))
    prefix = schedule.prefix(n)
    np.testing.assert_array_equal(prefix.lr, lr[:n])
    assert prefix.warmup_steps == min(schedule.warmup_steps, n - 1)
    # The rise of the prefix is the rise of the whole, as far as it goes; where rates pause, it may seem to be over.
    detected = Schedule(lr=lr[:n]).warmup_steps
    assert detected == prefix.warmup_steps or (np.diff(lr[:n]) == 0.0).any()


def test_prefix_that_ends_at_a_pause_of_the_rise_is_inside_it():
    schedule = Schedule(lr=[0.5, 0.5, 1.0, 1.0, 1.0, 2.0])
    assert schedule.warmup_steps == 2
    assert [schedule.prefix(n).warmup_steps for n in (2, 3, 5)] == [1, 2, 2]
    assert Schedule(lr=[0.5, 0.5]).warmup_steps == 0


def test_prefix_of_everything_keeps_the_spec():
    schedule = constant(peak_lr=1e-3, total_steps=10)
    assert schedule.prefix(10).spec == schedule.spec != ""
    assert schedule.prefix(9).spec == ""


@pytest.mark.parametrize("n", [0, -1, 11, 2.0, True, "3"])
def test_prefix_out_of_range(n):
    with pytest.raises(ScheduleError, match="from 1 to 10"):
        constant(peak_lr=1e-3, total_steps=10).prefix(n)


def test_prefix_with_no_rate_at_all():
    with pytest.raises(ScheduleError, match="all 1 rates are zero"):
        constant(peak_lr=1e-3, warmup_steps=4, total_steps=10).prefix(1)


def test_join_is_a_trunk_and_its_cooldown():
    trunk = constant(peak_lr=1e-3, warmup_steps=10, total_steps=100)
    joined = join(trunk.prefix(60), linear(peak_lr=1e-3, total_steps=20))
    assert joined.total_steps == 80
    assert joined.warmup_steps == 10
    np.testing.assert_array_equal(joined.lr[:60], trunk.lr[:60])
    np.testing.assert_allclose(joined.lr[60:], [1e-3 * (1 - k / 20) for k in range(20)])


def test_join_of_several_keeps_the_first_warmup():
    first = cosine(peak_lr=2.0, warmup_steps=3, total_steps=10)
    again = cosine(peak_lr=5.0, warmup_steps=4, total_steps=10)
    joined = join(first, again, again)
    np.testing.assert_array_equal(joined.lr, np.tile(again.lr, 3) * ([0] * 10 + [1] * 20) + np.pad(first.lr, (0, 20)))
    assert joined.warmup_steps == 3
    assert join(first) == first


def test_join_refuses_what_is_no_schedule():
    with pytest.raises(ScheduleError, match="argument 2 is a list"):
        join(constant(peak_lr=1.0, total_steps=2), [1.0, 2.0])
