"""Writing results: a file is whole or not there, nothing is replaced unasked, and nothing is left lying about."""

import contextlib
import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TextIO

from bayeslr.errors import BayeslrError

if sys.platform != "win32":
    import fcntl

__all__ = ["is_folder", "is_there", "open_text", "require_place", "write_atomically"]

_PREFIX: Final = ".bayeslr-"
_TEMPORARY: Final = re.compile(rf"{re.escape(_PREFIX)}[0-9a-f]{{12}}(?:\.[^.]{{0,9}})?", re.DOTALL)
"""Names that are made here; a file of any other name is somebody's own."""
_MAX_TEXT: Final = 100_000_000
"""Longest text file that is read as a whole, in bytes."""


def is_there(path: Path) -> bool:
    """Return whether a path exists; one that no system could have, such as a name of a thousand letters, does not.

    Parameters
    ----------
    path
        The path.

    Returns
    -------
    bool
        True if it exists.
    """
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; see :func:`is_there`.

    Parameters
    ----------
    path
        The path.

    Returns
    -------
    bool
        True if it is one.
    """
    return is_there(path) and path.is_dir()


def open_text(path: Path) -> TextIO:
    """Open a text file: an ordinary one, since a pipe may never answer and a device never end, of a reasonable size.

    Parameters
    ----------
    path
        The file, in UTF-8, with or without a mark at its beginning.

    Returns
    -------
    TextIO
        The open file, line ends as they are.

    Raises
    ------
    OSError
        If it cannot be opened, is no ordinary file, or is too large; ``strerror`` says which.
    """
    try:
        # does not wait for the other end of a pipe
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except ValueError as problem:
        raise OSError(None, f"no name of a file ({problem})", str(path)) from None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_TEXT:
        os.close(handle)
        size = f"{status.st_size} bytes where {_MAX_TEXT} are allowed"
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not an ordinary file"
        raise OSError(None, size if stat.S_ISREG(status.st_mode) else kind, str(path))
    return os.fdopen(handle, encoding="utf-8-sig", newline="")


def require_place(path: Path, *, force: bool, error: type[BayeslrError] = BayeslrError) -> None:
    """Refuse a name under which no file could be written, by writing one: nothing else tells for certain.

    Parameters
    ----------
    path
        The file.
    force
        Whether an existing file may be replaced.
    error
        Class of the error.

    Raises
    ------
    BayeslrError
        Of the class `error`: if the file exists and `force` is false, the path is a folder, its folder does not exist
        or cannot be written to, or the name is not possible.
    """
    try:
        if path.is_dir():
            raise error(f"{path}: found a folder; allowed: the name of a file")
        if not path.parent.is_dir():
            raise error(f"{path}: the folder {path.parent} does not exist; allowed: a file in an existing folder")
        with contextlib.suppress(FileNotFoundError):
            # raises for a name that is too long
            path.lstat()
            if not force:
                raise error(f"{path}: the file exists; allowed: another name, or force (--force) to replace it")
        with _temporary(path):
            pass
    except OSError as problem:
        raise error(f"{path}: cannot be written there ({problem.strerror}); allowed: a folder to write to") from None
    except ValueError as problem:
        if isinstance(problem, BayeslrError):
            raise
        raise error(f"{path}: no name of a file ({problem})") from None


def write_atomically(
    path: Path, write: Callable[[Path], Any], *, force: bool, error: type[BayeslrError] = BayeslrError
) -> Path:
    """Write a file under a temporary name beside it, then rename: never half a file, never an overwritten one.

    Of several processes that write one new name at the same time, one succeeds. Temporary files that killed processes
    left in the folder are removed.

    Parameters
    ----------
    path
        The file.
    write
        Writes to the path that it is given.
    force
        Whether an existing file may be replaced.
    error
        Class of the error.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    BayeslrError
        Of the class `error`: as by :func:`require_place`, and if the file has come into being meanwhile.
    OSError
        If writing fails, for example on a full disk. It names the file, and nothing is left behind.
    """
    require_place(path, force=force, error=error)
    _sweep(path.parent)
    try:
        with _temporary(path) as temporary:
            write(temporary)
            # temporary files are private; a result is as readable as any other file of the user
            mask = os.umask(0)
            os.umask(mask)
            temporary.chmod(0o666 & ~mask)
            if force:
                temporary.replace(path)
            else:
                _take_name(temporary, path)
    except FileExistsError:
        raise error(f"{path}: the file exists, written by another process; allowed: another name, or --force") from None
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror or str(problem), str(path)) from None
    return path


def _take_name(temporary: Path, path: Path) -> None:
    """Give a file its name if nobody else has it."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        # no hard links on this file system: claim the name with an empty file
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        temporary.replace(path)


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Make a temporary file beside a path, locked while it is in use, and gone afterwards."""
    while True:
        temporary = path.parent / f"{_PREFIX}{secrets.token_hex(6)}{path.suffix[:10]}"
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        _lock(handle)
        # between its making and its locking another process may have taken it for an abandoned one
        if os.path.lexists(temporary):
            break
        os.close(handle)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def _lock(handle: int) -> bool:
    """Lock an open file until its process ends, if nobody else has; where there are no locks, nobody has."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # a file system without locks: nothing can be told of other processes
        return False
    return True


def _sweep(folder: Path) -> None:
    """Remove temporary files whose process is gone."""
    if sys.platform == "win32":
        return
    for left in folder.glob(f"{_PREFIX}*"):
        if _TEMPORARY.fullmatch(left.name) is None:
            continue
        with contextlib.suppress(OSError):
            handle = os.open(left, os.O_RDWR | os.O_NOFOLLOW)
            try:
                if _lock(handle):
                    left.unlink()
            finally:
                os.close(handle)
