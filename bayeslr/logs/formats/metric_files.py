"""A folder with a table for each quantity, such as ``loss.csv`` and ``lr.csv``, or an export of each chart of W&B."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bayeslr.errors import LogError
from bayeslr.logs.columns import loss_columns, step_columns, time_columns, words_of
from bayeslr.logs.formats.delimited import header_of, open_delimited
from bayeslr.logs.formats.files import LogFile
from bayeslr.logs.formats.in_folder import DELIMITED, files_ending
from bayeslr.logs.formats.joined import joined_log
from bayeslr.logs.rate_names import rate_columns
from bayeslr.logs.rawlog import RawLog

__all__ = ["metric_files", "open_metrics"]

_MOST: Final = 20


def metric_files(folder: Path) -> list[Path]:
    """Return the tables of the quantities of one run, or of the same runs.

    Parameters
    ----------
    folder
        The folder.

    Returns
    -------
    list of Path
        The files, those with losses first; none if a quantity is in two of them, if one has a loss and a rate, if none
        has a rate, or if there are other tables.
    """
    files = files_ending(folder, DELIMITED)
    if not 2 <= len(files) <= _MOST:
        return []
    losses, rates, seen = list[Path](), list[Path](), set[str]()
    for file in files:
        try:
            columns = header_of(LogFile(path=file))
        except LogError:
            return []
        own = set(columns) - {*step_columns(columns), *time_columns(columns)}
        loss, rate = bool(loss_columns(columns)), bool(rate_columns(columns))
        if not step_columns(columns) or loss == rate or own & seen:
            return []
        seen |= own
        (losses if loss else rates).append(file)
    return [*losses, *rates] if losses and rates else []


def open_metrics(folder: Path, files: Sequence[Path]) -> RawLog:
    """Put the tables of several quantities together.

    Parameters
    ----------
    folder
        The folder.
    files
        The tables.

    Returns
    -------
    RawLog
        With the columns of all; their steps have one column, called ``samples`` where all others say that it counts
        them (``Train/Samples/train_loss``).
    """
    opened = [open_delimited(LogFile(path=file)) for file in files]
    step = step_columns(opened[0].columns)[0]
    counted = [name for raw in opened for name in raw.columns if not step_columns([name])]
    if all("samples" in words_of(name) for name in counted):
        # DeepSpeed's monitor calls `step` what its other columns say are samples
        step = "samples"
    named = [(raw, {c: step if c == step_columns(raw.columns)[0] else c for c in raw.columns}) for raw in opened]
    return joined_log(folder, named)
