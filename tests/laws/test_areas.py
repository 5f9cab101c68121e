"""The areas under a schedule against their definitions, written out as plain loops."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import lfilter

from bayeslr.errors import ModelError
from bayeslr.laws import annealing_area, counted_rates, forward_area, rate_removed, response
from bayeslr.schedules import Schedule, constant, cosine, multistep, wsd

DECAYS = st.sampled_from([0.0, 0.5, 0.9, 0.99, 0.999, 0.99999])


@st.composite
def schedules(draw, max_steps=300):
    """Any rates with any warm-up; 300 steps span three blocks of the fast summation."""
    rates = draw(arrays(np.float64, st.integers(1, max_steps), elements=st.floats(0, 1e-2, allow_subnormal=False)))
    assume(rates.max() > 1e-9)
    return Schedule(lr=rates, warmup_steps=draw(st.integers(0, rates.size - 1)))


def every_step(schedule):
    return np.arange(1, schedule.total_steps + 1)


def areas_by_loops(rates, decay):
    """S1 and S2 after every update, as the paper defines them; S2 as the sum over pairs of updates."""
    S1, S2 = [0.0], [0.0]
    for i, rate in enumerate(rates):
        momentum = sum((rates[k - 1] - rates[k]) * decay ** (i - k) for k in range(1, i + 1))
        S1.append(S1[-1] + rate)
        S2.append(S2[-1] + momentum)
    return np.array(S1[1:]), np.array(S2[1:])


@given(schedule=schedules(), decay=DECAYS)
@settings(max_examples=50, deadline=None)
def test_areas_equal_plain_loops(schedule, decay):
    # the paper's convention is the definition itself, applied to rates whose warm-up is at the peak
    S1, S2 = areas_by_loops(counted_rates(schedule, "peak").tolist(), decay)
    steps, size = every_step(schedule), schedule.peak_lr / (1 - decay)
    np.testing.assert_allclose(forward_area(schedule, steps, warmup="peak"), S1, rtol=1e-12)
    np.testing.assert_allclose(annealing_area(schedule, steps, decay), S2, rtol=1e-9, atol=1e-12 * size)
    # as logged, S1 counts the real rates and S2 is the same
    np.testing.assert_allclose(forward_area(schedule, steps), np.cumsum(schedule.lr), rtol=1e-12)


def test_a_long_schedule_equals_the_filter_over_all_steps():
    rng = np.random.default_rng(0)
    lr = 1e-3 * np.exp(0.01 * np.cumsum(rng.normal(size=300_000)))
    schedule, tau = Schedule(lr=lr, warmup_steps=0), np.array([1.0, 10.0, 1e3, 1e5, 1e7])
    changes = -np.diff(lr, prepend=lr[0])
    # more steps than are looked at together
    steps = rng.integers(1, lr.size + 1, size=9000)
    fast = response(schedule, steps, tau)
    for k, memory in enumerate(tau):
        momentum = lfilter([1.0], [1.0, -(1 - 1 / memory)], changes)
        exact = np.cumsum(momentum) / memory
        # 1 - 1 / tau keeps only 1e-16 * tau of the memory's relative precision
        limit = (1e-12 + 1e-15 * memory) * np.abs(exact).max()
        np.testing.assert_allclose(fast[:, k], exact[steps - 1], rtol=0, atol=limit)


@given(schedule=schedules(), other=schedules(), factor=st.floats(0.01, 100), decay=DECAYS)
@settings(max_examples=30, deadline=None)
def test_areas_are_linear_in_the_rates(schedule, other, factor, decay):
    n = min(schedule.total_steps, other.total_steps)
    warmup = min(schedule.warmup_steps, n - 1)
    a, b = schedule.lr[:n], other.lr[:n]
    assume(a.max() > 1e-9)
    assume(b.max() > 1e-9)
    steps = np.arange(1, n + 1)

    def areas(rates):
        built = Schedule(lr=rates, warmup_steps=warmup)
        return np.stack([forward_area(built, steps, warmup="peak"), annealing_area(built, steps, decay)])

    size = (a.max() + b.max()) * factor / (1 - decay)
    np.testing.assert_allclose(areas(a + factor * b), areas(a) + factor * areas(b), rtol=1e-9, atol=1e-11 * size)


@given(schedule=schedules(), decay=DECAYS, data=st.data())
@settings(max_examples=30, deadline=None)
def test_an_observation_sees_only_its_own_past(schedule, decay, data):
    step = data.draw(st.integers(1, schedule.total_steps))
    assume(schedule.lr[:step].max() > 0)
    asked = np.array([schedule.total_steps, step, step, 1])
    before = schedule.prefix(step)
    for area in (lambda s, at: annealing_area(s, at, decay), lambda s, at: forward_area(s, at)):
        np.testing.assert_allclose(area(schedule, asked)[1:3], area(before, asked[1:3]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("warmup_steps", [0, 1, 100, 999])
def test_a_constant_rate_after_warmup_anneals_nothing_at_all(warmup_steps):
    schedule = constant(peak_lr=3e-4, warmup_steps=warmup_steps, total_steps=1000)
    assert np.all(response(schedule, every_step(schedule), np.array([1.0, 10.0, 1e3, 1e6])) == 0.0)


def test_annealing_starts_after_the_peak_and_ends_at_the_rate_removed():
    schedule = wsd(peak_lr=1e-3, final_lr=1e-4, warmup_steps=50, decay_steps=200, total_steps=1000)
    rested = Schedule(lr=np.concatenate([schedule.lr, np.full(5000, 1e-4)]), warmup_steps=50)
    seen = response(rested, np.array([10, 50, 800, 801, 802, 6000]), np.array([100.0]))[:, 0]
    assert np.all(seen[:4] == 0.0)
    assert seen[4] > 0.0
    assert seen[5] == pytest.approx(9e-4, rel=1e-9)
    assert rate_removed(rested, np.array([50, 801, 6000])) == pytest.approx([0.0, 0.0, 9e-4])


@pytest.mark.parametrize("decay", [0.5, 0.99, 0.999])
def test_rewarming_above_the_peak_gives_a_negative_area(decay):
    schedule = multistep(peak_lr=1e-4, milestones=[500], lrs=[2e-4], total_steps=2000)
    area = annealing_area(schedule, every_step(schedule), decay)
    assert np.all(area[:500] == 0.0)
    assert np.all(area[500:] < 0.0)
    assert np.all(np.diff(area[500:]) <= 0.0)


def test_rewarming_back_to_the_peak_gives_the_annealing_back():
    schedule = multistep(peak_lr=2e-4, milestones=[500, 1000], lrs=[5e-5, 2e-4], total_steps=20_000)
    area = annealing_area(schedule, np.array([999, 1000, 1100, 2000, 20_000]), 0.99)
    assert area[0] > 0.0
    assert np.all(np.diff(area[1:]) < 0.0)
    assert area[-1] == pytest.approx(0.0, abs=1e-9 * area[0])


def test_the_two_warmup_conventions():
    schedule = cosine(peak_lr=2e-4, warmup_steps=500, total_steps=10_000)
    steps = np.array([500, 501, 5000, 10_000])
    logged, paper = forward_area(schedule, steps), forward_area(schedule, steps, warmup="peak")
    # a linear warm-up of w updates from zero lacks the area peak * (w + 1) / 2
    np.testing.assert_allclose(paper - logged, 2e-4 * 501 / 2, rtol=1e-9)
    assert paper[0] == pytest.approx(500 * 2e-4)
    np.testing.assert_array_equal(counted_rates(schedule), schedule.lr)
    without = Schedule(lr=counted_rates(schedule, "peak"), warmup_steps=0)
    np.testing.assert_allclose(
        annealing_area(schedule, steps, 0.999), annealing_area(without, steps, 0.999), rtol=1e-9, atol=1e-12
    )


SCHEDULE = constant(peak_lr=1e-3, total_steps=10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: forward_area(SCHEDULE, np.array([0, 3])), "steps: found 0; allowed: 1 to 10"),
        (lambda: annealing_area(SCHEDULE, np.array([3, 11]), 0.9), "steps: found 11; allowed: 1 to 10"),
        (lambda: rate_removed(SCHEDULE, np.array([], dtype=np.int64)), "steps: found an array of shape"),
        (lambda: rate_removed(SCHEDULE, np.array([[1]])), "steps: found an array of shape"),
        (lambda: annealing_area(SCHEDULE, np.array([3]), 1.0), "decay: found 1.0; allowed: 0 <= decay < 1"),
        (lambda: annealing_area(SCHEDULE, np.array([3]), float("nan")), "decay: found nan"),
        (lambda: response(SCHEDULE, np.array([3]), np.array([10.0, 0.5])), "tau: found a memory below one step"),
        (lambda: response(SCHEDULE, np.array([3]), np.array([np.nan])), "tau: found a memory below one step"),
        (lambda: counted_rates(SCHEDULE, "linear"), "warmup: found 'linear'; allowed: 'as_logged', 'peak'"),
    ],
)
def test_wrong_questions_are_refused(call, message):
    with pytest.raises(ModelError) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
