"""Fewer observations, where they tell most.

A curve's shape lies in two places: early, where the loss falls steeply and evenly in log step, and wherever the rate
anneals. Thinning spends half of its budget evenly over the annealing part and the rest evenly in log step over the
whole curve; observations inside the warm-up are left out, since they are never fitted.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bayeslr.curves.curve import LossCurve
from bayeslr.curves.sharing import relatives, trunk_of

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
    prefix and spends the rest of its budget (half of it at least) on its own observations. The last observation that a
    curve shares with its trunk is kept in both, so that it is known after thinning where they parted.

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
    family = relatives(curves)
    partings = _partings(curves, family)
    kept: list[NDArray[np.bool_]] = []
    for i, (curve, others) in enumerate(zip(curves, family, strict=True)):
        mine = curve.past_warmup.copy()
        inherited = np.zeros(len(curve), dtype=bool)
        for k, same in others.items():
            mine &= ~same
            inherited |= same & np.isin(curve.steps, curves[k].steps[kept[k]])
        kept.append(_choose(curve, mine, inherited & curve.past_warmup, partings[i], max_points))
    return tuple(kept)


def _partings(
    curves: Sequence[LossCurve], family: Sequence[Mapping[int, NDArray[np.bool_]]]
) -> list[NDArray[np.bool_]]:
    """Mark in each curve the last observations that it shares with its trunk and with the curves whose trunk it is."""
    marks = [np.zeros(len(curve), dtype=bool) for curve in curves]
    for i, (curve, others) in enumerate(zip(curves, family, strict=True)):
        trunk = trunk_of(curve, others)
        if trunk >= 0:
            last = int(curve.steps[others[trunk]][-1])
            for k in (i, trunk):
                marks[k] |= (curves[k].steps == last) & curves[k].past_warmup
    return marks


def _choose(
    curve: LossCurve,
    mine: NDArray[np.bool_],
    inherited: NDArray[np.bool_],
    parting: NDArray[np.bool_],
    budget: int,
) -> NDArray[np.bool_]:
    """Keep at most ``budget`` observations: own ones by the rule, inherited ones as far as there is room."""
    keep = np.zeros(len(curve), dtype=bool)
    usable = np.flatnonzero(curve.past_warmup)
    if usable.size == 0:
        return keep
    keep[usable[[0, -1]]] = True
    half = (budget + 1) // 2
    steps = curve.steps.astype(np.float64)

    # A trunk with more branches than room keeps some of the partings.
    _spread(keep, parting, steps, min(int(parting.sum()), budget // 2 - 1))
    anneal = mine & annealing(curve)
    _spread(keep, anneal, steps, min(half - int((keep & anneal).sum()), budget - int(keep.sum())))
    own = max(budget - int((inherited | keep).sum()), half - int((keep & mine).sum()))
    _spread(keep, mine, np.log(steps), min(own, budget - int(keep.sum())))
    _spread(keep, inherited, np.log(steps), budget - int(keep.sum()))
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
    right = np.minimum(np.searchsorted(x, targets), x.size - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.where(targets - x[left] <= x[right] - targets, left, right)
    # Where the wanted positions are denser than the observations, the neighbours are taken, each once.
    rank = np.arange(count)
    chosen = np.minimum(np.maximum.accumulate(nearest - rank) + rank, free.size - count + rank)
    keep[free[chosen]] = True
