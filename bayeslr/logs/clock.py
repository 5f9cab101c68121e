"""The order in which the rows of a log were written, where their times show it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayeslr.logs.rawlog import Cells, Column

__all__ = ["ordered"]


def ordered(cells: Cells, times: Sequence[str], steps: Sequence[str], loss: str) -> Cells:
    """Sort the rows by the time at which they were written, where that makes the steps go back less often.

    A clock that starts again with every process does not.

    Parameters
    ----------
    cells
        The cells.
    times
        Columns of times, best first.
    steps
        Columns of steps, best first.
    loss
        The loss that will probably be taken.

    Returns
    -------
    Cells
        In the order of time, or as they were.
    """
    for name in times:
        time = cells.columns[name]
        if time.wrong is not None or time.rows.size < cells.numbers.size or not np.isfinite(time.values).all():
            continue
        if (np.diff(time.values) >= 0).all() or _starts_again(time.values):
            return cells
        order = np.argsort(time.values, kind="stable")
        place = np.empty(order.size, dtype=np.int32)
        place[order] = np.arange(order.size, dtype=np.int32)
        columns = {}
        for key, column in cells.columns.items():
            rows = place[column.rows]
            by_row = np.argsort(rows)
            wrong = None if column.wrong is None else (int(place[column.wrong[0]]), column.wrong[1])
            several = None if column.several is None else (int(place[column.several[0]]), column.several[1])
            columns[key] = Column(rows=rows[by_row], values=column.values[by_row], wrong=wrong, several=several)
        sorted_cells = replace(
            cells,
            numbers=cells.numbers[order],
            columns=columns,
            texts={key: codes[order] for key, codes in cells.texts.items()},
        )
        backs = [sum(_backs(each, step, loss) for step in steps) for each in (cells, sorted_cells)]
        return sorted_cells if backs[1] < backs[0] else cells
    return cells


def _backs(cells: Cells, step: str, loss: str) -> int:
    """Return how often a counter goes back along the losses."""
    column = cells.columns[step]
    values = np.full(cells.numbers.size, np.nan)
    values[column.rows] = column.values
    there = values[cells.columns[loss].rows]
    return int((np.diff(there[~np.isnan(there)]) < 0).sum())


def _starts_again(times: NDArray[np.float64]) -> bool:
    """Return whether a clock starts again with every process, rather than that rows are in the wrong order.

    It goes back a few times, and what it shows afterwards it has shown before.
    """
    starts = np.flatnonzero(np.diff(times) < 0) + 1
    if starts.size > max(1, times.size // 20):
        return False
    parts = [part for part in np.split(times, starts) if part.size > 1]
    return any(
        min(one[-1], other[-1]) - max(one[0], other[0]) > 0.1 * min(np.ptp(one), np.ptp(other))
        for i, one in enumerate(parts)
        for other in parts[:i]
    )
