"""The text of a log file, whatever wrote it: gzip, byte-order mark, any line ends."""

import gzip
import io
import zlib
from pathlib import Path

from bayeslr.errors import LogError

__all__ = ["read_bytes", "read_text"]

_GZIP = b"\x1f\x8b"


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, unpacked if it is compressed by gzip.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    bytes
        Its content.

    Raises
    ------
    LogError
        If it cannot be read or unpacked.
    """
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise LogError(f"{path}: cannot be read ({problem.strerror}); allowed: a file or folder that exists") from None
    if content.startswith(_GZIP):
        try:
            return gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as problem:
            raise LogError(f"{path}: damaged gzip file ({problem}); allowed: a complete file") from None
    return content


def read_text(path: Path) -> str:
    """Return the text of a file with plain line ends.

    Parameters
    ----------
    path
        The file, in UTF-8 with or without a byte-order mark, possibly compressed by gzip.

    Returns
    -------
    str
        Its text, with a line feed at the end of each line.

    Raises
    ------
    LogError
        If the file cannot be read, is empty or is not text.
    """
    content = read_bytes(path)
    if not content.strip():
        raise LogError(f"{path}: the file is empty; allowed: a log with at least one observation")
    if b"\0" in content:
        raise LogError(f"{path}: not a text file; allowed: CSV, JSONL, trainer_state.json, TensorBoard events, .wandb")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise LogError(f"{path}, line {line}: the text is not UTF-8; allowed: UTF-8") from None
    return io.StringIO(text, newline=None).read()
