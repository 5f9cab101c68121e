"""What the law leaves out, as a small set of effects with physical meanings, in fractions of the law's own terms.

The error of a law on schedules it has not seen is thirty times the noise of a validation loss. Independent noise turns
that into bands that are far too narrow, so a discrepancy is part of the model. What the shape of a schedule causes is
shared by all runs of a size, so that two schedules that hardly differ hardly differ in error:

- **memory**: the response to a lowered rate is spread over memories from ten steps to a whole run, each of which takes
  a random share of the drop; and it is not quite linear in what was removed, nor the same late as early: products of
  three of the memories with each other, and with the log area.
- **bend**: the forward curve may bend at knots in log area. A bend is largest just after warm-up, where the loss has
  not yet found its power law, and fades towards the end of the longest run, where the law itself carries the slope;
  knots beyond the data keep bending.
- **ahead**: the slope of the forward curve beyond the data, as a whole.
- **early**: what is left of the warm-up, a share of the area that dies away as more is covered. **start**: what is left
  of the random start. Its loss lies far above the curve and comes down to it within the first updates, some multiple of
  the square root of the longest run's, at any rate: were it left to the law, a single loss from there would decide on
  its slope and on the norm of the weights.
- **peak**: what a peak rate has of its own, in level, in slope, in drop and at the start: random walks in the logarithm
  of the peak from that of the size's longest run, so that bands open with the distance to the peaks that were fitted.
  **batch**: the same of a batch size.

What differs between two runs of one schedule (seed, data order) is a run's own: small memories and an **offset**. How
far seeds differ is about what the loss jitters by along a run at the peak rate, in models of 25 thousand and of 200
million parameters alike, so that the offset's standard deviation is a multiple of the white noise. The **residual** is
an Ornstein-Uhlenbeck process in log area whose standard deviation grows with the slope of the forward curve and with
the annealed share.

The standard deviations are fractions of the annealing drop, or of the slope of the forward term; they are inferred
within log-normal priors whose medians were chosen on held-out runs, because training schedules alone say little about
them. Sets of runs differ in how exactly they follow the law: memories and the residual have an **amplitude** in common,
so that a residual that is small along the fitted runs says that a schedule which was not fitted is followed well, too.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from bayeslr.errors import ModelError
from bayeslr.laws import Parameter, PriorSpec, Terms
from bayeslr.model.effects import MEMORIES, Block, ErrorModel, Exposure
from bayeslr.model.walk import reached, refined

__all__ = ["Discrepancy"]

BEND_SPACING = 0.5
"""Distance in log area of the knots at which the forward curve may bend."""

_LARGEST_BEND = 0.5
_FADE = 2.0
"""Distance in log area from the end of the longest run within which bends fade."""
_KNOTS = 4
"""The number of knots is a multiple of this, so that similar data sets share a program: a bend before the first
observation has no influence on any."""
_CURVED = (2, 4, 6)
"""Memories whose products count, of 100, 1,000 and 10,000 steps."""
_EARLIEST = -4.0
"""Log area up to which a curve is early, however short its warm-up was."""
_LARGEST_OFFSET = 0.1
"""Share of the slope that offsets stay below: that of the smallest models, whose seeds differ most."""
_OFFSET_SPREAD = 0.5
_MAY_BE_ZERO = ("amplitude_spread", "start")

_MEANINGS = {
    "amplitude": "All errors in the response to a lowered rate, and those that wander along a run, over the usual.",
    "memory": "Errors in the response to a lowered rate, as a share of the drop.",
    "run_memory": "Errors in the response of single runs, as a share of the drop.",
    "bend": "Errors in the slope of the forward curve per unit of log area, as a share of that slope.",
    "early": "Errors that the warm-up leaves behind, as a share of the slope.",
    "peak": "Errors that a peak rate, or a batch size, has of its own, as a share of slope and drop.",
    "offset": "Errors that last for a whole run, in standard deviations of the white noise at the reference rate.",
    "residual": "Errors that wander along a run, as a share of the local slope.",
}


@dataclass(frozen=True, kw_only=True)
class Discrepancy(ErrorModel):
    """Prior medians of the discrepancy's scales.

    Parameters
    ----------
    amplitude
        What `memory`, `run_memory` and `residual` are multiplied by: how large errors of a set of runs are, over the
        usual.
    amplitude_spread
        Standard deviation of its prior in log units. 0 keeps it as it is, and so does a fit in which no run has more
        than one observation: how smooth curves are is not known there.
    memory
        Share of the drop that each memory may gain or lose, common to a size's runs.
    curvature
        The same of products of two memories, relative to `memory`.
    drift
        The same of products of a memory and half the log area, relative to `memory`.
    run_memory
        Share of the drop that each memory of a single run may gain or lose.
    bend
        Change of slope of the forward curve far before the end of the longest run, per unit of log area, as a share of
        the slope there.
    ahead
        Error of the slope beyond the longest run, as a share of it.
    early
        Loss that the warm-up leaves behind at its end, as a share of the local slope.
    start
        Loss that the random start leaves behind, as it would be at the first update, as a share of the lowest loss. At
        0 there is none, and so in a fit in which no run has more than one observation.
    peak_start
        By how much that is another where the peak rate or the batch size is higher or lower by a factor of e, relative
        to `start`.
    peak
        Change of level and slope, each as a share of the slope, and of the drop, as a share of it, where the peak rate
        or the batch size is higher or lower by a factor of e.
    offset
        Persistent difference between runs of one schedule, in standard deviations of the white noise at the reference
        rate. Where the noise is that of batches instead of the weights' (training losses), it is held below a share of
        the forward slope. Its prior has a standard deviation of 0.5 in log units.
    residual
        Standard deviation of the residual process as a share of the local forward slope.
    residual_annealing
        The same as a share of the drop that has been annealed, relative to `residual`.
    residual_early
        By how much the residual process is larger at the end of the warm-up, relative to `residual`.
    residual_length
        Correlation length of the residual process in log area.
    common
        Share of the variance of the sizes' effects that all sizes have in common: what the law gets wrong for one size
        it gets wrong for the next.
    prior_spread
        Standard deviation of the scales' priors in log units.

    Raises
    ------
    ModelError
        If a setting is outside its range.
    """

    amplitude: float = 1.0
    amplitude_spread: float = 0.4
    memory: float = 0.05
    curvature: float = 1.6
    drift: float = 1.0
    run_memory: float = 0.008
    bend: float = 0.065
    ahead: float = 0.08
    early: float = 0.1
    start: float = 1.0
    peak_start: float = 0.5
    peak: float = 0.18
    offset: float = 1.0
    residual: float = 0.012
    residual_annealing: float = 2.7
    residual_early: float = 2.0
    residual_length: float = 0.5
    common: float = 0.75
    prior_spread: float = 0.3

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if name == "common" and not 0.0 <= value < 1.0:
                raise ModelError(f"discrepancy: common={value!r}; allowed: from 0 up to, not including, 1")
            if name in _MAY_BE_ZERO and not 0.0 <= value < math.inf:
                raise ModelError(f"discrepancy: {name}={value!r}; allowed: 0 or more")
            if name not in ("common", *_MAY_BE_ZERO) and not 0.0 < value < math.inf:
                raise ModelError(f"discrepancy: {name}={value!r}; allowed: above 0 (or NoDiscrepancy() for none)")

    @property
    def name(self) -> str:
        """Name of the error model."""
        return "structured"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """``amplitude`` unless it is kept, ``memory, run_memory, bend, early, peak, offset, residual``."""
        spreads = {"offset": _OFFSET_SPREAD, "amplitude": self.amplitude_spread}
        return tuple(
            Parameter(
                name=name,
                support="positive",
                unit="1",
                meaning=meaning,
                prior=PriorSpec(
                    family="LogNormal",
                    center=getattr(self, name),
                    spread=spreads.get(name, self.prior_spread),
                ),
                shared=True,
            )
            for name, meaning in _MEANINGS.items()
            if name != "amplitude" or self.amplitude_spread
        )

    def resolved(self, *, single_losses: bool) -> "Discrepancy":
        """Keep the amplitude, and leave out the start, where no run has more than one observation."""
        return replace(self, amplitude_spread=0.0, start=0.0) if single_losses else self

    @property
    def residual_correlation_length(self) -> float:
        """Correlation length of the residual process."""
        return self.residual_length

    @property
    def common_share(self) -> float:
        """Share of the variance that sizes have in common."""
        return self.common

    def places(
        self, lowest: float, log_peaks: NDArray[np.float64], log_batches: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Return the knots of the bends, from the end of the longest run back, and other peaks and batches."""
        count = _KNOTS * max(1, -(-round(-lowest / BEND_SPACING) // _KNOTS))
        return {
            "bend": -BEND_SPACING * np.arange(count, dtype=np.float64),
            "ahead": np.zeros(0),
            "peak": refined(np.zeros((0, 3)), log_peaks),
            "batch": refined(np.zeros((0, 3)), log_batches),
        }

    def places_ahead(
        self,
        places: Mapping[str, NDArray[np.float64]],
        furthest: float,
        log_peaks: NDArray[np.float64],
        log_batches: NDArray[np.float64],
    ) -> dict[str, NDArray[np.float64]]:
        """Return knots up to the furthest question as well, and its peaks and batches."""
        count = int(np.floor(max(furthest, 0.0) / BEND_SPACING))
        return {
            "bend": np.append(places["bend"], BEND_SPACING * np.arange(1, count + 1)),
            "ahead": np.ones(1 if furthest > 0.0 else 0),
            "peak": refined(np.asarray(places.get("peak", np.zeros((0, 3)))), log_peaks),
            "batch": refined(np.asarray(places.get("batch", np.zeros((0, 3)))), log_batches),
        }

    def blocks(
        self,
        scales: Mapping[str, Array],
        terms: Terms,
        exposure: Exposure,
        places: Mapping[str, Array],
        slope: Callable[[Array], Array],
    ) -> tuple[Block, ...]:
        """Return what the runs of a size share, and memories and offset of the run."""
        memory, log_area = jnp.asarray(exposure.memory), jnp.asarray(exposure.log_area)
        amplitude = scales.get("amplitude", self.amplitude)
        of_size, of_run = (amplitude * scales[name] for name in ("memory", "run_memory"))
        reference, labels = slope(jnp.zeros(())), tuple(f"{tau:.0f}" for tau in MEMORIES)
        curved = memory[np.array(_CURVED)]
        pairs = np.array(list(combinations_with_replacement(range(len(_CURVED)), 2))).T
        log_warmup = jnp.asarray(exposure.log_warmup)
        left, start = _share_of_warmup(log_area, log_warmup), jnp.asarray(exposure.start)

        def of_its_own(what: str, at: Array | NDArray[np.float64]) -> tuple[Block, ...]:
            pieces = reached(jnp.asarray(at), places[what])
            parts = [
                ("_level", jnp.ones_like(log_area), scales["peak"], reference),
                ("_slope", jnp.exp(-0.5 * log_area) - 1.0, scales["peak"], reference),
                ("_drop", 1.0 - memory[_CURVED[0]], scales["peak"], terms.drop),
            ]
            if self.start:
                parts.append(("_start", start.mean(axis=0), jnp.array(self.start * self.peak_start), jnp.ones(())))
            return tuple(
                Block(
                    name=what + name,
                    level="size",
                    basis=pieces[:, None] * shape[None],
                    sd=jnp.broadcast_to(sd, pieces.shape),
                    unit=unit,
                )
                for name, shape, sd, unit in parts
            )

        of_start = (Block(name="start", level="size", basis=start, sd=jnp.full(len(start), self.start)),)
        return (
            Block(
                name="memory",
                level="size",
                basis=memory,
                sd=jnp.full(len(labels), 1.0) * of_size,
                unit=terms.drop,
                labels=labels,
            ),
            Block(
                name="curvature",
                level="size",
                basis=curved[pairs[0]] * curved[pairs[1]],
                sd=jnp.full(pairs.shape[1], self.curvature) * of_size,
                unit=terms.drop,
            ),
            Block(
                name="drift",
                level="size",
                basis=curved * (jnp.clip(log_area, -4.0, 4.0) / 2.0)[None],
                sd=jnp.full(len(_CURVED), self.drift) * of_size,
                unit=terms.drop,
            ),
            Block(
                name="bend",
                level="size",
                basis=_bends(log_area, places["bend"]),
                sd=_bend_sd(scales["bend"], places["bend"], slope(places["bend"]), reference),
            ),
            Block(
                name="early",
                level="size",
                basis=jnp.stack([left, left**2]),
                sd=jnp.full(2, 1.0) * scales["early"],
                unit=slope(log_warmup),
            ),
            *(of_start if self.start else ()),
            *of_its_own("peak", exposure.log_peak),
            Block(
                name="ahead",
                level="size",
                basis=places["ahead"][:, None] * (-2.0 * jnp.expm1(-0.5 * jnp.maximum(log_area, 0.0)))[None],
                sd=jnp.full(places["ahead"].shape[0], self.ahead) * reference,
            ),
            *of_its_own("batch", exposure.log_batch),
            Block(
                name="run_memory",
                level="run",
                basis=memory[1::2],
                sd=jnp.full(len(labels[1::2]), 1.0) * of_run,
                unit=terms.drop,
                labels=labels[1::2],
            ),
            Block(
                name="offset",
                level="run",
                basis=jnp.ones_like(memory[:1]),
                sd=_held_below(_LARGEST_OFFSET * reference, scales["offset"] * scales["noise"])[None],
            ),
        )

    def residual_sd(self, scales: Mapping[str, Array], terms: Terms, exposure: Exposure) -> Array:
        """Return a share of the local slope and of the drop that has been annealed, added in squares."""
        # of a short warm-up the share dies away too soon to tell
        begin = jnp.maximum(jnp.asarray(exposure.log_warmup), _EARLIEST)
        early = _share_of_warmup(jnp.asarray(exposure.log_area), begin)
        forward = terms.slope * (1.0 + self.residual_early * early)
        annealed = self.residual_annealing * terms.drop * jnp.asarray(exposure.removed)
        return scales.get("amplitude", self.amplitude) * scales["residual"] * jnp.sqrt(forward**2 + annealed**2)


def _share_of_warmup(log_area: Array, log_warmup: Array) -> Array:
    """Return the share of the area covered so far that the warm-up made, ``[n]``."""
    return jnp.exp(jnp.clip(log_warmup - log_area, -20.0, 0.0))


def _bends(log_area: Array, knots: Array) -> Array:
    """Return the shapes of the bends, ``[K, n]``."""
    places = knots[:, None]
    distance = log_area[None] - places
    # measured from the end of the longest run outwards: the law itself describes the loss there
    return jnp.maximum(jnp.where(places > 0.0, distance, -distance), 0.0)


def _bend_sd(scale: Array, knots: Array, slopes: Array, reference: Array) -> Array:
    # just after warm-up the share would grow beyond the slope itself
    share = scale * jnp.sqrt(slopes / reference)
    share = _held_below(_LARGEST_BEND, share)
    sd: Array = BEND_SPACING**0.5 * slopes * share * knots**2 / (knots**2 + _FADE**2)
    return sd


def _held_below(limit: float | Array, value: Array) -> Array:
    """Return a value as it is where it is small, and the limit where it is large."""
    held: Array = value / jnp.sqrt(1.0 + (value / limit) ** 2)
    return held
