"""Readers: the rates of schedules that were made elsewhere, as arrays, CSV files, and objects of optax and PyTorch.

None of the other libraries is imported: an optax schedule is any callable from the update to the rate, and a PyTorch
scheduler is any object with its methods.
"""

import csv
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeslr.errors import ScheduleError
from bayeslr.files import open_text
from bayeslr.schedules.arguments import as_total_steps, reason, show
from bayeslr.schedules.schedule import MAX_STEPS, Schedule

__all__ = ["from_array", "from_csv", "from_optax"]

CALL_ERRORS: Final = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a user's callable may raise on an argument that it cannot take."""


def from_array(lr: ArrayLike, *, warmup_steps: int = -1) -> Schedule:
    """Make a schedule of an array of rates.

    Parameters
    ----------
    lr
        Rate of update ``i`` at index ``i``, shape ``[T]``.
    warmup_steps
        Number of warm-up updates. Default -1: detected, as :class:`Schedule` describes.

    Returns
    -------
    Schedule
        With these rates.

    Raises
    ------
    ScheduleError
        If the array is not 1-D, or a rate is negative or not finite.
    """
    return Schedule(lr=np.asarray(lr), warmup_steps=warmup_steps)


def from_csv(path: str | Path) -> Schedule:
    """Read the rates from a CSV file with the columns ``step`` and ``lr``.

    A row gives the rate of update ``step``; the rates between listed steps are interpolated linearly. The file must
    cover the run from its beginning, so its first step is 0 (updates are counted from 0, as everywhere in this
    library) or 1 (the file counts updates from 1; all steps are then shifted by one). Any other first step is an
    error: nobody knows the rates before it. The schedule ends with the last listed step.

    Parameters
    ----------
    path
        The file; other columns are ignored.

    Returns
    -------
    Schedule
        The rates; its warm-up is detected.

    Raises
    ------
    ScheduleError
        If the file cannot be read, a column is missing, steps are not increasing integers from 0 or 1, or a rate is
        negative or not a number; the message names the line.
    """
    where = f"schedule file {path}"
    try:
        with open_text(Path(path)) as file:
            rows = list(_rows(where, file))
    except OSError as error:
        raise ScheduleError(f"{where}: {error.strerror}; allowed: a CSV file with columns step, lr") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ScheduleError(f"{where}: not a text file of rows ({error}); allowed: a CSV file") from None
    if not rows:
        raise ScheduleError(f"{where}: no rows; allowed: at least one row below the header step, lr")
    steps, rates = np.array(rows).T
    try:
        return Schedule(lr=np.interp(np.arange(steps[0], steps[-1] + 1), steps, rates))
    except ScheduleError as error:
        raise ScheduleError(f"{where}: {error}") from None


def from_optax(fn: Callable[[Any], Any], total_steps: int, *, warmup_steps: int = -1) -> Schedule:
    """Sample an optax schedule, or any callable from the update to its rate.

    The callable is tried on the array of all updates first, which is fast. Where it cannot take one, or its answer
    disagrees with single calls at a few updates, it is called once for each update.

    Parameters
    ----------
    fn
        Function of the update ``i = 0..T-1`` that returns its rate, as ``optax.Schedule``.
    total_steps
        Number of updates, T, at least 1.
    warmup_steps
        Number of warm-up updates. Default -1: detected, as :class:`Schedule` describes.

    Returns
    -------
    Schedule
        With rates ``fn(0), ..., fn(T - 1)``, in the precision that the callable computes in.

    Raises
    ------
    ScheduleError
        If ``fn`` is not callable, fails at an update, or returns something that is no rate.
    """
    where = f"schedule from {show(getattr(fn, '__name__', fn))}"
    if not callable(fn):
        raise ScheduleError(f"{where}: a {type(fn).__name__}; allowed: a callable from the update to its rate")
    T = as_total_steps(where, total_steps)
    # A branch not taken, as in np.where, may divide by zero; a rate that is not finite is refused below.
    with np.errstate(all="ignore"):
        rates = _all_at_once(where, fn, T)
        if rates is None:
            rates = np.array([_one(where, fn, i) for i in range(T)])
    return Schedule(lr=rates, warmup_steps=warmup_steps)


def _rows(where: str, file: TextIO) -> Iterator[tuple[int, float]]:
    """Yield the checked steps and rates of a CSV file."""
    reader = csv.DictReader(file, skipinitialspace=True)
    columns = [name.strip() for name in reader.fieldnames or ()]
    for name in ("step", "lr"):
        if name not in columns:
            raise ScheduleError(f"{where}, line 1: no column {name!r} among {show(columns)}; allowed: step, lr")
    reader.fieldnames = columns
    previous = None
    for row in reader:
        step, rate = _number(row["step"]), _number(row["lr"])
        line = f"{where}, line {reader.line_num}"
        if not (step.is_integer() and 0 <= step <= MAX_STEPS):
            raise ScheduleError(f"{line}: step is {show(row['step'])}; allowed: an integer from 0 to {MAX_STEPS}")
        if previous is None and step > 1:
            raise ScheduleError(f"{line}: the first step is {int(step)}; allowed: 0, or 1 in a file that counts from 1")
        if previous is not None and step <= previous:
            raise ScheduleError(f"{line}: step is {int(step)} after {int(previous)}; allowed: increasing steps")
        if not (math.isfinite(rate) and rate >= 0):
            raise ScheduleError(f"{line}: lr is {show(row['lr'])}; allowed: a number >= 0, finite")
        previous = step
        yield int(step), rate


def _number(cell: str | None) -> float:
    """Return the number in a cell, or NaN."""
    try:
        return float(cell or "nan")
    except ValueError:
        return math.nan


def _all_at_once(where: str, fn: Callable[[Any], Any], total_steps: int) -> NDArray[np.float64] | None:
    """Return the rates of one call on all updates, or None where it does not give them."""
    try:
        rates = np.asarray(fn(np.arange(total_steps)), dtype=np.float64)
    except CALL_ERRORS:
        return None
    # A constant schedule may answer with one number; the spot checks tell it from a function that misread the array.
    if rates.shape not in {(), (total_steps,)}:
        return None
    rates = np.broadcast_to(rates, total_steps)
    spots = np.unique(np.linspace(0, total_steps - 1, 17).astype(int))
    singles = [_one(where, fn, int(i)) for i in spots]
    return rates if np.allclose(rates[spots], singles, rtol=1e-5, atol=0, equal_nan=True) else None


def _one(where: str, fn: Callable[[Any], Any], step: int) -> float:
    """Return the rate of one update."""
    try:
        return float(fn(step))
    except CALL_ERRORS as error:
        raise ScheduleError(
            f"{where}: update {step} failed ({reason(error)}); allowed: a function of the update"
        ) from error
