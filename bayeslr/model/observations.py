"""The data of a fit as arrays: one row a run, padded to the same length, computed once in float64.

Everything that the likelihood needs of a schedule is in here, so that its cost does not depend on the number of
training steps, and so that two data sets of the same shape share one compiled program.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from bayeslr.curves import CurveSet, LossCurve, Setup, Sizes
from bayeslr.curves.scatter import ORDER, WHITE_NOISE, differences
from bayeslr.errors import ModelError
from bayeslr.forking import require_unforked
from bayeslr.laws import DEFAULT_WEIGHT_DECAY, Law, Scale, rate_removed, response
from bayeslr.laws.parameters import power_of_params
from bayeslr.model.bundles import Group
from bayeslr.model.effects import MEMORIES, ErrorModel, Exposure
from bayeslr.schedules import Schedule

__all__ = ["PADDED_TO", "Inputs", "Observations", "build_observations", "measure_scale", "prepare"]

_SHARED, _OWN = ("loss", "memory", "weight_decay", "jitter"), ("level_area", "level_rate", "batch")
"""What of the scale priors and reports refer to: of all sizes, and of each."""

PADDED_TO = 8
"""Similar data sets get the same shapes, and so the same compiled program: runs are padded to a multiple of this. Only
where no run has more than one observation, as of a grid of final losses, none is padded."""

_START = np.array([0.5, 1.0])
"""What the random start takes to die away, in square roots of the longest run."""

_UNMEASURED = 0.02
"""Scatter, as a share of the loss, where no run has enough observations to measure it."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a law and an error model see of a schedule at some steps.

    Parameters
    ----------
    features
        What the law computed.
    exposure
        What every error model gets.
    """

    features: Any
    exposure: Exposure


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Observations:
    """Arrays of ``R`` runs of ``S`` sizes, padded to ``n`` observations a run.

    Parameters
    ----------
    loss
        Observed loss, ``[R, n]``; where padded, the last one again.
    valid
        True where there is an observation, ``[R, n]``; padding comes last.
    inputs
        What law and error model see of the runs, each leaf ``[R, ...]``.
    of_law
        What the law's features of all runs have in common, arrays by name.
    size_of_run
        Index of the size of each run, ``[R]``.
    log_params
        Logarithm of the sizes' parameters relative to their geometric mean, ``[S]``; zero where unknown.
    knots
        The error model's places in log area, ``[K]``.
    scatter
        How far losses scatter from one observation to the next, ``[S]``: an upper bound of the noise, by which the
        sampler scales its coordinates. It has no influence on the posterior.
    scale
        The data's scale, a scalar each; ``level_area``, ``level_rate`` and ``batch`` are those of the sizes, ``[S]``.
    groups
        The runs that are computed together.
    """

    loss: Array
    valid: Array
    inputs: Inputs
    of_law: dict[str, Array]
    size_of_run: Array
    log_params: Array
    places: dict[str, Array]
    scatter: Array
    scale: dict[str, Array]
    groups: tuple[Group, ...]

    @property
    def single(self) -> bool:
        """Whether no run has more than one observation."""
        return self.valid.shape[1] == 1


def prepare(law: Law, schedule: Schedule, steps: NDArray[np.int64], scale: Scale, setup: Setup) -> Inputs:
    """Compute what law and error model see of a schedule, in float64 NumPy.

    Parameters
    ----------
    law
        The law, whose convention counts the area.
    schedule
        The schedule.
    steps
        Steps, ``[n]``; the last one may be repeated to fill up.
    scale
        The data's scale.
    setup
        Weight decay and batch size of the run.

    Returns
    -------
    Inputs
        Arrays whose shapes depend on ``n`` alone.

    Raises
    ------
    ModelError
        If a step lies outside the schedule, or no area has been covered by a step.
    BayeslrError
        If this process cannot compute, see :mod:`bayeslr.forking`.
    """
    # every curve that a model sees comes by here
    require_unforked()
    # of a schedule without a warm-up, what its first update covers
    log_areas = np.log(law.area(schedule, np.append(steps, max(schedule.warmup_steps, 1))) / scale.area)
    exposure = Exposure(
        log_area=log_areas[:-1],
        log_level_area=np.log(scale.area / scale.level_area),
        memory=response(schedule, steps, np.array(MEMORIES)).T / schedule.peak_lr,
        log_warmup=log_areas[-1],
        log_peak=np.log(schedule.peak_lr / scale.rate),
        log_batch=np.asarray(scale.log_batch(setup.batch_size)),
        removed=rate_removed(schedule, steps) / schedule.peak_lr,
        rate=schedule.lr[np.asarray(steps) - 1] / scale.rate,
        start=scale.loss * np.exp(-np.asarray(steps) / (scale.memory * _START[:, None])),
    )
    return Inputs(features=law.features(schedule, steps, scale, setup), exposure=exposure)


def measure_scale(curves: CurveSet, law: Law) -> Scale:
    """Measure the scale of curves: largest area and peak, in all and of each size, lowest loss, longest horizon.

    Laws take their parameters at an area, a rate and a batch size that are powers of the size's number of parameters,
    fitted to those of all sizes' longest runs; where some size's number is unknown, at those of its own longest run,
    and so with batches where no size has runs at several. Where most runs have a single observation, as in a grid of
    final losses, the longest run is one of those at the highest rates and in the smallest batches, whichever there are:
    there the geometric means of the rates and batches of a size's runs take the place of its longest run's, and errors
    count from those of its runs that come nearest. There a run that does not say its batch size counts as typical of
    its size.

    Parameters
    ----------
    curves
        Curves after warm-up.
    law
        The law, whose convention counts the area.

    Returns
    -------
    Scale
        The scale, which depends on the observed parts of the curves alone.
    """
    require_unforked()
    sizes = Sizes.of(curves)
    areas = np.array([float(law.area(curve.schedule, curve.steps[-1:])[0]) for curve in curves])
    rates = np.array([float(curve.schedule.lr[: curve.steps[-1]].max()) for curve in curves])
    index = np.array(sizes.index(curves))
    runs = [np.flatnonzero(index == k) for k in range(len(sizes))]
    longest = [max(of_size, key=lambda run: float(areas[run])) for of_size in runs]
    setups = np.array([areas, rates, _batches(curves, runs)])
    own, known = setups[:, longest], (setups > 0.0).all(axis=1)
    # a law without powers of the batch takes each size as it was trained
    known[2] &= curves.batches_differ
    level = own.copy()
    of_grid = np.flatnonzero(known[1:]) + 1 if curves.mostly_single_losses else ()
    for row in of_grid:
        level[row] = [_typical(setups[row, of_size]) for of_size in runs]
    # a power goes through one or two sizes as they are
    if len(sizes) > 2 and None not in sizes.params:
        log_params = np.log(np.array(sizes.params, dtype=float))
        level[known] = np.exp(power_of_params(log_params, np.log(level[known]), log_params))
    for row in of_grid:
        # values that runs have, so that sizes whose runs are at the same rates count from the same ones
        away = np.abs(np.log(setups[row] / level[row, index]))
        # a level halfway between two values must not be told by rounding
        order = np.lexsort((setups[row], away.round(6)))
        own[row] = [setups[row, order[np.isin(order, of_size)][0]] for of_size in runs]
    return Scale(
        area=float(areas.max()),
        rate=float(rates.max()),
        growth_rate=_typical(own[1]),
        areas=tuple(own[0].tolist()),
        rates=tuple(own[1].tolist()),
        batches=tuple(own[2].tolist()),
        level_areas=tuple(level[0].tolist()),
        level_rates=tuple(level[1].tolist()),
        level_batches=tuple(level[2].tolist()),
        loss=float(min(curve.loss.min() for curve in curves)),
        memory=float(max(curve.steps[-1] for curve in curves)) ** 0.5,
        weight_decay=_typical_weight_decay(curves),
        jitter=_jitter(curves, index),
    )


def _typical(values: NDArray[np.float64]) -> float:
    """Return the geometric mean."""
    return float(np.exp(np.log(values).mean()))


def _batches(curves: CurveSet, runs: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return batch sizes; an unknown one is typical of its size, or zero where the size has none that is known."""
    batches = np.array([curve.batch_size or 0.0 for curve in curves])
    for of_size in runs:
        known = batches[of_size] > 0.0
        if known.any():
            batches[of_size[~known]] = _typical(batches[of_size[known]])
    return batches


def _typical_weight_decay(curves: CurveSet) -> float:
    known = [curve.weight_decay for curve in curves if curve.weight_decay is not None]
    # a reference without any decay is as good as one with hardly any, and a scale is above zero
    return max(float(np.mean(known)), 1e-9) if known else DEFAULT_WEIGHT_DECAY


def _jitter(curves: CurveSet, size_of_run: NDArray[np.int64]) -> float:
    """Return how far losses scatter from one observation to the next, the mean of the sizes; 0 where nothing tells."""
    measured = [(size, curve) for size, curve in zip(size_of_run, curves, strict=True) if len(curve) > ORDER]
    sizes = {size: [curve for own, curve in measured if own == size] for size, _ in measured}
    return float(np.mean([_scatter(own) for own in sizes.values()])) if sizes else 0.0


def _scatter(curves: Sequence[LossCurve]) -> float:
    """Measure how far losses scatter from one observation to the next, by third differences."""
    loss = float(np.mean([curve.loss.mean() for curve in curves]))
    measured = [differences(curve.loss) for curve in curves if len(curve) > ORDER]
    if not measured:
        return _UNMEASURED * loss
    return max(float(np.median(np.concatenate(measured))) / WHITE_NOISE, 1e-6 * loss)


def _filled(array: NDArray[Any], width: int) -> NDArray[Any]:
    """Repeat the last value up to a length, so that every function of it stays finite."""
    return np.concatenate([array, np.repeat(array[-1:], width - len(array))])


def build_observations(
    curves: CurveSet, law: Law, errors: ErrorModel, scale: Scale
) -> tuple[Observations, tuple[str, ...]]:
    """Turn curves into the arrays of a fit; observations that an earlier curve owns are left out.

    Parameters
    ----------
    curves
        Curves after warm-up, thinned as wanted.
    law
        The law.
    errors
        The error model, which chooses its knots.
    scale
        The data's scale.

    Returns
    -------
    observations : Observations
        The arrays.
    runs : tuple of str
        Names of the runs of the rows: a curve all of whose observations belong to earlier curves has none.

    Raises
    ------
    ModelError
        If fewer than eight observations are left.
    """
    sizes = Sizes.of(curves)
    kept = curves.distinct()
    count = sum(map(len, kept))
    if count < 8:
        raise ModelError(f"curves: found {count} observations after warm-up; allowed: at least 8")
    longest = max(map(len, kept))
    width = PADDED_TO * -(-longest // PADDED_TO) if longest > 1 else 1
    size_of_run = sizes.index(kept)
    own = [scale.of_size(k) for k in range(len(sizes))]
    inputs = [
        prepare(law, curve.schedule, _filled(curve.steps, width), own[size], curve.setup)
        for curve, size in zip(kept, size_of_run, strict=True)
    ]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *inputs)
    features, of_law = law.compressed(stacked.features)
    known = [np.log(p) if p is not None else np.nan for p in sizes.params]
    centered = np.nan_to_num(np.array(known) - np.nanmean(known)) if np.isfinite(known).any() else np.zeros(len(known))
    scatter = [_scatter([c for c, size in zip(kept, size_of_run, strict=True) if size == k]) for k in range(len(sizes))]
    lowest = min(float(part.exposure.log_area[0]) for part in inputs)
    log_peaks = np.array([float(part.exposure.log_peak) for part in inputs])
    log_batches = np.array([float(part.exposure.log_batch) for part in inputs])
    observations = Observations(
        loss=jnp.asarray(np.stack([_filled(curve.loss, width) for curve in kept])),
        valid=jnp.asarray(np.stack([np.arange(width) < len(curve) for curve in kept])),
        inputs=jax.tree.map(jnp.asarray, replace(stacked, features=features)),
        of_law={name: jnp.asarray(array) for name, array in of_law.items()},
        size_of_run=jnp.asarray(np.array(size_of_run)),
        log_params=jnp.asarray(centered),
        places={name: jnp.asarray(array) for name, array in errors.places(lowest, log_peaks, log_batches).items()},
        scatter=jnp.asarray(np.array(scatter)),
        scale={name: jnp.asarray(getattr(scale, name)) for name in _SHARED}
        | {name: jnp.asarray([getattr(part, name) for part in own]) for name in _OWN},
        groups=Group.apart(list(map(len, kept)), size_of_run, len(sizes)),
    )
    return observations, tuple(curve.name for curve in kept)
