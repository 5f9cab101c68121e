"""The log density of a model over one flat, unconstrained vector."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import Array
from jax.flatten_util import ravel_pytree
from jax.stages import Wrapped
from numpy.typing import NDArray
from numpyro.infer.util import constrain_fn, potential_energy, unconstrain_fn

from bayeslr.model import Design, ScalingModel

__all__ = ["Density", "build_density", "starting_points"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Density:
    """Functions of a flat unconstrained vector ``z`` of length ``d``, and of a design.

    Parameters
    ----------
    size
        The length ``d``.
    potential
        ``(z, design) -> -log density``, up to a constant. Differentiable once.
    value_and_gradient
        The same with its gradient, under ``jax.jit``.
    constrain
        ``(z, design) -> values by site``, deterministic sites included.
    unconstrain
        ``(values by site, design) -> z``; values that are missing take the prior's mean.
    """

    size: int
    potential: Callable[[Array, Design], Array]
    value_and_gradient: Wrapped
    constrain: Callable[[Array, Design], dict[str, Array]]
    unconstrain: Callable[[Mapping[str, Array], Design], Array]


def build_density(model: ScalingModel, design: Design) -> Density:
    """Read off the sites of a model, without running it on numbers.

    Parameters
    ----------
    model
        The model, its pooling resolved.
    design
        The arrays of a fit; the density serves any other of the same shapes.

    Returns
    -------
    Density
        The functions, not compiled.
    """

    def sites(design: Design) -> dict[str, Array]:
        seeded = numpyro.handlers.seed(model, jax.random.key(0))
        trace = numpyro.handlers.trace(seeded).get_trace(design)
        return {name: _center(site["fn"]) for name, site in trace.items() if _is_latent(site)}

    shapes = jax.eval_shape(sites, design)
    size = sum(int(np.prod(shape.shape)) for shape in shapes.values())
    _, unravel = ravel_pytree({name: np.zeros(shape.shape) for name, shape in shapes.items()})

    @jax.jit
    @jax.value_and_grad
    def value_and_gradient(z: Array, design: Design) -> Array:
        return jnp.asarray(potential_energy(model, (design,), {}, unravel(z)))

    # NUTS asks for the gradient in several places; this way the model is traced once for all of them
    @jax.custom_vjp
    def potential(z: Array, design: Design) -> Array:
        value: Array = value_and_gradient(z, design)[0]
        return value

    potential.defvjp(value_and_gradient, lambda gradient, change: (change * gradient, None))

    def constrain(z: Array, design: Design) -> dict[str, Array]:
        values: dict[str, Array] = constrain_fn(model, (design,), {}, unravel(z), return_deterministic=True)
        return values

    def unconstrain(values: Mapping[str, Array], design: Design) -> Array:
        full = {name: jnp.broadcast_to(values.get(name, mean), mean.shape) for name, mean in sites(design).items()}
        return jnp.asarray(ravel_pytree(unconstrain_fn(model, (design,), {}, full))[0])

    return Density(
        size=size,
        potential=potential,
        value_and_gradient=value_and_gradient,
        constrain=constrain,
        unconstrain=unconstrain,
    )


def _center(prior: dist.Distribution) -> Array:
    """Return the mean of a prior, or one of its draws where it has no mean (heavy tails)."""
    draw = prior.sample(jax.random.key(0))
    return jnp.where(jnp.isfinite(prior.mean), prior.mean, draw)


def _is_latent(site: Mapping[str, Any]) -> bool:
    return site["type"] == "sample" and not site["is_observed"]


def starting_points(design: Design) -> list[dict[str, Any]]:
    """Return starts for the search of the mode, as values by site.

    The loss pins down level and slope from any start; the memory is what may have several modes, so the starts differ
    in it: from half to eight times the square root of the horizon.
    """
    lowest = _by_size(design, np.asarray(design.loss), np.min)
    memory = float(design.scale["memory"])
    base = {"level": 1.03 * lowest, "slope": 0.03 * lowest, "alpha": 0.5, "drop": 0.04 * lowest}
    base |= {"level_mean": 1.03 * np.mean(lowest), "noise": 0.001 * lowest}
    starts: list[dict[str, Any]] = []
    for ratio in (0.5, 2.0, 8.0):
        tau = np.clip(ratio * memory, 12.0, 5e4)
        starts.append({name: jnp.asarray(value) for name, value in (base | {"tau": tau, "tau_mean": tau}).items()})
    return starts


def _by_size(
    design: Design, values: NDArray[np.float64], reduce: Callable[[NDArray[np.float64]], float]
) -> NDArray[np.float64]:
    valid, size_of_run = np.asarray(design.valid), np.asarray(design.size_of_run)
    return np.array([reduce(values[size_of_run == s][valid[size_of_run == s]]) for s in range(len(design.log_params))])
