"""The coordinates that the sampler walks in: they change how a posterior is walked, and nothing about what it says.

NUTS takes steps of one length, so a direction whose curvature changes a lot within the posterior sets the pace for all.
Such a direction is known beforehand: losses bound the **noise** sharply from above and hardly from below, so that in
logarithms its curvature changes fifty-fold.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array

from bayeslr.model import Design

__all__ = ["straighten", "unstraighten"]


def straighten(places: Mapping[str, Array], design: Design) -> tuple[dict[str, Array], Array]:
    """Go from the sampler's coordinates to NumPyro's.

    Parameters
    ----------
    places
        The sampler's coordinates by site.
    design
        The arrays of a fit.

    Returns
    -------
    places : dict
        NumPyro's unconstrained coordinates by site.
    stretch : jax.Array
        Logarithm of how far this stretches space, a scalar.
    """
    # the noise as it is, softly cut off above zero, instead of its logarithm
    noise = jax.nn.softplus(places["noise"])
    straight = {**places, "noise": jnp.log(_noise_unit(design)) + jnp.log(noise)}
    return straight, (jax.nn.log_sigmoid(places["noise"]) - jnp.log(noise)).sum()


def unstraighten(places: Mapping[str, Array], design: Design) -> dict[str, Array]:
    """Go from NumPyro's coordinates to the sampler's; arguments as in :func:`straighten`."""
    noise = jnp.exp(places["noise"]) / _noise_unit(design)
    return {**places, "noise": noise + jnp.log(-jnp.expm1(-noise))}


def _noise_unit(design: Design) -> Array:
    return 0.05 * design.scatter
