"""Schedules as people give them: one or several, built or as text, with names or without."""

from collections.abc import Iterable, Mapping

from bayeslr.errors import ScheduleError
from bayeslr.schedules.schedule import Schedule
from bayeslr.schedules.spec import parse_schedule

__all__ = ["Plans", "named_schedules"]

type Plans = Schedule | str | Mapping[str, Schedule] | Mapping[str, Schedule | str] | Iterable[Schedule | str]


def named_schedules(plans: Plans) -> dict[str, Schedule]:
    """Return schedules by name.

    Parameters
    ----------
    plans
        A schedule, a spec such as ``"cosine(peak_lr=1e-3, total_steps=4000)"``, or several schedules and specs by name
        or in a list.

    Returns
    -------
    dict
        Schedules by name. Without names they are called by their builders, ``cosine``, and numbered where several are
        alike, ``wsd 1, wsd 2``; a schedule from elsewhere is called ``schedule``.

    Raises
    ------
    ScheduleError
        If there is none, one is neither a schedule nor a text, or a text is no spec.
    """
    if isinstance(plans, Mapping):
        named = {str(name): _built(plan) for name, plan in plans.items()}
    else:
        listed: Iterable[object] = plans if isinstance(plans, Iterable) and not isinstance(plans, str) else [plans]
        built = [_built(plan) for plan in listed]
        names = [plan.spec.partition("(")[0].strip() or "schedule" for plan in built]
        named = {
            name if names.count(name) == 1 else f"{name} {names[: k + 1].count(name)}": plan
            for k, (name, plan) in enumerate(zip(names, built, strict=True))
        }
    if not named:
        raise ScheduleError("there is no schedule; allowed: at least one")
    return named


def _built(plan: object) -> Schedule:
    if isinstance(plan, str):
        return parse_schedule(plan)
    if isinstance(plan, Schedule):
        return plan
    raise ScheduleError(
        f"found {plan!r:.60}, a {type(plan).__name__}; allowed: a Schedule, a spec such as "
        "'cosine(peak_lr=1e-3, total_steps=4000)', or several of these by name or in a list"
    )
