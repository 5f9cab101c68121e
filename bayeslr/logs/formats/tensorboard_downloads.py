"""Scalars of one run that were downloaded from TensorBoard's page: a CSV each, together in a folder."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bayeslr.errors import LogError
from bayeslr.logs.formats.delimited import header_of, open_delimited
from bayeslr.logs.formats.files import LogFile
from bayeslr.logs.formats.joined import joined_log
from bayeslr.logs.rawlog import RawLog

__all__ = ["downloads_in", "open_downloads"]

_NAME: Final = re.compile(r"(?:run-)?(?P<run>.*?)[-_,]?tag-(?P<tag>.+?)(?:\.csv|\.csv\.gz)")
_HEADER: Final = ("Wall time", "Step", "Value")


def downloads_in(folder: Path) -> Mapping[str, Path]:
    """Return the downloaded scalars of the one run that a folder is about.

    Parameters
    ----------
    folder
        The folder.

    Returns
    -------
    Mapping
        The files by the names of their scalars; empty if they are not of one run, or there is something else.
    """
    files = sorted(folder.glob("*tag-*.csv*"))
    names = [_NAME.fullmatch(file.name) for file in files]
    if len(files) < 2 or not all(names) or len({name["run"] for name in names if name}) > 1:
        return {}
    return {name["tag"]: file for name, file in zip(names, files, strict=True) if name}


def open_downloads(folder: Path) -> RawLog:
    """Open the downloaded scalars of a run as one log.

    Parameters
    ----------
    folder
        The folder.

    Returns
    -------
    RawLog
        With a column for each scalar.

    Raises
    ------
    LogError
        If a file has other columns than TensorBoard writes.
    """
    opened: list[tuple[RawLog, dict[str, str]]] = []
    for tag, path in downloads_in(folder).items():
        file = LogFile(path=path)
        if header_of(file) != _HEADER:
            raise LogError(f"{path}: not the columns of TensorBoard's downloads; allowed: {', '.join(_HEADER)}")
        opened.append((open_delimited(file), {"Step": "Step", "Value": tag}))
    return joined_log(folder, opened)
