"""Mixtures of forecasts: proportions, pairing between schedules, warnings, and mixtures that make no sense."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayeslr import schedules
from bayeslr.errors import PosteriorError
from bayeslr.forecast import Forecast, compare_schedules, stack
from bayeslr.model import CurveParts

PLANS = {
    "short": schedules.constant(peak_lr=1e-3, warmup_steps=10, total_steps=100),
    "long": schedules.constant(peak_lr=1e-3, warmup_steps=10, total_steps=200),
}


def forecast(center, *, draws=500, warnings=(), plans=PLANS, size="1M", points=4):
    """Draws around a level; those of the two schedules differ by exactly 0.1 draw by draw."""
    level = np.random.default_rng(abs(hash(center)) % 1000).normal(center, 0.01, (draws, 1))
    steps = {name: np.linspace(20, plan.total_steps, points).astype(np.int64) for name, plan in plans.items()}
    latent = {name: level - 0.1 * k + np.zeros((1, points)) for k, name in enumerate(plans)}
    zero = jnp.zeros((draws, points))
    parts = dict.fromkeys(("annealing", "shared", "run"), zero) | {"forward": zero + 0.25, "residual_sd": zero + 0.5}

    def half():
        return np.full((draws, points), -0.5)

    return Forecast(
        schedules=plans,
        steps=steps,
        size=size,
        latent=latent,
        observed={name: curve + 1.0 for name, curve in latent.items()},
        parts={name: CurveParts(base=jnp.asarray(curve), left_over=half, **parts) for name, curve in latent.items()},
        warnings=warnings,
    )


def test_draws_come_in_proportion_to_the_weights_and_none_twice():
    models = {"low": forecast(2.0), "high": forecast(3.0, draws=300)}
    mixture = stack(models, {"low": 3.0, "high": 1.0})
    final = mixture.latent["short"][:, -1]
    assert final.size == 666  # all 500 of the first, and a third as many of the second
    assert np.unique(final).size == final.size
    assert np.sum(final < 2.5) == 500
    again = stack(models, pd.Series({"low": 3.0, "high": 1.0}))
    np.testing.assert_array_equal(again.latent["short"], mixture.latent["short"])
    known = np.concatenate([model.latent["short"][:, -1] for model in models.values()])
    assert np.all(np.isin(final, known))
    # models take turns, so that a stretch of the draws is a mixture as well
    assert np.mean(final[:100] < 2.5) == pytest.approx(0.75, abs=0.02)


def test_the_quantiles_are_those_of_the_mixture():
    mixture = stack({"low": forecast(2.0), "high": forecast(3.0)}, {"low": 0.5, "high": 0.5})
    interval = mixture.final_loss(ci_prob=0.9).loc["short"]
    # 5% of the mixture is 10% of its lower half; three standard errors of a quantile of 500 normal draws
    expected = [3.0 + stats.norm.ppf(0.1, scale=0.01), 4.0 + stats.norm.ppf(0.9, scale=0.01)]
    np.testing.assert_allclose(interval[["lower", "upper"]].to_numpy(float), expected, atol=0.0025)


def test_a_draw_comes_from_one_model_for_all_schedules():
    mixture = stack({"low": forecast(2.0), "high": forecast(3.0, draws=77)}, {"low": 0.3, "high": 0.7})
    np.testing.assert_allclose(mixture.latent["short"] - mixture.latent["long"], 0.1, atol=1e-12)
    for name in PLANS:
        np.testing.assert_allclose(mixture.observed[name], mixture.latent[name] + 1.0)
        np.testing.assert_allclose(np.asarray(mixture.parts[name].expected), mixture.latent[name])
    assert compare_schedules(mixture).p_best["long"] == 1.0


def test_a_model_without_weight_leaves_no_trace():
    only = forecast(2.0, warnings=("far",))
    mixture = stack({"low": only, "high": forecast(3.0, warnings=("bad fit",))}, {"low": 1.0, "high": 0.0})
    np.testing.assert_array_equal(mixture.latent["long"], only.latent["long"])
    assert mixture.warnings == ("far",)


def test_warnings_are_merged_and_say_whose_they_are():
    one, two = forecast(2.0, warnings=("far", "bad fit")), forecast(3.0, warnings=("far",))
    assert stack({"a": one, "b": two}, {"a": 0.5, "b": 0.5}).warnings == ("far", "a: bad fit")


@pytest.mark.parametrize(
    ("other", "weights", "found"),
    [
        ({}, {"a": 1.0}, "a weight for each forecast"),
        ({}, {"a": 1.0, "c": 1.0}, "a weight for each forecast"),
        ({}, {"a": 1.5, "b": -0.5}, "the weight of b is -0.5"),
        ({}, {"a": 1.0, "b": np.nan}, "the weight of b is nan"),
        ({}, {"a": 0.0, "b": 0.0}, "at least one above 0"),
        ({"size": "2M"}, {"a": 0.5, "b": 0.5}, "the same size"),
        ({"points": 5}, {"a": 0.5, "b": 0.5}, "the same steps"),
        ({"plans": {"short": PLANS["short"]}}, {"a": 0.5, "b": 0.5}, "the same schedules"),
        ({"plans": PLANS | {"long": PLANS["short"]}}, {"a": 0.5, "b": 0.5}, "other rates"),
    ],
)
def test_what_cannot_be_mixed_is_said_in_one_line(other, weights, found):
    with pytest.raises(PosteriorError, match=found) as caught:
        stack({"a": forecast(2.0), "b": forecast(3.0, **other)}, weights)
    assert "\n" not in str(caught.value)
