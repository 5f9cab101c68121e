"""Names for the runs of a table that no single column has: the columns that change where steps begin again."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayeslr.logs.columns import (
    epoch_columns,
    losses_in_order,
    perplexity_columns,
    run_columns,
    step_columns,
    time_columns,
    words_of,
)
from bayeslr.logs.layout import as_wide, goes_back, layout_of, tells_machines
from bayeslr.logs.limits import listed
from bayeslr.logs.rate_names import multiplier_columns, rate_columns
from bayeslr.logs.rawlog import Cells, Chunk, Column, RawLog
from bayeslr.logs.runs_behind import with_runs_in_front
from bayeslr.logs.splits import split_columns

__all__ = ["arranged"]

_MOST = 500
"""Runs of a table, at most."""
_COUNTED = frozenset(
    {"ep", "epoch", "epochs", "pass", "cycle", "phase", "world", "gpus", "nproc", "nodes", "seq", "shard"}
)
"""Words of columns that change along one run, or with the machines on which it goes on."""
_COLUMNS = 100
"""Columns of a table that is looked through."""


def arranged(raw: RawLog, *, loss: str | None = None) -> RawLog:
    """Return a log with one column per quantity, and one that names the runs where it has several.

    Parameters
    ----------
    raw
        The opened log.
    loss
        The column of the loss if the user named it.

    Returns
    -------
    RawLog
        The same log if it is neither long nor of several runs, or names them itself.
    """
    raw = with_runs_in_front(as_wide(raw), loss)
    steps = step_columns(raw.columns)[:1]
    if not steps or len(raw.columns) > _COLUMNS or run_columns(raw.columns) or layout_of(raw).runs:
        return raw
    known = [*epoch_columns(raw.columns), *time_columns(raw.columns), *rate_columns(raw.columns)]
    known += [*step_columns(raw.columns), *multiplier_columns(raw.columns), *perplexity_columns(raw.columns)]
    known += [*split_columns(raw, raw.columns), *losses_in_order(raw.columns)]
    others = [c for c in raw.columns if c not in known and not tells_machines(c) and not _COUNTED & set(words_of(c))]
    others = _at_rest(raw, others)
    losses = losses_in_order(raw.columns)[:1]
    if not others or not losses or not goes_back(raw, steps[0]):
        return raw
    cells = raw.read([*steps, *losses], others)
    begins = _beginnings(cells.columns[steps[0]], cells.columns[losses[0]])
    names = None if begins is None else _names(cells, others, begins)
    if begins is None or names is None:
        return raw
    raw.notes.append(f"runs are told apart by what changes where the steps begin again: {listed(names, 2)}")
    return _with_column(raw, names, begins)


def _at_rest(raw: RawLog, columns: Sequence[str]) -> list[str]:
    """Return the columns that have one value in the first rows, so that most logs need not be read for the others."""
    _, cells = next(raw.chunks(columns), ((), {})) if columns else ((), {})
    first = {name: list(given[:3]) for name, given in cells.items() if not isinstance(given, Column)}
    return [name for name, given in first.items() if len(given) == 3 and given[0] and given.count(given[0]) == 3]


def _beginnings(at: Column, loss: Column) -> NDArray[np.int32] | None:
    """Return the rows at which the steps begin again, if each part is a run from its beginning."""
    back = np.flatnonzero(np.diff(at.values) < 0) + 1
    if at.wrong is not None or not 1 <= back.size < _MOST:
        return None
    parts = np.split(at.values, back)
    if min(part.size for part in parts) < 3:
        return None
    near = 2 * float(np.median(np.diff(parts[0])))
    alike = all(abs(part[0] - parts[0][0]) <= near and np.ptp(part) >= 0.3 * np.ptp(parts[0]) for part in parts)
    return at.rows[back] if alike and _all_begin_high(loss, at.rows[back]) else None


def _all_begin_high(loss: Column, begins: NDArray[np.int32]) -> bool:
    """Return whether the losses of every part begin as those of a new model do, and do not go on where others ended."""
    loss = loss.at(np.isfinite(loss.values))
    parts = np.split(loss.values, np.searchsorted(loss.rows, begins))
    if min(part.size for part in parts) < 3:
        return False
    first, last = (np.array([float(np.median(part[ends])) for part in parts]) for ends in (slice(3), slice(-3, None)))
    return bool((first[1:] - last[:-1] > 0.5 * (first[0] - last[0])).all())


def _names(cells: Cells, columns: Sequence[str], begins: NDArray[np.int32]) -> list[str] | None:
    """Return a name for each run from the columns that change there and nowhere else; None if they do not differ."""
    told: list[list[str]] = []
    for name in columns:
        codes, labels = cells.texts[name], cells.labels[name]
        parts = np.split(codes, begins)
        if len(labels) > 1 and all(part.min() == part.max() >= 0 for part in parts):
            told.append([f"{name} {labels[part[0]]}" for part in parts])
    names = [", ".join(each) for each in zip(*told, strict=True)]
    return names if names and len(set(names)) == len(names) else None


def _with_column(raw: RawLog, names: Sequence[str], begins: NDArray[np.int32]) -> RawLog:
    """Return a log with a further column of names."""
    parts = np.array(names, dtype=object)

    def chunks(wanted: Sequence[str]) -> Iterator[Chunk]:
        start = 0
        for numbers, cells in raw.chunks([name for name in wanted if name != "run"]):
            rows = np.arange(start, start + len(numbers))
            start += len(numbers)
            found: dict[str, Sequence[object] | Column] = dict(cells)
            if "run" in wanted:
                found["run"] = parts[np.searchsorted(begins, rows, side="right")].tolist()
            yield numbers, found

    return replace(raw, columns=(*raw.columns, "run"), chunks=chunks)
