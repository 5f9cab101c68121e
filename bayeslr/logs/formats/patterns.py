"""What numbers and counters look like in text: parts of the regular expressions of several formats."""

import re
from typing import Final

__all__ = ["COUNTER", "DECIMAL", "NUMBER", "has_digit", "may_have"]

COUNTER: Final = r"(?:global[_ ]?)?(?:steps?|iters?|iteration|update|num_updates)"
"""Words before the number of an update."""
DECIMAL: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
"""A number of a table or of a setting."""
NUMBER: Final = r"[-+]?(?!\d+,\d)(?:\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|nan|inf|NaN)"
"""A value as programs print it. A decimal comma, or one of thousands, would cut a whole number short: such a one is
none."""

_DIGIT: Final = re.compile(r"\d")


def has_digit(line: str) -> bool:
    """Return whether a line has a digit, of any script or raised."""
    return _DIGIT.search(line) is not None or (not line.isascii() and any(c.isdigit() for c in line))


def may_have(line: str, *words: str) -> bool:
    """Return False where a line has none of some words, in lower case or not: it saves the search for a pattern."""
    lower = line.lower()
    return any(map(lower.__contains__, words))
