"""Evaluations that were written among the training losses, under the same name, and are told apart by nothing said."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayeslr.logs.limits import ARE, counted
from bayeslr.logs.rawlog import Column

__all__ = ["evaluations_among", "regular"]

_FEW = 3
_SURE = 6.0
"""Standard errors by which losses differ from those beside them if they were measured on something else."""


def evaluations_among(losses: Column, rates: Column, counters: Sequence[Column]) -> tuple[NDArray[np.bool_], str]:
    """Look for the rows without a rate among rows with one, as evaluations among the training losses are.

    Parameters
    ----------
    losses
        The losses, finite.
    rates
        The rates.
    counters
        The columns that may count the steps; the fullest is taken.

    Returns
    -------
    keep : numpy.ndarray
        True for each loss to keep.
    note : str
        What is left out; empty where nothing is.
    """
    keep = np.isin(losses.rows, rates.rows)
    every = np.ones(keep.size, dtype=bool)
    bare, rated = np.flatnonzero(~keep), np.flatnonzero(keep)
    steps = max(counters, key=lambda column: column.rows.size)
    if not _FEW <= bare.size <= 0.5 * rated.size or not np.isin(losses.rows, steps.rows).all():
        return every, ""
    at = steps.values[np.searchsorted(steps.rows, losses.rows)]
    if not np.isfinite(at).all() or (np.diff(at) < 0).mean() > 0.25:
        return every, ""
    # rates that begin late, or that end early, say nothing about the rest
    places = np.flatnonzero(np.diff(bare, prepend=-2) > 1)
    spread = bare[0] < keep.size / 3 and bare[-1] > 2 * keep.size / 3 and rated[0] < keep.size / 10
    if places.size < _FEW or not spread:
        return every, ""
    again = np.isin(at[bare], at[rated]).mean() >= 0.9
    if not (again or regular(at[bare], at[rated]) or _differ(losses.values, keep)):
        return every, ""
    return keep, (
        f"{counted(bare.size, 'loss', ARE)} in rows without a rate among rows with one (the first at step "
        f"{at[bare[0]]:.0f}), as evaluations among training losses: left out; write them under a name of their own, "
        "such as val_loss, to have them read"
    )


def regular(some: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Return whether steps are evenly apart, and further than others.

    Parameters
    ----------
    some
        The steps, in order, shape ``[n]``; each may be there several times.
    others
        Those of the other rows.

    Returns
    -------
    bool
        True if at least nine in ten distances are one number, and half as much again as that of the others.
    """
    gaps, usual = np.diff(np.unique(some)), np.diff(np.unique(others))
    if gaps.size < 2 or not usual.size:
        return False
    gap = float(np.median(gaps))
    return bool((np.abs(gaps - gap) <= 0.02 * gap).mean() >= 0.9 and gap >= 1.5 * np.median(usual))


def _differ(values: NDArray[np.float64], keep: NDArray[np.bool_]) -> bool:
    """Return whether the losses that are not kept differ from those beside them by more than their noise."""
    at, rated = np.flatnonzero(~keep), np.flatnonzero(keep)
    # the beginning of a run is too steep to compare
    at = at[at > rated[min(10, rated.size - 1)]]
    if at.size < 2 * _FEW:
        return False
    off = values[at] - np.interp(at, rated, values[rated])
    error = float(np.std(off)) / np.sqrt(off.size)
    return bool(abs(float(np.mean(off))) > _SURE * error)
