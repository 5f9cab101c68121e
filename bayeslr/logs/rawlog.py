"""A log as its file has it, before anything is understood."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

__all__ = ["RawLog"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RawLog:
    """The columns of a log, and a way to read some of them.

    Parameters
    ----------
    path
        The file or folder, as the user named it.
    columns
        Names of all columns, in the order of the file.
    rows
        Returns the values of the columns asked for, in the order in which they were written. The index holds the number
        by which a message names a row; None and empty text stand for a value that was not logged.
    unit
        What the index counts, for messages. Default ``"line"``.
    """

    path: str
    columns: tuple[str, ...]
    rows: Callable[[Sequence[str]], pd.DataFrame]
    unit: str = "line"
