"""A schedule from the rates that a run logged, for runs whose schedule nobody wrote down."""

import numpy as np
from numpy.typing import NDArray

from bayeslr.errors import CurveError
from bayeslr.schedules import MAX_STEPS, Schedule
from bayeslr.schedules.schedule import rise_end

__all__ = ["interpolate_rates", "is_switched_off"]

_RISE = 1.01
"""Rates that rise by less than this factor are constant up to rounding."""
_STEEP = 20.0
"""A rise this many times as steep as a line from zero to its first rate does not come from zero."""


def interpolate_rates(
    steps: NDArray[np.int64], lr: NDArray[np.float64], total_steps: int, *, where: str = "schedule"
) -> Schedule:
    """Return the schedule that passes through logged rates.

    The rate logged at step ``s`` is taken as the rate of update ``s``. Between logged steps rates are interpolated
    linearly. Before the first logged step they rise linearly from 0 if the logged rates begin with a rise (the log
    starts inside the warm-up) and are constant otherwise. They are constant too where the log begins long before a rise
    that is much steeper than that line, as a run does that is continued with a warm-up of its own. A last rate of 0
    after a constant stretch is ignored: some trainers log it when the run is over.

    Parameters
    ----------
    steps
        Logged steps, shape ``[n]``, n >= 1: strictly increasing, 0 or more.
    lr
        Rates logged there, shape ``[n]``, finite, not negative.
    total_steps
        Number of updates of the schedule, 1 or more.
    where
        What the rates belong to, as the beginning of a message.

    Returns
    -------
    Schedule
        With ``total_steps`` rates; after the last logged step the rate stays what it was.

    Raises
    ------
    CurveError
        If there are no rates, or some are not valid.
    """
    if steps.size == 0:
        raise CurveError(f"{where}: no rates are logged; allowed: at least one")
    if not 1 <= total_steps <= MAX_STEPS:
        raise CurveError(f"{where}: {total_steps} updates; allowed: 1 to {MAX_STEPS}")
    wrong = ~(np.isfinite(lr) & (lr >= 0))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise CurveError(f"{where}: the rate logged at step {steps[i]} is {lr[i]}; allowed: finite, not negative")
    if not lr.any():
        raise CurveError(f"{where}: all {lr.size} logged rates are zero; allowed: at least one positive rate")
    if is_switched_off(lr):
        steps, lr = steps[:-1], lr[:-1]
    if _rises_from_zero(steps, lr):
        steps, lr = np.concatenate([[0], steps]), np.concatenate([[0.0], lr])
    return Schedule(lr=np.interp(np.arange(total_steps), steps, lr))


def is_switched_off(lr: NDArray[np.float64]) -> bool:
    """Return whether logged rates, ``[n]``, end with a 0 after equal ones, which is taken for the end of the run."""
    return bool(lr.size >= 3 and lr[-1] == 0 and lr[-2] == lr[-3])


def _rises_from_zero(steps: NDArray[np.int64], lr: NDArray[np.float64]) -> bool:
    """Return whether a log starts inside a rise that began with its run."""
    end = rise_end(lr)
    if steps[0] == 0 or lr[end] <= _RISE * lr[0]:
        return False
    length, rise = float(steps[end] - steps[0]), float(lr[end] - lr[0])
    return bool(steps[0] <= length or rise * steps[0] <= _STEEP * lr[0] * length)
