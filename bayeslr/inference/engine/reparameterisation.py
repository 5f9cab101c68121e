"""The coordinates that the sampler walks in: they change how a posterior is walked, and nothing about what it says.

NUTS takes steps of one length, so a direction whose curvature changes a lot within the posterior sets the pace for all.
Such a direction is known beforehand: losses bound the **noise** sharply from above and hardly from below, so that in
logarithms its curvature changes fifty-fold.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array

from bayeslr.model import Observations

__all__ = ["inverse", "reparameterise"]


def reparameterise(positions: Mapping[str, Array], observations: Observations) -> tuple[dict[str, Array], Array]:
    """Go from the sampler's coordinates to NumPyro's.

    Parameters
    ----------
    positions
        The sampler's coordinates by site.
    observations
        The arrays of a fit.

    Returns
    -------
    positions : dict
        NumPyro's unconstrained positions by site.
    log_det_jacobian : jax.Array
        Logarithm of the determinant of the Jacobian, a scalar.
    """
    # the noise as it is, softly cut off above zero, instead of its logarithm
    noise = jax.nn.softplus(positions["noise"])
    transformed = {**positions, "noise": jnp.log(_noise_unit(observations, noise.ndim)) + jnp.log(noise)}
    return transformed, (jax.nn.log_sigmoid(positions["noise"]) - jnp.log(noise)).sum()


def inverse(positions: Mapping[str, Array], observations: Observations) -> dict[str, Array]:
    """Go from NumPyro's coordinates to the sampler's; arguments as in :func:`reparameterise`."""
    noise = jnp.exp(positions["noise"]) / _noise_unit(observations, positions["noise"].ndim)
    return {**positions, "noise": noise + jnp.log(-jnp.expm1(-noise))}


def _noise_unit(observations: Observations, ndim: int) -> Array:
    # far above the noise of single losses, which may be known to orders of magnitude alone, this is its logarithm
    unit = (1.0 if observations.single else 0.05) * observations.scatter
    return unit if ndim else unit.mean()
