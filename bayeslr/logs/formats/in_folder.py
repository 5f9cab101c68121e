"""What the files in a folder are called, and which of them may be logs by that."""

import re
from pathlib import Path
from typing import Final

__all__ = ["DELIMITED", "PRINTED", "TABLES", "files_ending", "plain_file_name"]

DELIMITED: Final = (".csv", ".tsv")
"""How the names of tables with a header end."""
TABLES: Final = (*DELIMITED, ".jsonl", ".ndjson")
"""How the names of tables end."""
PRINTED: Final = (".log", ".txt", ".out")
"""How the names of what a program printed end."""


def plain_file_name(file: Path) -> str:
    """Return the name of a file in lower case, without what compression and rotation add.

    Parameters
    ----------
    file
        The file.

    Returns
    -------
    str
        ``train.log`` of ``Train.log.1.gz``.
    """
    return re.sub(r"(?<=\.log)\.\d{1,4}$", "", file.name.lower().removesuffix(".gz"))


def files_ending(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Return what lies directly in a folder under a name with one of some endings.

    Parameters
    ----------
    folder
        The folder.
    endings
        The endings of plain names, see :func:`plain_file_name`.

    Returns
    -------
    list of Path
        In the order of their names; none if the folder cannot be read.
    """
    try:
        return sorted(file for file in folder.iterdir() if plain_file_name(file).endswith(endings))
    except OSError:
        return []
