"""The bytes and the lines of a log file, whatever wrote it: gzip, byte-order marks, UTF-16 and UTF-32, any line ends.

Files are read in pieces, and what is damaged or cut off is left out and noted: one rule for every format, *read what is
whole and say where it ends*. Only regular files are read: a pipe would hang and a device never ends.
"""

import contextlib
import io
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from bayeslr.errors import LogError
from bayeslr.logs.formats.no_log import what_else
from bayeslr.logs.limits import MAX_BYTES, MAX_DOCUMENT, MAX_LINE, MAX_ROWS

__all__ = ["Line", "LogFile"]

_GZIP = b"\x1f\x8b"
_PIECE = 1 << 16
_SHORT = 1 << 14

type Line = tuple[int, str, bool]
"""Number of a line, its text without the line end, and whether it had one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LogFile:
    """A file that can be read several times.

    Parameters
    ----------
    path
        The file.
    notes
        What was found damaged; filled while the file is read.
    """

    path: Path
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Remember what was found, once however often the file is read."""
        if text not in self.notes:
            self.notes.append(text)

    def head(self, size: int = _PIECE) -> bytes:
        """Return the first bytes, unpacked.

        Parameters
        ----------
        size
            How many at most.

        Returns
        -------
        bytes
            The beginning of the content.

        Raises
        ------
        LogError
            If the file cannot be read.
        """
        with self._opened() as stream:
            return _full_read(stream, size)

    def is_larger(self, size: int) -> bool:
        """Return whether there are more bytes than so many, unpacked; none of them is kept.

        Parameters
        ----------
        size
            Number of bytes.

        Returns
        -------
        bool
            True if there are more.

        Raises
        ------
        LogError
            If the file cannot be read.
        """
        left = size + 1
        with self._opened() as stream:
            while left > 0 and (piece := stream.read(min(left, 16 * _PIECE))):
                left -= len(piece)
        return left <= 0

    def content(self) -> bytes:
        """Return all bytes, unpacked.

        Returns
        -------
        bytes
            The content.

        Raises
        ------
        LogError
            If the file cannot be read or is larger than what may be held in memory.
        """
        with self._opened() as stream:
            # in pieces, since a read of so many bytes would take the memory at once
            content = _full_read(stream, MAX_DOCUMENT + 1)
        if len(content) > MAX_DOCUMENT:
            raise LogError(
                f"{self.path}: more than {MAX_DOCUMENT >> 20} MiB; allowed: a smaller file, or one row per line"
            )
        return content

    def text(self) -> str:
        """Return the whole text with a line feed at the end of each line.

        Returns
        -------
        str
            The text.

        Raises
        ------
        LogError
            If the file cannot be read, is empty, too large or no text.
        """
        encoding = self.encoding()
        content = self.content()
        cut = content.find(b"\0") if "utf-8" in encoding else -1
        if cut >= 0:
            self.note(f"zeros from byte {cut} on, as after a crash: read up to there")
            content = content[:cut]
        text = content.decode(encoding, "replace")
        return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text

    def encoding(self) -> str:
        """Return the encoding of a text file.

        Returns
        -------
        str
            ``utf-8-sig``, ``utf-32`` or one of the UTF-16.

        Raises
        ------
        LogError
            If the file is empty or no text.
        """
        head = self.head(_SHORT)
        if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
            return "utf-32"
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "utf-16"
        if not head.removeprefix(b"\xef\xbb\xbf").strip():
            raise LogError(f"{self.path}: the file is empty; allowed: a log with at least one observation")
        zeros = head[:512].count(0) if b"\0" in head[:512].split(b"\n", 1)[0] else 0
        if zeros and 2 * zeros >= len(head[:512]) - 1 and not any(head[0:512:2]):
            return "utf-16-be"
        if zeros and 2 * zeros >= len(head[:512]) - 1 and not any(head[1:512:2]):
            return "utf-16-le"
        other = what_else(head)
        if other:
            raise LogError(f"{self.path}: {other}")
        if zeros:
            raise LogError(
                f"{self.path}: not a text file; allowed: CSV, JSONL, trainer_state.json, console logs, TensorBoard "
                "events, .wandb"
            )
        return "utf-8-sig"

    def lines(self) -> Iterator[Line]:
        """Yield the lines; what a crash filled with zeros is left out.

        Yields
        ------
        Line
            Number, text and whether the line has an end.

        Raises
        ------
        LogError
            If the file cannot be read, is no text, or a line or the whole is too long.
        """
        encoding = self.encoding()
        with (
            self._opened() as stream,
            io.TextIOWrapper(cast("BinaryIO", stream), encoding=encoding, errors="replace", newline=None) as text,
        ):
            number, damaged = 0, list[int]()
            while line := text.readline(MAX_LINE):
                number += 1
                if number > 2 * MAX_ROWS:
                    raise LogError(f"{self.path}: more than {2 * MAX_ROWS} lines; allowed: fewer")
                ended = line.endswith("\n")
                if len(line) >= MAX_LINE and not ended:
                    raise LogError(f"{self.path}, line {number}: more than {MAX_LINE} characters; allowed: fewer")
                line = line[:-1] if ended else line
                if "\0" in line:
                    damaged.append(number)
                    # whoever wrote on after the crash began a line of his own
                    line = line.rsplit("\0", 1)[1]
                    if not line.strip():
                        continue
                yield number, line, ended
        if len(damaged) == 1:
            self.note(f"zeros in line {damaged[0]}, as after a crash: that line is damaged and left out")
        elif damaged:
            self.note(
                f"zeros in {len(damaged)} lines, the first is line {damaged[0]}, as after a crash, or where the "
                "encoding changes: these lines are damaged and left out"
            )

    def _opened(self) -> io.BufferedReader:
        """Open the file, unpacking it if it is compressed."""
        with contextlib.ExitStack() as failed:
            try:
                kind = self.path.stat().st_mode
                if not stat.S_ISREG(kind):
                    raise LogError(f"{self.path}: not a regular file; allowed: a file or folder on disk")
                raw = failed.enter_context(self.path.open("rb", buffering=0))
                packed = raw.read(2) == _GZIP
                raw.seek(0)
            except (OSError, ValueError) as problem:
                if isinstance(problem, LogError):
                    raise
                reason = problem.strerror if isinstance(problem, OSError) else str(problem)
                raise LogError(
                    f"{self.path}: cannot be read ({reason}); allowed: a file or folder that exists"
                ) from None
            failed.pop_all()
        return io.BufferedReader(_Pieces(self, raw, packed), _PIECE)


class _Pieces(io.RawIOBase):
    """A file in pieces, unpacked where it is compressed, up to the limit."""

    def __init__(self, log: LogFile, file: io.FileIO, packed: bool) -> None:
        super().__init__()
        self._log, self._file, self._packed = log, file, packed
        self._unpacker = zlib.decompressobj(31)
        self._total = 0
        # no log is a hundredth of its size when packed, a bomb is a thousandth
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        self._most = min(MAX_BYTES, max(100 * size, 2**26)) if packed else MAX_BYTES

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer."""
        try:
            piece = self._unpacked(len(buffer)) if self._packed else self._file.read(len(buffer))
        except OSError as problem:
            raise LogError(f"{self._log.path}: cannot be read ({problem.strerror}); allowed: a file on disk") from None
        self._total += len(piece)
        if self._total > self._most:
            raise LogError(f"{self._log.path}: more than {self._most >> 20} MiB unpacked; allowed: a smaller file")
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _unpacked(self, size: int) -> bytes:
        """Return the next unpacked bytes; none at the end, or where the file is cut off or damaged."""
        while True:
            packed = self._unpacker.unconsumed_tail or self._unpacker.unused_data or self._file.read(_PIECE)
            if self._unpacker.eof:
                if not packed.startswith(_GZIP):
                    return b""
                self._unpacker = zlib.decompressobj(31)
            if not packed:
                self._log.note("the gzip file is cut off: read up to there")
                return b""
            try:
                piece = self._unpacker.decompress(packed, size)
            except zlib.error as problem:
                self._log.note(f"the gzip file is damaged ({problem}): read up to there")
                self._packed = False
                self._file.seek(0, io.SEEK_END)
                return b""
            if piece:
                return piece


def _full_read(stream: io.BufferedReader, size: int) -> bytes:
    """Read as many bytes as there are up to a size."""
    pieces: list[bytes] = []
    while size > 0 and (piece := stream.read(min(size, 16 * _PIECE))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
