"""The Chebyshev basis against the exact recursion over the whole range of memories."""

import numpy as np
import pytest
from scipy.signal import lfilter

from bayeslr.laws import LOG_TAU_RANGE, NODES, chebyshev, response_coefficients
from bayeslr.schedules import Schedule, cosine, cyclic, inverse_sqrt, linear, multistep, wsd

PEAK = 1e-3
RNG = np.random.default_rng(0)
# decays from .9 to .99999; none of these memories is a node of the basis
TAU = np.geomspace(10.0, 1e5, 97)

SCHEDULES = {
    "step": multistep(peak_lr=PEAK, milestones=[10_000], lrs=[1e-4], total_steps=20_000),
    "steps that rise again": multistep(
        peak_lr=PEAK, milestones=[5_000, 10_000, 10_200], lrs=[1e-4, 2e-3, 5e-4], total_steps=20_000
    ),
    "short ramp": wsd(peak_lr=PEAK, warmup_steps=500, decay_steps=1_000, total_steps=20_000),
    "long ramp": linear(peak_lr=PEAK, warmup_steps=500, total_steps=20_000),
    "1-sqrt": wsd(peak_lr=PEAK, warmup_steps=500, decay_steps=4_000, total_steps=20_000, decay="1-sqrt"),
    "short cosine": cosine(peak_lr=PEAK, warmup_steps=50, total_steps=1_000),
    "cosine": cosine(peak_lr=PEAK, warmup_steps=500, total_steps=20_000),
    "long cosine": cosine(peak_lr=PEAK, warmup_steps=500, total_steps=400_000),
    "inverse square root": inverse_sqrt(peak_lr=PEAK, warmup_steps=100, total_steps=20_000),
    "cyclic": cyclic(peak_lr=PEAK, warmup_steps=200, cycle_steps=2_500, rewarmup_steps=100, total_steps=20_000),
    "random": Schedule(lr=RNG.uniform(0, PEAK, 20_000), warmup_steps=0),
    "random walk": Schedule(lr=PEAK * np.exp(0.02 * np.cumsum(RNG.normal(size=20_000))), warmup_steps=0),
}


def exact_response(schedule, steps, tau):
    """``S2 * (1 - decay)`` by the recursion over every update, one memory at a time."""
    lr, first = schedule.lr, schedule.warmup_steps + 1
    changes = np.zeros(lr.size)
    changes[first:] = lr[first - 1 : -1] - lr[first:]
    rows = [np.cumsum(lfilter([1.0], [1.0, -(1.0 - 1.0 / t)], changes))[steps - 1] / t for t in tau]
    return np.stack(rows, axis=1)


def observed_steps(schedule):
    """Every step after a large change, where the memories differ most, and a grid over the run."""
    grid = np.linspace(schedule.warmup_steps + 2, schedule.total_steps, 200).astype(np.int64)
    close = np.array([change + d for change in (5_000, 10_000, 10_200) for d in (1, 2, 3, 5, 10, 20, 50)])
    return np.unique(np.concatenate([grid, close[close <= schedule.total_steps]]))


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_basis_holds_the_response_to_a_millionth(name):
    schedule = SCHEDULES[name]
    steps = observed_steps(schedule)
    exact = exact_response(schedule, steps, TAU)
    error = np.abs(response_coefficients(schedule, steps) @ np.asarray(chebyshev(np.log(TAU))) - exact)
    print(f"{name}: {error.max() / np.abs(exact).max():.1e} of the maximum")
    assert error.max() < 1e-6 * np.abs(exact).max()
    # also relative to the largest response of each memory by itself, short or long
    assert np.all(error.max(axis=0) < 1e-6 * np.abs(exact).max(axis=0))


def test_half_the_nodes_would_not_do():
    """The control: the same comparison fails when the upper half of the basis is dropped."""
    schedule = SCHEDULES["cyclic"]
    steps = observed_steps(schedule)
    exact = exact_response(schedule, steps, TAU)
    half = response_coefficients(schedule, steps)
    half[:, NODES // 2 :] = 0.0
    error = np.abs(half @ np.asarray(chebyshev(np.log(TAU))) - exact)
    assert error.max() > 1e-6 * np.abs(exact).max()


def test_polynomials_are_numpys():
    place = np.linspace(-1, 1, 41)
    low, high = LOG_TAU_RANGE
    ours = np.asarray(chebyshev((place + 1) / 2 * (high - low) + low))
    np.testing.assert_allclose(ours.T, np.polynomial.chebyshev.chebvander(place, NODES - 1), atol=1e-8)


def test_any_shape_of_memories_and_none_outside_the_range():
    low, high = LOG_TAU_RANGE
    memories = np.log(np.array([[20.0, 300.0, 4e3], [5e4, 10.0, 1e5]]))
    batch = np.asarray(chebyshev(memories))
    assert batch.shape == (NODES, 2, 3)
    np.testing.assert_allclose(batch[:, 1, 0], np.asarray(chebyshev(memories[1, 0])), rtol=1e-9)
    np.testing.assert_allclose(chebyshev(low - 1.0), chebyshev(low), rtol=1e-9)
    np.testing.assert_allclose(chebyshev(high + 1.0), chebyshev(high), rtol=1e-9)


def test_a_constant_rate_has_no_coefficients():
    schedule = multistep(peak_lr=PEAK, warmup_steps=100, milestones=[], lrs=[], total_steps=5_000)
    assert np.all(response_coefficients(schedule, np.array([50, 100, 101, 5_000])) == 0.0)
