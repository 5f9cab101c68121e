"""What sizes have in common, drawn given their own values: together they follow the prior they came from."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

from bayeslr.inference.engine.hyperparameters import find_hyperparameters

SIZES = np.array([-1.4, 0.1, 0.3, 1.0])
PRIORS = {
    "a": dist.LogNormal(0.0, 1.0),
    "a_mean": dist.LogNormal(-0.7, 0.4),
    "a_slope": dist.Normal(-0.4, 0.3),
    "a_sd": dist.LogNormal(-2.0, 0.5),
    "b": dist.Normal(0.0, 1.0),
    "b_mean": dist.Normal(3.0, 0.5),
    "b_sd": dist.LogNormal(-1.0, 0.7),
}
TRENDS = find_hyperparameters(
    {"a": True, "b": False}, {name: type(prior) for name, prior in PRIORS.items()}, replaced=()
)
COUNT = 4000


@pytest.fixture(scope="module")
def drawn():
    """Parameters from the prior, sizes' values from these, and parameters drawn again given the values alone."""
    rng = np.random.default_rng(0)
    truth = {
        site: float(PRIORS[site].loc) + float(PRIORS[site].scale) * rng.standard_normal(COUNT) for site in TRENDS.sites
    }
    own = {}
    for name in ("a", "b"):
        line = truth[f"{name}_mean"][:, None] + truth.get(f"{name}_slope", np.zeros(COUNT))[:, None] * SIZES
        own[name] = line + np.exp(truth[f"{name}_sd"])[:, None] * rng.standard_normal((COUNT, len(SIZES)))
    again = jax.vmap(lambda own, normals: TRENDS.draw(PRIORS, own, jnp.asarray(SIZES), normals))(
        {name: jnp.asarray(value) for name, value in own.items()}, jnp.asarray(rng.standard_normal((COUNT, 3, 2)))
    )
    return truth, own, {name: np.asarray(value) for name, value in again.items()}


def test_all_of_it_is_integrated_out():
    assert set(TRENDS.sites) == {"a_mean", "a_slope", "a_sd", "b_mean", "b_sd"}


@pytest.mark.parametrize("site", TRENDS.sites)
def test_what_is_drawn_again_follows_the_prior(drawn, site):
    """False alarms: 1 in 10,000 for each site."""
    _, _, again = drawn
    prior = PRIORS[site]
    assert stats.kstest((again[site] - float(prior.loc)) / float(prior.scale), "norm").pvalue > 1e-4


@pytest.mark.parametrize("name", ["a", "b"])
def test_values_scatter_around_what_is_drawn_again_as_around_the_truth(drawn, name):
    """Squared deviations in units of the scatter are chi-squared; false alarms: 1 in 10,000 each."""
    _, own, again = drawn
    line = again[f"{name}_mean"][:, None] + again.get(f"{name}_slope", np.zeros(COUNT))[:, None] * SIZES
    squared = (((own[name] - line) / np.exp(again[f"{name}_sd"])[:, None]) ** 2).sum(axis=1)
    assert stats.kstest(squared, stats.chi2(len(SIZES)).cdf).pvalue > 1e-4


def test_the_test_can_fail(drawn):
    """A control: what belongs to other values does not explain these."""
    _, own, again = drawn
    line = again["b_mean"][:, None]
    squared = (((np.roll(own["b"], 1, axis=0) - line) / np.exp(again["b_sd"])[:, None]) ** 2).sum(axis=1)
    assert stats.kstest(squared, stats.chi2(len(SIZES)).cdf).pvalue < 1e-4
