"""Fewer observations, where they tell most.

A curve's shape lies in two places: early, where the loss falls steeply and evenly in log step, and wherever the rate
anneals. Thinning spends half of its budget evenly over the annealing part and the rest evenly in log step over the
whole curve; observations inside the warm-up are left out, since they are never fitted.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayeslr.curves.curve import LossCurve
from bayeslr.curves.sharing import shared

__all__ = ["annealing", "thin_masks"]


def annealing(curve: LossCurve) -> NDArray[np.bool_]:
    """Mark the observations of the annealing part.

    Parameters
    ----------
    curve
        The curve.

    Returns
    -------
    numpy.ndarray
        Bool, shape ``[n]``: True where the rate has changed since the end of the warm-up. The part is not over when the
        rate rests again: the loss goes on answering a drop for thousands of steps.
    """
    first = curve.schedule.warmup_steps
    changed = np.flatnonzero(curve.schedule.lr[first:] != curve.schedule.lr[first])
    if changed.size == 0:
        return np.zeros(len(curve), dtype=bool)
    return curve.steps > first + int(changed[0])


def thin_masks(curves: Sequence[LossCurve], max_points: int) -> tuple[NDArray[np.bool_], ...]:
    """Choose the observations to keep, the same ones on a prefix that several curves share.

    Each observation is chosen by the first curve that holds it. A later curve takes over what was chosen on the shared
    prefix and spends the rest of its budget (half of it at least) on its own observations.

    Parameters
    ----------
    curves
        The curves, in order.
    max_points
        Largest number of observations to keep a curve, 2 or more.

    Returns
    -------
    tuple of numpy.ndarray
        Bool, one array of shape ``[n]`` a curve. The first and the last observation after the warm-up are always kept.
    """
    kept: list[NDArray[np.bool_]] = []
    for i, curve in enumerate(curves):
        mine = curve.past_warmup.copy()
        inherited = np.zeros(len(curve), dtype=bool)
        for earlier, choice in zip(curves[:i], kept, strict=True):
            same = shared(curve, earlier)
            mine &= ~same
            inherited |= same & np.isin(curve.steps, earlier.steps[choice])
        kept.append(_choose(curve, mine, inherited & curve.past_warmup, max_points))
    return tuple(kept)


def _choose(curve: LossCurve, mine: NDArray[np.bool_], inherited: NDArray[np.bool_], budget: int) -> NDArray[np.bool_]:
    """Keep at most ``budget`` observations: own ones by the rule, inherited ones as far as there is room."""
    keep = np.zeros(len(curve), dtype=bool)
    usable = np.flatnonzero(curve.past_warmup)
    if usable.size == 0:
        return keep
    keep[usable[[0, -1]]] = True
    half = (budget + 1) // 2
    log_steps = np.log(curve.steps)

    anneal = mine & annealing(curve)
    _spread(keep, anneal, curve.steps.astype(np.float64), half - int((keep & anneal).sum()))
    own_budget = max(budget - int((inherited | keep).sum()), half - int((keep & mine).sum()))
    _spread(keep, mine, log_steps, min(own_budget, budget - int(keep.sum())))
    _spread(keep, inherited, log_steps, budget - int(keep.sum()))
    return keep


def _spread(keep: NDArray[np.bool_], among: NDArray[np.bool_], position: NDArray[np.float64], count: int) -> None:
    """Add ``count`` of the observations ``among``, evenly in ``position``, to ``keep``."""
    free = np.flatnonzero(among & ~keep)
    count = min(count, free.size)
    if count <= 0:
        return
    x = position[free]
    # Midpoints: the ends of the curve are kept already.
    targets = x[0] + (x[-1] - x[0]) * (np.arange(count) + 0.5) / count
    right = np.clip(np.searchsorted(x, targets), 1, x.size - 1) if x.size > 1 else np.zeros(count, dtype=np.int64)
    nearest = np.where(targets - x[right - 1] <= x[right] - targets, right - 1, right) if x.size > 1 else right
    # Where the wanted positions are denser than the observations, the neighbours are taken, each once.
    rank = np.arange(count)
    chosen = np.maximum.accumulate(nearest - rank) + rank
    chosen = np.minimum(chosen, free.size - count + rank)
    keep[free[chosen]] = True
