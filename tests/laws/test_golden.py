"""The published fits: Tissue, Wang, Wang 2024 (arXiv 2408.11029), S1 and S2 in units of rate times steps."""

import numpy as np
import pytest

from bayeslr.laws import AnnealingLaw
from bayeslr.schedules import constant, cosine, cyclic, wsd

PEAK, WARMUP = 2e-4, 500
LAW = AnnealingLaw(warmup="peak")
SINGLE = {"L0": 2.628, "A": 0.429, "alpha": 0.550, "C": 0.411, "decay": 0.999}

SCHEDULES = {
    "constant": constant(peak_lr=PEAK, warmup_steps=WARMUP, total_steps=20_000),
    "cosine": cosine(peak_lr=PEAK, warmup_steps=WARMUP, total_steps=20_000),
    "wsd": wsd(peak_lr=PEAK, warmup_steps=WARMUP, decay_steps=4_000, total_steps=20_000),
    "cyclic": cyclic(
        peak_lr=[PEAK, 2 * PEAK], warmup_steps=WARMUP, rewarmup_steps=100, cycle_steps=10_000, total_steps=20_000
    ),
}


def extended(size):
    """The parameters of the size-extended fit for non-embedding parameters in millions."""
    return {
        "L0": 1.504 + 3.067 * size**-0.158,
        "A": 0.440,
        "alpha": 0.546,
        "C": 0.273 * size**0.052,
        "decay": 0.999,
    }


def by_hand(rates, step, *, L0, A, alpha, C, decay):
    """The printed equation with the printed recursion; `rates` has its warm-up at the peak."""
    S1 = S2 = momentum = 0.0
    for i in range(step):
        momentum = 0.0 if i == 0 else decay * momentum + (rates[i - 1] - rates[i])
        S1, S2 = S1 + rates[i], S2 + momentum
    return L0 + A * S1**-alpha - C * S2


@pytest.mark.parametrize("parameters", [SINGLE, extended(25.0), extended(1000.0)], ids=["single", "25M", "1000M"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_law_is_the_printed_equation(name, parameters):
    rates = SCHEDULES[name].lr.copy()
    rates[:WARMUP] = PEAK
    steps = np.array([1_000, 10_001, 17_000, 20_000])
    expected = [by_hand(rates.tolist(), step, **parameters) for step in steps.tolist()]
    np.testing.assert_allclose(LAW.loss(SCHEDULES[name], steps, **parameters), expected, rtol=1e-12)


def test_a_constant_rate_in_closed_form():
    # the warm-up counts at the peak, so S1 is 2 at 10K steps and 20 at 100K
    schedule = constant(peak_lr=PEAK, warmup_steps=WARMUP, total_steps=100_000)
    expected = [2.628 + 0.429 * 2**-0.55, 2.628 + 0.429 * 20**-0.55]
    assert LAW.loss(schedule, np.array([10_000, 100_000]), **SINGLE) == pytest.approx(expected, rel=1e-12)
    assert expected == pytest.approx([2.921016, 2.710583], abs=5e-7)


@pytest.mark.parametrize("name", ["constant", "cosine", "wsd"])
def test_the_two_fits_agree_where_their_asymptotes_do(name):
    """Equal asymptotes fix one size, 574 million parameters; there the curves agree too, under every schedule."""
    size = (3.067 / (2.628 - 1.504)) ** (1 / 0.158)
    assert size == pytest.approx(574.33, abs=0.01)
    steps = np.arange(2_000, 20_001, 500)
    one, other = (LAW.loss(SCHEDULES[name], steps, **fit) for fit in (SINGLE, extended(size)))
    assert np.abs(one - other).max() < 0.016


def test_larger_models_are_better_and_anneal_more():
    steps, schedule, sizes = np.array([20_000]), SCHEDULES["wsd"], (25.0, 100.0, 400.0)
    losses = np.array([LAW.loss(schedule, steps, **extended(size))[0] for size in sizes])
    without = np.array([LAW.loss(schedule, steps, **extended(size) | {"C": 0.0})[0] for size in sizes])
    gains = without - losses
    assert np.all(np.diff(losses) < 0)
    # the printed exponent of N: annealing gains 7.5% more at four times the size
    np.testing.assert_allclose(gains[1:] / gains[:-1], 4**0.052, rtol=1e-12)


def test_the_convention_of_the_warmup_moves_the_loss_by_what_it_moves_the_area():
    schedule, steps = SCHEDULES["constant"], np.array([2_000, 20_000])
    logged = AnnealingLaw().loss(schedule, steps, **SINGLE)
    area = PEAK * (steps - (WARMUP + 1) / 2)
    np.testing.assert_allclose(logged, 2.628 + 0.429 * area**-0.55, rtol=1e-12)
    assert np.all(logged > LAW.loss(schedule, steps, **SINGLE))
