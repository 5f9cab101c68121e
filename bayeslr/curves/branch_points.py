"""Whether a run fits its named parent at the step at which it says that it begins, and why none fits."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bayeslr.curves.curve import LossCurve
from bayeslr.errors import CurveError
from bayeslr.schedules import Schedule

__all__ = ["checked_branch_point", "no_parent", "rates_apart", "shifted"]

_FAR = (0.006, 0.02)
"""Losses that differ by more than this share at a named branch point are worth a note: smooth ones, and noisy ones."""
_NOISES = 10.0
"""The same in units of what losses differ by from one to the next; between the two shares above."""
_ELSEWHERE = 0.05
"""A run whose loss differs by more than this from its parent's, and fits at a later step, counts its own steps."""
_FITS = 0.01
"""Losses of the same weights agree up to this share, one logging interval included."""


def checked_branch_point(curve: LossCurve, parent: LossCurve, *, joined: bool = True) -> str:
    """Compare the first loss of a run with its parent's at that step.

    Parameters
    ----------
    curve
        The run, without its history.
    parent
        The run that it was branched off, as it was named.
    joined
        Whether the parent has observations before the run's own, so that it was joined. Default True.

    Returns
    -------
    str
        What to say if they differ, or if there was nothing to join; else nothing.

    Raises
    ------
    CurveError
        If the run's first loss belongs to a later step of its parent: it counts its own steps.
    """
    first, here = int(curve.steps[0]), float(curve.loss[0])
    if (joined and not parent.steps[0] <= first <= parent.steps[-1]) or here <= 0:
        return ""
    there = float(np.interp(first, parent.steps, parent.loss))
    apart = abs(there - here) / here
    later = parent.steps > first
    if apart > _ELSEWHERE and later.any():
        distance = np.abs(parent.loss[later] - here) / here
        if float(distance.min()) < _FITS:
            at = int(parent.steps[later][int(np.argmin(distance))])
            raise CurveError(
                f"run {curve.name!r}: it begins at step {first} with a loss of {here:.4g}, but its parent "
                f"{parent.name!r} has {there:.4g} there and such a loss about step {at}, so it counts its own "
                "steps; allowed: the `branch_step`, the step of its parent from which it counts"
            )
    if not joined:
        return (
            f"run {curve.name!r} begins at step {first}, and its parent {parent.name!r} has no loss before: nothing "
            "was joined; if it counts its own steps, give the `branch_step`"
        )
    jitter = float(np.median(np.abs(np.diff(parent.loss[-20:])))) if len(parent) > 2 else 0.0
    # a cool-down has already gained something when it is first measured
    gained = abs(float(curve.loss[1] - curve.loss[0])) / here if len(curve) > 1 else 0.0
    if apart <= max(float(np.clip(_NOISES * jitter / here, *_FAR)), min(2.0 * gained, _FAR[1])):
        return ""
    return (
        f"run {curve.name!r} begins at step {first} with a loss of {here:.4g}, but its parent {parent.name!r} has "
        f"{there:.4g} there: is it the right parent?"
    )


def rates_apart(curve: LossCurve, parent: LossCurve) -> str:
    """Compare the first logged rate of a run with its parent's at that step.

    Parameters
    ----------
    curve
        The run, without its history, with its rates from its log.
    parent
        The run that it was branched off.

    Returns
    -------
    str
        What to say if the rate must have left its parent's before the log begins; else nothing.
    """
    first = int(curve.steps[0])
    mine, theirs = curve.schedule.lr, parent.schedule.lr
    if len(curve) < 2 or first >= min(mine.size, theirs.size):
        return ""
    at = min(int(curve.steps[1]), mine.size - 1)
    gap, change = abs(float(mine[first] - theirs[first])), abs(float(mine[at] - mine[first]))
    if gap <= 0.05 * float(theirs[first]) or gap <= 2 * change:
        return ""
    return (
        f"run {curve.name!r}: its first logged rate, at step {first}, is {mine[first]:.4g}, but its parent "
        f"{parent.name!r} has {theirs[first]:.4g} there, so that it left earlier: give the `schedule` of both"
    )


def shifted(curve: LossCurve, branch_step: int, parent: LossCurve, *, rates_from: int) -> LossCurve:
    """Return a run that counts its own steps with steps from the beginning of its parent.

    Parameters
    ----------
    curve
        The run.
    branch_step
        The step of its parent from which it counts.
    parent
        The parent.
    rates_from
        First update whose rate is known, counted as the run does.

    Returns
    -------
    LossCurve
        The run, with its parent's rates before its own.

    Raises
    ------
    CurveError
        If the parent does not reach that step.
    """
    if branch_step > parent.schedule.total_steps:
        raise CurveError(
            f"run {curve.name!r}: branch_step is {branch_step}, but its parent {parent.name!r} ends at step "
            f"{parent.schedule.total_steps}; allowed: a step of the parent"
        )
    steps, mine = curve.steps + branch_step, curve.schedule
    if mine.total_steps >= steps[-1] and not rates_from:
        return replace(curve, steps=steps)  # the given schedule is that of the whole run
    own = mine.lr.copy()
    before = parent.schedule.lr[branch_step - 1]
    known = min(rates_from, own.size - 1)
    if known:
        own[:known] = np.linspace(before, own[known], known + 1)[:-1]
    warmup_steps = parent.schedule.warmup_steps if parent.schedule.warmup_steps < branch_step else -1
    lr = np.concatenate([parent.schedule.lr[:branch_step], own])
    return replace(curve, steps=steps, schedule=Schedule(lr=lr, warmup_steps=warmup_steps))


def no_parent(curve: LossCurve, possible: Sequence[LossCurve], candidates: Sequence[LossCurve]) -> str:
    """Say why no run can be the parent of another."""
    if candidates:
        return f"the loss of {candidates[0].name!r}, which has its rates, is another there"
    if not possible:
        return "no other run of its size has earlier losses"
    theirs, own = possible[0].schedule.peak_lr, curve.schedule.peak_lr
    return f"the rates of {possible[0].name!r} up to there are others (its peak is {theirs:.4g}, this run's {own:.4g})"
