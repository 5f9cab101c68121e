"""Single losses that stand far out of their curves: what is one, and what only looks like one."""

import numpy as np
import pytest

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.schedules import Schedule, constant, cosine


def curve(loss, *, name="a", schedule=None, every=50):
    steps = every * np.arange(1, len(loss) + 1)
    return LossCurve(
        name=name, schedule=schedule or constant(peak_lr=1e-3, total_steps=int(steps[-1])), steps=steps, loss=loss
    )


def smooth(count=100, *, noise=0.001, seed=0):
    x = np.arange(1, count + 1) / count
    return 2.5 + 0.3 * x**-0.5 + np.random.default_rng(seed).normal(0.0, noise, count)


def found(*curves):
    return [np.flatnonzero(mask).tolist() for mask in CurveSet(curves=curves).spikes()]


@pytest.mark.parametrize("size", [0.08, 2.5, -0.5])
def test_a_single_loss_far_out_is_one(size):
    loss = smooth()
    loss[60] += size
    assert found(curve(loss)) == [[60]]


def test_several_of_a_curve_and_what_falls_back_over_several_observations():
    loss = smooth()
    loss[[20, 70]] += 1.0
    loss[40:43] += [2.0, 1.0, 0.5]
    assert found(curve(loss)) == [[20, 40, 41, 42, 70]]


def test_noise_has_none():
    """Of 200 curves of 500 observations, whatever the noise: ten standard deviations are not reached."""
    for seed in range(200):
        noise = (0.0, 0.001, 0.04, 0.3)[seed % 4]
        assert found(curve(smooth(500, noise=noise, seed=seed))) == [[]]
        assert found(curve(np.round(smooth(500, noise=0.001, seed=seed), 2))) == [[]]


def test_what_the_rate_does_is_none():
    """A loss that answers a rate which rises and falls again is no spike, nor one that jumps and stays, nor a hill."""
    steps = np.arange(1, 5001)
    for begin in (2000, 2010, 2040, 2049):
        rates = np.where((steps > begin) & (steps <= begin + 60), 4e-3, 1e-3)
        loss = smooth(noise=0.0)
        loss[(begin + 60) // 50 - 1] += 0.3
        assert found(curve(loss, schedule=Schedule(lr=rates))) == [[]]
    jumped = smooth()
    jumped[50:] += 0.5
    assert found(curve(jumped)) == [[]]
    hill = smooth(noise=0.0)
    hill[:2] -= [0.6, 0.1]
    assert found(curve(hill)) == [[]]
    # as simulated
    early = [2.7224, 2.7683, 2.7487, 2.729, 2.7102, 2.6974, 2.689, 2.6816, 2.6758]
    assert found(curve(np.append(early, 2.6758 - 0.004 * np.arange(1, 21)))) == [[]]
    hump = smooth(noise=0.0)
    hump[40:49] += 0.3 * np.sin(np.pi * np.arange(1, 10) / 10)
    assert found(curve(hump)) == [[]]
    restarted = 1e-3 * (1.0 + np.cos(np.pi * (steps % 1000) / 1000))
    answered = smooth(noise=0.0) + 100.0 * restarted[49::50]
    assert found(curve(answered, schedule=Schedule(lr=restarted))) == [[]]


def test_the_ends_short_curves_and_much_that_stands_out_have_none():
    loss = smooth()
    loss[[0, -1]] += 1.0
    assert found(curve(loss)) == [[]]
    short = smooth(15)
    short[7] += 1.0
    assert found(curve(short)) == [[]]
    often = smooth()
    often[5:95:8] += 1.0
    assert found(curve(often)) == [[]]


def test_losses_of_the_warmup_do_not_count():
    loss = smooth()
    loss[[5, 60]] += 1.0
    plan = constant(peak_lr=1e-3, warmup_steps=500, total_steps=5000)
    assert found(curve(loss, schedule=plan)) == [[60]]


def test_a_measurement_that_runs_share_is_one_in_all_of_them():
    """In the second run, which ends a little later, nothing else would say so: its neighbour is missing."""
    loss = smooth()
    loss[60] += 0.5
    whole, part = curve(loss), curve(loss[:61], name="b", schedule=constant(peak_lr=1e-3, total_steps=5000))
    assert found(whole, part) == [[60], [60]]
    marked = CurveSet(curves=(whole, part))
    left = marked.without(marked.spikes())
    assert [len(c) for c in left] == [99, 60]
    assert 3050 not in left["a"].steps


def test_of_two_that_stand_out_beside_each_other_it_is_the_one_that_is_off():
    """1.93 is above its neighbours by as much as 1.826 is below its own."""
    first = [2.837, 2.164, 1.936, 1.826, 1.93, 1.724, 1.681, 1.67, 1.668, 1.646, 1.628, 1.612, 1.605, 1.598, 1.588]
    loss = np.append(first, 1.577 - 0.005 * np.arange(35))
    assert found(curve(loss)) == [[4]]


def test_a_loss_of_another_run_that_is_the_same_by_chance_is_none():
    loss, other = np.round(smooth(), 2), np.round(smooth(seed=1) + 0.5, 2)
    loss[60] = other[60]
    assert found(curve(loss), curve(other, name="b")) == [[60], []]


def test_losses_of_one_decimal_jump_by_one_of_it():
    for seed in range(50):
        assert found(curve(np.round(smooth(noise=0.02, seed=seed), 1))) == [[]]


def test_rates_that_jitter_hide_none():
    rates = 1e-3 * (1.0 + 1e-6 * np.random.default_rng(0).normal(size=5000))
    loss = smooth()
    loss[60] += 0.5
    assert found(curve(loss, schedule=Schedule(lr=rates))) == [[60]]


def test_a_falling_rate_alone_hides_none():
    plan = cosine(peak_lr=1e-3, total_steps=5000)
    loss = smooth()
    loss[60] += 0.5
    assert found(curve(loss, schedule=plan)) == [[60]]
