"""Logs of one run, each of which holds some of its quantities, as one log."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bayeslr.logs.rawlog import Chunk, Column, RawLog

__all__ = ["joined_log"]


def joined_log(
    folder: Path,
    logs: Sequence[tuple[RawLog, Mapping[str, str]]],
    notes: Sequence[str] = (),
    *,
    in_order: bool = False,
    total_steps: int | None = None,
) -> RawLog:
    """Put the rows of several logs one after the other.

    Parameters
    ----------
    folder
        The folder in which they lie.
    logs
        The logs, and what their columns are called among those of all, by their own names. Others are left out.
    notes
        Notes of the whole, to which those of each log are added when it has been read.
    in_order
        Whether rows count as those of one table: they are numbered from the first of all logs on. Default: they keep
        the numbers that they have in their own logs.
    total_steps
        Length of the run, where that is known.

    Returns
    -------
    RawLog
        With the columns of all; those that a log lacks are empty in its rows.
    """
    every = list(notes)

    def chunks(wanted: Sequence[str]) -> Iterator[Chunk]:
        before = 0
        for raw, names in logs:
            own = {name: column for column, name in names.items() if name in wanted}
            for numbers, cells in raw.chunks(list(own.values())):
                blank: list[object] = [None] * len(numbers)
                found: dict[str, Sequence[object] | Column] = dict.fromkeys(wanted, blank)
                found |= {name: cells[column] for name, column in own.items()}
                yield range(before + 1, before + len(numbers) + 1) if in_order else numbers, found
                before += len(numbers)
            every.extend(note for note in raw.notes if note not in every)

    columns = tuple(dict.fromkeys(name for _, names in logs for name in names.values()))
    unit = "row" if in_order else "line"
    return RawLog(path=str(folder), columns=columns, chunks=chunks, unit=unit, notes=every, total_steps=total_steps)
