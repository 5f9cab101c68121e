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
            if isinstance(cell, str) and cell.strip().startswith("[") and cell.strip().endswith("]"):
                return _only([part.strip() for part in cell.strip()[1:-1].split(",")])
            printed = _PRINTED.match(cell) if isinstance(cell, str) else None
            return None if printed is None else float(printed[1])
    return _only(cell) if isinstance(cell, list) else None


def first_number(cell: object) -> float | None:
    """Return the first of a list of numbers, such as the rates of several groups of parameters; None for any other."""
    if isinstance(cell, str) and cell.strip().startswith("[") and cell.strip().endswith("]"):
        cell = [part.strip() for part in cell.strip()[1:-1].split(",")]
    if not isinstance(cell, list) or not 1 < len(cell) <= 1_000 or any(isinstance(value, list) for value in cell):
        return None
    numbers = [number(value) for value in cell]
    return None if None in numbers else numbers[0]


def _only(values: Sequence[object]) -> float | None:
    """Return the number of a list whose elements are all the same; None for any other."""
    if not values or len(values) > 1_000 or any(isinstance(value, list) for value in values):
        return None
    numbers = [number(value) for value in values]
    return numbers[0] if numbers[0] is not None and numbers.count(numbers[0]) == len(numbers) else None
