"""The two areas under a learning-rate schedule that the law is made of.

With the rate ``lr_i`` of update ``i = 1..s`` (Tissue, Wang, Wang 2024, arXiv 2408.11029, equations 1-3)::

    S1(s) = sum_{i=1..s} lr_i                                   forward area
    m_i   = decay * m_{i-1} + (lr_{i-1} - lr_i),  m_1 = 0       annealing momentum
    S2(s) = sum_{i=1..s} m_i                                    annealing area

Solving the recursion shows that ``S2 * (1 - decay)`` is a *response*, the rate removed so far seen through an
exponential memory of ``tau = 1 / (1 - decay)`` steps::

    response(s) = sum_{k<=s} (lr_{k-1} - lr_k) * (1 - decay^(s-k+1)) = (rate removed by s) - decay * m_s

It is zero at a constant rate, and tends to the rate removed when the rate has been at rest for many ``tau``. The law
needs it at the observed steps only, so the momentum is summed in blocks: one matrix product, then one step of a
recursion a block.

Warm-up: ``"as_logged"`` takes the rates as they were and counts as annealing only changes after the peak is first
reached; ``"peak"`` is the paper's convention, in which warm-up updates count at the peak rate, in both areas.
"""

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dtbtrs

from bayeslr.errors import ModelError
from bayeslr.schedules import Schedule

__all__ = [
    "Warmup",
    "annealing_area",
    "area_response",
    "checked_updates",
    "counted_rates",
    "distinct",
    "forward_area",
    "rate_removed",
    "response",
]

type Warmup = Literal["as_logged", "peak"]

_BLOCK = 128

_AT_ONCE = 8192
"""Observations of which the blocks are held at a time, 8 MB."""

_CELLS = 8192
"""Most cells of a schedule in :func:`area_response`."""

_REACH = 64.0
"""Length in peak updates of the blocks there: weights within one span less than exp(6.4), so sums keep their digits."""


def counted_rates(schedule: Schedule, warmup: Warmup = "as_logged") -> NDArray[np.float64]:
    """Return the rates that the forward area counts.

    Parameters
    ----------
    schedule
        The schedule of ``T`` updates.
    warmup
        ``"as_logged"``: the rates as they are; ``"peak"``: warm-up updates at the peak rate, as in the paper.

    Returns
    -------
    numpy.ndarray
        Rates, shape ``[T]``.

    Raises
    ------
    ModelError
        If `warmup` is not one of the two conventions.
    """
    if warmup == "as_logged":
        return schedule.lr
    if warmup == "peak":
        rates = schedule.lr.copy()
        rates[: schedule.warmup_steps] = rates[schedule.warmup_steps]
        return rates
    raise ModelError(f"warmup: found {warmup!r}; allowed: 'as_logged', 'peak'")


def checked_updates(schedule: Schedule, steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Check the steps of a question and return the index of the last update that each has seen."""
    steps = np.asarray(steps, dtype=np.int64)
    if steps.ndim != 1 or steps.size == 0:
        raise ModelError(f"steps: found an array of shape {steps.shape}; allowed: one dimension, at least one step")
    if steps.min() < 1 or steps.max() > schedule.total_steps:
        bad = int(steps.min()) if steps.min() < 1 else int(steps.max())
        raise ModelError(f"steps: found {bad}; allowed: 1 to {schedule.total_steps}, the steps of the schedule")
    return steps - 1


def distinct(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return distinct whole numbers in ascending order; of a few hundred NumPy's own function takes longer."""
    ordered = np.sort(counts)
    found: NDArray[np.int64] = ordered[np.concatenate([[True], ordered[1:] > ordered[:-1]])]
    return found


def forward_area(schedule: Schedule, steps: NDArray[np.int64], *, warmup: Warmup = "as_logged") -> NDArray[np.float64]:
    """Return S1, the sum of the rates that a loss has seen.

    Parameters
    ----------
    schedule
        The schedule.
    steps
        Steps of the observations, shape ``[n]``, from 1 to the schedule's length.
    warmup
        How warm-up is counted, see :func:`counted_rates`.

    Returns
    -------
    numpy.ndarray
        S1 in units of rate times steps, shape ``[n]``.

    Raises
    ------
    ModelError
        If a step lies outside the schedule.
    """
    last = checked_updates(schedule, steps)
    ends = distinct(last)
    # a sum up to the first step, and one from each to the next
    pieces = np.add.reduceat(counted_rates(schedule, warmup)[: ends[-1] + 1], np.concatenate([[0], ends[:-1] + 1]))
    seen: NDArray[np.float64] = np.cumsum(pieces)[np.searchsorted(ends, last)]
    return seen


def rate_removed(schedule: Schedule, steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the rate removed since the peak was first reached: that peak minus the rate of the last update.

    Parameters
    ----------
    schedule
        The schedule.
    steps
        Steps of the observations, shape ``[n]``.

    Returns
    -------
    numpy.ndarray
        In units of the rate, shape ``[n]``; negative after a re-warm-up above the first peak, zero inside warm-up.

    Raises
    ------
    ModelError
        If a step lies outside the schedule.
    """
    last = checked_updates(schedule, steps)
    return np.where(last > schedule.warmup_steps, schedule.lr[schedule.warmup_steps] - schedule.lr[last], 0.0)


def _first_change(schedule: Schedule, length: int) -> int:
    """Return the index of the first update after warm-up whose rate is not the peak; `length` or more if none is."""
    start = schedule.warmup_steps + 1
    changed = schedule.lr[start:length] != schedule.lr[start - 1]
    return start + (int(changed.argmax()) if changed.any() else changed.size)


@lru_cache(maxsize=64)
def _powers(decay: tuple[float, ...]) -> NDArray[np.float64]:
    """Return powers of decays, from 0 up to the length of a block, ``[_BLOCK + 1, k]``."""
    powers: NDArray[np.float64] = np.asarray(decay) ** np.arange(_BLOCK + 1, dtype=np.float64)[:, None]
    return powers


def response(schedule: Schedule, steps: NDArray[np.int64], tau: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``S2 * (1 - decay)`` for several memories at once.

    Parameters
    ----------
    schedule
        The schedule. Warm-up needs no convention here: under both, warm-up removes no rate.
    steps
        Steps of the observations, shape ``[n]``, in any order.
    tau
        Memories in steps, ``1 / (1 - decay)``, shape ``[k]``, each >= 1.

    Returns
    -------
    numpy.ndarray
        In units of the rate, shape ``[n, k]``. Multiply by `tau` to get S2.

    Raises
    ------
    ModelError
        If a step lies outside the schedule, or a memory is shorter than one step.

    Notes
    -----
    Exact up to rounding; the cost is one ``[k, 128] @ [128, T / 128]`` product, a first-order recursion over the blocks
    and ``[n, 128] @ [128, k]`` for the observations. No Python loop runs over steps or blocks: 48 memories over 1e7
    steps take about 0.3 s.
    """
    tau = np.asarray(tau, dtype=np.float64)
    if tau.ndim != 1 or tau.size == 0 or not np.all(tau >= 1.0):
        raise ModelError("tau: found a memory below one step or no memory; allowed: one or more of at least 1 step")
    last = checked_updates(schedule, steps)
    length = int(last.max()) + 1
    first = _first_change(schedule, length)
    changes = schedule.lr[first - 1 : length - 1] - schedule.lr[first:length]
    blocks = np.zeros((max(1, -(-changes.size // _BLOCK)), _BLOCK))
    blocks.ravel()[: changes.size] = changes
    decay = 1.0 - 1.0 / tau
    # powers[j] weighs a change j updates before the end of a block
    powers = _powers(tuple(decay.tolist()))
    powers, leap = powers[:-1], powers[-1]
    # one contiguous row a memory: the sum within each block, then the momentum carried into the next one
    ends = powers[::-1].T @ blocks.T
    carried = np.zeros_like(ends)
    if len(blocks) > 1:
        # carried[k] - leap * carried[k-1] = ends[k-1]: a bidiagonal system of all memories
        bands = np.ones((2, tau.size, len(blocks) - 1))
        bands[1, :, :-1], bands[1, :, -1] = -leap[:, None], 0.0
        solved = dtbtrs(np.asfortranarray(bands.reshape(2, -1)), ends[:, :-1].reshape(-1, 1), uplo="L", diag="U")[0]
        carried[:, 1:] = solved.reshape(tau.size, -1)
    lagged: NDArray[np.float64] = np.repeat(rate_removed(schedule, steps)[:, None], tau.size, axis=1)
    for begin in range(0, last.size, _AT_ONCE):
        part = slice(begin, begin + _AT_ONCE)
        since = last[part, None] - first
        home, offset = np.divmod(np.maximum(since[:, 0], 0), _BLOCK)
        # row r of `recent` holds the changes of its block from the observation backwards, zero before the block's start
        reach = offset[:, None] - np.arange(_BLOCK)[None, :]
        recent = np.where(reach >= 0, blocks[home[:, None], np.maximum(reach, 0)], 0.0)
        momentum = recent @ powers + carried[:, home].T * decay ** (offset[:, None] + 1.0)
        lagged[part] -= np.where(since >= 0, decay * momentum, 0.0)
    return lagged


def area_response(schedule: Schedule, steps: NDArray[np.int64], tau: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the response whose memory runs in area instead of in steps: low rates are slow to take effect.

    With ``v_i = lr_i / peak`` and ``A_i = v_1 + .. + v_i``, a change at update ``k`` counts at step ``s`` with weight
    ``1 - exp(-(A_s - A_{k-1}) / tau)``; at a constant rate this is the memory of :func:`response`.

    Parameters
    ----------
    schedule
        The schedule.
    steps
        Steps of the observations, shape ``[n]``, in any order.
    tau
        Memories in updates at the peak rate, shape ``[k]``, each >= 10.

    Returns
    -------
    numpy.ndarray
        In units of the rate, shape ``[n, k]``.

    Raises
    ------
    ModelError
        If a step lies outside the schedule.

    Notes
    -----
    Exact for schedules of up to 8192 updates. Longer ones are summed in that many cells, which end at the observations,
    so that nothing is seen before it happened; changes within a cell count from its middle.
    """
    last = checked_updates(schedule, steps)
    length = int(last.max()) + 1
    # cells begin before the first change, and so does the area: only what is covered after a change matters to it
    begin = min(_first_change(schedule, length), length) - 1
    last = np.maximum(last, begin)
    span = length - begin
    count = max(1, span * min(_CELLS, length) // length)
    ends = begin + _union(np.arange(1, count + 1) * span // count - 1, last - begin, span)
    starts = np.append(begin, ends[:-1] + 1)
    area = np.cumsum(np.add.reduceat(schedule.lr[begin:length], starts - begin)) / schedule.peak_lr
    # what changes within a cell is what its ends differ by, from the peak on
    rate = schedule.lr[np.maximum(np.append(starts - 1, ends[-1]), schedule.warmup_steps)]
    change = np.where(ends > schedule.warmup_steps, rate[:-1] - rate[1:], 0.0)
    since = (np.append(0.0, area[:-1]) + area - schedule.lr[ends] / schedule.peak_lr) / 2.0
    # a cell without a change adds nothing; the first one stays, so that every observation has one before it
    kept = np.append(0, 1 + np.flatnonzero(change[1:]))
    cell = np.searchsorted(ends[kept], last, side="right") - 1
    change, since = change[kept], since[kept]
    # blocks of cells: within one, plain sums of weights that stay small; from one to the next, a recursion
    home = np.floor(since / _REACH).astype(int)
    opening = np.flatnonzero(np.diff(home, prepend=-1))
    block = np.searchsorted(opening, cell, side="right") - 1
    origin = _REACH * home[opening]
    local = since - np.repeat(origin, np.diff(opening, append=len(since)))
    weighted = local[:, None] / tau
    np.exp(weighted, out=weighted)
    weighted *= change[:, None]
    # sums up to where a block opens or an observation has been reached: no others are needed
    places = _union(opening, cell + 1, len(since) + 1)
    pieces = np.add.reduceat(weighted, places[places < len(since)], axis=0)
    summed = np.concatenate([np.zeros((1, tau.size)), np.cumsum(pieces, axis=0)])
    before = summed[np.searchsorted(places, opening)]
    totals = np.diff(before, axis=0)
    leaps = np.exp(-np.diff(origin)[:, None] / tau)
    carried = np.zeros_like(before)
    if len(origin) > 1:
        bands = np.ones((2, len(origin) - 1), order="F")
        for column in range(tau.size):
            # carried[b] = leap[b] * (carried[b-1] + totals[b-1])
            bands[1, :-1] = -leaps[1:, column]
            carried[1:, column] = dtbtrs(bands, leaps[:, column] * totals[:, column], uplo="L", diag="U")[0]
    within = summed[np.searchsorted(places, cell + 1)] - before[block]
    pending = (carried[block] + within) * np.exp(-(area[np.searchsorted(ends, last)] - origin[block])[:, None] / tau)
    arrived: NDArray[np.float64] = rate_removed(schedule, steps)[:, None] - pending
    return arrived


def _union(first: NDArray[np.int64], second: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Return the sorted union of whole numbers below a length; NumPy's own takes ten times as long."""
    found = np.zeros(length, dtype=bool)
    found[first] = True
    found[second] = True
    return np.flatnonzero(found)


def annealing_area(schedule: Schedule, steps: NDArray[np.int64], decay: float) -> NDArray[np.float64]:
    """Return S2, the annealing area with momentum.

    Parameters
    ----------
    schedule
        The schedule.
    steps
        Steps of the observations, shape ``[n]``.
    decay
        The decay of the momentum (the paper's lambda), from 0 up to but not including 1.

    Returns
    -------
    numpy.ndarray
        S2 in units of rate times steps, shape ``[n]``; negative values are possible after a re-warm-up.

    Raises
    ------
    ModelError
        If `decay` or a step lies outside its range.
    """
    if not 0.0 <= decay < 1.0:
        raise ModelError(f"decay: found {decay!r}; allowed: 0 <= decay < 1")
    tau = 1.0 / (1.0 - decay)
    return response(schedule, steps, np.array([tau]))[:, 0] * tau
