"""What the law leaves out, as a small set of effects with physical meanings, in fractions of the law's own terms.

The error of the law on schedules it has not seen is thirty times the noise of a validation loss. Independent noise
turns that into bands that are far too narrow, so a discrepancy is part of the model:

- **area memory** (all sizes): a part of the response has a memory that runs in area instead of in steps, because what
  is removed when rates are already low takes longer to show. It is what lets fast decays speak for slow ones.
- **memory** (a size's runs share it): the annealing response is not one exponential but spread over memories from ten
  steps to a whole run; each of :data:`bayeslr.model.design.MEMORIES` takes a random share of the drop from it.
- **run memory** (each run its own): the same, smaller, so that each run's drop and its speed vary.
- **bends** (shared): the forward curve may bend at knots in log S1. A bend is largest just after warm-up, where the
  loss has not yet found its power law, and fades; knots beyond the data keep bending, so that bands open with the
  extrapolated horizon.
- **offset** (each run): a persistent difference between runs of the same schedule (seed, data order).
- **residual** (each run): an Ornstein-Uhlenbeck process in log S1 whose standard deviation grows with the slope of the
  forward curve and with the annealed share.

The standard deviations are fractions of the annealing drop, or of the slope of the forward term; they are inferred
within log-normal priors whose medians were chosen on held-out runs (``docs/calibration.md``), because training
schedules alone say little about them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax import Array
from jax.typing import ArrayLike

from bayeslr.errors import ModelError
from bayeslr.model.design import BEND_SPACING, MEMORIES

__all__ = ["MIXED", "PREFIX", "SCALES", "Discrepancy"]

MIXED = ("spread", "area_memory")
"""Names of those that change the law's own response."""

SCALES = ("spread", "area_memory", "memory", "run_memory", "bend", "offset", "residual")
"""Names of the inferred scales."""

PREFIX = "discrepancy_"
"""What the names of their sites begin with."""

CONCENTRATION = 4.0
"""Sum of the two parameters of the Beta prior of ``area_memory``: it leaves the share open from 0.05 to 0.8."""

_LARGEST_BEND = 0.5


def _like(scale: ArrayLike, values: Mapping[str, Array]) -> Array:
    return jnp.broadcast_to(jnp.asarray(scale), jnp.shape(values["alpha"]))


@dataclass(frozen=True, kw_only=True)
class Discrepancy:
    """Prior medians of the discrepancy's scales.

    Parameters
    ----------
    spread
        Standard deviation of the log-normal mixture of memories around tau, in log units.
    area_memory
        Share of the response whose memory runs in area instead of in steps, so that low rates are slow to take effect.
    memory
        Share of the drop that each memory may gain or lose, common to a size's runs.
    run_memory
        The same for a single run.
    bend
        Change of slope of the forward curve at the reference area, per unit of log S1, as a share of that slope.
    offset
        Persistent difference between runs, as a share of the forward slope at the reference area.
    residual
        Standard deviation of the residual process as a share of the local forward slope.
    residual_annealing
        The same as a share of the drop that has been annealed, relative to `residual`.
    residual_length
        Correlation length of the residual process in log S1.
    common
        Share of the variance of memory and bend effects that all sizes have in common: what the law gets wrong for one
        size it gets wrong for the next.
    prior_spread
        Standard deviation of the scales' priors in log units.
    enabled
        False: the law and white noise alone. Its bands hold the final loss of two unseen runs in six; it is there for
        comparison.
    """

    spread: float = 1.5
    area_memory: float = 0.4
    memory: float = 0.04
    run_memory: float = 0.035
    bend: float = 0.065
    offset: float = 0.012
    residual: float = 0.015
    residual_annealing: float = 2.7
    residual_length: float = 0.5
    common: float = 0.75
    prior_spread: float = 0.3
    enabled: bool = True

    def __post_init__(self) -> None:
        for name, value in self.settings().items():
            if name == "common" and not 0.0 <= value < 1.0:
                raise ModelError(f"discrepancy: common={value!r}; allowed: from 0 up to, not including, 1")
            if name == "area_memory" and not 0.0 < value < 1.0:
                raise ModelError(f"discrepancy: area_memory={value!r}; allowed: between 0 and 1")
            if name not in ("enabled", "common") and not value > 0.0:
                raise ModelError(f"discrepancy: {name}={value!r}; allowed: above 0 (or enabled=False for none at all)")

    def settings(self) -> dict[str, float]:
        """Return the settings as plain numbers."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def sample_scales(self, priors: Mapping[str, dist.Distribution]) -> dict[str, Array]:
        """Sample the scales, sites ``discrepancy_<name>``; a prior of that name in `priors` replaces the default."""
        if not self.enabled:
            return {}
        defaults: dict[str, dist.Distribution] = {
            name: dist.LogNormal(jnp.log(getattr(self, name)), self.prior_spread) for name in SCALES
        }
        counts = CONCENTRATION * self.area_memory, CONCENTRATION * (1.0 - self.area_memory)
        defaults["area_memory"] = dist.Beta(*counts)
        return {
            name: numpyro.sample(f"{PREFIX}{name}", priors.get(f"{PREFIX}{name}", defaults[name])) for name in SCALES
        }

    def residual_sd(
        self, scales: Mapping[str, Array], values: Mapping[str, Array], log_area: Array, removed: Array
    ) -> Array:
        """Return the standard deviation of the residual process.

        Parameters
        ----------
        scales
            The sampled scales, each of shape ``[...]`` or scalar.
        values
            The law's parameters, each of shape ``[...]``.
        log_area, removed
            Features, shape ``[..., n]``.

        Returns
        -------
        jax.Array
            Shape ``[..., n]``.
        """
        if not self.enabled:
            return jnp.zeros_like(log_area)
        alpha = values["alpha"][..., None]
        slope = values["slope"][..., None] * jnp.exp(-alpha * log_area)
        annealed = self.residual_annealing * values["drop"][..., None] * removed
        return _like(scales["residual"], values)[..., None] * jnp.sqrt(slope**2 + annealed**2)

    def run_shapes(self, memory: Array) -> Array:
        """Return the shapes of a run's own effects: four memories and the offset.

        Parameters
        ----------
        memory
            Responses through the memories, ``[..., 8, n]``.

        Returns
        -------
        jax.Array
            Shape ``[..., 5, n]``, or ``[..., 0, n]`` when disabled.
        """
        if not self.enabled:
            return memory[..., :0, :]
        return jnp.concatenate([memory[..., 1::2, :], jnp.ones_like(memory[..., :1, :])], axis=-2)

    def run_scale(self, scales: Mapping[str, Array], values: Mapping[str, Array]) -> Array:
        """Return the standard deviations of a run's own effects.

        Parameters
        ----------
        scales, values
            As in :meth:`residual_sd`.

        Returns
        -------
        jax.Array
            Shape ``[..., 5]``, or ``[..., 0]`` when disabled.
        """
        if not self.enabled:
            return jnp.zeros((*jnp.shape(values["alpha"]), 0))
        memory = (_like(scales["run_memory"], values) * values["drop"])[..., None]
        offset = (_like(scales["offset"], values) * values["slope"])[..., None]
        return jnp.concatenate([jnp.repeat(memory, len(MEMORIES[1::2]), axis=-1), offset], axis=-1)

    def shared_shapes(self, memory: Array, log_area: Array, knots: Array) -> Array:
        """Return the shapes of the effects that the runs of a size share: eight memories and the bends.

        Parameters
        ----------
        memory
            Responses through the memories, ``[..., 8, n]``.
        log_area
            ``[..., n]``.
        knots
            Places of the bends, ``[K]``.

        Returns
        -------
        jax.Array
            Shape ``[..., 8 + K, n]``, or ``[..., 0, n]`` when disabled.
        """
        if not self.enabled:
            return memory[..., :0, :]
        return jnp.concatenate([memory, self.bend_shapes(log_area, knots)], axis=-2)

    def exchange(self, knots: Array) -> Array:
        """Return how much of the law's own response these effects give up: what a memory gains, the law's loses.

        Parameters
        ----------
        knots
            Places of the bends, ``[K]``.

        Returns
        -------
        jax.Array
            Shape ``[8 + K]``, or ``[0]`` when disabled.
        """
        if not self.enabled:
            return jnp.zeros(0)
        return jnp.concatenate([jnp.ones(len(MEMORIES)), jnp.zeros(knots.shape)])

    def shared_scale(self, scales: Mapping[str, Array], values: Mapping[str, Array], knots: Array) -> Array:
        """Return the standard deviations of the effects that the runs of a size share.

        Parameters
        ----------
        scales, values
            As in :meth:`residual_sd`.
        knots
            Places of the bends, ``[K]``.

        Returns
        -------
        jax.Array
            Shape ``[..., 8 + K]``, or ``[..., 0]`` when disabled.
        """
        if not self.enabled:
            return jnp.zeros((*jnp.shape(values["alpha"]), 0))
        memory = (_like(scales["memory"], values) * values["drop"])[..., None]
        return jnp.concatenate(
            [jnp.repeat(memory, len(MEMORIES), axis=-1), self.bend_scale(scales, values, knots)], axis=-1
        )

    def bend_shapes(self, log_area: Array, knots: Array) -> Array:
        """Return the shapes of the bends alone, ``[..., K, n]``; arguments as in :meth:`shared_shapes`."""
        places = knots.reshape((1,) * (log_area.ndim - 1) + (-1, 1))
        distance = log_area[..., None, :] - places
        # measured from the reference area outwards: the law itself describes the loss there
        return jnp.maximum(jnp.where(places > 0.0, distance, -distance), 0.0)

    def bend_scale(self, scales: Mapping[str, Array], values: Mapping[str, Array], knots: Array) -> Array:
        """Return the standard deviations of the bends alone, ``[..., K]``; arguments as in :meth:`shared_scale`."""
        alpha = values["alpha"][..., None]
        places = knots.reshape((1,) * (alpha.ndim - 1) + (-1,))
        # just after warm-up the share would grow beyond the slope itself
        share = _like(scales["bend"], values)[..., None] * jnp.exp(-0.5 * alpha * places)
        share = share / jnp.sqrt(1.0 + (share / _LARGEST_BEND) ** 2)
        scale: Array = BEND_SPACING**0.5 * values["slope"][..., None] * jnp.exp(-alpha * places) * share
        return scale

    def labels(self, knots: int) -> dict[str, list[str]]:
        """Return the coordinate labels of the effects, for the posterior's variables."""
        return {
            "memory": [f"{tau:.0f}" for tau in MEMORIES],
            "run_memory": [f"{tau:.0f}" for tau in MEMORIES[1::2]],
            "bend": [str(k) for k in range(knots)],
        }
