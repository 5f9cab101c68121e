"""Which observations are the same measurement, written down in several runs.

Runs branch: the cool-downs of a WSD experiment share their trunk with the constant run. The shared prefix is *one* set
of observations, and counting it once a branch makes posteriors too narrow. What is shared is read off the data, because
public logs rarely say it: two runs of the same size share an unbroken prefix, from the first step that both logged up
to the first common step at which their losses differ or by which their rates have parted.

The prefix matters. Losses are logged with four or five digits, so independent runs with the same rates agree at single
steps by chance (6 of 171 times between two constant runs of Multi-Power Law's 25M model); no trunk follows from that.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bayeslr.curves.curve import LossCurve
from bayeslr.schedules import Schedule

__all__ = ["common_updates", "owned", "relatives", "shared", "trunk_of", "trunks"]

_SAME_RATE = 1e-9
"""Rates are the same up to this share of the peak: room for the rounding of two formulas, below any logged digit."""


def common_updates(first: Schedule, second: Schedule, *, tolerance: float = _SAME_RATE) -> int:
    """Return how many updates two schedules begin with at the same rates.

    Parameters
    ----------
    first, second
        The schedules.
    tolerance
        Largest difference that counts as the same, as a share of the larger peak rate. Default 1e-9: rounding only.

    Returns
    -------
    int
        The largest ``k`` with ``first.lr[:k]`` equal to ``second.lr[:k]``.
    """
    n = min(first.total_steps, second.total_steps)
    parted = np.abs(first.lr[:n] - second.lr[:n]) > tolerance * max(first.peak_lr, second.peak_lr)
    return int(np.argmax(parted)) if parted.any() else n


def shared(curve: LossCurve, other: LossCurve) -> NDArray[np.bool_]:
    """Mark the observations of a curve that are the same measurements as another curve's.

    Parameters
    ----------
    curve, other
        The curves, of any sizes.

    Returns
    -------
    numpy.ndarray
        Bool, shape ``[n]`` of ``curve``: True within the prefix of common steps at which both have the same loss after
        the same rates. All False between different sizes or numbers of parameters.
    """
    mask = np.zeros(len(curve), dtype=bool)
    if (curve.size, curve.params) != (other.size, other.params):
        return mask
    steps, here, there = np.intersect1d(curve.steps, other.steps, assume_unique=True, return_indices=True)
    same = curve.loss[here] == other.loss[there]
    if not same[:1].all():  # nothing can be shared: spare the comparison of all the rates
        return mask
    same &= steps <= common_updates(curve.schedule, other.schedule)
    mask[here[np.logical_and.accumulate(same)]] = True
    return mask


def relatives(curves: Sequence[LossCurve]) -> tuple[dict[int, NDArray[np.bool_]], ...]:
    """Return, for each curve, the earlier ones with which it shares something, and what.

    Parameters
    ----------
    curves
        The curves, in order.

    Returns
    -------
    tuple of dict
        What :func:`shared` marks, by the other's index, ascending; those with which nothing is shared are left out.
    """
    found = []
    for curve, others in zip(curves, _agreeing(curves), strict=True):
        marks = {k: shared(curve, curves[k]) for k in sorted(others)}
        found.append({k: same for k, same in marks.items() if same.any()})
    return tuple(found)


def _agreeing(curves: Sequence[LossCurve]) -> list[set[int]]:
    """Find earlier curves of the same size that have the same loss at some step, without comparing all pairs."""
    if not curves:
        return []
    kinds = {kind: number for number, kind in enumerate(dict.fromkeys((curve.size, curve.params) for curve in curves))}
    run = np.repeat(np.arange(len(curves)), [len(curve) for curve in curves])
    kind = np.array([kinds[curve.size, curve.params] for curve in curves])[run]
    step = np.concatenate([curve.steps for curve in curves])
    loss = np.concatenate([curve.loss for curve in curves])
    order = np.lexsort((run, loss, step, kind))
    run, kind, step, loss = run[order], kind[order], step[order], loss[order]
    found: list[set[int]] = [set() for _ in curves]
    # equal measurements stand together: those that stand next to each other, then those two apart, and so on
    here, apart = np.arange(len(run)), 1
    while here.size:
        here = here[here + apart < len(run)]
        there = here + apart
        here = here[(kind[here] == kind[there]) & (step[here] == step[there]) & (loss[here] == loss[there])]
        for pair in np.unique(run[here] * len(curves) + run[here + apart]).tolist():
            earlier, later = divmod(pair, len(curves))
            found[later].add(earlier)
        apart += 1
    return found


def owned(curves: Sequence[LossCurve]) -> tuple[NDArray[np.bool_], ...]:
    """Mark the observations that no earlier curve holds already, so that each distinct one is counted once.

    Parameters
    ----------
    curves
        The curves, in the order that decides who owns what.

    Returns
    -------
    tuple of numpy.ndarray
        Bool, one array of shape ``[n]`` a curve: False where an earlier curve holds the same measurement.
    """
    masks = []
    for curve, others in zip(curves, relatives(curves), strict=True):
        masks.append(~np.any([np.zeros(len(curve), dtype=bool), *others.values()], axis=0))
    return tuple(masks)


def trunks(curves: Sequence[LossCurve]) -> tuple[int, ...]:
    """Return, for each curve, the earlier curve with which it went together longest.

    Parameters
    ----------
    curves
        The curves, in order.

    Returns
    -------
    tuple of int
        Index of the earlier curve whose last shared step is the greatest (of several the first), or -1 where nothing is
        shared.
    """
    return tuple(trunk_of(curve, others) for curve, others in zip(curves, relatives(curves), strict=True))


def trunk_of(curve: LossCurve, others: Mapping[int, NDArray[np.bool_]]) -> int:
    """Return which of a curve's relatives is its trunk, see :func:`trunks`; -1 where it has none."""
    return max(others, key=lambda k: int(curve.steps[others[k]][-1]), default=-1)
