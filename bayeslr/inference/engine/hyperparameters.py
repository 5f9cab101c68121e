"""What sizes have in common, integrated out: their means, their trends, and how far they scatter around these.

Of several sizes, the common mean, the trend and the scatter of a parameter are known from the sizes' own values alone.
A sampler that walks them all walks a funnel: the less sizes scatter, the closer they are tied to each other, and its
steps are as short as the narrowest place asks for. So only the sizes' own values are sampled. Given a scatter, mean
and slope are conjugate Normals; and the scatter itself is a sum over a grid in its logarithm. Afterwards all three are
drawn given the values, exactly.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array

__all__ = ["Hyperparameters", "find_hyperparameters"]

_NODES = np.linspace(-8.0, 8.0, 81)
"""Grid of the scatter, in prior standard deviations of its logarithm.

Its spacing is a tenth of a unit of the logarithm for the default prior. The values of ``S`` sizes know that to no
better than ``(2 S)^-1/2``, and a sum over a grid of a function that smooth has no error but rounding.
"""


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """Which sites of a model are integrated out.

    Parameters
    ----------
    names
        The parameters whose sizes are pooled.
    sites
        Of their common means, linear trends and scatters, those that are integrated out; others are sampled.
    """

    names: tuple[str, ...]
    sites: tuple[str, ...]

    def log_density(
        self, priors: Mapping[str, dist.Distribution], own: Mapping[str, Array], log_params: Array
    ) -> Array:
        """Return the log density of the sizes' own values.

        Parameters
        ----------
        priors
            Priors by site, where the sites that are integrated out are neutral: no mean, no slope, a scatter of one.
        own
            Unconstrained values by parameter, each ``[S]``.
        log_params
            Logarithm of the sizes' parameters, whose mean is zero, ``[S]``.

        Returns
        -------
        jax.Array
            A scalar.
        """
        weights, log_scatter = self._grid(priors)
        return jax.nn.logsumexp(weights + self._given_scatter(priors, own, log_params, log_scatter), axis=-1).sum()

    def draw(
        self, priors: Mapping[str, dist.Distribution], own: Mapping[str, Array], log_params: Array, normals: Array
    ) -> dict[str, Array]:
        """Turn standard normals into what is integrated out, given the sizes' own values.

        Parameters
        ----------
        priors, own, log_params
            As in :meth:`log_density`.
        normals
            Standard normals, ``[3, P]`` for ``P`` parameters.

        Returns
        -------
        dict
            Unconstrained values by site.
        """
        weights, log_scatter = self._grid(priors)
        each = jax.nn.softmax(weights + self._given_scatter(priors, own, log_params, log_scatter), axis=-1)
        # from steps to a line: the share of a node is spread evenly halfway to its neighbours
        reached = jnp.concatenate([jnp.zeros((len(self.names), 1)), jnp.cumsum(each, axis=-1)], axis=-1)
        halfway = (log_scatter[:, 1:] + log_scatter[:, :-1]) / 2.0
        edges = jnp.concatenate([log_scatter[:, :1], halfway, log_scatter[:, -1:]], axis=-1)
        share = jax.scipy.stats.norm.cdf(normals[0])
        scatter = jnp.exp(jax.vmap(jnp.interp)(share, reached, edges))
        values = self._values(priors, own)
        mean_loc, mean_scale, slope_loc, slope_scale = self._common(priors)
        x2 = (log_params**2).sum()
        mean, mean_sd = _conjugate(values.sum(axis=-1), float(values.shape[-1]), scatter, mean_loc, mean_scale)
        slope, slope_sd = _conjugate(values @ log_params, x2, scatter, slope_loc, slope_scale)
        found = {"mean": mean + mean_sd * normals[1], "slope": slope + slope_sd * normals[2], "sd": jnp.log(scatter)}
        by_site = {f"{name}_{kind}": row[k] for kind, row in found.items() for k, name in enumerate(self.names)}
        return {site: by_site[site] for site in self.sites}

    def _values(self, priors: Mapping[str, dist.Distribution], own: Mapping[str, Array]) -> Array:
        """Return the sizes' own values without what is sampled of their common part, ``[P, S]``."""
        return jnp.stack([own[name] - priors[name].loc for name in self.names])

    def _common(self, priors: Mapping[str, dist.Distribution]) -> tuple[Array, Array, Array, Array]:
        """Return places and scales of priors of mean and slope, ``[P]`` each; zeros for what is not integrated out."""

        def part(kind: str, moment: str) -> Array:
            sites = [f"{name}_{kind}" for name in self.names]
            given = [getattr(priors[site], moment) if site in self.sites else 0.0 for site in sites]
            return jnp.stack([jnp.asarray(value, dtype=float) for value in given])

        return part("mean", "loc"), part("mean", "scale"), part("slope", "loc"), part("slope", "scale")

    def _grid(self, priors: Mapping[str, dist.Distribution]) -> tuple[Array, Array]:
        """Return logarithms of weights, ``[1, K]``, and of scatters, ``[P, K]``."""
        rows = [
            priors[f"{name}_sd"].loc + priors[f"{name}_sd"].scale * _NODES
            if f"{name}_sd" in self.sites
            # what is sampled is a grid of one place
            else jnp.broadcast_to(jnp.log(priors[name].scale).ravel()[0], _NODES.shape)
            for name in self.names
        ]
        return jax.nn.log_softmax(jnp.asarray(-0.5 * _NODES**2))[None], jnp.stack(rows)

    def _given_scatter(
        self,
        priors: Mapping[str, dist.Distribution],
        own: Mapping[str, Array],
        log_params: Array,
        log_scatter: Array,
    ) -> Array:
        """Return the log density of the values for every scatter of the grid, ``[P, K]``.

        Mean and trend are orthogonal directions of the values, along which these vary by more than their scatter.
        """
        values = self._values(priors, own)
        sizes = values.shape[-1]
        mean_loc, mean_scale, slope_loc, slope_scale = self._common(priors)
        away = values - mean_loc[:, None] - slope_loc[:, None] * log_params[None]
        x2 = (log_params**2).sum()
        # sizes of equal parameters draw no line
        along = jnp.stack([away.sum(axis=-1) ** 2 / sizes, (away @ log_params) ** 2 / jnp.maximum(x2, 1e-12)])
        wider = jnp.stack([sizes * mean_scale**2, x2 * slope_scale**2])
        rest = (away**2).sum(axis=-1) - along.sum(axis=0)
        variance = jnp.exp(2.0 * log_scatter)
        spread = variance[None] + wider[..., None]
        exponent = (along[..., None] / spread + jnp.log(spread)).sum(axis=0)
        exponent = exponent + rest[:, None] / variance + (sizes - 2) * 2.0 * log_scatter
        return -0.5 * (exponent + sizes * jnp.log(2.0 * jnp.pi))


def find_hyperparameters(
    positive: Mapping[str, bool], families: Mapping[str, type[dist.Distribution] | None], replaced: Collection[str]
) -> Hyperparameters:
    """Find the sites of a model that can be integrated out.

    Parameters
    ----------
    positive
        The law's parameters, and whether they are positive.
    families
        The prior's family by site: Normal, LogNormal, or none of these.
    replaced
        Sites whose prior is not the default. A scatter among them is sampled: the grid suits the default's width.

    Returns
    -------
    Hyperparameters
        The sites.
    """
    names = tuple(name for name in positive if f"{name}_sd" in families)
    conjugate = {name: dist.LogNormal if positive[name] else dist.Normal for name in names}
    means = [f"{name}_mean" for name in names if families[f"{name}_mean"] is conjugate[name]]
    slopes = [f"{name}_slope" for name in names if f"{name}_slope" in families]
    scatters = [f"{name}_sd" for name in names if f"{name}_sd" not in replaced]
    return Hyperparameters(names=names, sites=(*means, *slopes, *scatters))


def _conjugate(
    total: Array, information: float | Array, scatter: Array, loc: Array, scale: Array
) -> tuple[Array, Array]:
    """Return mean and standard deviation of a Normal's posterior; of a prior without width, its place."""
    variance = scale**2 * scatter**2 / (scatter**2 + information * scale**2)
    return loc + variance * (total - information * loc) / scatter**2, jnp.sqrt(variance)
