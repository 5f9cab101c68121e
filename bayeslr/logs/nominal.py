"""Whether the schedule that somebody wrote down agrees with the rates that were logged."""

import numpy as np

from bayeslr.logs.tidy import TidyLog
from bayeslr.schedules import Schedule

__all__ = ["rate_mismatch"]

_TOLERANCE = 0.01
"""Differences up to this share of the peak rate are rounding."""


def rate_mismatch(log: TidyLog, schedule: Schedule) -> str:
    """Compare logged rates with a schedule, outside its warm-up.

    Trainers log the rate of the last update or of the next one, so at step ``s`` both ``lr[s - 1]`` and ``lr[s]`` are
    right. A last rate of 0 is what some trainers log when a run is over, and is not compared.

    Parameters
    ----------
    log
        The log.
    schedule
        The nominal schedule.

    Returns
    -------
    str
        One sentence about the largest difference if it is more than 1% of the peak rate; else empty.
    """
    steps, rates = log.rate_steps, log.rates
    if rates.size and rates[-1] == 0:
        steps, rates = steps[:-1], rates[:-1]
    compared = (steps > schedule.warmup_steps) & (steps <= schedule.total_steps)
    if not compared.any():
        return ""
    steps, rates = steps[compared], rates[compared]
    before = schedule.lr[steps - 1]
    after = schedule.lr[np.minimum(steps, schedule.total_steps - 1)]
    nominal = np.where(np.abs(rates - before) < np.abs(rates - after), before, after)
    difference = np.abs(rates - nominal)
    worst = int(np.argmax(difference))
    if difference[worst] <= _TOLERANCE * schedule.peak_lr:
        return ""
    off = int((difference > _TOLERANCE * schedule.peak_lr).sum())
    return (
        f"{off} of {rates.size} logged rates differ from the schedule after its warm-up, most at step {steps[worst]}: "
        f"{rates[worst]:.6g} logged, {nominal[worst]:.6g} scheduled"
    )
