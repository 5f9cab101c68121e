"""A mixture of memories on the basis, against the same mixture summed on a fine grid."""

import jax.numpy as jnp
import numpy as np
import pytest

from bayeslr.laws import LOG_TAU_RANGE, response, response_coefficients
from bayeslr.laws.areas import area_response
from bayeslr.laws.basis import area_coefficients, chebyshev, mixture
from bayeslr.schedules import wsd

PLAN = wsd(peak_lr=1.0, warmup_steps=100, decay_steps=4000, total_steps=20_000)
STEPS = np.array([16_500, 18_000, 20_000])


@pytest.mark.parametrize(("log_tau", "spread"), [(6.0, 1.5), (6.0, 0.4), (5.0, 2.5), (8.0, 0.3)])
def test_the_nodes_are_a_quadrature_of_the_mixture(log_tau, spread):
    grid = np.linspace(*LOG_TAU_RANGE, 4001)
    density = np.exp(-0.5 * ((grid - log_tau) / spread) ** 2)
    expected = response(PLAN, STEPS, np.exp(grid)) @ (density / density.sum())
    weights = mixture(jnp.asarray(log_tau), jnp.asarray(spread))
    np.testing.assert_allclose(response_coefficients(PLAN, STEPS) @ np.asarray(weights), expected, atol=3e-5)


@pytest.mark.parametrize(("log_tau", "spread"), [(6.0, 1.5), (5.0, 2.5), (6.0, 0.7)])
def test_mixtures_in_area(log_tau, spread):
    grid = np.linspace(*LOG_TAU_RANGE, 4001)
    density = np.exp(-0.5 * ((grid - log_tau) / spread) ** 2)
    expected = area_response(PLAN, STEPS, np.exp(grid)) @ (density / density.sum())
    coefficients = area_coefficients(PLAN, STEPS)
    weights = np.asarray(mixture(jnp.asarray(log_tau), jnp.asarray(spread)))[: coefficients.shape[1]]
    np.testing.assert_allclose(coefficients @ weights, expected, atol=3e-3)


def test_a_mixture_is_no_single_memory():
    """A control: with the spread ignored, the test above would have to fail."""
    single = response_coefficients(PLAN, STEPS) @ np.asarray(chebyshev(6.0))
    mixed = response_coefficients(PLAN, STEPS) @ np.asarray(mixture(jnp.asarray(6.0), jnp.asarray(1.5)))
    assert np.abs(single - mixed).max() > 0.01
