"""The framing of W&B's offline files: LevelDB's log format with W&B's header.

A file is a 7-byte header (``:W&B``, the magic number 0xBEE1, a version) and then blocks of 32 KiB; the header counts as
part of the first one. A block holds chunks of a 4-byte CRC-32 (over type and data), a 2-byte length, a 1-byte type and
the data, all little-endian; fewer than 7 bytes at its end are padding. A record is one chunk (type 1) or a first,
middle and last one (2, 3, 4). LevelDB's documentation calls this the log format.
"""

import struct
import zlib
from collections.abc import Iterator

__all__ = ["HEADER", "FramingError", "read_records"]

HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
_BLOCK = 32 * 1024
_CHUNK = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


class FramingError(Exception):
    """The bytes are damaged from a position on; the records before it are good.

    Parameters
    ----------
    position
        Where the damage is, in bytes from the beginning of the file.
    what
        What was found.
    """

    def __init__(self, position: int, what: str) -> None:
        super().__init__(f"{what} at byte {position}")
        self.position = position


def read_records(content: bytes) -> Iterator[bytes]:
    """Yield the records of a file.

    Parameters
    ----------
    content
        The whole file.

    Yields
    ------
    bytes
        One record.

    Raises
    ------
    FramingError
        If the header is not W&B's, or where the file is cut off or damaged; all records before have been yielded.
    """
    if content[: len(HEADER) - 1] != HEADER[:-1]:
        raise FramingError(0, "no W&B header")
    position, record = len(HEADER), b""
    inside = False
    while position < len(content):
        left = _BLOCK - position % _BLOCK
        if left < _CHUNK.size:
            position += left
            continue
        if len(content) - position < _CHUNK.size:
            raise FramingError(position, "cut off")
        checksum, length, kind = _CHUNK.unpack_from(content, position)
        start = position + _CHUNK.size
        data = content[start : start + length]
        if len(data) < length:
            raise FramingError(position, "cut off")
        if kind not in (_FULL, _FIRST, _MIDDLE, _LAST) or checksum != zlib.crc32(data, zlib.crc32(bytes([kind]))):
            raise FramingError(position, "damaged")
        if inside != (kind in (_MIDDLE, _LAST)):
            raise FramingError(position, "chunks out of order")
        record = record + data if inside else data
        inside = kind in (_FIRST, _MIDDLE)
        position = start + length
        if not inside:
            yield record
    if inside:
        raise FramingError(len(content), "cut off")
