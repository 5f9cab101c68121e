"""One curve: what it accepts, what it refuses, what it derives."""

import copy
import pickle
import re

import numpy as np
import pytest

from bayeslr.curves import LossCurve
from bayeslr.errors import CurveError
from bayeslr.schedules import Schedule

RATES = np.concatenate([np.arange(4) / 4, np.ones(6), [0.5, 0.25]])


def curve(**changes):
    values = {"name": "a", "steps": [2, 4, 5, 12], "loss": [5.0, 4.0, 3.5, 3.0], "schedule": Schedule(lr=RATES)}
    return LossCurve(**{**values, **changes})


def test_arrays_are_typed_copies_that_cannot_be_written():
    steps, loss = np.array([5.0, 7.0]), np.array([3, 2])
    c = curve(steps=steps, loss=loss)
    steps[0] = loss[0] = 99
    assert c.steps.dtype == np.int64
    assert c.steps.tolist() == [5, 7]
    assert c.loss.dtype == np.float64
    assert c.loss.tolist() == [3, 2]
    for array in (c.steps, c.loss):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_metadata_is_a_copy():
    facts = {"split": "train"}
    c = curve(metadata=facts)
    facts["split"] = "test"
    assert c.metadata == {"split": "train"}


def test_rates_are_those_of_the_update_that_follows():
    c = curve()
    expected = [RATES[s] if s < 12 else RATES[11] for s in (2, 4, 5, 12)]
    assert c.lr.tolist() == expected


def test_observations_that_saw_only_the_rise_are_in_the_warm_up():
    # Updates 0..3 rise and update 4 is the first at the peak: a loss at step 4 saw lr[:4], the rise alone.
    c = curve()
    assert c.schedule.warmup_steps == 4
    assert c.past_warmup.tolist() == [False, False, True, True]
    assert c.after_warmup().steps.tolist() == [5, 12]
    assert c.after_warmup().loss.tolist() == [3.5, 3.0]


def test_a_curve_inside_the_warm_up_has_nothing_to_fit():
    with pytest.raises(CurveError, match="all 2 observations lie in the warm-up of 4 steps"):
        curve(steps=[1, 4], loss=[5, 4]).after_warmup()


def test_copies_survive_pickling_and_deep_copying():
    c = curve(metadata={"a": 1}, params=2e7, size="20M")
    for other in (pickle.loads(pickle.dumps(c)), copy.deepcopy(c)):
        assert other.steps.tolist() == c.steps.tolist()
        assert other.schedule == c.schedule
        assert (other.metadata, other.params, other.size) == ({"a": 1}, 2e7, "20M")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": " "}, "the name is ' '"),
        ({"name": 3}, "the name is 3"),
        ({"schedule": RATES}, "schedule is a ndarray"),
        ({"steps": [], "loss": []}, "steps has shape (0,)"),
        ({"steps": [[1, 2], [3, 4]]}, "steps has shape (2, 2)"),
        ({"steps": ["1", "2", "3", "4"]}, "steps has shape (4,) and type <U1"),
        ({"steps": [1, 2.5, 3, 4]}, "step 2.5 is not a whole number"),
        ({"steps": [1, 2, np.nan, 4]}, "step nan is not a whole number"),
        ({"steps": [0, 1, 2, 3]}, "the first step is 0"),
        ({"steps": [1, 2, 2, 3]}, "step 2 follows step 2"),
        ({"steps": [1, 4, 3, 5]}, "step 3 follows step 4"),
        ({"steps": [1, 2, 3, 13]}, "the last step is 13, but the schedule ends at 12"),
        ({"steps": [1, 2, 3]}, "3 steps but 4 losses"),
        ({"loss": [1, np.inf, 1, 1]}, "loss inf at observation 1"),
        ({"loss": ["a"] * 4}, "loss has shape (4,) and type <U1"),
        ({"params": -1}, "params is -1"),
        ({"params": np.nan}, "params is nan"),
        ({"params": True}, "params is True"),
        ({"params": "25M"}, "params is '25M'"),
        ({"size": 25}, "size is 25"),
        ({"size": "x" * 501}, "size has 501 characters"),
        ({"name": "x" * 10_000}, "the name has 10000 characters"),
        ({"name": "a\nb"}, "the name is 'a\\nb'"),
        ({"name": "a\ud800"}, r"the name is 'a\ud800'"),
        ({"steps": [1, 2, 3, 10**9]}, "step 1000000000; allowed: 1 to 20000000"),
        ({"steps": [1, 2, 3, 1e300]}, "step 1e+300; allowed: 1 to 20000000"),
    ],
)
def test_wrong_values_give_one_line(changes, message):
    with pytest.raises(CurveError, match=re.escape(message)) as caught:
        curve(**changes)
    assert "\n" not in str(caught.value)
    assert "allowed: " in str(caught.value)


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        ({"batch_size": 256, "batch_tokens": 524288}, 256.0),
        ({"batch_tokens": 524288, "batch_sequences": 256}, 524288.0),
        ({"global_batch_size": np.int64(64)}, 64.0),
        # what is not a size is no batch, and stays what it is
        ({"batch_tokens": "half a million", "batch_sequences": True}, None),
        ({"batch_tokens": float("nan"), "batch_sequences": 32}, 32.0),
        ({}, None),
    ],
)
def test_a_batch_size_has_several_names(metadata, found):
    named = curve(metadata=metadata)
    assert named.batch_size == found
    assert set(named.metadata) == set(metadata)
    assert curve(metadata=metadata, batch_size=8.0).batch_size == 8.0
