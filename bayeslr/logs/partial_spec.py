"""Specs that leave out what the log has: the number of updates, and the warm-up."""

import ast

from bayeslr.errors import BayeslrError, ScheduleError
from bayeslr.schedules import Schedule, parse_schedule

__all__ = ["completed", "lacks_length"]


def lacks_length(spec: str) -> bool:
    """Return whether a spec says how the rate goes but not for how many updates.

    Parameters
    ----------
    spec
        The text.

    Returns
    -------
    bool
        True if it is a call with keywords and without ``total_steps``.
    """
    call = _call(spec)
    return call is not None and not call.args and bool(call.keywords) and "total_steps" not in _given(call)


def completed(
    spec: str, *, total_steps: int, warmup_steps: int | None, where: str, error: type[BayeslrError] = ScheduleError
) -> Schedule:
    """Build the schedule of a spec with what the log has of it.

    Parameters
    ----------
    spec
        A spec that :func:`lacks_length`.
    total_steps
        Number of updates of the log.
    warmup_steps
        Length of the warm-up that the log shows; None where it shows none.
    where
        Whose spec it is, for messages.
    error
        Class of the exception to raise. Default: ScheduleError.

    Returns
    -------
    Schedule
        The schedule.

    Raises
    ------
    BayeslrError
        Of the class ``error``: if the spec is not valid.
    """
    call = _call(spec)
    added = [f"total_steps={total_steps}"]
    if call is not None and "warmup_steps" not in _given(call) and warmup_steps is not None:
        added.append(f"warmup_steps={warmup_steps}")
    text = spec.strip().rstrip(")").rstrip().rstrip(",")
    try:
        return parse_schedule(f"{text}, {', '.join(added)})")
    except ScheduleError as problem:
        raise error(f"{where}: {problem}") from None


def _call(spec: str) -> ast.Call | None:
    """Return the call that a spec is."""
    if len(spec) > 10_000 or spec.lstrip().startswith("@"):
        return None
    try:
        body = ast.parse(spec.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return body if isinstance(body, ast.Call) else None


def _given(call: ast.Call) -> set[str]:
    """Return the names of the arguments of a call."""
    return {keyword.arg for keyword in call.keywords if keyword.arg is not None}
