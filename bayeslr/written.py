"""How numbers are written, so that a table and the sentence below it never round one number in two ways.

Losses have four decimals, but those that would be none have three digits. A probability and an estimated share are
rounded to a thousandth; what would round to none or to all is written as below or above it, since draws never show
certainty. What complements each other before rounding does so afterwards: 0.1845 and 0.8155 are 0.185 and 0.815.
"""

import math
import re
from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["WIDTH", "chance", "decimals", "estimate", "folded", "in_format", "nominal", "share", "without_numbers"]

WIDTH: Final = 80
"""Columns of a terminal that tables and text fit."""

_THOUSAND: Final = 1000
_NOTHING: Final = 0.5e-4
"""What four decimals do not show."""
_FUZZ: Final = 1e-9
"""Errors of floating point that must not decide how a half is rounded."""


def chance(probability: float) -> str:
    """Write an estimated probability: ``0.815``, ``<0.001``, ``>0.999``; ``-`` where there is none."""
    if not math.isfinite(probability):
        return "-"
    thousandths = _thousandths(probability)
    if thousandths in (0, _THOUSAND):
        return ">0.999" if thousandths else "<0.001"
    return f"{thousandths / _THOUSAND:.3f}"


def share(value: float) -> str:
    """Write an estimated share in percent: ``50.5%``; ``-`` where there is none."""
    return f"{_thousandths(value) / 10:.1f}%" if math.isfinite(value) else "-"


def nominal(probability: float) -> str:
    """Write a probability that was chosen, such as that of an interval: ``90%``."""
    return f"{100 * probability:g}%"


def decimals(value: float, *, signed: bool = False) -> str:
    """Write a loss, or a difference of two with its sign: ``2.8312``, ``+0.0120``; ``-`` where there is none.

    What would round to nothing has three digits: ``1.25e-06``.
    """
    if not math.isfinite(value):
        return "-"
    return f"{value:{'+' if signed else ''}{'.2e' if 0.0 < abs(value) < _NOTHING else '.4f'}}"


def in_format(value: float, spec: str) -> str:
    """Write a number of a table by its format; four decimals are those of losses, see :func:`decimals`."""
    return decimals(value, signed=spec.startswith("+")) if spec.endswith(".4f") else format(value, spec)


def estimate(loss: "Mapping[str, float] | pd.Series[float]", ci_prob: float) -> str:
    """Write ``median``, ``lower`` and ``upper`` of a loss: ``2.8312 (90% interval 2.8201 to 2.8433)``."""
    median, lower, upper = (decimals(float(loss[key])) for key in ("median", "lower", "upper"))
    return f"{median} ({nominal(ci_prob)} interval {lower} to {upper})"


def without_numbers(text: str) -> str:
    """Return what a finding says but for its numbers, which are others each time it is found."""
    return re.sub(r"[\d.]+(e[+-]?\d+)?", "#", text)


def folded(text: str, width: int = WIDTH) -> str:
    """Fold text between words; paths and commands, which have none, stay whole."""
    return fill(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _thousandths(value: float) -> int:
    """Round to thousandths, halves towards one half, so that what adds up to one does so when rounded."""
    if value > 0.5:
        return _THOUSAND - _thousandths(1.0 - value)
    return math.floor(_THOUSAND * value + 0.5 + _FUZZ)
