"""On which split of the data the rows of a log were measured, where a column says it."""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bayeslr.logs.columns import plain_name, split_of
from bayeslr.logs.rawlog import Cells, RawLog

__all__ = ["names_no_run", "split_columns", "split_rows"]

_SPLIT_NAMES: Final = frozenset(
    {"split", "subset", "phase", "mode", "stage", "type", "kind", "dataset", "data", "set", "partition", "event", "tag"}
    | {"section", "part", "job", "fold", "loop", "source", "prefix", "data_split", "eval_set", "status"}
)
_DATA: Final = frozenset(
    {"dataset", "data", "domain", "corpus", "eval_set", "eval_dataset", "val_set", "valid_set", "task", "eval_data"}
)
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
    in_turn = np.count_nonzero(np.diff(codes)) >= counts.min(initial=codes.size)
    if plain_name(column) not in _DATA or found.size < 2 or counts.max() > 2 * counts.min() or not in_turn:
        return None
    first = int(codes[codes >= 0][0])
    return codes == first, "plain", [labels[first], *(labels[code] for code in found.tolist() if code != first)]


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
