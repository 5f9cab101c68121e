"""Logs of one run, each of which holds some of its quantities, as one log."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from bayeslr.logs.rawlog import Chunk, Column, RawLog

__all__ = ["joined_chunks"]


def joined_chunks(
    logs: Sequence[tuple[RawLog, Mapping[str, str]]], notes: list[str]
) -> Callable[[Sequence[str]], Iterator[Chunk]]:
    """Return what reads the rows of several logs one after the other, as :class:`RawLog` takes it.

    Parameters
    ----------
    logs
        The logs, and what their columns are called among those of all, by their own names.
    notes
        The notes of the whole, to which those of each log are added when it has been read.

    Returns
    -------
    Callable
        The chunks of some columns; rows keep the numbers of their own logs, and columns that a log lacks are empty.
    """

    def chunks(wanted: Sequence[str]) -> Iterator[Chunk]:
        for raw, names in logs:
            own = {name: column for column, name in names.items() if name in wanted}
            for numbers, cells in raw.chunks(list(own.values())):
                blank: list[object] = [None] * len(numbers)
                found: dict[str, Sequence[object] | Column] = dict.fromkeys(wanted, blank)
                found |= {name: cells[column] for name, column in own.items()}
                yield numbers, found
            notes.extend(note for note in raw.notes if note not in notes)

    return chunks
