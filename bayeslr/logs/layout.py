"""What the rows and columns of a log are about: which run, and which split of the data."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayeslr.errors import LogError
from bayeslr.logs.columns import loss_columns, plain_name, run_columns, split_of, step_columns
from bayeslr.logs.limits import listed, shown
from bayeslr.logs.rawlog import Cells, Chunk, Column, RawLog

__all__ = ["Layout", "as_wide", "layout_of", "one_run", "split_columns", "split_rows"]

_SPLIT_NAMES = frozenset(
    {"split", "subset", "phase", "mode", "stage", "type", "kind", "dataset", "data", "set", "partition", "event", "tag"}
    | {"section", "part", "job", "fold", "loop", "source", "prefix", "data_split", "eval_set", "status"}
)
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_BEST_FIRST = ("validation", "test", "training")
_SETTINGS = frozenset(
    {"seed", "model", "config", "exp_id", "experiment_id", "trial", "trial_id", "method", "optimizer", "variant"}
    | {"setting", "schedule", "size", "model_size", "label", "legend", "curve", "series", "hparams", "id", "uuid"}
)
"""Columns that tell runs apart where each of their values has steps of its own."""
_NAMES = frozenset({"tag", "name", "metric", "metric_name", "key", "variable", "scalar", "series"})
_VALUES = frozenset({"value", "metric_value", "scalar_value"})


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
    steps = [name for name in step_columns(raw.columns) if name != "_step"][:1] or step_columns(raw.columns)[:1]
    for column in run_columns(raw.columns):
        cells = raw.read([], [column])
        labels = cells.labels[column]
        if not plain_name(column).startswith("run"):
            labels = _with_steps_of_their_own(raw, column, steps[0]) if steps else ()
        if len(labels) > 1 and not all(split_of(label) for label in labels):
            return Layout(runs=labels, column=column)
    for column in [name for name in raw.columns if plain_name(name) in _SETTINGS and name not in steps and steps]:
        labels = _with_steps_of_their_own(raw, column, steps[0])
        if labels:
            return Layout(runs=labels, column=column)
    return Layout()


def _with_steps_of_their_own(raw: RawLog, column: str, step: str) -> tuple[str, ...]:
    """Return the values of a column if each has rising steps of its own, and all together have not."""
    cells = raw.read([step], [column])
    codes, labels, at = cells.texts[column], cells.labels[column], cells.columns[step]
    if not 2 <= len(labels) <= codes.size // 3 or all(split_of(label) for label in labels):
        return ()
    of, steps = codes[at.rows], at.values
    if (of < 0).any() or not (np.diff(steps) <= 0).any():
        return ()
    parts = [steps[of == code] for code in range(len(labels))]
    rising = all(part.size >= 3 and (np.diff(part) > 0).all() for part in parts)
    # stages of one run, and the machines on which it was resumed, follow each other
    return labels if rising and all(_overlap(part, parts[0]) >= 0.5 for part in parts[1:]) else ()


def _overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return which share of the shorter of two stretches of steps both have."""
    shared = min(one[-1], other[-1]) - max(one[0], other[0])
    return float(shared / max(min(np.ptp(one), np.ptp(other)), 1.0))


def as_wide(raw: RawLog) -> RawLog:
    """Return a log that has one value a row, under the name in another column, with a column a name.

    Parameters
    ----------
    raw
        The opened log.

    Returns
    -------
    RawLog
        The same log if it is none of these.
    """
    plain = {plain_name(name): name for name in raw.columns}
    names, values = sorted(_NAMES & plain.keys()), sorted(_VALUES & plain.keys())
    if len(names) != 1 or len(values) != 1 or loss_columns(raw.columns) or not step_columns(raw.columns):
        return raw
    name, value = plain[names[0]], plain[values[0]]
    metrics = raw.read([], [name]).labels[name]
    rest = [column for column in raw.columns if column not in (name, value)]

    def chunks(wanted: Sequence[str]) -> Iterator[Chunk]:
        for numbers, cells in raw.chunks([name, value, *(column for column in wanted if column in rest)]):
            said, held = cells[name], cells[value]
            found: dict[str, Sequence[object] | Column] = {column: cells[column] for column in wanted if column in rest}
            for metric in wanted:
                if metric not in found and not isinstance(said, Column) and not isinstance(held, Column):
                    pairs = zip(said, held, strict=True)
                    found[metric] = [v if str(text).strip() == metric else None for text, v in pairs]
            yield numbers, found

    columns = tuple(dict.fromkeys([*rest, *metrics]))
    return replace(raw, columns=columns, chunks=chunks)


def _is_flag(column: str) -> bool:
    """Return whether a column may say by true and false whether a row is about a split."""
    words = plain_name(column).split("_")
    return len(words) <= 2 and (words[0] == "is" or len(words) == 1) and bool(split_of(words[-1]))


def _kind(column: str, label: str) -> str:
    """Return the split that a value of a column stands for; empty if it stands for none."""
    flag = _FLAGS.get(label.lower())
    if flag is None or not _is_flag(column):
        return split_of(label)
    said = split_of(plain_name(column).split("_")[-1])
    if flag:
        return said
    return "validation" if said == "training" else "training"


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
    named = [label for label in layout.runs if run is not None and (run == label or run.endswith(f"/{label}"))]
    if named:
        return named[0]
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
    return [
        name
        for name in columns
        if plain_name(name) in _SPLIT_NAMES or plain_name(name).split("_")[-1] == "split" or _is_flag(name)
    ]


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
    kinds = {code: _kind(column, labels[code]) for code in np.unique(codes).tolist() if code >= 0}
    if not any(kinds.values()):
        return None
    for kind in _BEST_FIRST:
        found = [code for code, of in kinds.items() if of == kind]
        if found:
            keep = codes == found[0]
            return keep, kind, [labels[found[0]], *(labels[code] for code in kinds if code != found[0])]
    return None
