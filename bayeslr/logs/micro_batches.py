"""Rows that have a counter of micro-batches alone, among rows that have the updates, too."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayeslr.logs.columns import is_relative, plain_name
from bayeslr.logs.rawlog import Cells, Column

__all__ = ["with_updates"]


def with_updates(cells: Cells, steps: Sequence[str]) -> Cells:
    """Give an update to rows that have its micro-batch alone, as validations have it in logs of some trainers.

    Parameters
    ----------
    cells
        The cells of the log.
    steps
        The columns that may count updates, best first.

    Returns
    -------
    Cells
        With the updates, and a note; the same where no counter is a whole multiple of the first in all rows that have
        both.
    """
    general = [name for name in steps if not is_relative(name) and plain_name(name) != "_step"]
    if len(general) < 2 or any(cells.columns[name].wrong is not None for name in general):
        return cells
    updates = _at(cells, general[0])
    for name in general[1:]:
        micro = _at(cells, name)
        both = ~np.isnan(updates) & ~np.isnan(micro)
        alone = np.isnan(updates) & ~np.isnan(micro)
        if both.sum() < 3 or not alone.any() or updates[both].max() < 1:
            continue
        times = round(float(micro[both].max() / updates[both].max()))
        if times < 2 or (micro[both] // times != updates[both]).any():
            continue
        updates = np.where(alone, micro // times, updates)
        rows = np.flatnonzero(~np.isnan(updates)).astype(np.int32)
        column = replace(cells.columns[general[0]], rows=rows, values=updates[rows])
        note = (
            f"{name!r} counts {times} micro-batches for each of {general[0]!r}: rows that have it alone were taken for "
            "the updates in which they are"
        )
        return replace(cells, columns={**cells.columns, general[0]: column}, notes=(*cells.notes, note))
    return cells


def _at(cells: Cells, name: str) -> NDArray[np.float64]:
    """Return the value of a column in each row; NaN where there is none."""
    column: Column = cells.columns[name]
    values = np.full(cells.numbers.size, np.nan)
    values[column.rows] = column.values
    return values
