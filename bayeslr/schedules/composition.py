"""Composition: schedules one after the other, such as a cool-down after part of a constant run.

``join(trunk.prefix(20_000), linear(peak_lr=3e-4, total_steps=4_000))`` is the run that leaves the trunk at update
20,000 and cools down for 4,000 updates.
"""

import numpy as np

from bayeslr.errors import ScheduleError
from bayeslr.schedules.schedule import MAX_STEPS, Schedule

__all__ = ["join"]


def join(first: Schedule, *others: Schedule) -> Schedule:
    """Join schedules end to end.

    Parameters
    ----------
    first
        The schedule to begin with; its warm-up is that of the result.
    *others
        The schedules that follow, with all their rates: a warm-up of theirs becomes a re-warm-up from zero, and no rate
        is rescaled to meet the one before.

    Returns
    -------
    Schedule
        ``first.lr``, then the rates of the others; without a spec unless ``first`` is alone.

    Raises
    ------
    ScheduleError
        If an argument is no schedule, or the result is longer than ``MAX_STEPS``.
    """
    for position, schedule in enumerate((first, *others), start=1):
        if not isinstance(schedule, Schedule):
            raise ScheduleError(f"join: argument {position} is a {type(schedule).__name__}; allowed: a Schedule")
    if not others:
        return first
    total = sum(schedule.total_steps for schedule in (first, *others))
    if total > MAX_STEPS:
        raise ScheduleError(f"join: {total} updates; allowed: 1 to {MAX_STEPS}")
    rates = np.concatenate([first.lr, *(schedule.lr for schedule in others)])
    return Schedule(lr=rates, warmup_steps=first.warmup_steps)
