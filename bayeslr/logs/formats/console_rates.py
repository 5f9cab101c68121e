"""Rates of a console log that are printed on lines of their own, before or after the line of a step."""

import re
from collections.abc import Mapping
from typing import Final

from bayeslr.logs.formats.patterns import DECIMAL

__all__ = ["RATE_ALONE", "RatesAlone"]

RATE_ALONE: Final = "lr on a line of its own"
"""What such a rate is called until it is known whether it belongs to the steps."""
_ALONE: Final = re.compile(
    r"(?i)(?:.{0,100}?[\]|>:-]\s+)?\W*(?:(?:adjusting|current|new|updated)\s+)?(?:lr|learning[ _]rate)"
    rf"(?:\s+of\s+group\s+0)?(?:\s*[:=]\s*|\s+(?:is|to)\s+|\s+)(?P<rate>{DECIMAL})\.?\s*"
)
_SHORT: Final = 200

type Placed = tuple[Mapping[str, str], str]
"""The step, and the rate that belongs to it."""


class RatesAlone:
    """Finds out to which steps rates belong that are printed on lines of their own: to the nearest in lines."""

    def __init__(self) -> None:
        self._held: tuple[int, str] | None = None
        self._last: tuple[int, Mapping[str, str]] | None = None
        self._first = self._ahead = False

    def look_at(self, number: int, line: str) -> bool:
        """Remember the rate of a line that has nothing else; return whether it is one."""
        match = _ALONE.fullmatch(line) if len(line) < _SHORT and line.rstrip(" .")[-1:].isdigit() else None
        if match is None:
            return False
        self._held = (number, match["rate"])
        return True

    def placed(self, number: int, step: Mapping[str, str]) -> Placed | None:
        """Return the rate that was held, with its step, when the line of the next step comes.

        Parameters
        ----------
        number
            Number of that line.
        step
            The step that it says, by its name.

        Returns
        -------
        tuple or None
            None where no rate was printed since the line of a step before.
        """
        held, last = self._held, self._last
        self._held, self._last = None, (number, step)
        if held is None:
            return None
        if last is None:
            self._first = number - held[0] == 1
            return step, held[1]
        after, before = held[0] - last[0], number - held[0]
        self._ahead = before < after or (before == after and self._first)
        return (step if self._ahead else last[1]), held[1]

    def at_the_end(self) -> Placed | None:
        """Return the rate that was printed below the last step."""
        return None if self._held is None or self._last is None or self._ahead else (self._last[1], self._held[1])
