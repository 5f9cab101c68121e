"""The coordinates that the sampler walks in: they change how a posterior is walked, and nothing about what it says.

NUTS takes steps of one length, so a direction whose curvature changes a lot within the posterior sets the pace for all.
Two such directions are known beforehand. Losses bound the **noise** sharply from above and hardly from below, so that
in logarithms its curvature changes fifty-fold. And of several sizes, the **common mean and trend** of a parameter are
known from the sizes' own values as well as these scatter around it, which is itself uncertain: a funnel.
"""

from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
from jax import Array

from bayeslr.model import Design, Pooling, ScalingModel

__all__ = ["straighten", "unstraighten"]


def straighten(model: ScalingModel, places: Mapping[str, Array], design: Design) -> tuple[dict[str, Array], Array]:
    """Go from the sampler's coordinates to NumPyro's.

    Parameters
    ----------
    model
        The model, its pooling resolved.
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
    stretch = (jax.nn.log_sigmoid(places["noise"]) - jnp.log(noise)).sum()
    for names, middle, width in _given_sizes(model, straight, design):
        there = middle + width * jnp.stack([places[name] for name in names])
        straight.update(zip(names, jnp.unstack(there), strict=True))
        stretch = stretch + jnp.log(width).sum()
    return straight, stretch


def unstraighten(model: ScalingModel, places: Mapping[str, Array], design: Design) -> dict[str, Array]:
    """Go from NumPyro's coordinates to the sampler's; arguments as in :func:`straighten`."""
    noise = jnp.exp(places["noise"]) / _noise_unit(design)
    found = {**places, "noise": noise + jnp.log(-jnp.expm1(-noise))}
    for names, middle, width in _given_sizes(model, places, design):
        found.update({name: (places[name] - middle[k]) / width[k] for k, name in enumerate(names)})
    return found


def _noise_unit(design: Design) -> Array:
    return 0.05 * design.scatter


def _given_sizes(
    model: ScalingModel, places: Mapping[str, Array], design: Design
) -> Iterator[tuple[tuple[str, ...], Array, Array]]:
    """Yield mean and standard deviation of the trends' sites, given the sizes' own values and how these scatter."""
    pooling = Pooling(name=model.pooling)
    return pooling.given_sizes(model.law.parameters, places, design.log_params, design.scale)
