"""What the rows and columns of a log are about: which run, and which split of the data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslr.errors import LogError
from bayeslr.logs.columns import plain_name, run_columns, split_of
from bayeslr.logs.limits import listed, shown
from bayeslr.logs.rawlog import Cells, RawLog

__all__ = ["Layout", "layout_of", "split_columns", "split_rows"]

_SPLIT_NAMES = frozenset(
    {"split", "subset", "phase", "mode", "stage", "type", "kind", "dataset", "data", "set", "partition", "event", "tag"}
    | {"section", "part", "job", "fold", "loop", "source", "prefix", "data_split", "eval_set", "status"}
)
_SAID = (("validation", "validation"), ("test", "test"), ("training", "training"))


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the runs of a log are told apart.

    Parameters
    ----------
    runs
        Names of its runs; empty for a log of one run.
    column
        The column that names the run of each row; None where columns of different runs stand side by side.
    prefixes
        For a log with a column a run: the run of each column, None for those of all runs.
    """

    runs: tuple[str, ...] = ()
    column: str | None = None
    prefixes: Mapping[str, str | None] | None = None

    def columns(self, every: Sequence[str], run: str | None) -> list[str]:
        """Return the columns that belong to a run.

        Parameters
        ----------
        every
            All columns.
        run
            The run; None: all.

        Returns
        -------
        list of str
            Those of the run and of all runs.
        """
        if run is None or self.prefixes is None:
            return list(every)
        return [name for name in every if self.prefixes.get(name) in (None, run)]


def layout_of(raw: RawLog, *, loss: str | None = None) -> Layout:
    """Find out whether a log has several runs.

    Parameters
    ----------
    raw
        The opened log.
    loss
        The column of the loss if the user named it; of several runs side by side it chooses one.

    Returns
    -------
    Layout
        The runs.
    """
    prefixes = {name: name.rpartition(" - ")[0].strip() or None for name in raw.columns}
    runs = [run for run in dict.fromkeys(prefixes.values()) if run is not None]
    if len(runs) > 1 and not all(split_of(run) for run in runs):
        named = {prefixes[name] for name in raw.columns if loss is not None and name.lower() == loss.lower()} - {None}
        chosen = [run for run in runs if run in named] or runs
        return Layout(runs=tuple(chosen), prefixes=prefixes)
    for column in run_columns(raw.columns):
        cells = raw.read([], [column])
        codes, labels = cells.texts[column], cells.labels[column]
        told = column.lower().startswith("run") or 2 * len(labels) <= codes.size
        if len(labels) > 1 and told and not all(split_of(label) for label in labels):
            return Layout(runs=labels, column=column)
    return Layout()


def one_run(raw: RawLog, layout: Layout, run: str | None) -> str | None:
    """Return the run to read.

    Parameters
    ----------
    raw
        The opened log.
    layout
        Its runs.
    run
        The run that is wanted.

    Returns
    -------
    str or None
        The run; None for a log of one run.

    Raises
    ------
    LogError
        If the log has several runs and none of them is wanted.
    """
    if run in layout.runs:
        return run
    if len(layout.runs) <= 1:
        return layout.runs[0] if layout.runs else None
    how = "has columns of" if layout.column is None else f"in its column {shown(layout.column, 30)} names"
    raise LogError(
        f"{raw.path}: the log {how} {len(layout.runs)} runs ({listed(layout.runs, 4)}); allowed: the name of one of "
        "them as the run, or the loss of one named by `loss`"
    )


def split_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns that may say on which split a row was measured.

    Parameters
    ----------
    columns
        Names of all columns.

    Returns
    -------
    list of str
        Some of them.
    """
    return [name for name in columns if plain_name(name) in _SPLIT_NAMES or plain_name(name).split("_")[-1] == "split"]


def split_rows(cells: Cells, column: str, rows: NDArray[np.int32]) -> tuple[NDArray[np.bool_], str, list[str]] | None:
    """Choose the rows of one split.

    Parameters
    ----------
    cells
        The cells of the log.
    column
        A column that may name splits.
    rows
        Positions of the rows that have a loss.

    Returns
    -------
    keep : numpy.ndarray
        True for each of the rows to keep.
    kind : str
        ``validation``, ``test`` or ``training``.
    labels : list of str
        The value of the column that was taken, then the others.
    None
        In place of all three, if the column names no splits.
    """
    codes, labels = cells.texts[column][rows], cells.labels[column]
    kinds = {code: split_of(labels[code]) for code in np.unique(codes).tolist() if code >= 0}
    if not any(kinds.values()):
        return None
    for kind, _ in _SAID:
        found = [code for code, of in kinds.items() if of == kind]
        if found:
            keep = codes == found[0]
            return keep, kind, [labels[found[0]], *(labels[code] for code in kinds if code != found[0])]
    return None
