"""TensorBoard event files, with old (simple value) and new (tensor) scalar summaries. Needs the extra ``logs``.

The records are parsed by TensorBoard's protobuf classes. Its own readers take 25 to 190 microseconds an event, most of
it for checksums in Python; here the framing (TensorFlow's ``TFRecord``: length, checksum, data, checksum) is read in
blocks and the checksums of many records are computed at once.
"""

import struct
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bayeslr.errors import LogError
from bayeslr.logs.formats.split_files import split_folders
from bayeslr.logs.limits import MAX_COLUMNS, MAX_ROWS
from bayeslr.logs.rawlog import Chunk, Column, RawLog

__all__ = ["open_tensorboard"]

_BLOCK: Final = 1 << 22
_LARGEST: Final = 1 << 29
_CHECKED: Final = 4096
"""Records of more bytes are pictures or histograms; their checksums are not computed."""


def open_tensorboard(path: Path) -> RawLog:
    """Open an event file, or a folder with the event files of one run. Nothing is down-sampled.

    Parameters
    ----------
    path
        The file or folder.

    Returns
    -------
    RawLog
        One row per event, in the order of the files and of the events in them; columns ``step``, ``wall_time`` and the
        tags.

    Raises
    ------
    LogError
        If tensorboard is not installed, or there are no scalars.
    """
    try:
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import CRC_TABLE
        from tensorboard.util.tensor_util import make_ndarray
    except ImportError:
        raise LogError(
            f"{path}: TensorBoard events need the package tensorboard: pip install 'bayeslr[logs]'"
        ) from None

    table = np.array(CRC_TABLE, dtype=np.uint32)
    notes: list[str] = []
    tags: dict[str, _Series] = {}
    new_style: set[str] = set()
    count = 0
    for file, split in _files(path):
        for data in _records(file, table, notes):
            try:
                event = Event.FromString(data)
            except DecodeError:
                notes.append(f"{file.name}: an unreadable event after {count} others: read up to there")
                break
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    new_style.add(value.tag)
                kind = value.WhichOneof("value")
                if kind == "simple_value":
                    number = value.simple_value
                elif kind == "tensor" and value.tag in new_style:
                    number = _scalar(make_ndarray, value.tensor)
                    if number is None:
                        continue
                else:
                    continue
                count += 1
                tag = f"{split}/{value.tag}" if split else value.tag
                series = tags.get(tag)
                if series is None:
                    series = tags.setdefault(tag, _Series())
                series.add(count, event.step, event.wall_time, number)
            if count > MAX_ROWS or len(tags) > MAX_COLUMNS:
                raise LogError(f"{path}: more than {MAX_ROWS} events or {MAX_COLUMNS} tags; allowed: fewer")
    if not tags:
        raise LogError(f"{path}: no scalars among the events{_because(notes)}; allowed: a run that logged a loss")
    return RawLog(
        path=str(path),
        columns=tuple(dict.fromkeys(["step", "wall_time", *tags])),
        chunks=lambda wanted: _chunks(tags, wanted),
        unit="event",
        notes=notes,
    )


def _files(path: Path) -> list[tuple[Path, str]]:
    """Return the event files of a run, each with the split whose folder it lies in."""
    if not path.is_dir():
        return [(path, "")]
    own = [(file, "") for file in sorted(path.glob("*tfevents*")) if file.is_file()]
    return [*own, *((file, part.name) for part in split_folders(path) for file in sorted(part.glob("*tfevents*")))]


def _because(notes: Sequence[str]) -> str:
    return f" ({notes[0]})" if notes else ""


def _scalar(make_ndarray: Any, tensor: Any) -> float | None:
    """Return the number of a tensor; None if it has not exactly one."""
    try:
        values = make_ndarray(tensor)
        return float(values.item()) if values.size == 1 else None
    except (TypeError, ValueError):
        return None


class _Series:
    """The events of one tag."""

    def __init__(self) -> None:
        self.order, self.steps = array("q"), array("q")
        self.times, self.values = array("d"), array("d")

    def add(self, order: int, step: int, time: float, value: float) -> None:
        """Add an event."""
        self.order.append(order)
        self.steps.append(step)
        self.times.append(time)
        self.values.append(value)


def _chunks(tags: dict[str, _Series], wanted: Sequence[str]) -> Iterator[Chunk]:
    """Hand over the events of some tags in the order in which they were written."""
    chosen = [name for name in wanted if name in tags and name not in ("step", "wall_time")]
    chosen = chosen or list(tags)
    order = np.concatenate([np.asarray(tags[name].order) for name in chosen])
    by_order = np.argsort(order, kind="stable")
    place = np.empty(order.size, dtype=np.int32)
    place[by_order] = np.arange(order.size, dtype=np.int32)
    cells: dict[str, Sequence[object] | Column] = {}
    start = 0
    for name in chosen:
        series = tags[name]
        cells[name] = Column(rows=place[start : start + len(series.order)], values=np.asarray(series.values))
        start += len(series.order)
    every = np.arange(order.size, dtype=np.int32)
    for column, part in (("step", "steps"), ("wall_time", "times")):
        values = np.concatenate([np.asarray(getattr(tags[name], part), dtype=np.float64) for name in chosen])
        cells[column] = Column(rows=every, values=values[by_order])
    empty = Column(rows=np.empty(0, dtype=np.int32), values=np.empty(0))
    yield order[by_order], {name: cells.get(name, empty) for name in wanted}


def _records(path: Path, table: NDArray[np.uint32], notes: list[str]) -> Iterator[bytes]:
    """Yield the records of a file that are whole."""
    try:
        if not path.is_file():
            raise LogError(f"{path}: not a regular file; allowed: a file or folder on disk")
        file = path.open("rb")
    except OSError as problem:
        raise LogError(f"{path}: cannot be read ({problem.strerror}); allowed: a file or folder that exists") from None
    with file:
        buffer, offset, total = b"", 0, 0
        while True:
            batch: list[tuple[bytes, bytes]] = []
            trouble = ""
            while True:
                left = len(buffer) - offset
                length = struct.unpack_from("<Q", buffer, offset)[0] if left >= 12 else 0
                if left < 12 or left < length + 16:
                    if length > _LARGEST:
                        trouble = "is damaged"
                    break
                batch.append((buffer[offset : offset + 12], buffer[offset + 12 : offset + length + 16]))
                offset += length + 16
            good = _first_bad(batch, table)
            yield from (data[:-4] for _, data in batch[:good])
            total += good
            if good < len(batch):
                trouble = "is damaged"
            piece = b"" if trouble else file.read(_BLOCK)
            if not piece:
                if not trouble and offset < len(buffer):
                    trouble = "is cut off"
                if trouble:
                    notes.append(f"{path.name} {trouble} after {total} records: read up to there")
                return
            buffer, offset = buffer[offset:] + piece, 0


def _first_bad(batch: Sequence[tuple[bytes, bytes]], table: NDArray[np.uint32]) -> int:
    """Return the index of the first record whose checksums are wrong; the number of records if none is."""
    by_length: dict[int, list[int]] = {}
    for i, (_, data) in enumerate(batch):
        by_length.setdefault(len(data), []).append(i)
    bad = len(batch)
    for which, groups in ((0, {12: list(range(len(batch)))} if batch else {}), (1, by_length)):
        for length, members in groups.items():
            if length > _CHECKED:
                continue
            rows = np.frombuffer(b"".join(batch[i][which] for i in members), dtype=np.uint8).reshape(-1, length)
            stored = np.ascontiguousarray(rows[:, -4:]).view("<u4")[:, 0]
            wrong = np.flatnonzero(_masked_crc(rows[:, :-4], table) != stored)
            if wrong.size:
                bad = min(bad, members[int(wrong[0])])
    return bad


def _masked_crc(rows: NDArray[np.uint8], table: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the masked CRC-32C of each row, as TFRecord stores it."""
    crc = np.full(rows.shape[0], 0xFFFFFFFF, dtype=np.uint32)
    for column in np.ascontiguousarray(rows.T):
        crc = table[(crc ^ column) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    crc ^= np.uint32(0xFFFFFFFF)
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)
