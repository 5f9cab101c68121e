"""Weight decay and batch size of the runs that a forecast is asked about."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from bayeslr.curves import LossCurve, Setup
from bayeslr.errors import PosteriorError
from bayeslr.forecast.sizes import Target, fitted_runs
from bayeslr.inference import Posterior

__all__ = ["Setting", "by_name", "find_setups", "with_setup"]

type Setting = float | Mapping[str, float | None] | None
"""A number for all schedules, or for some of them by name; none: as the fitted runs have it."""

_LEAST: Final = {"weight_decay": 0.0, "batch_size": float(np.nextafter(0.0, 1.0))}


def by_name(what: str, asked: Setting, names: Sequence[str]) -> dict[str, float]:
    """Return what was asked for, by the names of schedules.

    Parameters
    ----------
    what
        ``"weight_decay"`` or ``"batch_size"``.
    asked
        The question.
    names
        Names of the schedules.

    Returns
    -------
    dict
        Numbers of the schedules that have one.

    Raises
    ------
    PosteriorError
        If a number is not one that a run can have, or is for a schedule that is not asked for.
    """
    if asked is None:
        return {}
    given, known = asked if isinstance(asked, Mapping) else dict.fromkeys(names, asked), frozenset(names)
    least = _LEAST[what]
    allowed = f"a number {'above 0' if least else 'from 0 on'}, or one for some of the schedules by name"
    for name, value in given.items():
        if name not in known:
            listed = ", ".join(names[:6]) or "none"
            raise PosteriorError(
                f"{what}: found a number for {name!r}; allowed: schedules that are asked for ({listed})"
            )
        plain = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if value is not None and not (plain and least <= value < np.inf):
            raise PosteriorError(f"{what}: found {value!r} for {name}; allowed: {allowed}")
    return {name: float(value) for name, value in given.items() if value is not None}


def with_setup(run: LossCurve, *, weight_decay: Setting, batch_size: Setting) -> LossCurve:
    """Return a run that has the weight decay and the batch size that were asked for of all, where it says none."""
    asked = {"weight_decay": weight_decay, "batch_size": batch_size}
    missing: dict[str, Any] = {
        what: by_name(what, value, [run.name])[run.name]
        for what, value in asked.items()
        if value is not None and not isinstance(value, Mapping) and getattr(run, what) is None
    }
    return replace(run, **missing)


def find_setups(
    posterior: Posterior,
    target: Target,
    names: Sequence[str],
    *,
    weight_decay: Setting,
    batch_size: Setting,
    started: LossCurve | None = None,
) -> dict[str, Setup]:
    """Return the setup of each schedule.

    Parameters
    ----------
    posterior
        The posterior.
    target
        The size.
    names
        Names of the schedules.
    weight_decay, batch_size
        What was asked for. Where nothing was: what the run that has started says of itself, else what all fitted runs
        (of the size, where it was fitted) have in common, else none.
    started
        The run that the schedules continue, if there is one.

    Returns
    -------
    dict
        By the names of the schedules.

    Raises
    ------
    PosteriorError
        If a number is not one that a run can have, is for a schedule that is not asked for, or is not that of the run
        that has started.
    """
    alike = fitted_runs(posterior, target)

    def values(what: str, asked: Setting) -> dict[str, float | None]:
        given = by_name(what, asked, names)
        found = {getattr(curve, what) for curve in alike}
        common = found.pop() if len(found) == 1 else None
        own = None if started is None else getattr(started, what)
        for name, value in given.items():
            if own is not None and value != own:
                raise PosteriorError(
                    f"{what}: found {value:.6g} for {name}, which continues a run that has {own:.6g}; allowed: that of "
                    "the run, or none"
                )
        return {name: given.get(name, common if own is None else own) for name in names}

    decays = values("weight_decay", weight_decay)
    batches = values("batch_size", batch_size)
    return {name: Setup(weight_decay=decays[name], batch_size=batches[name]) for name in names}
