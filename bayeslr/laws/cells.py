"""A schedule as a few hundred cells, so that what a law computes does not grow with the number of updates.

A cell is a stretch of updates that count by their number and their mean rate. Cells end at every step that is asked
for, at the end of the warm-up and at every jump of the rate; between these, some share the updates evenly, some their
logarithm, and some the changes of the rate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dtbtrs

from bayeslr.laws.areas import checked_updates, distinct
from bayeslr.schedules import Schedule

__all__ = ["Cells", "through_memories"]

_EVEN, _BY_CHANGE, _WARMUP = 192, 192, 32
_JUMPS = 128
_SHARES = {count: np.arange(count + 1) / count for count in (_EVEN, _BY_CHANGE, _WARMUP)}
_SHARES_OF_LOG = np.arange(_EVEN // 2) / (_EVEN // 2 - 1)
_JUMP = 0.01
"""Share of the peak by which the rate jumps from one update to the next."""

_FEW = 4
"""So many places are summed one by one; more of them by a recursion over all cells."""


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
    def of(cls, schedule: Schedule, steps: NDArray[np.int64]) -> "Cells":
        """Cut a schedule into cells.

        Parameters
        ----------
        schedule
            The schedule.
        steps
            Steps at which something is asked, ``[n]``, in any order.

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
        warmup, last = schedule.warmup_steps, max(int(asked.max()), schedule.warmup_steps + 1)
        lr = schedule.lr[:last]
        change = np.abs(lr[warmup + 1 :] - lr[warmup:-1])
        edges = [
            asked,
            np.array([warmup, warmup + 1, last]),
            warmup * _SHARES[_WARMUP],
            warmup + (last - warmup) * _SHARES[_EVEN],
            # early on, everything changes with the logarithm of time
            warmup + (last - warmup) ** _SHARES_OF_LOG,
        ]
        largest = change.max(initial=0.0)
        if largest > 0.0:
            reached = np.cumsum(change)
            shares = reached[-1] * _SHARES[_BY_CHANGE][:-1]
            edges.append(warmup + 1 + np.searchsorted(reached, shares, side="right"))
        if largest > _JUMP * schedule.peak_lr:
            jumps = np.flatnonzero(change > _JUMP * schedule.peak_lr)
            edges.append(warmup + 1 + jumps[np.argsort(change[jumps])[::-1][:_JUMPS]])
        # from 0, which the shares of the warm-up begin with
        bounds = distinct(np.concatenate(edges).round().astype(np.int64))
        starts, ends = bounds[:-1], bounds[1:]
        count = (ends - starts).astype(np.float64)
        return cls(
            lr=np.add.reduceat(lr, starts) / count,
            count=count,
            first=int(np.searchsorted(starts, warmup)),
            at=np.searchsorted(ends, asked),
        )


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
