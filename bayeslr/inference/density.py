"""The log density of a model over one flat, unconstrained vector."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import Array
from jax.extend.core import jaxpr_as_fun
from jax.flatten_util import ravel_pytree
from jax.stages import Wrapped
from numpy.typing import NDArray
from numpyro.distributions import biject_to
from numpyro.infer.util import constrain_fn, potential_energy, unconstrain_fn
from numpyro.primitives import Messenger

from bayeslr.inference.coordinates import straighten, unstraighten
from bayeslr.inference.trends import find_trends
from bayeslr.model import Design, ScalingModel

__all__ = ["Density", "build_density", "starting_points"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Density:
    """Functions of a flat unconstrained vector ``z`` of length ``d``, and of a design.

    Parameters
    ----------
    size
        The length ``d``.
    drawn
        Number of standard normals from which `constrain` draws what is integrated out.
    names
        Names of the sites, in the order of the vector.
    potential
        ``(z, design) -> -log density``, up to a constant. Differentiable once.
    value_and_gradient
        The same with its gradient, under ``jax.jit``.
    constrain
        ``(z, design, normals) -> values by site``, deterministic sites included. What is integrated out is drawn.
    unconstrain
        ``(values by site, design) -> z``; values that are missing take the prior's mean.
    """

    size: int
    drawn: int
    names: tuple[str, ...]
    potential: Callable[[Array, Design], Array]
    value_and_gradient: Wrapped
    constrain: Callable[[Array, Design, Array], dict[str, Array]]
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
    families: dict[str, type[dist.Distribution] | None] = {}

    def sites(design: Design) -> dict[str, Array]:
        seeded = numpyro.handlers.seed(model, jax.random.key(0))
        trace = numpyro.handlers.trace(seeded).get_trace(design)
        latent = {name: site["fn"] for name, site in trace.items() if _is_latent(site)}
        families.update({name: _family(prior) for name, prior in latent.items()})
        return {name: _center(prior) for name, prior in latent.items()}

    shapes = jax.eval_shape(sites, design)
    trends = find_trends({p.name: p.support != "real" for p in model.law.parameters}, families, model.replaced)
    # in unconstrained coordinates: no mean, no slope, a scatter of one
    neutral = {name: jnp.zeros(()) for name in trends.sites}
    # priors that are evaluated together stand together; the noise, whose coordinate is changed, at their edge
    every = sorted(shapes, key=lambda name: (_FAMILIES.index(families[name]), name != "noise", name))
    known = {name: family for name in every if (family := families[name])}
    order = [name for name in every if name not in neutral]
    sizes = [int(np.prod(shapes[name].shape)) for name in order]

    def split(z: Array) -> dict[str, Array]:
        parts = jnp.split(z, np.cumsum(sizes)[:-1])
        return {name: part.reshape(shapes[name].shape) for name, part in zip(order, parts, strict=True)}

    @jax.value_and_grad
    def traced(z: Array, design: Design) -> Array:
        places, stretch = straighten(split(z), design)
        normal = _NormalPriors(places | neutral, known)
        others = {name: place for name, place in places.items() if families[name] is None}
        rest = potential_energy(normal(model), (design,), {}, others)
        common = trends.log_density(normal.priors, places, design.log_params) if trends.names else 0.0
        return jnp.asarray(rest) - normal.log_density([*trends.names, *neutral]) - common - stretch

    # traced once, here: NUTS asks for the gradient in places where JAX would do so again
    recorded = jaxpr_as_fun(jax.make_jaxpr(traced)(jax.ShapeDtypeStruct((sum(sizes),), float), design))

    @jax.jit
    def value_and_gradient(z: Array, design: Design) -> tuple[Array, Array]:
        value, gradient = recorded(z, *jax.tree.leaves(design))
        return value, gradient

    @jax.custom_vjp
    def potential(z: Array, design: Design) -> Array:
        value: Array = value_and_gradient(z, design)[0]
        return value

    potential.defvjp(value_and_gradient, lambda gradient, change: (change * gradient, None))

    def constrain(z: Array, design: Design, normals: Array) -> dict[str, Array]:
        places = straighten(split(z), design)[0]
        values: dict[str, Array] = constrain_fn(model, (design,), {}, places | neutral, return_deterministic=True)
        if neutral:
            trace = numpyro.handlers.trace(numpyro.handlers.substitute(model, data=values)).get_trace(design)
            priors = {name: _unexpanded(site["fn"]) for name, site in trace.items() if _is_latent(site)}
            drawn = trends.draw(priors, places, design.log_params, normals.reshape(3, -1))
            values |= {name: biject_to(priors[name].support)(place) for name, place in drawn.items()}
        return values

    def unconstrain(values: Mapping[str, Array], design: Design) -> Array:
        full = {name: jnp.broadcast_to(values.get(name, mean), mean.shape) for name, mean in sites(design).items()}
        straight = unstraighten(unconstrain_fn(model, (design,), {}, full), design)
        return jnp.concatenate([jnp.ravel(straight[name]) for name in order])

    return Density(
        size=sum(sizes),
        drawn=3 * len(trends.names),
        names=tuple(order),
        potential=potential,
        value_and_gradient=value_and_gradient,
        constrain=constrain,
        unconstrain=unconstrain,
    )


_FAMILIES = (None, dist.Normal, dist.LogNormal)


def _unexpanded(prior: dist.Distribution) -> dist.Distribution:
    """Return the prior of a single value where a plate has repeated it."""
    return prior.base_dist if isinstance(prior, dist.ExpandedDistribution) else prior


def _family(prior: dist.Distribution) -> type[dist.Distribution] | None:
    """Tell whether a prior is Normal or LogNormal, of whatever shape, or none of these."""
    family = type(_unexpanded(prior))
    return family if family in _FAMILIES else None


class _NormalPriors(Messenger):  # type: ignore[misc]  # NumPyro is not typed
    """Takes Normal and LogNormal priors out of a model's density, to be evaluated together.

    Nearly every prior is one of these, and each on its own costs several compiled kernels, forward and backward, for a
    single number. In unconstrained coordinates all of them are Normal.

    Parameters
    ----------
    places
        Unconstrained values by site.
    families
        The prior's family by site, of the sites that are to be taken out, Normals first.
    """

    def __init__(self, places: Mapping[str, Array], families: Mapping[str, type[dist.Distribution]]) -> None:
        super().__init__()
        self._places = {name: places[name] for name in families}
        flat, split = ravel_pytree(list(self._places.values()))
        first = sum(places[name].size for name, family in families.items() if family is dist.Normal)
        values = jnp.concatenate([flat[:first], jnp.exp(flat[first:])])
        self._values = dict(zip(families, split(values), strict=True))
        self.priors: dict[str, dist.Distribution] = {}

    def process_message(self, msg: dict[str, Any]) -> None:
        """Set the value of a site and make its prior count nothing."""
        name = msg["name"]
        if name in self._values:
            self.priors[name] = _unexpanded(msg["fn"])
            msg["value"] = self._values[name]
            msg["fn"] = msg["fn"].mask(False)

    def log_density(self, without: Collection[str]) -> Array:
        """Return the sum of the log densities that were taken out, but of some sites."""
        places = {name: place for name, place in self._places.items() if name not in without}

        def flat(arrays: Iterable[Array]) -> Array:
            # also of no arrays: every prior may be of another family
            return ravel_pytree(list(arrays))[0]

        def together(part: str) -> Array:
            return flat(
                jnp.broadcast_to(getattr(self.priors[name], part), place.shape) for name, place in places.items()
            )

        return jnp.asarray(dist.Normal(together("loc"), together("scale")).log_prob(flat(places.values()))).sum()


def _center(prior: dist.Distribution) -> Array:
    """Return the mean of a prior, or one of its draws where it has no mean (heavy tails)."""
    draw = prior.sample(jax.random.key(0))
    return jnp.where(jnp.isfinite(prior.mean), prior.mean, draw)


def _is_latent(site: Mapping[str, Any]) -> bool:
    return site["type"] == "sample" and not site["is_observed"]


def starting_points(design: Design) -> list[dict[str, Any]]:
    """Return starts for the search of the mode, as values by site.

    The loss pins down level and slope from any start. What may have several modes is the memory, and whether scatter is
    noise or the residual process. So the starts differ in both: memories from half to eight times the square root of
    the horizon, noise that explains all scatter or a tenth of it.
    """
    lowest = _by_size(design, np.asarray(design.loss), np.min)
    memory = float(design.scale["memory"])
    base = {"level": 1.03 * lowest, "slope": 0.03 * lowest, "alpha": 0.5, "drop": 0.04 * lowest}
    base |= {"level_mean": 1.03 * np.mean(lowest)}
    starts: list[dict[str, Any]] = []
    for ratio, share in ((0.5, 1.0), (2.0, 1.0), (8.0, 1.0), (0.5, 0.1), (8.0, 0.1)):
        tau = np.clip(ratio * memory, 12.0, 5e4)
        own = {"tau": tau, "tau_mean": tau, "noise": share * np.asarray(design.scatter)}
        starts.append({name: jnp.asarray(value) for name, value in (base | own).items()})
    return starts


def _by_size(
    design: Design, values: NDArray[np.float64], reduce: Callable[[NDArray[np.float64]], float]
) -> NDArray[np.float64]:
    valid, size_of_run = np.asarray(design.valid), np.asarray(design.size_of_run)
    return np.array([reduce(values[size_of_run == s][valid[size_of_run == s]]) for s in range(len(design.log_params))])
