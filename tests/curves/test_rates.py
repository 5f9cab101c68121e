"""Schedules from logged rates."""

import numpy as np
import pytest

from bayeslr.curves.rates import interpolate_rates
from bayeslr.errors import CurveError


def schedule(pairs, total):
    steps, lr = zip(*pairs, strict=True)
    return interpolate_rates(np.array(steps), np.array(lr, dtype=float), total)


def test_linear_between_logged_steps():
    s = schedule([(0, 4.0), (4, 2.0), (6, 6.0)], 8)
    assert s.lr.tolist() == [4, 3.5, 3, 2.5, 2, 4, 6, 6]


def test_a_log_that_starts_inside_the_warm_up_rises_from_zero():
    s = schedule([(4, 2.0), (8, 4.0), (12, 4.0)], 12)
    assert s.lr.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4, 4, 4]
    assert s.warmup_steps == 8


def test_a_log_that_starts_later_is_constant_before():
    s = schedule([(4, 4.0), (8, 2.0)], 8)
    assert s.lr[:5].tolist() == [4] * 5
    assert s.warmup_steps == 0


def test_rounding_is_no_rise():
    s = schedule([(4, 0.99999999), (8, 1.0), (12, 0.5)], 12)
    assert s.lr[:5].tolist() == [0.99999999] * 5


def test_a_zero_after_a_constant_stretch_is_no_rate():
    assert schedule([(0, 3.0), (5, 3.0), (10, 0.0)], 10).lr.tolist() == [3.0] * 10
    # A decay that ends at zero is one.
    assert schedule([(0, 4.0), (5, 2.0), (10, 0.0)], 10).lr[-1] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([(1, -1.0)], "the rate logged at step 1 is -1.0"),
        ([(1, 1.0), (3, np.nan)], "the rate logged at step 3 is nan"),
        ([(1, 0.0), (3, 0.0)], "all 2 logged rates are zero"),
    ],
)
def test_wrong_rates(pairs, message):
    with pytest.raises(CurveError, match=message):
        schedule(pairs, 5)


def test_no_rates():
    with pytest.raises(CurveError, match="no rates are logged"):
        interpolate_rates(np.empty(0, dtype=int), np.empty(0), 5)


def test_rates_of_an_absurd_length_cost_no_memory():
    with pytest.raises(CurveError, match=r"1000000000 updates; allowed: 1 to 20000000"):
        interpolate_rates(np.array([0, 10**9]), np.array([1e-3, 1e-3]), 10**9)
