"""What the law leaves out, as a small set of effects with physical meanings, in fractions of the law's own terms.

The error of the law on schedules it has not seen is thirty times the noise of a validation loss. Independent noise
turns that into bands that are far too narrow, so a discrepancy is part of the model:

- **memory** (a size's runs share it): the annealing response is spread over memories from ten steps to a whole run;
  each of :data:`bayeslr.model.effects.MEMORIES` takes a random share of the drop from the law's.
- **run memory** (each run its own): the same, smaller, so that each run's drop and its speed vary.
- **bends** (shared): the forward curve may bend at knots in log area. A bend is largest just after warm-up, where the
  loss has not yet found its power law, and fades; knots beyond the data keep bending, so that bands open with the
  extrapolated horizon.
- **offset** (each run): a persistent difference between runs of the same schedule (seed, data order).
- **residual** (each run): an Ornstein-Uhlenbeck process in log area whose standard deviation grows with the slope of
  the forward curve and with the annealed share.

The standard deviations are fractions of the annealing drop, or of the slope of the forward term; they are inferred
within log-normal priors whose medians were chosen on held-out runs (``docs/calibration.md``), because training
schedules alone say little about them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from bayeslr.errors import ModelError
from bayeslr.laws import Parameter, PriorSpec, Terms
from bayeslr.model.effects import MEMORIES, Block, ErrorModel, Exposure

__all__ = ["Discrepancy"]

BEND_SPACING = 0.25
"""Distance in log area of the knots at which the forward curve may bend."""

_LARGEST_BEND = 0.5
_KNOTS = 4
"""The number of knots is a multiple of this, so that similar data sets share a program: a bend before the first
observation has no influence on any."""

_MEANINGS = {
    "memory": "Errors in the response to a lowered rate, as a share of the drop.",
    "run_memory": "Errors in the response of single runs, as a share of the drop.",
    "bend": "Errors in the slope of the forward curve per unit of log area, as a share of that slope.",
    "offset": "Errors that last for a whole run, as a share of the slope at the reference area.",
    "residual": "Errors that wander along a run, as a share of the local slope.",
}


@dataclass(frozen=True, kw_only=True)
class Discrepancy(ErrorModel):
    """Prior medians of the discrepancy's scales.

    Parameters
    ----------
    memory
        Share of the drop that each memory may gain or lose, common to a size's runs.
    run_memory
        The same for a single run.
    bend
        Change of slope of the forward curve at the reference area, per unit of log area, as a share of that slope.
    offset
        Persistent difference between runs, as a share of the forward slope at the reference area.
    residual
        Standard deviation of the residual process as a share of the local forward slope.
    residual_annealing
        The same as a share of the drop that has been annealed, relative to `residual`.
    residual_length
        Correlation length of the residual process in log area.
    common
        Share of the variance of memory and bend effects that all sizes have in common: what the law gets wrong for one
        size it gets wrong for the next.
    prior_spread
        Standard deviation of the scales' priors in log units.

    Raises
    ------
    ModelError
        If a setting is outside its range.
    """

    memory: float = 0.04
    run_memory: float = 0.035
    bend: float = 0.065
    offset: float = 0.012
    residual: float = 0.015
    residual_annealing: float = 2.7
    residual_length: float = 0.5
    common: float = 0.75
    prior_spread: float = 0.3

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if name == "common" and not 0.0 <= value < 1.0:
                raise ModelError(f"discrepancy: common={value!r}; allowed: from 0 up to, not including, 1")
            if name != "common" and not value > 0.0:
                raise ModelError(
                    f"discrepancy: {name}={value!r}; allowed: above 0 (or NoDiscrepancy() for none at all)"
                )

    @property
    def name(self) -> str:
        """Name of the error model."""
        return "structured"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """``memory, run_memory, bend, offset, residual``."""
        return tuple(
            Parameter(
                name=name,
                support="positive",
                unit="1",
                meaning=meaning,
                prior=PriorSpec(family="LogNormal", center=getattr(self, name), spread=self.prior_spread),
                shared=True,
            )
            for name, meaning in _MEANINGS.items()
        )

    @property
    def residual_correlation_length(self) -> float:
        """Correlation length of the residual process."""
        return self.residual_length

    @property
    def common_share(self) -> float:
        """Share of the variance that sizes have in common."""
        return self.common

    def knots(self, lowest: float) -> NDArray[np.float64]:
        """Return knots from the reference area back to the first observation."""
        count = _KNOTS * max(1, -(-round(-lowest / BEND_SPACING) // _KNOTS))
        return -BEND_SPACING * np.arange(count, dtype=np.float64)

    def knots_ahead(self, furthest: float) -> NDArray[np.float64]:
        """Return knots between the reference area and a larger one."""
        count = int(np.floor(max(furthest, 0.0) / BEND_SPACING))
        return BEND_SPACING * np.arange(1, count + 1, dtype=np.float64)

    def blocks(
        self,
        scales: Mapping[str, Array],
        terms: Terms,
        exposure: Exposure,
        knots: Array,
        slope: Callable[[Array], Array],
    ) -> tuple[Block, ...]:
        """Return memories and bends of the size, memories and offset of the run."""
        memory, reference = jnp.asarray(exposure.memory), slope(jnp.zeros(()))
        own, labels = memory[1::2], tuple(f"{tau:.0f}" for tau in MEMORIES)
        return (
            Block(
                name="memory",
                level="size",
                basis=memory,
                sd=jnp.broadcast_to(scales["memory"] * terms.drop, memory.shape[:1]),
                takes=1.0,
                labels=labels,
            ),
            Block(
                name="bend",
                level="size",
                basis=_bends(jnp.asarray(exposure.log_area), knots),
                sd=self._bend_sd(scales["bend"], slope(knots), reference),
            ),
            Block(
                name="run_memory",
                level="run",
                basis=own,
                sd=jnp.broadcast_to(scales["run_memory"] * terms.drop, own.shape[:1]),
                labels=labels[1::2],
            ),
            Block(
                name="offset",
                level="run",
                basis=jnp.ones_like(memory[:1]),
                sd=(scales["offset"] * reference)[None],
            ),
        )

    def residual_sd(self, scales: Mapping[str, Array], terms: Terms, exposure: Exposure) -> Array:
        """Return a share of the local slope and of the drop that has been annealed, added in squares."""
        annealed = self.residual_annealing * terms.drop * jnp.asarray(exposure.removed)
        return scales["residual"] * jnp.sqrt(terms.slope**2 + annealed**2)

    def _bend_sd(self, scale: Array, slopes: Array, reference: Array) -> Array:
        # just after warm-up the share would grow beyond the slope itself
        share = scale * jnp.sqrt(slopes / reference)
        share = share / jnp.sqrt(1.0 + (share / _LARGEST_BEND) ** 2)
        sd: Array = BEND_SPACING**0.5 * slopes * share
        return sd


def _bends(log_area: Array, knots: Array) -> Array:
    """Return the shapes of the bends, ``[K, n]``."""
    places = knots[:, None]
    distance = log_area[None] - places
    # measured from the reference area outwards: the law itself describes the loss there
    return jnp.maximum(jnp.where(places > 0.0, distance, -distance), 0.0)
