"""Runs that begin in the middle: finding the run they were branched off, and joining its history in front.

Cool-downs are trained from a checkpoint of another run, and their logs hold only the rows after it. A run starts late
when its first observation comes more than 5% of its schedule and more than two logging intervals after the end of its
warm-up. (Logs that begin just after the warm-up, or inside it, do not.) Then:

1. A parent that is named is taken. A run that counts its own steps from the branch point on needs the ``branch_step``,
   which is added to them; without it, a run whose first loss does not belong to the step at which it says to begin, but
   to a later one of its parent, is refused.
2. Otherwise a parent is looked for among the runs of the same size and number of parameters that have earlier
   observations and the same rates up to that step (within .1% of the peak). At a branch point the weights are the same,
   so the losses of parent and branch agree there to .02% (evaluated twice, the branches of Haegele et al. agree to
   .002%; different seeds differ by .03% or more): the run that agrees best is the parent. Where a run's rates come from
   its log, those before are not known; the first one is compared (within 5%), or else the loss alone decides.
3. Where no run agrees that well (noisy losses, say) and the run starts more than ten logging intervals late, it must
   be a branch all the same. Of the runs whose loss is within 5% the one that agrees in most metadata is taken, then the
   one that is nearest in loss, and a note says so; two that are equally good but differ are an error, and so is none.
   (A run that starts less late is left as it is: its log is sparse.)

Where both schedules are given and the run's falls below its parent's, that is where it branched off, however late its
log begins. A run whose rates were logged from the beginning is whole, however late its losses begin.

A joined run has its parent's observations up to its own first step and its parent's rates before it. Where both
measured the loss at that very step, and no rate has differed by then, it is the same state measured twice, and the
parent's value is kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayeslr.curves.branch_points import checked_branch_point, no_parent, rates_apart, shifted
from bayeslr.curves.curve import DIVERGED, MISMATCH, LossCurve
from bayeslr.curves.sharing import common_updates
from bayeslr.errors import CurveError
from bayeslr.schedules import Schedule

__all__ = ["Joined", "RawRun", "join_branches", "logging_interval", "starts_late"]

_SAME_RATE = 1e-3
"""Rates of a run and of a parent that is looked for agree up to this share of the peak."""
_SAME_NAMED_RATE = 1e-2
"""The same where the parent is named, so that one of the two may come from a log."""
_SAME_FIRST_RATE = 0.051
"""The same where the run's rates come from its log: one logging interval of a cool-down may lie in between."""
_ROUNDING = 1e-5
"""The same up to the rounding of logged rates."""
_SAME_STATE = 2e-4
"""Losses of the same weights agree up to this share."""
_NEAR = 0.05
"""Losses of the same weights agree up to this share even if they are noisy."""
_NOT_COMPARED = frozenset(
    {"file", "schedule", "split", "source", "first_step", "last_step", "parent", "run", "name", DIVERGED, MISMATCH}
)
"""Metadata that says nothing about whether two runs have the same past."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RawRun:
    """A run as its own log has it.

    Parameters
    ----------
    curve
        The observations of the log and the schedule as far as it is known.
    parent
        Name of the run it was branched off; None where it is not said.
    rates_from
        First update whose rate is known. Default 0: the schedule was given. Where the rates come from the log, its
        first logged step; the rates before it are a guess.
    branch_step
        Step of the parent from which the run counts its own steps; None where it counts from the beginning.
    complete
        True if the log itself shows the rates from the beginning, so that the run is no branch.
    rates_logged
        True if the rates come from the log, False if the schedule was given.
    """

    curve: LossCurve
    parent: str | None = None
    rates_from: int = 0
    branch_step: int | None = None
    complete: bool = False
    rates_logged: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Joined:
    """A run with its whole history.

    Parameters
    ----------
    curve
        The joined curve.
    parent
        Name of the run whose history it took over; None where it has its own.
    note
        What was uncertain about the choice; empty where nothing was.
    """

    curve: LossCurve
    parent: str | None = None
    note: str = ""


def starts_late(curve: LossCurve, *, intervals: float) -> bool:
    """Return whether a log begins too late to be the beginning of its run.

    Parameters
    ----------
    curve
        The observations of the log.
    intervals
        How many logging intervals (median distance of the steps) after the warm-up are too late.

    Returns
    -------
    bool
        True if the first step is also more than 5% of the schedule after the warm-up. A single observation is no log.
    """
    if len(curve) < 2:
        return False
    gap = int(curve.steps[0]) - curve.schedule.warmup_steps
    return gap > max(0.05 * curve.schedule.total_steps, intervals * logging_interval(curve.steps))


def logging_interval(steps: NDArray[np.int64]) -> float:
    """Return the usual distance of the steps of a log; 0 of a single one.

    Parameters
    ----------
    steps
        Its steps, shape ``[n]``.

    Returns
    -------
    float
        The median of the distances.
    """
    return float(np.median(np.diff(steps))) if steps.size > 1 else 0.0


def join_branches(
    runs: Sequence[RawRun], *, names: Sequence[str] | None = None, allow_late_start: bool = False
) -> tuple[Joined, ...]:
    """Give runs their whole history.

    Parameters
    ----------
    runs
        All runs among which parents may be found, with different names.
    names
        The runs to return, in this order. Default: all.
    allow_late_start
        Accept a run that starts late and has no parent. A given schedule is trusted; where the rates come from the log,
        those before are assumed to be a warm-up, and a note says so. Default False.

    Returns
    -------
    tuple of Joined
        One a name.

    Raises
    ------
    CurveError
        If a run starts late and no parent is found, several are equally likely, a named parent does not fit, or parents
        form a circle.
    """
    by_name = {run.curve.name: run for run in runs}
    done: dict[str, Joined] = {}

    def resolve(name: str, children: tuple[str, ...]) -> Joined:
        if name in children:
            circle = " -> ".join([*children[children.index(name) :], name])
            raise CurveError(f"run {name!r}: its parents form a circle ({circle}); allowed: parents without a circle")
        if name not in done:
            run = by_name[name]
            parent, note = _parent(run, by_name, allow_late_start)
            if parent is None:
                curve, note = _without_history(run) if allow_late_start else (run.curve, "")
                done[name] = Joined(curve=curve, note=note)
            else:
                history = resolve(parent, (*children, name)).curve
                if run.branch_step is not None:
                    moved = shifted(run.curve, run.branch_step, history, rates_from=run.rates_from)
                    run = replace(run, curve=moved, rates_from=run.branch_step if run.rates_from else 0)
                joined = _join(run, history)
                first = int(run.curve.steps[0])
                alone = joined is run.curve
                # a cool-down that counts its own steps leaves the rates of its parent where it was branched off
                until = first - 1 if run.branch_step is None else min(first, run.branch_step) - 1
                if run.parent is not None and (alone or common_updates(joined.schedule, history.schedule) >= until):
                    note = checked_branch_point(run.curve, history, joined=not alone)
                    note = ("" if alone or not run.rates_from else rates_apart(run.curve, history)) or note
                done[name] = Joined(curve=joined, parent=parent, note=note)
        return done[name]

    return tuple(resolve(name, ()) for name in (by_name if names is None else names))


def _parent(run: RawRun, by_name: Mapping[str, RawRun], allow_late_start: bool) -> tuple[str | None, str]:
    """Return the name of the parent, if there is one, and what is uncertain about it."""
    curve = run.curve
    if run.parent is not None:
        if run.parent not in by_name:
            known = ", ".join(list(by_name)[:10])
            raise CurveError(f"run {curve.name!r}: its parent {run.parent[:80]!r} is not among the runs ({known})")
        return run.parent, ""
    if run.branch_step is not None:
        raise CurveError(f"run {curve.name!r}: branch_step is {run.branch_step}, but no parent is named; allowed: both")
    if run.complete or not starts_late(curve, intervals=2):
        return None, ""

    possible = [
        other.curve
        for other in by_name.values()
        if _has_earlier(curve, other.curve) and curve.name not in _named_ancestors(other, by_name)
    ]
    candidates = [other for other in possible if _same_rates(run, other)]
    distance = {other.name: _distance(curve, other) for other in possible}
    # Where the rates come from the log, the first one may follow a drop at the branch point: the loss alone decides.
    for group in (candidates, possible if run.rates_from else []):
        nearest = min(group, key=lambda other: distance[other.name], default=None)
        if nearest is not None and distance[nearest.name] <= _SAME_STATE:
            return nearest.name, ""
    if allow_late_start or not starts_late(curve, intervals=10):
        return None, ""
    return _likely_parent(run, possible, candidates, distance)


def _likely_parent(
    run: RawRun, possible: Sequence[LossCurve], candidates: Sequence[LossCurve], distance: Mapping[str, float]
) -> tuple[str, str]:
    """Return the name of the run that is most like a parent, although its loss is not the same, and a note about it."""
    curve = run.curve
    first = int(curve.steps[0])
    problem = f"run {curve.name!r} starts at step {first}"
    way_out = "; allowed: name its `parent`, or pass allow_late_start=True (--allow-late-start)"
    if run.rates_from:
        problem += " and its earlier rates are not logged"
        way_out += ", or give its `schedule` if it is no branch"
    else:
        problem += f", {first - curve.schedule.warmup_steps} steps after its warm-up, so it must be a branch"
    likely = [c for c in candidates if distance[c.name] <= _NEAR or np.isinf(distance[c.name])]
    if not likely:
        raise CurveError(f"{problem}, but {no_parent(curve, possible, candidates)}{way_out}")
    rank = {c.name: (-_agreement(curve, c), distance[c.name]) for c in likely}
    best = min(likely, key=lambda c: rank[c.name])
    rivals = [c for c in likely if rank[c.name] == rank[best.name] and not _same_past(best, c, first)]
    if rivals:
        raise CurveError(f"{problem}, and {best.name!r} and {rivals[0].name!r} are equally likely{way_out}")
    return best.name, (
        f"run {curve.name!r} starts at step {first}: taken as a branch of {best.name!r}, which fits best, but its loss "
        "there is not the same; name its `parent` to be sure"
    )


def _named_ancestors(run: RawRun, by_name: Mapping[str, RawRun]) -> set[str]:
    """Return the names of the parent of a run, its parent's parent and so on, as far as they are said."""
    names: set[str] = set()
    parent = run.parent
    while parent is not None and parent in by_name and parent not in names:
        names.add(parent)
        parent = by_name[parent].parent
    return names


def _has_earlier(curve: LossCurve, other: LossCurve) -> bool:
    """Return whether another run is one of the same model with earlier observations."""
    return (other.size, other.params) == (curve.size, curve.params) and bool(other.steps[0] < curve.steps[0])


def _same_rates(run: RawRun, parent: LossCurve) -> bool:
    """Return whether a run had the rates of another one up to its first step, as far as that is known."""
    mine, theirs = run.curve.schedule, parent.schedule
    if not run.rates_from:
        return common_updates(mine, theirs, tolerance=_SAME_RATE) >= int(run.curve.steps[0])
    at = min(run.rates_from, mine.total_steps - 1)
    if theirs.total_steps <= at and not _goes_on(run.curve, parent):
        return False
    last = min(at, theirs.total_steps - 1)
    # between two logs a rate changes by about as much as it did before
    change = 2.0 * abs(float(theirs.lr[last] - theirs.lr[max(last - (at - last), 0)]))
    return abs(float(theirs.lr[last]) - float(mine.lr[at])) <= _SAME_FIRST_RATE * theirs.peak_lr + change


def _goes_on(curve: LossCurve, parent: LossCurve) -> bool:
    """Return whether a log begins where another one ends, at most two logging intervals later."""
    return bool(curve.steps[0] <= parent.schedule.total_steps + 2 * logging_interval(parent.steps))


def _distance(curve: LossCurve, candidate: LossCurve) -> float:
    """Return the difference of the losses at the branch point, as a share; infinite where the candidate has none."""
    first = int(curve.steps[0])
    if first > candidate.steps[-1] + logging_interval(candidate.steps):
        return float("inf")
    there = float(np.interp(first, candidate.steps, candidate.loss))
    here = float(curve.loss[0])
    return abs(there - here) / max(abs(here), 1e-12)


def _agreement(curve: LossCurve, candidate: LossCurve) -> int:
    """Return in how many columns of metadata two runs agree."""
    return sum(
        key not in _NOT_COMPARED and value is not None and candidate.metadata.get(key) == value
        for key, value in curve.metadata.items()
    )


def _same_past(one: LossCurve, other: LossCurve, step: int) -> bool:
    """Return whether two curves have the same observations before a step."""
    before, others = one.steps < step, other.steps < step
    return np.array_equal(one.steps[before], other.steps[others]) and np.array_equal(
        one.loss[before], other.loss[others]
    )


def _without_history(run: RawRun) -> tuple[LossCurve, str]:
    """Return a run that starts late, with a warm-up of the missing length where nothing says what its rates were."""
    curve = run.curve
    if not run.rates_from or run.complete or not starts_late(curve, intervals=2):
        return curve, ""
    first = run.rates_from
    lr = curve.schedule.lr.copy()
    if first >= lr.size:
        return curve, ""
    lr[:first] = lr[first] * np.arange(first) / first
    return replace(curve, schedule=Schedule(lr=lr, warmup_steps=first)), (
        f"run {curve.name!r} starts at step {curve.steps[0]} and its history is missing: a warm-up of {first} "
        "steps is assumed before its first logged rate, and alpha and L0 depend on that; name its `parent` or give its "
        "`schedule`"
    )


def _join(run: RawRun, parent: LossCurve) -> LossCurve:
    """Put a parent's observations and rates in front of a run's own."""
    curve = run.curve
    first = int(curve.steps[0])
    if parent.steps[0] >= first:
        if starts_late(curve, intervals=10):
            raise CurveError(
                f"run {curve.name!r} starts at step {first}, but its parent {parent.name!r} at step {parent.steps[0]}; "
                "allowed: a parent with earlier observations"
            )
        return curve
    schedule = _joined_rates(run, parent)
    # Where both measured the loss at the branch point the state is the same only if no rate has differed by then.
    earlier = parent.steps <= min(first, common_updates(schedule, parent.schedule))
    own = curve.steps > max(parent.steps[earlier], default=0)
    return replace(
        curve,
        steps=np.concatenate([parent.steps[earlier], curve.steps[own]]),
        loss=np.concatenate([parent.loss[earlier], curve.loss[own]]),
        schedule=schedule,
        metadata={**curve.metadata, "parent": parent.name},
    )


def _joined_rates(run: RawRun, parent: LossCurve) -> Schedule:
    """Return a run's schedule with its parent's rates before the branch point."""
    mine, theirs = run.curve.schedule, parent.schedule
    first = int(run.curve.steps[0])
    if theirs.total_steps < first and run.rates_from:
        if not _goes_on(run.curve, parent) or not _same_rates(run, parent):
            raise CurveError(
                f"run {run.curve.name!r}: its log begins at step {first}, but the rates of its parent {parent.name!r} "
                f"end at {theirs.total_steps}, with {theirs.lr[-1]:.4g}; allowed: a parent that reaches the branch "
                "point"
            )
        # the log of a resumed run: between the two, rates are interpolated
        known = min(run.rates_from, mine.total_steps - 1)
        between = np.linspace(theirs.lr[-1], mine.lr[known], max(known - theirs.total_steps, 0) + 2)[1:-1]
        theirs = Schedule(lr=np.concatenate([theirs.lr, between]), warmup_steps=theirs.warmup_steps)
    branch = min(run.rates_from or first, mine.total_steps, theirs.total_steps)
    if common_updates(mine, theirs) >= branch:
        return mine
    if not run.rates_from:
        # Nominal and logged rates often disagree inside the warm-up; after it a parent has to fit.
        start = min(max(mine.warmup_steps, theirs.warmup_steps), branch)
        parted = np.abs(mine.lr[start:branch] - theirs.lr[start:branch]) > _SAME_NAMED_RATE * mine.peak_lr
        if parted.any():
            at = start + int(np.argmax(parted))
            if mine.lr[at] < theirs.lr[at] and at > start:
                # only the end of a cool-down was logged: its schedule says where it began
                same = np.flatnonzero(np.abs(mine.lr[start:at] - theirs.lr[start:at]) <= _ROUNDING * mine.peak_lr)
                at = start + int(same[-1]) + 1 if same.size else start
                warmup = theirs.warmup_steps if theirs.warmup_steps < at else -1
                return Schedule(lr=np.concatenate([theirs.lr[:at], mine.lr[at:]]), warmup_steps=warmup)
            raise CurveError(
                f"run {run.curve.name!r}: its rate of update {at} is {mine.lr[at]:.6g}, but {theirs.lr[at]:.6g} in its "
                f"parent {parent.name!r}; allowed: the same rates up to its first step {first}"
            )
    warmup_steps = theirs.warmup_steps if theirs.warmup_steps < branch else -1
    return Schedule(lr=np.concatenate([theirs.lr[:branch], mine.lr[branch:]]), warmup_steps=warmup_steps)
