"""A cell of a log as a number."""

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["all_numbers", "first_number", "number"]

_PRINTED = re.compile(
    r"\s*(?:tensor|Array|DeviceArray|array|np\.float\d+)\(\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*[,)]"
)
"""A scalar of torch, JAX or NumPy that was written without being converted."""


def all_numbers(cells: Sequence[object]) -> NDArray[np.float64] | None:
    """Convert cells that are numbers throughout, which most are; None if one is not."""
    if not set(map(type, cells)) <= {str, int, float}:
        return None
    try:
        return np.fromiter(map(float, cells), dtype=np.float64, count=len(cells))  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        return None


def number(cell: object) -> float | None:
    """Convert a cell; None if it is no number. A list of equal numbers is that number (``get_last_lr()``)."""
    if isinstance(cell, bool):
        return None
    if isinstance(cell, int | float | str):
        try:
            return float(cell)
        except OverflowError:
            return math.inf
        except ValueError:
            if isinstance(cell, str) and (printed := _PRINTED.match(cell)) is not None:
                return float(printed[1])
    numbers = _listed(cell)
    return numbers[0] if numbers and numbers.count(numbers[0]) == len(numbers) else None


def first_number(cell: object) -> float | None:
    """Return the first of a list of numbers, such as the rates of several groups of parameters; None for any other."""
    numbers = _listed(cell)
    return numbers[0] if len(numbers) > 1 else None


def _listed(cell: object) -> list[float]:
    """Return the numbers of a list, or of a text that is one; none where something in it is no number."""
    if isinstance(cell, str) and cell.strip().startswith("[") and cell.strip().endswith("]"):
        cell = [part.strip() for part in cell.strip()[1:-1].split(",")]
    if not isinstance(cell, list) or len(cell) > 1_000 or any(isinstance(value, list) for value in cell):
        return []
    numbers = [value for value in map(number, cell) if value is not None]
    return numbers if len(numbers) == len(cell) else []
