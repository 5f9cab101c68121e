"""How large a log may be, and how much of it a message shows. Limits are checked before memory is taken."""

from collections.abc import Iterable
from typing import Final

__all__ = [
    "ARE",
    "DO",
    "MAX_BYTES",
    "MAX_COLUMNS",
    "MAX_CONSOLE",
    "MAX_DEPTH",
    "MAX_DOCUMENT",
    "MAX_LINE",
    "MAX_ROWS",
    "counted",
    "listed",
    "shown",
]

MAX_BYTES: Final = 8 * 2**30
"""Bytes of a file, after unpacking."""
MAX_ROWS: Final = 50_000_000
"""Rows of a log: a hundred times the longest published ones."""
MAX_COLUMNS: Final = 10_000
"""Columns of a log."""
MAX_LINE: Final = 2**24
"""Characters of a line."""
MAX_DOCUMENT: Final = 2**29
"""Bytes of a file that has to be in memory as a whole: JSON that is not one object per line, W&B's files, manifests."""
MAX_CONSOLE: Final = 2**28
"""Bytes of a console log, unpacked, each of whose lines is compared with the patterns of many trainers."""
MAX_DEPTH: Final = 20
"""Levels of JSON objects inside objects."""


ARE: Final = ("is", "are")
DO: Final = ("does", "do")
"""Verbs for :func:`counted`."""


def shown(value: object, width: int = 60) -> str:
    """Return a value as a message shows it.

    Parameters
    ----------
    value
        The value.
    width
        Number of characters to show at most. Default 60.

    Returns
    -------
    str
        Its representation, cut in the middle if it is long.
    """
    text = repr(value[: 4 * width]) if isinstance(value, str) else repr(value)
    return text if len(text) <= width else f"{text[: width - 12]}...{text[-8:]}"


def counted(number: int, what: str, verb: tuple[str, str] | None = None) -> str:
    """Return a number with what it counts, ``1 loss is`` or ``3 losses are``.

    Parameters
    ----------
    number
        The number.
    what
        What is counted, in the singular.
    verb
        What follows, of one and of several: such as :data:`ARE`. Default: nothing.

    Returns
    -------
    str
        Both.
    """
    ending = "" if number == 1 else "es" if what.endswith("s") else "s"
    return f"{number} {what}{ending}" + ("" if verb is None else f" {verb[number != 1]}")


def listed(names: Iterable[object], limit: int = 6, width: int = 40) -> str:
    """Return names as a message lists them.

    Parameters
    ----------
    names
        The names.
    limit
        Number of names to show at most. Default 6.
    width
        Number of characters of each. Default 40.

    Returns
    -------
    str
        The first of them, separated by commas, and how many there are if not all are shown.
    """
    texts = [name if len(name) <= width else name[: width - 3] + "..." for name in map(str, names)]
    return ", ".join(texts[:limit]) + (f", ... ({len(texts)} in all)" if len(texts) > limit else "")
