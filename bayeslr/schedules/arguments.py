"""Checked arguments: what a schedule's builder was given, as plain numbers or a one-line error.

Every function takes the name of what is being built and of the argument, so that the message says where the value was
found, what it is, and what is allowed.
"""

import math
import reprlib
import textwrap
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bayeslr.errors import ScheduleError
from bayeslr.schedules.schedule import MAX_STEPS

__all__ = ["as_count", "as_counts", "as_rate", "as_rates", "as_total_steps", "as_warmup_steps", "reason", "show"]


def show(value: object) -> str:
    """Return a short one-line text of any value, for an error message."""
    return " ".join(reprlib.repr(value).split())


def reason(error: BaseException) -> str:
    """Return what an error of other code says, on one line that is not too long."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", 200, placeholder=" ...")


def as_rate(where: str, name: str, value: object, *, positive: bool = False, at_most: float = math.inf) -> float:
    """Return a learning rate as a float.

    Parameters
    ----------
    where, name
        What is being built and the argument's name, for the message.
    value
        The value as given.
    positive
        Whether zero is refused. Default False: a rate may be zero.
    at_most
        Largest value allowed. Default: no limit but finiteness.

    Returns
    -------
    float
        The rate.

    Raises
    ------
    ScheduleError
        If the value is no finite real number in the range.
    """
    rate = _number(value)
    if math.isfinite(rate) and (rate > 0 if positive else rate >= 0) and rate <= at_most:
        return rate
    low = "a positive number" if positive else "a number >= 0"
    high = "" if math.isinf(at_most) else f", at most peak_lr = {at_most}"
    raise ScheduleError(f"{where}: {name} is {show(value)}; allowed: {low}, finite{high}")


def as_rates(where: str, name: str, value: object, *, positive: bool = False) -> list[float]:
    """Return a list of learning rates as floats; arguments and errors as for :func:`as_rate`."""
    return [
        as_rate(where, f"{name}[{k}]", item, positive=positive) for k, item in enumerate(_items(where, name, value))
    ]


def as_count(where: str, name: str, value: object, *, low: int, high: int, because: str = "") -> int:
    """Return a number of updates as an int; a float such as ``2.4e4`` is a count if it is integral.

    Parameters
    ----------
    where, name
        What is being built and the argument's name, for the message.
    value
        The value as given.
    low, high
        Smallest and largest value allowed, in updates.
    because
        Where the largest value comes from, for the message.

    Returns
    -------
    int
        The count.

    Raises
    ------
    ScheduleError
        If the value is no integral number in the range.
    """
    count = _number(value)
    if low <= count <= high and count.is_integer():
        return int(count)
    limits = f" ({because})" if because else ""
    raise ScheduleError(f"{where}: {name} is {show(value)}; allowed: a whole number from {low} to {high}{limits}")


def as_counts(where: str, name: str, value: object, *, low: int, high: int, because: str = "") -> list[int]:
    """Return a strictly increasing list of counts; arguments and errors as for :func:`as_count`."""
    counts = [
        as_count(where, f"{name}[{k}]", item, low=low, high=high, because=because)
        for k, item in enumerate(_items(where, name, value))
    ]
    if any(later <= earlier for earlier, later in pairwise(counts)):
        raise ScheduleError(f"{where}: {name} is {show(value)}; allowed: strictly increasing numbers")
    return counts


def as_total_steps(where: str, value: object) -> int:
    """Return the number of updates of a schedule as an int, 1 to ``MAX_STEPS``."""
    return as_count(where, "total_steps", value, low=1, high=MAX_STEPS)


def as_warmup_steps(where: str, value: object, total_steps: int) -> int:
    """Return the number of warm-up updates as an int; at least one update must follow, at the peak."""
    return as_count(where, "warmup_steps", value, low=0, high=total_steps - 1, because="total_steps - 1")


def _number(value: object) -> float:
    """Return a real number as a float, infinity if it is too long for one, and NaN if it is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _items(where: str, name: str, value: object) -> Sequence[object] | NDArray[np.generic]:
    """Return the value if it is a list, tuple or 1-D array."""
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1):
        return value
    raise ScheduleError(f"{where}: {name} is {show(value)}; allowed: a list of numbers")
