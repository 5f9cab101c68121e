"""Default priors stand on the scale of the data: they hold any sensible data set, and follow its units."""

import numpy as np
import pytest

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.model import ScalingModel
from bayeslr.schedules import Schedule


@pytest.mark.parametrize("loss", [1.7, 9.0])
@pytest.mark.parametrize(("peak_lr", "horizon"), [(1e-5, 1_000), (1e-5, 1_000_000), (1e-2, 1_000), (1e-2, 1_000_000)])
def test_default_priors_hold_the_data_and_are_not_absurd(loss, peak_lr, horizon, make_curves):
    curves = make_curves(loss=loss, peak_lr=peak_lr, horizon=horizon, noise=0.001)
    drawn = ScalingModel().prior_predictive(curves, num_samples=400, seed=0)["loss"]
    assert drawn.shape == (400, 3, 24)
    observed = np.stack([curve.loss for curve in curves])
    low, high = np.quantile(drawn, [0.02, 0.98], axis=0)
    assert np.all((low < observed) & (observed < high))
    # weakly informative: wide next to what curves say (per mille), narrow next to what a loss can be
    width = (high - low) / loss
    assert np.all(width > 0.3)
    assert np.median(width) < 4.0


def draws(curves):
    return ScalingModel().prior_predictive(curves, num_samples=400, seed=1)["loss"]


def rescaled(curves, *, rate=1.0, loss=1.0):
    return CurveSet(
        curves=tuple(
            LossCurve(
                name=c.name,
                steps=c.steps,
                loss=loss * c.loss,
                schedule=Schedule(lr=rate * c.schedule.lr, warmup_steps=c.schedule.warmup_steps),
                params=c.params,
                size=c.size,
                # weights decay by the product of both
                weight_decay=0.1 / rate,
            )
            for c in curves
        )
    )


def test_units_of_rate_and_loss_do_not_matter(make_curves):
    """With rates times k and weight decay over k the same losses are made, and the priors of slope and drop follow."""
    curves = make_curves(noise=0.001)
    base = draws(rescaled(curves))
    # stretches of updates that a law takes together may end one update earlier or later, by rounding
    np.testing.assert_allclose(draws(rescaled(curves, rate=37.0)), base, rtol=2e-6)
    np.testing.assert_allclose(draws(rescaled(curves, loss=3.2)), 3.2 * base, rtol=1e-9)


def test_same_seed_same_draws(make_curves):
    curves = make_curves(noise=0.001)
    model = ScalingModel()
    one, again, other = (model.prior_predictive(curves, num_samples=400, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one["loss"], again["loss"])
    assert not np.any(one["tau"] == other["tau"])


def test_reported_parameters_follow_the_sampled_ones(make_curves):
    curves = make_curves(noise=0.001)
    model = ScalingModel()
    scale = model.scale(curves).of_size(0)
    drawn = model.prior_predictive(curves, num_samples=400, seed=3)
    at_reference = drawn["L0"] + drawn["A"] * scale.area ** -drawn["alpha"] + drawn["drop"]
    np.testing.assert_allclose(at_reference, drawn["level"], rtol=1e-9)
    np.testing.assert_allclose(drawn["C"] * scale.rate / (1.0 - drawn["decay"]), drawn["drop"], rtol=1e-9)
    np.testing.assert_allclose(1.0 / (1.0 - drawn["decay"]), drawn["tau"], rtol=1e-9)
