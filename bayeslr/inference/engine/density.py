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
from numpyro.distributions import biject_to
from numpyro.infer.util import constrain_fn, potential_energy, unconstrain_fn
from numpyro.primitives import Messenger

from bayeslr.inference.engine import reparameterisation
from bayeslr.inference.engine.hyperparameters import find_hyperparameters
from bayeslr.laws import Scale
from bayeslr.model import Observations, ScalingModel

__all__ = ["Density", "build_density", "starting_points"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Density:
    """Functions of a flat unconstrained vector ``z`` of length ``d``, and of observations.

    Parameters
    ----------
    size
        The length ``d``.
    drawn
        Number of standard normals from which `constrain` draws what is integrated out.
    names
        Names of the sites, in the order of the vector.
    potential
        ``(z, observations) -> -log density``, up to a constant. Differentiable once.
    value_and_gradient
        The same with its gradient, under ``jax.jit``.
    constrain
        ``(z, observations, normals) -> values by site``, deterministic sites included. What is integrated out is drawn.
    unconstrain
        ``(values by site, observations) -> z``; values that are missing take the prior's mean.
    """

    size: int
    drawn: int
    names: tuple[str, ...]
    potential: Callable[[Array, Observations], Array]
    value_and_gradient: Wrapped
    constrain: Callable[[Array, Observations, Array], dict[str, Array]]
    unconstrain: Callable[[Mapping[str, Array], Observations], Array]


def build_density(model: ScalingModel, observations: Observations) -> Density:
    """Read off the sites of a model, without running it on numbers.

    Parameters
    ----------
    model
        The model, its pooling resolved.
    observations
        The arrays of a fit; the density serves any other of the same shapes.

    Returns
    -------
    Density
        The functions, not compiled.
    """
    families: dict[str, type[dist.Distribution] | None] = {}

    def sites(observations: Observations) -> dict[str, Array]:
        seeded = numpyro.handlers.seed(model, jax.random.key(0))
        trace = numpyro.handlers.trace(seeded).get_trace(observations)
        latent = {name: site["fn"] for name, site in trace.items() if _is_latent(site)}
        families.update({name: _family(prior) for name, prior in latent.items()})
        return {name: _center(prior) for name, prior in latent.items()}

    shapes = jax.eval_shape(sites, observations)
    common = find_hyperparameters(
        {p.name: p.support != "real" for p in model.law.parameters if not p.shared}, families, model.replaced
    )
    # in unconstrained coordinates: no mean, no slope, a scatter of one
    neutral = {name: jnp.zeros(()) for name in common.sites}
    # priors that are evaluated together stand together; the noise, whose coordinate is changed, at their edge
    every = sorted(shapes, key=lambda name: (_FAMILIES.index(families[name]), name != "noise", name))
    known = {name: family for name in every if (family := families[name])}
    order = [name for name in every if name not in neutral]
    sizes = [int(np.prod(shapes[name].shape)) for name in order]

    def split(z: Array) -> dict[str, Array]:
        parts = jnp.split(z, np.cumsum(sizes)[:-1])
        return {name: part.reshape(shapes[name].shape) for name, part in zip(order, parts, strict=True)}

    @jax.value_and_grad
    def traced(z: Array, observations: Observations) -> Array:
        positions, log_det = reparameterisation.reparameterise(split(z), observations)
        normal = _NormalPriors(positions | neutral, known)
        others = {name: position for name, position in positions.items() if families[name] is None}
        rest = potential_energy(normal(model), (observations,), {}, others)
        pooled = common.log_density(normal.priors, positions, observations.log_params) if common.names else 0.0
        return jnp.asarray(rest) - normal.log_density([*common.names, *neutral]) - pooled - log_det

    # traced once, here: NUTS asks for the gradient in positions where JAX would do so again
    recorded = jaxpr_as_fun(jax.make_jaxpr(traced)(jax.ShapeDtypeStruct((sum(sizes),), float), observations))

    @jax.jit
    def value_and_gradient(z: Array, observations: Observations) -> tuple[Array, Array]:
        value, gradient = recorded(z, *jax.tree.leaves(observations))
        return value, gradient

    @jax.custom_vjp
    def potential(z: Array, observations: Observations) -> Array:
        value: Array = value_and_gradient(z, observations)[0]
        return value

    potential.defvjp(value_and_gradient, lambda gradient, change: (change * gradient, None))

    def constrain(z: Array, observations: Observations, normals: Array) -> dict[str, Array]:
        positions = reparameterisation.reparameterise(split(z), observations)[0]
        values: dict[str, Array] = constrain_fn(
            model, (observations,), {}, positions | neutral, return_deterministic=True
        )
        if neutral:
            trace = numpyro.handlers.trace(numpyro.handlers.substitute(model, data=values)).get_trace(observations)
            priors = {name: _unexpanded(site["fn"]) for name, site in trace.items() if _is_latent(site)}
            drawn = common.draw(priors, positions, observations.log_params, normals.reshape(3, -1))
            values |= {name: biject_to(priors[name].support)(place) for name, place in drawn.items()}
        return values

    def unconstrain(values: Mapping[str, Array], observations: Observations) -> Array:
        full = {
            name: jnp.broadcast_to(values.get(name, mean), mean.shape) for name, mean in sites(observations).items()
        }
        straight = reparameterisation.inverse(unconstrain_fn(model, (observations,), {}, full), observations)
        return jnp.concatenate([jnp.ravel(straight[name]) for name in order])

    return Density(
        size=sum(sizes),
        drawn=3 * len(common.names),
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
    positions
        Unconstrained values by site.
    families
        The prior's family by site, of the sites that are to be taken out, Normals first.
    """

    def __init__(self, positions: Mapping[str, Array], families: Mapping[str, type[dist.Distribution]]) -> None:
        super().__init__()
        self._positions = {name: positions[name] for name in families}
        flat, split = ravel_pytree(list(self._positions.values()))
        first = sum(positions[name].size for name, family in families.items() if family is dist.Normal)
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
        positions = {name: place for name, place in self._positions.items() if name not in without}

        def flat(arrays: Iterable[Array]) -> Array:
            # also of no arrays: every prior may be of another family
            return ravel_pytree(list(arrays))[0]

        def together(part: str) -> Array:
            return flat(
                jnp.broadcast_to(getattr(self.priors[name], part), place.shape) for name, place in positions.items()
            )

        return jnp.asarray(dist.Normal(together("loc"), together("scale")).log_prob(flat(positions.values()))).sum()


def _center(prior: dist.Distribution) -> Array:
    """Return the mean of a prior, or one of its draws where it has no mean (heavy tails)."""
    draw = prior.sample(jax.random.key(0))
    return jnp.where(jnp.isfinite(prior.mean), prior.mean, draw)


def _is_latent(site: Mapping[str, Any]) -> bool:
    return site["type"] == "sample" and not site["is_observed"]


def starting_points(model: ScalingModel, observations: Observations) -> list[dict[str, Any]]:
    """Return starts for the search of the mode, as values by site.

    Beside what the law knows to have several modes, it is open whether scatter is noise or the residual process. So
    the law's starts come with noise that explains all scatter, the outer ones also with a tenth of it.
    """
    losses = np.asarray(observations.loss)
    valid, size_of_run = np.asarray(observations.valid), np.asarray(observations.size_of_run)
    lowest = np.array(
        [losses[size_of_run == k][valid[size_of_run == k]].min() for k in range(len(observations.log_params))]
    )
    known = observations.scale
    scale = Scale(
        area=float(np.max(known["level_area"])),
        rate=float(np.max(known["level_rate"])),
        loss=float(known["loss"]),
        memory=float(known["memory"]),
    )
    of_law = model.law.starts(lowest, scale)
    outer = of_law[:1] if len(of_law) == 1 else (of_law[0], of_law[-1])
    shared = {parameter.name for parameter in model.law.parameters if parameter.shared}
    scatter = np.asarray(observations.scatter)
    noise = scatter if "noise" in model.per_size else scatter.mean()
    starts: list[dict[str, Any]] = []
    for share, chosen in ((1.0, of_law), (0.1, outer)):
        for start in chosen:
            means = {f"{name}_mean": np.mean(value) for name, value in start.items() if name not in shared}
            values = {**means, **start, "noise": share * noise}
            starts.append({name: jnp.asarray(value) for name, value in values.items()})
    return starts
