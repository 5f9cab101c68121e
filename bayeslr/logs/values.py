"""Numbers from the values of a column, and the one history that a log with repetitions and restarts tells."""

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslr.errors import LogError

__all__ = ["history", "numbers", "whole_steps"]

_NOT_LOGGED = frozenset({"", "null", "none", "na", "n/a", "-"})
_NOT_A_NUMBER = frozenset({"nan", "+nan", "-nan"})


def numbers(values: "pd.Series[Any]", *, path: str, unit: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Convert the values of a column.

    Parameters
    ----------
    values
        Numbers, texts of numbers, and None or empty text for what was not logged; the index numbers the rows.
    path, unit
        The log and what the index counts, for messages.

    Returns
    -------
    converted : numpy.ndarray
        Float64, shape ``[n]``; NaN where nothing was logged, and where NaN was.
    logged : numpy.ndarray
        Bool, shape ``[n]``: True where something was logged, be it NaN.

    Raises
    ------
    LogError
        If a value is neither a number nor missing.
    """
    if set(map(type, values)) <= {str, int, float}:
        try:  # most columns are numbers throughout, and logs can have a million rows
            return values.to_numpy().astype(np.float64), np.ones(len(values), dtype=bool)
        except ValueError:
            pass  # a word or a gap: one by one, below
    cleaned = [value.strip().lower() if isinstance(value, str) else value for value in values]
    logged = np.array(
        [value is not None and not (isinstance(value, str) and value in _NOT_LOGGED) for value in cleaned], dtype=bool
    )
    # Lists, objects and truth values of JSON are no numbers, whatever they could be converted to.
    readable = [
        value if isinstance(value, str | int | float) and not isinstance(value, bool) else None for value in cleaned
    ]
    converted = pd.to_numeric(pd.Series(readable, dtype=object), errors="coerce").to_numpy(
        np.float64, na_value=math.nan
    )
    said_nan = np.array(
        [value in _NOT_A_NUMBER or (isinstance(value, float) and math.isnan(value)) for value in readable]
    )
    wrong = np.isnan(converted) & logged & ~said_nan
    if wrong.any():
        row = int(np.argmax(wrong))
        raise LogError(
            f"{path}, {unit} {values.index[row]}: {values.name} is {values.iloc[row]!r}; allowed: a number, or nothing"
        )
    return converted, logged


def whole_steps(
    steps: NDArray[np.float64], index: "pd.Index[int]", *, column: str, path: str, unit: str
) -> NDArray[np.int64]:
    """Convert the steps of rows that have a value.

    Parameters
    ----------
    steps
        Steps, shape ``[n]``.
    index
        Numbers of the rows.
    column, path, unit
        The column, the log and what the index counts, for messages.

    Returns
    -------
    numpy.ndarray
        Int64, shape ``[n]``, 0 or more.

    Raises
    ------
    LogError
        If a step is missing, not whole or negative.
    """
    # 2**53: beyond it floats skip whole numbers.
    good = np.isfinite(steps) & (steps == np.floor(steps)) & (steps >= 0) & (steps < 2**53)
    if not good.all():
        row = int(np.argmin(good))
        found = "missing" if np.isnan(steps[row]) else f"{steps[row]:g}"
        raise LogError(f"{path}, {unit} {index[row]}: {column} is {found}; allowed: a whole number, 0 or more")
    return steps.astype(np.int64)


def history(steps: NDArray[np.int64], values: NDArray[np.float64]) -> tuple[NDArray[np.intp], list[str]]:
    """Choose the rows that make up one history, in the order of the steps.

    Where the step goes back a run was restarted: what was written before at that step or later is void, and the later
    rows count. If it goes back more than once in four rows the rows are simply not in order (a shuffled or reversed
    file), and they are sorted. Of rows with the same step the last one counts.

    Parameters
    ----------
    steps
        Steps in the order in which they were written, shape ``[n]``.
    values
        Values there, shape ``[n]``, finite.

    Returns
    -------
    chosen : numpy.ndarray
        Positions of the rows to keep; their steps are strictly increasing.
    notes : list of str
        What was repaired.
    """
    notes = []
    order = np.arange(steps.size)
    back = np.flatnonzero(np.diff(steps) < 0)
    if 4 * back.size > steps.size:
        notes.append("the rows are not in the order of their steps: they were sorted")
        order = np.argsort(steps, kind="stable")
    elif back.size:
        restarts = np.full(steps.size + 1, np.iinfo(np.int64).max)
        restarts[back + 1] = steps[back + 1]
        lowest_later = np.minimum.accumulate(restarts[::-1])[::-1][1:]
        void = steps >= lowest_later
        order = np.flatnonzero(~void)
        times = "once" if back.size == 1 else f"{back.size} times"
        notes.append(
            f"the step goes back {times} (first to {steps[back[0] + 1]}): after a restart "
            f"{int(void.sum())} earlier rows do not count"
        )
    kept = steps[order]
    is_last = np.append(kept[1:] != kept[:-1], True)[: kept.size]
    repeated = np.flatnonzero(~is_last)
    differ = values[order[repeated]] != values[order[repeated + 1]]
    if differ.any():
        step = int(kept[repeated[differ][0]])
        notes.append(f"{int(differ.sum())} steps are repeated with other values (first {step}): the last one counts")
    return order[is_last], notes
