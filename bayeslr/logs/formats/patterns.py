"""What numbers and counters look like in text: parts of the regular expressions of several formats."""

from typing import Final

__all__ = ["COUNTER", "DECIMAL", "NUMBER"]

COUNTER: Final = r"(?:global[_ ]?)?(?:steps?|iters?|iteration|update|num_updates)"
"""Words before the number of an update."""
DECIMAL: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
"""A number of a table or of a setting."""
NUMBER: Final = r"[-+]?(?!\d+,\d)(?:\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|nan|inf|NaN)"
"""A value as programs print it. A decimal comma, or one of thousands, would cut a whole number short: such a one is
none."""
