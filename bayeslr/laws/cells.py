"""A schedule as a few hundred cells, so that what a law computes does not grow with the number of updates.

A cell is a stretch of updates that count by their number and their mean rate. Cells end at every step that is asked
for, at the end of the warm-up and at every jump of the rate; between these, some share the updates evenly, some their
logarithm, and some the changes of the rate. Where few steps are asked for, fewer cells do, and do better: what a memory
holds at a step depends the less on where an update was the longer ago it was, so that cells before each of these steps
grow with the distance from it. Rates that go up and down again have as many cells as many steps have.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dtbtrs

from bayeslr.laws.areas import checked_updates, distinct
from bayeslr.schedules import Schedule

__all__ = ["Cells", "through_memories"]

_FEW = 4
"""So many steps are few. Each has cells before it, and is summed by itself, not by a recursion over all cells."""

_JUMPS = 128
"""Most jumps of the rate at which a cell ends: the largest."""

_JUMP = 0.01
"""Share of the peak by which the rate jumps from one update to the next."""


@dataclass(frozen=True, kw_only=True)
class _Shares:
    """How many cells share what, at most."""

    warmup: int
    even: int
    early: int
    by_change: int


_OF_MANY = _Shares(warmup=32, even=192, early=95, by_change=192)
_OF_FEW = _Shares(warmup=24, even=32, early=40, by_change=48)
_BEFORE = 48
"""Cells before each of few steps."""

_TURNS = 2.5
"""Sum of a rate's changes over its peak up to which it falls, or falls and rises and falls once more, and no more."""


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Consecutive stretches of updates from the first on.

    Parameters
    ----------
    lr
        Mean rate of each, ``[C]``.
    count
        Number of updates of each, ``[C]``.
    first
        Index of the first cell after the warm-up.
    at
        Index of the cell that ends at each step that was asked for, ``[n]``.
    """

    lr: NDArray[np.float64]
    count: NDArray[np.float64]
    first: int
    at: NDArray[np.int64]

    @classmethod
    def of(cls, schedule: Schedule, steps: NDArray[np.int64], through: tuple[int, ...] = ()) -> "Cells":
        """Cut a schedule into cells.

        Parameters
        ----------
        schedule
            The schedule.
        steps
            Steps at which something is asked, ``[n]``, in any order.
        through
            Further steps with which a cell ends. Default: none.

        Returns
        -------
        Cells
            Up to the last of these steps, and at least to the first update after the warm-up.

        Raises
        ------
        ModelError
            If a step lies outside the schedule.
        """
        asked = checked_updates(schedule, steps) + 1
        warmup = schedule.warmup_steps
        last = max(int(asked.max()), warmup + 1, *through)
        lr = schedule.lr[:last]
        apart = distinct(asked)
        change = np.abs(lr[warmup + 1 :] - lr[warmup:-1])
        few = apart.size <= _FEW
        shares = _OF_FEW if few and change.sum() <= _TURNS * schedule.peak_lr else _OF_MANY
        edges = [
            asked,
            np.array([warmup, warmup + 1, last, *through]),
            warmup * _parts(shares.warmup),
            warmup + (last - warmup) * _parts(shares.even),
            # early on, everything changes with the logarithm of time
            warmup + (last - warmup) ** _parts(shares.early),
        ]
        if few:
            distance = (apart[apart > warmup] - warmup)[:, None]
            edges.append((warmup + distance - distance ** _parts(_BEFORE)).ravel())
        largest = change.max(initial=0.0)
        if largest > 0.0:
            reached = np.cumsum(change)
            reached_at = np.searchsorted(reached, reached[-1] * _parts(shares.by_change)[:-1], side="right")
            edges.append(warmup + 1 + reached_at)
        if largest > _JUMP * schedule.peak_lr:
            jumps = np.flatnonzero(change > _JUMP * schedule.peak_lr)
            edges.append(warmup + 1 + jumps[np.argsort(change[jumps])[::-1][:_JUMPS]])
        # from 0, which the parts of the warm-up begin with
        bounds = distinct(np.concatenate(edges).round().astype(np.int64))
        starts, ends = bounds[:-1], bounds[1:]
        count = (ends - starts).astype(np.float64)
        return cls(
            lr=np.add.reduceat(lr, starts) / count,
            count=count,
            first=int(np.searchsorted(starts, warmup)),
            at=np.searchsorted(ends, asked),
        )

    def ending(self, step: int) -> int:
        """Return the index of the cell in which a step lies."""
        return int(np.searchsorted(np.cumsum(self.count), step))


@lru_cache(maxsize=16)
def _parts(count: int) -> NDArray[np.float64]:
    """Return the shares of a whole at which it is cut into so many parts, from 0 to 1."""
    return np.arange(count + 1) / count


def through_memories(
    values: NDArray[np.float64], passed: NDArray[np.float64], tau: NDArray[np.float64], at: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return what values look like through exponential memories, at the ends of some cells.

    Parameters
    ----------
    values
        Values of ``m`` quantities in each cell, ``[C, m]``. All memories hold the first of them at the start.
    passed
        How much time, or whatever the memories run in, passes in each cell, ``[C]``.
    tau
        The memories, ``[k]``.
    at
        The cells, ``[n]``.

    Returns
    -------
    numpy.ndarray
        ``[n, k, m]``.
    """
    asked = sorted(set(at.tolist()))
    if len(asked) > _FEW:
        return _recursion(values, passed, tau)[at]
    until, per_memory = np.cumsum(passed), np.reshape(1.0 / tau, (-1, 1))
    changes = values[:-1] - values[1:]
    seen = np.empty((len(asked), tau.size, values.shape[1]))
    for row, end in enumerate(asked):
        # the last value, but for what is left of each change since: the values before it are not forgotten yet
        left = np.exp((until[:end] - until[end]) * per_memory)
        seen[row] = left @ changes[:end] + values[end]
    return seen[np.searchsorted(asked, at)]


def _recursion(
    values: NDArray[np.float64], passed: NDArray[np.float64], tau: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what values look like through memories at the end of each cell, ``[C, k, m]``."""
    seen = np.empty((len(values), tau.size, values.shape[1]))
    bands = np.ones((2, len(values)), order="F")
    for column, memory in enumerate(tau):
        kept = np.exp(-passed / memory)
        # seen[j] = kept[j] * seen[j-1] + (1 - kept[j]) * values[j]: a bidiagonal system
        bands[1, :-1] = -kept[1:]
        right = (1.0 - kept)[:, None] * values
        right[0] = values[0]
        seen[:, column] = dtbtrs(bands, right, uplo="L", diag="U")[0]
    return seen
