"""The response whose memory runs in area, against a plain double loop and against what it must be at the limits."""

import numpy as np
import pytest

from bayeslr.errors import ModelError
from bayeslr.laws import areas
from bayeslr.laws.areas import area_response, rate_removed, response
from bayeslr.schedules import constant, cosine, multistep, wsd

TAU = np.array([10.0, 57.0, 300.0, 4000.0, 1e5])
PLANS = {
    "linear to zero": wsd(peak_lr=1e-3, final_lr=0.0, warmup_steps=50, decay_steps=300, total_steps=900),
    "cosine": cosine(peak_lr=2e-3, final_lr=2e-4, warmup_steps=20, total_steps=700),
    "drop and rise": multistep(peak_lr=1e-3, warmup_steps=10, milestones=[300, 400], lrs=[1e-4, 5e-4], total_steps=600),
    "constant": constant(peak_lr=1.0, warmup_steps=5, total_steps=200),
}


def double_loop(plan, steps):
    speed, rows = plan.lr / plan.peak_lr, []
    for step in steps:
        row = np.zeros(TAU.size)
        for k in range(plan.warmup_steps + 1, step):
            row += (plan.lr[k - 1] - plan.lr[k]) * (1 - np.exp(-speed[k:step].sum() / TAU))
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("name", PLANS)
def test_equals_the_double_loop(name):
    plan = PLANS[name]
    steps = np.unique(np.linspace(1, plan.total_steps, 13).astype(int))[::-1]
    np.testing.assert_allclose(area_response(plan, steps, TAU), double_loop(plan, steps), atol=1e-12 * plan.peak_lr)


def test_at_a_constant_low_rate_the_clock_runs_at_its_share():
    """After a drop to a tenth, a memory of 100 in area is one of 1000 in steps."""
    plan = multistep(peak_lr=1.0, warmup_steps=0, milestones=[500], lrs=[0.1], total_steps=3000)
    steps = np.array([600, 1500, 3000])
    slow = 0.9 * (1 - np.exp(-(steps - 500) / 1000.0))
    np.testing.assert_allclose(area_response(plan, steps, np.array([100.0]))[:, 0], slow, rtol=1e-12)
    np.testing.assert_allclose(response(plan, steps, np.array([1000.0]))[:, 0], slow, rtol=2e-3)
    assert not np.allclose(response(plan, steps, np.array([100.0]))[:, 0], slow, rtol=0.05)


def test_cells_of_long_schedules_see_nothing_early(monkeypatch):
    plan = wsd(peak_lr=1e-3, final_lr=0.0, warmup_steps=500, decay_steps=10_000, total_steps=60_000)
    steps = np.linspace(600, 60_000, 150).astype(int)
    monkeypatch.setattr(areas, "_CELLS", 10**6)
    exact = area_response(plan, steps, TAU)
    monkeypatch.setattr(areas, "_CELLS", 2000)
    coarse = area_response(plan, steps, TAU)
    np.testing.assert_allclose(coarse, exact, atol=1e-3 * plan.peak_lr)
    np.testing.assert_allclose(coarse[steps <= 50_000], 0.0, atol=1e-18)
    assert np.all(coarse <= rate_removed(plan, steps)[:, None] + 1e-18)


def test_a_step_outside_is_refused():
    with pytest.raises(ModelError, match="steps: found 901; allowed: 1 to 900"):
        area_response(PLANS["linear to zero"], np.array([901]), TAU)
