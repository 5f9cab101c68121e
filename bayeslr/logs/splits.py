"""On which split of the data the rows of a log were measured, where a column says it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bayeslr.logs.columns import plain_name, split_of
from bayeslr.logs.rawlog import Cells, Column, RawLog

__all__ = ["names_no_run", "of_one_writer", "split_columns", "split_rows", "writer_columns"]

_SPLIT_NAMES: Final = frozenset(
    {"split", "subset", "phase", "mode", "stage", "type", "kind", "dataset", "data", "set", "partition", "event", "tag"}
    | {"section", "part", "job", "fold", "loop", "source", "prefix", "context", "data_split", "eval_set", "status"}
)
_DATA: Final = frozenset(
    {"dataset", "data", "domain", "corpus", "eval_set", "eval_dataset", "val_set", "valid_set", "task", "eval_data"}
)
_WRITERS: Final = frozenset(
    {"rank", "local_rank", "global_rank", "dp_rank", "worker", "worker_id", "gpu", "gpu_id", "device", "device_id"}
    | {"node", "node_rank", "host", "hostname", "process", "process_id", "process_index", "pid", "replica", "shard"}
    | {"param_group", "param_group_id", "param_group_idx", "parameter_group", "pg", "optimizer_group"}
)
"""Columns of processes or groups of parameters that write a row each for the same step."""
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}
_BEST_FIRST: Final = ("validation", "test", "training")


def split_columns(raw: RawLog, columns: Sequence[str]) -> list[str]:
    """Return the columns that may say on which split a row was measured.

    Parameters
    ----------
    raw
        The opened log.
    columns
        Names of the columns to consider.

    Returns
    -------
    list of str
        Some of them.
    """
    named = [
        name
        for name in columns
        if plain_name(name) in _SPLIT_NAMES or plain_name(name).split("_")[-1] == "split" or _is_flag(name)
    ]
    # under whatever name, a column of nothing but names of splits tells rows apart by them
    others = [name for name, words in raw.words().items() if name in columns and len({*map(split_of, words)}) > 1]
    return list(dict.fromkeys([*named, *(name for name in others if all(map(split_of, raw.words()[name])))]))


def writer_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns that may name the process, or the group of parameters, that a row is of.

    Parameters
    ----------
    columns
        Names of the columns to consider.

    Returns
    -------
    list of str
        Some of them.
    """
    return [name for name in columns if plain_name(name) in _WRITERS]


def of_one_writer(
    cells: Cells, columns: Sequence[str], *, step: str, losses: Sequence[str], splits: Sequence[str]
) -> Cells:
    """Leave out what several processes wrote of the same step, but for the first of them.

    Parameters
    ----------
    cells
        The cells of the log.
    columns
        Columns that may name the process.
    step
        The column of the steps.
    losses
        Columns of losses; the first with values shows whether processes wrote the same steps.
    splits
        Columns that may name the split of the data, of which the same is asked apart.

    Returns
    -------
    Cells
        Those that count, with a note; all of them where no column names processes that wrote the same steps.
    """
    loss = next((name for name in losses if cells.columns[name].filled), None)
    if loss is None:
        return cells
    first = cells.columns[loss]
    steps = np.full(cells.numbers.size, np.nan)
    steps[cells.columns[step].rows] = cells.columns[step].values
    groups = np.stack([steps, *(cells.texts[name].astype(float) for name in splits)])
    for column in columns:
        codes, labels = cells.texts[column], cells.labels[column]
        if (codes[first.rows] < 0).any() or len(labels) < 2:
            continue
        order = sorted(range(len(labels)), key=lambda code: (_number_in(labels[code]), code))
        rank = np.argsort(order)
        kept = {name: _first_ranks(value, groups, rank[codes]) for name, value in cells.columns.items()}
        if kept[loss].sum() > 0.75 * first.rows.size:
            continue
        others = ", ".join(repr(labels[code]) for code in order[1:4])
        note = f"several rows a step, told apart by {column!r}: those of {labels[order[0]]!r} were taken, not {others}"
        values = {name: value.at(kept[name]) for name, value in cells.columns.items()}
        return replace(cells, columns=values, notes=(*cells.notes, note))
    return cells


def _number_in(label: str) -> float:
    """Return the number in the name of a process; those without one come last."""
    found = re.search(r"\d+", label)
    return float(found[0]) if found else np.inf


def _first_ranks(column: Column, groups: NDArray[np.float64], ranks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which values of a column are those of the first process that wrote of their step and split."""
    here = groups[:, column.rows]
    _, group = np.unique(np.nan_to_num(here, nan=-1.0), axis=1, return_inverse=True)
    group = group.ravel()
    lowest = np.full(int(group.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(lowest, group, ranks[column.rows])
    kept: NDArray[np.bool_] = (ranks[column.rows] == lowest[group]) | np.isnan(here[0])
    return kept


def names_no_run(column: str, words: Sequence[str]) -> bool:
    """Return whether the texts of a column tell rows apart by what was measured, and not by their run.

    Parameters
    ----------
    column
        Its name.
    words
        Its texts.

    Returns
    -------
    bool
        True if they are about splits or data sets, or are truth values.
    """
    said = {word for text in words for word in re.findall(r"[a-z]+", text.lower())}
    about = _SPLIT_NAMES - {"tag"} | _DATA
    truths = {text.lower() for text in words} <= {"true", "false", "yes", "no"}
    return plain_name(column) in about or _is_flag(column) or truths or any(split_of(word) for word in said)


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
    if _is_flag(column) and not all(kinds[code] or labels[code].lower() in _FLAGS for code in kinds):
        return None  # it counts evaluations, say
    if not any(kinds.values()):
        return _one_of_several(column, codes, labels)
    for kind in _BEST_FIRST:
        found = [code for code, of in kinds.items() if of == kind]
        if found:
            keep = codes == found[0]
            return keep, kind, [labels[found[0]], *(labels[code] for code in kinds if code != found[0])]
    return None


def _one_of_several(
    column: str, codes: NDArray[np.int16], labels: Sequence[str]
) -> tuple[NDArray[np.bool_], str, list[str]] | None:
    """Choose the rows of the first of several data sets on which the same states were measured in turn."""
    found, counts = np.unique(codes[codes >= 0], return_counts=True)
    if plain_name(column) not in _DATA or not _in_turn(codes, counts):
        return None
    first = int(codes[codes >= 0][0])
    return codes == first, "plain", [labels[first], *(labels[code] for code in found.tolist() if code != first)]


def _in_turn(codes: NDArray[np.int16], counts: NDArray[np.int64]) -> bool:
    """Return whether rows of at least two labels, about equally many, take turns."""
    turns = np.count_nonzero(np.diff(codes)) >= counts.min(initial=codes.size)
    return counts.size >= 2 and bool(counts.max() <= 2 * counts.min()) and bool(turns)


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
