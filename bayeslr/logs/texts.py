"""The texts of a column, as codes; and remarks among numbers."""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_REMARKS", "Words", "is_remark", "of_total"]

_TEXTS = 2_000
"""Different texts of a column that are told apart; a column with more says nothing about runs or splits."""
_REMARK: Final = re.compile(r"[A-Za-z][A-Za-z _.,'-]*!?|[*]+|#[A-Z/]+[0-9/]*[!?]?")
"""Words, stars where a number was too wide, or an error of a spreadsheet, such as ``#DIV/0!``."""
_OF_TOTAL: Final = re.compile(r"\s*(\d+)\s*/\s*(\d+)\s*")
MOST_REMARKS: Final = 0.02
"""Share of the cells of a column of numbers that may be remarks."""


def is_remark(cell: object) -> bool:
    """Return whether a cell stands for a number that could not be had: ``OOM``, ``skipped``, ``#DIV/0!``.

    A text with digits is a number of another form.
    """
    return isinstance(cell, str) and len(cell) <= 60 and _REMARK.fullmatch(cell.strip()) is not None


def of_total(cell: object) -> tuple[float, str] | None:
    """Return the number and the total of a cell such as ``20/4000``; None of any other."""
    match = _OF_TOTAL.fullmatch(cell) if isinstance(cell, str) and "/" in cell else None
    return None if match is None or int(match[1]) > int(match[2]) else (float(match[1]), match[2])


class Words:
    """Collects the texts of a column as codes, chunk by chunk.

    Attributes
    ----------
    codes
        The code of each text.
    rows
        The codes of the rows of each chunk, -1 where there is no text.
    """

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self.rows: list[NDArray[np.int16]] = []

    def add(self, cells: Sequence[object]) -> None:
        """Add the cells of the next rows."""
        codes = self.codes
        found = []
        for cell in cells:
            text = cell.strip()[:200] if isinstance(cell, str) else "" if cell is None else repr(cell)[:200]
            if not text:
                found.append(-1)
                continue
            code = codes.get(text)
            if code is None:
                code = -1 if len(codes) >= _TEXTS else codes.setdefault(text, len(codes))
            found.append(code)
        self.rows.append(np.array(found, dtype=np.int16))

    def codes_of_rows(self) -> NDArray[np.int16]:
        """Return the code of each row."""
        return np.concatenate(self.rows) if self.rows else np.empty(0, dtype=np.int16)
