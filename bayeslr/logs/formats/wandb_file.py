"""Weights & Biases offline runs: the history in a ``.wandb`` file. Needs the extra ``logs``.

wandb has no reader of its own any more, so the framing is read by :mod:`bayeslr.logs.formats.wandb_framing` and the
records by wandb's protobuf classes.
"""

from collections.abc import Iterator, Mapping, Sequence

from bayeslr.errors import LogError
from bayeslr.logs.formats.files import LogFile
from bayeslr.logs.formats.json_values import decoded
from bayeslr.logs.formats.wandb_framing import FramingError, read_records
from bayeslr.logs.limits import MAX_COLUMNS
from bayeslr.logs.rawlog import CHUNK, Chunk, RawLog

__all__ = ["open_wandb"]


def open_wandb(file: LogFile) -> RawLog:
    """Open the history of an offline run.

    A run that crashed has an unfinished record or zeros at its end; what precedes them is read.

    Parameters
    ----------
    file
        The file.

    Returns
    -------
    RawLog
        One row per call of ``wandb.log``; keys of nested values are joined by ``/``.

    Raises
    ------
    LogError
        If wandb is not installed, or the file has no history that can be read.
    """
    columns: dict[str, None] = {}
    for _, values in _history(file):
        columns.update(dict.fromkeys(values))
        if len(columns) > MAX_COLUMNS:
            raise LogError(f"{file.path}: more than {MAX_COLUMNS} different keys; allowed: fewer")
    if not columns:
        raise LogError(f"{file.path}: the run has no history; allowed: a run that logged a loss")

    def chunks(wanted: Sequence[str]) -> Iterator[Chunk]:
        numbers: list[int] = []
        cells: dict[str, list[object]] = {name: [] for name in wanted}
        for number, values in _history(file):
            numbers.append(number)
            for name, cell in cells.items():
                cell.append(values.get(name))
            if len(numbers) == CHUNK:
                yield numbers, cells
                numbers, cells = [], {name: [] for name in wanted}
        if numbers:
            yield numbers, cells

    return RawLog(path=str(file.path), columns=tuple(columns), chunks=chunks, unit="record", notes=file.notes)


def _history(file: LogFile) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Go through the records of the history."""
    try:
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from wandb.proto.wandb_internal_pb2 import Record
    except ImportError:
        raise LogError(f"{file.path}: .wandb files need the package wandb: pip install 'bayeslr[logs]'") from None

    count = 0
    try:
        for data in read_records(file.content()):
            record = Record.FromString(data)
            if record.WhichOneof("record_type") != "history":
                continue
            values: dict[str, object] = {
                "/".join(item.nested_key) or item.key: decoded(item.value_json)[0] for item in record.history.item
            }
            # Old writers keep the step beside the items.
            values.setdefault("_step", record.history.step.num)
            count += 1
            yield record.num, values
    except FramingError as problem:
        if not count and not str(problem).startswith("cut off"):
            raise LogError(
                f"{file.path}: not a good .wandb file ({problem}); allowed: a file as wandb wrote it"
            ) from None
        file.note(f"{problem}, after {count} records of the history: read up to there")
    except (DecodeError, ValueError) as problem:
        reason = " ".join(str(problem).split())[:100]
        if not count:
            raise LogError(f"{file.path}: unreadable record 1 ({reason}); allowed: wandb's records") from None
        file.note(f"a damaged record ({reason}) after {count} of the history: read up to there")
