"""Which of several columns is the rate, and what is odd about it."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bayeslr.curves.branches import logging_interval
from bayeslr.curves.rates import is_switched_off
from bayeslr.logs.rawlog import Column
from bayeslr.schedules.schedule import rise_end

__all__ = [
    "chosen_rate",
    "odd_falls",
    "odd_levels",
    "odd_peak",
    "odd_repeats",
    "odd_rises",
    "odd_span",
    "one_a_change",
    "times_multiplier",
    "without_tiny_negatives",
    "without_wild",
]

_TELLING = 0.01
"""Share of a run in which a rate that nobody logged may matter."""
_MULTIPLIER = 0.5
"""Rates from here on are hardly those of an optimiser of language models."""
_THROUGHOUT = 0.95
_VISIBLE = 0.03
"""Share by which a rate falls in one piece, between two stretches at a constant rate."""
_BETWEEN = (
    "the rate {} from {:.4g} at step {} to {:.4g} at step {}: it is interpolated between them; give the `schedule` if "
    "it {} at once"
)
_OVER = (
    "the last logged rate, at step {last}, is 0 after {rate:.4g} at step {before}: taken for the end of the run, so "
    "that the rate stays what it was; give the `schedule` if the rate fell to 0"
)


def chosen_rate(columns: Mapping[str, Column], names: Sequence[str]) -> tuple[str | None, str]:
    """Choose the column of the rate.

    Parameters
    ----------
    columns
        The cells.
    names
        Columns that may be the rate, best first.

    Returns
    -------
    name : str or None
        The column; None if none has a value.
    note : str
        What else there was, where it tells another story; else empty.
    """
    filled = [name for name in names if columns[name].filled]
    # a column of texts, such as the name of a schedule, is no rate unless there is nothing else
    filled = [name for name in filled if np.isfinite(columns[name].values).any()] or filled
    if not filled:
        return None, ""
    first = filled[0]
    if all(_times(columns[first], columns[name]) == 1.0 for name in filled[1:]):
        return first, ""
    # a column that never changes is the setting, or belongs to an optimiser without a schedule
    moving = [name for name in filled if not _constant(columns[name])]
    chosen = first if first in moving or not moving else moving[0]
    times = {name: _times(columns[chosen], columns[name]) for name in filled if name != chosen}
    rest = [f"{name!r}{f' ({by:.3g} times as high)' if by else ''}" for name, by in times.items() if by != 1.0]
    listing = ", ".join(rest[:4]) + (", ..." if len(rest) > 4 else "")
    return chosen, f"several columns may be the rate: {chosen!r} was taken, not {listing}; name one with `lr` (--lr)"


def times_multiplier(rate: Column, multipliers: Mapping[str, Column], *, name: str) -> tuple[Column, str]:
    """Multiply a rate that never changes by the multiplier that was logged beside it.

    Parameters
    ----------
    rate
        The rate.
    multipliers
        Columns of multipliers, such as ``lr_scale``.
    name
        The column of the rate, for the note.

    Returns
    -------
    rate : Column
        The product; the same rate where it changes, or nothing else does.
    note : str
        What was done; else empty.
    """
    if not _constant(rate) or rate.values.size < 2:
        return rate, ""
    for other, column in multipliers.items():
        logged = column.at(np.isfinite(column.values))
        _, here, there = np.intersect1d(rate.rows, logged.rows, assume_unique=True, return_indices=True)
        factors = logged.values[there]
        if column.wrong or _constant(column) or here.size < 2 or not ((factors >= 0) & (factors <= 1.0 + 1e-6)).all():
            continue
        product = Column(rows=rate.rows[here], values=rate.values[here] * factors)
        return product, f"{name!r} is {rate.values[0]:.4g} throughout and {other!r} changes: their product was taken"
    return rate, ""


def _constant(column: Column) -> bool:
    """Return whether a column has one value."""
    values = column.values[np.isfinite(column.values)]
    return values.size == 0 or float(np.ptp(values)) <= 1e-6 * abs(float(values.max()))


def _times(one: Column, other: Column) -> float:
    """Return how many times as high another column is where both have a rate; 0 if their shapes differ."""
    common, here, there = np.intersect1d(one.rows, other.rows, assume_unique=True, return_indices=True)
    a, b = one.values[here], other.values[there]
    good = np.isfinite(a) & np.isfinite(b)
    a, b = a[good], b[good]
    if common.size == 0 or a.size == 0:
        return float(_constant(one) and _constant(other))
    top_a, top_b = float(np.abs(a).max()), float(np.abs(b).max())
    if top_a == 0 or top_b == 0:
        return float(top_a == top_b)
    alike = (np.abs(a / top_a - b / top_b) <= 1e-3).all()
    return (1.0 if abs(top_b / top_a - 1.0) <= _TELLING else top_b / top_a) if alike else 0.0


def without_tiny_negatives(rates: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Replace rates that are negative by rounding, as a decay to 0 in float32 ends.

    Parameters
    ----------
    rates
        Rates, finite.

    Returns
    -------
    rates : numpy.ndarray
        With 0 in their place.
    count : int
        How many there were.
    """
    tiny = (rates < 0) & (rates >= -2e-3 * rates.max(initial=0.0))
    return np.where(tiny, 0.0, rates), int(tiny.sum())


def without_wild(steps: NDArray[np.int64], rates: NDArray[np.float64]) -> tuple[NDArray[np.bool_], str]:
    """Look for single rates many times those beside them, which no schedule has.

    Parameters
    ----------
    steps, rates
        Logged rates, shape ``[n]``, not negative.

    Returns
    -------
    keep : numpy.ndarray
        True for each rate to keep, shape ``[n]``.
    note : str
        What was dropped; empty where nothing was.
    """
    keep = np.ones(rates.size, dtype=bool)
    if rates.size < 5:
        return keep, ""
    if steps[0] == 0 and rates[0] > 2 * rates[1] and rates[1] < rates[2]:
        # a setting that was logged before the first update
        keep[0] = False
        return keep, f"the rate of {rates[0]:.4g} at step 0 is followed by {rates[1]:.4g} and a warm-up: dropped"
    around = np.maximum(rates[2:], rates[:-2])
    wild = 1 + np.flatnonzero((rates[1:-1] > 10 * around) & (around > 0))
    if not wild.size or wild.size > max(1, rates.size // 50):
        return keep, ""
    keep[wild] = False
    return keep, (
        f"the rate of {rates[wild[0]]:.4g} at step {steps[wild[0]]} is many times those beside it: dropped"
        + (f", with {wild.size - 1} more" if wild.size > 1 else "")
    )


def odd_falls(steps: NDArray[np.int64], rates: NDArray[np.float64]) -> str:
    """Look for a rate that falls by more than half between two logged steps, where nobody knows at which update.

    The last part of a steady decay to zero falls as fast and is none.

    Parameters
    ----------
    steps, rates
        Logged rates, shape ``[n]``.

    Returns
    -------
    str
        One sentence, or nothing.
    """
    if rates.size < 3:
        return ""
    fall = -np.diff(rates)
    before = np.concatenate([[0.0], np.maximum(fall[:-1], 0.0)])
    sudden = (fall > 0.5 * rates[:-1]) & (rates[:-1] > 0.1 * rates.max()) & (fall > 2.5 * before) & (np.diff(steps) > 1)
    # a rate of 0 after the last update is what some trainers log when a run is over
    sudden[-1] &= not (rates[-1] == 0 and before[-1] == 0)
    # between two stretches at a constant rate a fall of any size comes at once
    level = np.concatenate([[False], np.diff(rates) == 0, [False]])
    at_once = level[:-2] & level[2:] & (fall > _VISIBLE * rates[:-1]) & (np.diff(steps) > _TELLING * steps[-1])
    sudden |= at_once
    if not sudden.any():
        over = is_switched_off(rates) and steps[-1] - steps[-2] > _TELLING * steps[-1]
        return _OVER.format(rate=rates[-2], last=steps[-1], before=steps[-2]) if over else ""
    i = int(np.argmax(sudden))
    return _BETWEEN.format("falls", rates[i], steps[i], rates[i + 1], steps[i + 1], "fell")


def odd_rises(steps: NDArray[np.int64], rates: NDArray[np.float64]) -> str:
    """Look for a rate that rises again by more than half of the peak between two logged steps, as at a restart.

    Parameters
    ----------
    steps, rates
        Logged rates, shape ``[n]``.

    Returns
    -------
    str
        One sentence, or nothing.
    """
    begun = np.maximum.accumulate(rates)[:-1] > rates[:-1]
    sudden = begun & (np.diff(rates) > 0.5 * rates.max()) & (np.diff(steps) > 1)
    if not sudden.any():
        return ""
    i = int(np.argmax(sudden))
    return _BETWEEN.format("rises", rates[i], steps[i], rates[i + 1], steps[i + 1], "rose")


def odd_levels(rates: NDArray[np.float64]) -> str:
    """Look for rates that were printed with too few digits, or held between a few values: all are multiples of one.

    Parameters
    ----------
    rates
        Logged rates, shape ``[n]``.

    Returns
    -------
    str
        One sentence, or nothing.
    """
    levels, rows = np.unique(rates[rates > 0], return_counts=True)
    # a schedule of a few levels begins with the highest; and of a linear warm-up each is logged once
    few = levels.size < 3 or rates.size < 5 * levels.size
    if few or rates[0] >= levels[-1] or (rows > 1).mean() < 0.7:
        return ""
    unit = float(np.diff(levels).min())
    multiples = levels / unit
    if levels[-1] > 30 * unit or np.abs(multiples - multiples.round()).max() > 1e-3:
        return ""
    # halved rates are multiples of the smallest, too, but leave many out
    if levels.size < 0.7 * (multiples[-1] - multiples[0] + 1):
        return ""
    return (
        f"the logged rates have {levels.size} values, multiples of {unit:.3g}: rounded, as printed with too few "
        "digits, or held? The warm-up may be longer than they show, and the last rate another one; give the `schedule`"
    )


def odd_span(loss_steps: NDArray[np.int64], rate_steps: NDArray[np.int64], rates: NDArray[np.float64]) -> str:
    """Look for a part of a run whose losses are known and whose rates are not.

    Parameters
    ----------
    loss_steps
        Steps of the losses, shape ``[m]``, m >= 1.
    rate_steps, rates
        Logged rates, shape ``[n]``, n >= 1.

    Returns
    -------
    str
        One sentence, or nothing.
    """
    first, last, end = int(rate_steps[0]), int(rate_steps[-1]), int(max(loss_steps[-1], rate_steps[-1]))
    apart = [logging_interval(steps) for steps in (loss_steps, rate_steps)]
    much = max(_TELLING * end, 2.0 * max(apart))
    rising = rise_end(rates) > 0
    before = first - int(loss_steps[0]) > much and not rising
    after = int(loss_steps[-1]) - last > much
    if before or after:
        taken = [f"{rates[0]:.4g} before"] * before + [f"{rates[-1]:.4g} after"] * after
        return (
            f"rates are logged from step {first} to {last}, losses from {loss_steps[0]} to {loss_steps[-1]}: the rate "
            f"is taken to be {' and '.join(taken)}; give the `schedule` if it was not"
        )
    return ""


def odd_peak(rates: NDArray[np.float64]) -> str:
    """Look for rates that are too large to be rates.

    Parameters
    ----------
    rates
        Logged rates, shape ``[n]``, n >= 1.

    Returns
    -------
    str
        One sentence, or nothing.
    """
    if rates.max() < _MULTIPLIER:
        return ""
    return (
        f"the largest logged rate is {rates.max():.4g}: a multiplier of the peak rate, or a rate in another unit? Runs "
        "are comparable only if all of them log the same; give the `schedule` with its peak rate if this is none"
    )


def one_a_change(
    steps: NDArray[np.int64], rates: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], str]:
    """Leave out the rows of a rate that was held until the next one was logged: its first row counts.

    A first rate that rises shows it; without a warm-up, a rate may well be lowered in steps.

    Parameters
    ----------
    steps, rates
        Logged rates, shape ``[n]``.

    Returns
    -------
    steps, rates : numpy.ndarray
        Those to keep; all where rates are not held.
    note : str
        What was left out; else empty.
    """
    starts = np.flatnonzero(np.diff(rates, prepend=-1.0))
    usual, lengths = _usual_length(starts, rates.size)
    if usual < 2 or lengths.size < 10 or _every_step(steps) or not (np.diff(rates[starts[:2]]) > 0).all():
        return steps, rates, ""
    # where the rate is constant, and at the end of the log
    rows = np.concatenate([np.arange(begin, end, usual) for begin, end in pairwise([*starts, rates.size])])
    at = np.union1d(rows, rates.size - 1)
    note = f"each rate stands in {usual} rows, as one that is repeated until the next is logged: the first row counts"
    return steps[at], rates[at], note


def _usual_length(starts: NDArray[np.intp], size: int) -> tuple[int, NDArray[np.intp]]:
    """Return in how many rows nearly every rate stands, 1 if that is no one number, and the lengths of all but two."""
    lengths = np.diff(np.append(starts, size))[1:-1]
    if not lengths.size:
        return 1, lengths
    usual = int(np.median(lengths))
    # rates that are rounded stand for different numbers of rows where they change faster or slower
    return (usual if (lengths % usual == 0).mean() >= _THROUGHOUT and usual > 1 else 1), lengths


def _every_step(steps: NDArray[np.int64]) -> bool:
    """Return whether every step was logged."""
    return bool((np.diff(steps) == 1).all())


def odd_repeats(steps: NDArray[np.int64], rates: NDArray[np.float64]) -> str:
    """Look for a counter of micro-batches: each rate stands for the same number of steps.

    Parameters
    ----------
    steps, rates
        Logged rates, shape ``[n]``.

    Returns
    -------
    str
        One sentence, or nothing.
    """
    if rates.size < 40 or not _every_step(steps):
        return ""
    usual, lengths = _usual_length(np.flatnonzero(np.diff(rates, prepend=-1.0)), rates.size)
    if usual < 2 or lengths.size < 10:
        return ""
    return (
        f"each rate stands for {usual} steps: does the step count micro-batches? The law counts updates; give the "
        "column of updates with `step` (--step), or divide it"
    )
