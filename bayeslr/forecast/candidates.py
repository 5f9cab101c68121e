"""Runs that could be made: which are the usual ones, what each costs, and which have been made already."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from bayeslr.curves import LossCurve, Setup
from bayeslr.curves.counts import count_label
from bayeslr.errors import PosteriorError
from bayeslr.forecast.sizes import Target, find_target
from bayeslr.inference import Posterior
from bayeslr.schedules import Schedule
from bayeslr.schedules.builders import constant, cosine, wsd

__all__ = ["Cost", "Plan", "candidate_notes", "cost_in_words", "cost_of", "find_place", "usual_candidates"]

_SAME_RATE: Final = 1e-3
_WHOLE: Final = 0.98
"""Share of its schedule up to which a run must have been observed to count as made."""

type Cost = Literal["steps", "flops"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run that could be made.

    Parameters
    ----------
    schedule
        Its schedule.
    size
        Its size, if another than the target's.
    """

    schedule: Schedule
    size: float | str | None = None


def usual_candidates(posterior: Posterior) -> dict[str, Plan]:
    """Return runs that one could make next: the usual schedules, as long as the longest fitted run and half as long.

    Parameters
    ----------
    posterior
        The posterior; peak rate and warm-up are those of its longest run.

    Returns
    -------
    dict
        Candidates by name.
    """
    longest = max(posterior.curves, key=lambda curve: curve.schedule.total_steps).schedule
    found = {}
    for label, steps in (("", longest.total_steps), ("half ", longest.total_steps // 2)):
        common: dict[str, Any] = {
            "peak_lr": longest.peak_lr,
            "warmup_steps": min(longest.warmup_steps, steps // 10),
            "total_steps": steps,
        }
        found[f"{label}constant"] = constant(**common)
        found[f"{label}cosine"] = cosine(**common)
        for share in (10, 20, 40):
            found[f"{label}wsd {share}%"] = wsd(decay_steps=steps * share // 100, **common)
    return {name: Plan(schedule=schedule) for name, schedule in found.items()}


def find_place(posterior: Posterior, name: str, plan: Plan, aim: Target) -> Target:
    """Find the size of a candidate."""
    if plan.size is None:
        return aim
    try:
        return find_target(posterior, plan.size)
    except PosteriorError as problem:
        raise PosteriorError(f"candidate {name}: {problem}") from None


def cost_of(
    posterior: Posterior, plan: Schedule, where: Target, setup: Setup, cost: Cost, tokens: float | None, reuse: bool
) -> float:
    """Return what a run costs, in steps or FLOPs."""
    steps = plan.total_steps - (_shared(posterior, plan, where, setup) if reuse else 0)
    if cost == "steps":
        return float(steps)
    if where.params is None:
        raise PosteriorError(f"next_run: size {where.label} has no number of parameters; allowed: cost='steps'")
    return 6.0 * where.params * steps * (1.0 if tokens is None else tokens)


def cost_in_words(cost: Cost, tokens: float | None, reuse: bool) -> str:
    """Say what a run costs, and what a gain for its cost is."""
    rest = ", those alone that no checkpoint of a fitted run has made" if reuse else ""
    if cost == "steps":
        what = f"its steps{rest}"
    else:
        known = (
            "tokens of an update are unknown, and the same for all"
            if tokens is None
            else f"{count_label(tokens)} an update"
        )
        what = f"6 FLOPs a parameter and token of its steps{rest} ({known})"
    return f"What a run costs here: {what}. For its cost: the gain divided by that, 1.00 for the best candidate."


def candidate_notes(
    posterior: Posterior, plans: Mapping[str, Plan], places: Mapping[str, Target], setup: Setup, *, usual: bool
) -> list[str]:
    """Say which candidates have been made already, and of the usual ones how long they are."""
    found = []
    if usual:
        longest = max(plan.schedule.total_steps for plan in plans.values())
        found.append(
            f"No candidate was named: these are the usual schedules, as long as the longest fitted run ({longest:,} "
            "steps) and half as long. A longer run may tell more: name it as a candidate."
        )
    made = {name: _made(posterior, plan.schedule, places[name], setup) for name, plan in plans.items()}
    again = [f"{name} ({run})" for name, run in made.items() if run is not None]
    if again:
        found.append(f"Made already, so that only another seed of the run would be seen: {', '.join(again)}.")
    return found


def _made(posterior: Posterior, plan: Schedule, where: Target, setup: Setup) -> str | None:
    """Return the name of a fitted run of this size and schedule that has come to its end."""
    for curve in posterior.curves:
        own = curve.schedule
        whole = own.total_steps == plan.total_steps and curve.steps[-1] >= _WHOLE * own.total_steps
        if (
            _is_of(curve, where, setup)
            and whole
            and np.allclose(own.lr, plan.lr, rtol=0.0, atol=_SAME_RATE * plan.peak_lr)
        ):
            return curve.name
    return None


def _shared(posterior: Posterior, plan: Schedule, where: Target, setup: Setup) -> int:
    """Return how many of a plan's first updates a fitted run of its size has made already."""
    most = 0
    for curve in posterior.curves:
        if not _is_of(curve, where, setup):
            continue
        n = min(int(curve.steps[-1]), plan.total_steps)
        apart = np.flatnonzero(np.abs(plan.lr[:n] - curve.schedule.lr[:n]) > _SAME_RATE * plan.peak_lr)
        most = max(most, int(apart[0]) if apart.size else n)
    # a run that was made as a whole can only be made again
    return most if most < plan.total_steps else 0


def _is_of(curve: LossCurve, where: Target, setup: Setup) -> bool:
    """Return whether a run is one of a size and of a setup, as far as both say it."""
    pairs = [
        (curve.params, where.params),
        (curve.weight_decay, setup.weight_decay),
        (curve.batch_size, setup.batch_size),
    ]
    return all(None in pair or pair[0] == pair[1] for pair in pairs)
