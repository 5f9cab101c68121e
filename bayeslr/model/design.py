"""The data of a fit as arrays: one row a run, padded to the same length, computed once in float64.

Everything that the likelihood needs of a schedule is in here, so that its cost does not depend on the number of
training steps, and so that two data sets of the same shape share one compiled program.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import jax
import numpy as np
from jax import Array
from numpy.typing import ArrayLike, NDArray

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.errors import ModelError
from bayeslr.laws import AnnealingLaw, Features, Scale, chebyshev

__all__ = [
    "BEND_SPACING",
    "MEMORIES",
    "Design",
    "build_design",
    "future_knots",
    "measure_scale",
    "memory_responses",
    "size_labels",
]

MEMORIES = tuple(float(tau) for tau in np.geomspace(10.0, 30_000.0, 8))
"""Memories, in steps, over which the discrepancy spreads the annealing response: from ten steps to a whole run."""

BEND_SPACING = 0.25
"""Distance in log S1 of the knots at which the forward curve may bend."""


# Similar data sets get the same shapes, and so the same compiled program: padding is masked, and a bend before the
# first observation has no influence on any.
_WIDTHS, _KNOTS = 8, 4


def _rounded_up(count: int, multiple: int) -> int:
    return multiple * max(1, -(-count // multiple))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Design:
    """Arrays of ``R`` runs of ``S`` sizes, padded to ``n`` observations a run.

    Parameters
    ----------
    loss
        Observed loss, ``[R, n]``; zero where padded.
    valid
        True where there is an observation, ``[R, n]``; padding comes last.
    log_area
        ``log(S1 / scale.area)``, ``[R, n]``.
    response
        Annealing response on the Chebyshev basis over ``scale.rate``, ``[R, n, 48]``.
    by_area
        The same with a memory that runs in area, ``[R, n, 24]``.
    removed
        Rate removed so far over ``scale.rate``, ``[R, n]``.
    rate
        Rate of the last update over ``scale.rate``, ``[R, n]``.
    memory
        Response through each of :data:`MEMORIES`, ``[R, 8, n]``.
    size_of_run
        Index of the size of each run, ``[R]``.
    log_params
        Logarithm of the sizes' parameters relative to their geometric mean, ``[S]``; zero where unknown.
    knots
        Places in ``log_area`` where the forward curve may bend, ``[K]``.
    scatter
        How far losses scatter from one observation to the next, ``[S]``: an upper bound of the noise, by which the
        sampler scales its coordinates. It has no influence on the posterior.
    scale
        The data's scale: ``area, rate, loss, memory``, each a scalar.
    """

    loss: Array
    valid: Array
    log_area: Array
    response: Array
    by_area: Array
    removed: Array
    rate: Array
    memory: Array
    size_of_run: Array
    log_params: Array
    knots: Array
    scatter: Array
    scale: dict[str, Array]

    @property
    def features(self) -> Features:
        """The features as a law takes them."""
        return Features(
            log_area=self.log_area,
            response=self.response,
            by_area=self.by_area,
            removed=self.removed,
            rate=self.rate,
        )


def size_labels(curves: CurveSet) -> tuple[tuple[str, ...], tuple[float | None, ...], tuple[int, ...]]:
    """Group curves by model size.

    Parameters
    ----------
    curves
        The curves.

    Returns
    -------
    labels : tuple of str
        One label a size: the curve's own, else its parameters, else ``"all"``; in ascending order of parameters.
    params : tuple of float or None
        Parameters of each size.
    index : tuple of int
        For each curve the index of its size.
    """
    keys = [(curve.size, curve.params) for curve in curves]
    unique = sorted(dict.fromkeys(keys), key=lambda key: (key[1] is None, key[1] or 0.0, key[0] or ""))
    labels = [label if label else ("all" if params is None else f"{params:.4g}") for label, params in unique]
    labels = [
        label if labels.count(label) == 1 else f"{label} ({params:.4g})" if params is not None else f"{label} (?)"
        for label, (_, params) in zip(labels, unique, strict=True)
    ]
    return tuple(labels), tuple(params for _, params in unique), tuple(unique.index(key) for key in keys)


def measure_scale(curves: CurveSet, law: AnnealingLaw) -> Scale:
    """Measure the scale of curves: largest area, largest peak, lowest loss, longest horizon.

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
    unit = Scale(area=1.0, rate=1.0, loss=1.0, memory=1.0)
    areas = [law.features(curve.schedule, curve.steps[-1:], unit).log_area[0] for curve in curves]
    return Scale(
        area=float(np.exp(max(areas))),
        rate=max(float(curve.schedule.lr[: curve.steps[-1]].max()) for curve in curves),
        loss=float(min(curve.loss.min() for curve in curves)),
        memory=float(max(curve.steps[-1] for curve in curves)) ** 0.5,
    )


def future_knots(log_area: float) -> NDArray[np.float64]:
    """Return the knots between the reference area and a larger one, at which a forecast may bend."""
    count = int(np.floor(max(log_area, 0.0) / BEND_SPACING))
    return BEND_SPACING * np.arange(1, count + 1, dtype=np.float64)


def memory_responses(response: ArrayLike) -> NDArray[np.float64]:
    """Return the responses through each of :data:`MEMORIES`, ``[..., 8, n]``, given coefficients, ``[..., n, 48]``."""
    responses: NDArray[np.float64] = np.swapaxes(np.asarray(response) @ _at_memories(), -1, -2)
    return responses


@lru_cache(maxsize=1)
def _at_memories() -> NDArray[np.float64]:
    return np.asarray(chebyshev(np.log(np.array(MEMORIES))))


def _scatter(curves: Sequence[LossCurve]) -> float:
    """Measure how far losses scatter from one observation to the next, by third differences."""
    differences = np.concatenate([np.diff(curve.loss, 3) for curve in curves if len(curve) > 3] or [np.zeros(1)])
    typical = float(np.median(np.abs(differences))) / (0.6745 * float(np.sqrt(20.0)))  # of the sd of white noise
    least = 1e-6 * float(np.mean([curve.loss.mean() for curve in curves]))
    return max(typical, least)


def build_design(curves: CurveSet, law: AnnealingLaw, scale: Scale) -> tuple[Design, tuple[str, ...]]:
    """Turn curves into the arrays of a fit; observations that an earlier curve owns are left out.

    Parameters
    ----------
    curves
        Curves after warm-up, thinned as wanted.
    law
        The law.
    scale
        The data's scale.

    Returns
    -------
    design : Design
        The arrays.
    runs : tuple of str
        Names of the runs of the rows: a curve all of whose observations belong to earlier curves has none.

    Raises
    ------
    ModelError
        If fewer than eight observations are left.
    """
    _, params, size_of_curve = size_labels(curves)
    kept: list[tuple[LossCurve, int]] = []
    for curve, own, size in zip(curves, curves.owned(), size_of_curve, strict=True):
        if own.any():
            kept.append((curve.take(own), size))
    count = sum(len(curve) for curve, _ in kept)
    if count < 8:
        raise ModelError(f"curves: found {count} observations after warm-up; allowed: at least 8")
    width = _rounded_up(max(len(curve) for curve, _ in kept), _WIDTHS)
    features = [law.features(curve.schedule, curve.steps, scale) for curve, _ in kept]

    def padded(arrays: Sequence[ArrayLike]) -> Array:
        # padding repeats the last observation, so that every function of it stays finite
        whole = [np.asarray(array, dtype=np.float64) for array in arrays]
        rows = [np.concatenate([a, np.repeat(a[-1:], width - len(a), axis=0)]) for a in whole]
        return jax.numpy.asarray(np.stack(rows))

    valid = np.stack([np.arange(width) < len(curve) for curve, _ in kept])
    known = [np.log(p) if p is not None else np.nan for p in params]
    centered = np.nan_to_num(np.array(known) - np.nanmean(known)) if np.isfinite(known).any() else np.zeros(len(known))
    scatter = np.array([_scatter([curve for curve, size in kept if size == k]) for k in range(len(params))])
    start = min(float(f.log_area[0]) for f in features)
    response = padded([f.response for f in features])
    design = Design(
        loss=padded([curve.loss for curve, _ in kept]),
        valid=jax.numpy.asarray(valid),
        log_area=padded([f.log_area for f in features]),
        response=response,
        by_area=padded([f.by_area for f in features]),
        removed=padded([f.removed for f in features]),
        rate=padded([f.rate for f in features]),
        memory=jax.numpy.asarray(memory_responses(response)),
        size_of_run=jax.numpy.asarray(np.array([size for _, size in kept])),
        log_params=jax.numpy.asarray(centered),
        knots=jax.numpy.asarray(-BEND_SPACING * np.arange(_rounded_up(round(-start / BEND_SPACING), _KNOTS))),
        scatter=jax.numpy.asarray(scatter),
        scale={name: jax.numpy.asarray(float(getattr(scale, name))) for name in ("area", "rate", "loss", "memory")},
    )
    return design, tuple(curve.name for curve, _ in kept)
