"""Which of two counters in the same rows counts the updates behind a loss."""

import numpy as np
from numpy.typing import NDArray

from bayeslr.logs.columns import words_of

__all__ = ["begins_anew", "counts_updates_of", "is_own_clock", "one_by_one"]

_OPTIMISER = frozenset({"optimizer", "optimiser", "optim", "opt", "update", "updates"})
_ENDS_ALIKE = (0.5, 1.2)
"""A block of evaluations ends at about the last step of the block of training beside it."""


def is_own_clock(own: NDArray[np.float64], general: NDArray[np.float64], last: float, *, calls: bool) -> bool:
    """Return whether losses were measured at the steps of a counter of their own split.

    Two blocks may stand side by side, each with its steps, so that a row of the one has nothing to do with that of the
    other. A counter of evaluations, or of their batches, is none of updates.

    Parameters
    ----------
    own
        The split's own counter in each row of the log, shape ``[n]``; NaN where it is empty.
    general
        Any other counter there.
    last
        The last step of the other counter.
    calls
        Whether the other counter only counts calls of a logger.

    Returns
    -------
    bool
        True if they were.
    """
    rows = np.flatnonzero(~np.isnan(own))
    mine, theirs = own[rows], general[rows]
    if rows.size < 2 or one_by_one(mine) or (np.diff(mine) > 0).mean() < 0.9:
        return False
    both = ~np.isnan(theirs)
    if not both.any():
        return False
    if calls:
        return bool((mine[both] >= theirs[both]).all())
    block = rows[-1] == rows.size - 1 and rows.size <= 0.9 * own.size
    alike = _ENDS_ALIKE[0] * last <= mine[-1] <= _ENDS_ALIKE[1] * last
    near = bool((np.abs(mine - theirs)[both] <= np.median(np.diff(mine))).all())
    return bool(block and alike) or near


def counts_updates_of(mine: NDArray[np.float64], theirs: NDArray[np.float64], name: str, other: str) -> bool:
    """Return whether a counter counts the updates of which another counts the micro-batches.

    Parameters
    ----------
    mine, theirs
        The counter of micro-batches, and the one of updates, in the same rows, shape ``[n]``; NaN where empty.
    name, other
        Their names.

    Returns
    -------
    bool
        True if the name of the second says so and the first is a whole multiple of it throughout.
    """
    words, others = set(words_of(name)), set(words_of(other))
    if words & _OPTIMISER or not (others & _OPTIMISER or ("global" in others and "global" not in words)):
        return False
    both = ~(np.isnan(mine) | np.isnan(theirs))
    mine, theirs = mine[both], theirs[both]
    if theirs.size < 3 or theirs[-1] <= theirs[0] or theirs[-1] <= 0:
        return False
    times = round(float(mine[-1] / theirs[-1]))
    # rows that are counted one by one, each after ten steps, are no updates
    if times < 2 or (one_by_one(theirs) and times % 10 == 0):
        return False
    return bool((np.abs(mine - times * theirs) <= times).all())


def one_by_one(steps: NDArray[np.int64] | NDArray[np.float64]) -> bool:
    """Return whether steps are 0, 1, 2, ... or 1, 2, 3, ...; at least five of them."""
    return bool(steps.size >= 5 and steps[0] <= 1 and (np.diff(steps) == 1).all())


def begins_anew(steps: NDArray[np.int64], values: NDArray[np.float64]) -> bool:
    """Return whether losses go back to where they began when the steps do."""
    starts = np.flatnonzero(np.diff(steps) < 0) + 1
    begun = float(np.median(values[:3]))
    after = [float(np.median(values[start : start + 3])) for start in starts]
    before = [float(np.median(values[max(start - 3, 0) : start])) for start in starts]
    return any(abs(now - was) > abs(now - begun) for now, was in zip(after, before, strict=True))
