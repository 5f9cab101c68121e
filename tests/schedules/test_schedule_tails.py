"""Tails against the builders that they stand for, and texts that are refused."""

import numpy as np
import pytest

from bayeslr.errors import ScheduleError
from bayeslr.schedules import constant, parse_tail, wsd

TRUNK = constant(peak_lr=1e-3, warmup_steps=100, total_steps=2000)


@pytest.mark.parametrize(("part", "shape"), [("linear", "linear"), ("cosine", "cosine"), ("sqrt", "1-sqrt")])
def test_a_constant_stretch_and_a_decay_are_wsd(part, shape):
    found = parse_tail(f"constant(steps=300) + {part}(decay_steps=400, final_lr=1e-5)").after(TRUNK, 1200)
    plan = wsd(peak_lr=1e-3, warmup_steps=100, total_steps=1900, decay_steps=400, final_lr=1e-5, decay=shape)
    assert found.warmup_steps == plan.warmup_steps
    np.testing.assert_allclose(found.lr, plan.lr)


def test_it_begins_at_the_rate_of_the_checkpoint():
    plan = wsd(peak_lr=1e-3, warmup_steps=100, total_steps=2000, decay_steps=1000)
    found = parse_tail("constant(steps=50)").after(plan, 1500)
    np.testing.assert_array_equal(found.lr[:1500], plan.lr[:1500])
    np.testing.assert_array_equal(found.lr[1500:], plan.lr[1499])
    twice = parse_tail("exponential(decay_steps=10, final_lr=1e-4) + linear(decay_steps=10)").after(plan, 1500)
    assert twice.total_steps == 1520
    assert twice.lr[1510] == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("text", "step", "found"),
    [
        ("linear", 1200, "no call"),
        ("linear(400)", 1200, "no call"),
        ("linear()", 1200, "lacks decay_steps"),
        ("linear(steps=4)", 1200, "argument 'steps'"),
        ("linear(decay_steps=4, decay_steps=5)", 1200, "'decay_steps'"),
        ("wsd(decay_steps=4)", 1200, "unknown part 'wsd'"),
        ("linear(decay_steps=open('x'))", 1200, "no number"),
        ("linear(decay_steps=4) - constant(steps=4)", 1200, "no call"),
        ("linear(decay_steps=-4)", 1200, "allowed: a whole number"),
        ("linear(decay_steps=4, final_lr=1)", 1200, "final_lr"),
        ("exponential(decay_steps=4)", 1200, "exponential"),
        ("linear(decay_steps=4) + constant(steps=5)", 1200, "rate is zero"),
        ("linear(decay_steps=4)", 50, "after the warm-up"),
        ("linear(decay_steps=4)", 2001, "101 to 2000"),
        ("(" * 300, 1200, "cannot be read"),
    ],
)
def test_what_is_no_tail_is_refused_in_one_line(text, step, found):
    with pytest.raises(ScheduleError) as caught:
        parse_tail(text).after(TRUNK, step)
    assert found in str(caught.value)
    assert "\n" not in str(caught.value)
