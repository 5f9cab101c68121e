"""Weight decay and batch size of the runs that a forecast is asked about."""

from collections.abc import Mapping, Sequence

import numpy as np

from bayeslr.curves import LossCurve, Setup
from bayeslr.errors import PosteriorError
from bayeslr.forecast.sizes import Target, fitted_runs
from bayeslr.inference import Posterior

__all__ = ["Setting", "find_setups"]

type Setting = float | Mapping[str, float] | None
"""A number for all schedules, or for some of them by name; none: as the fitted runs have it."""


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
        If a number is not one that a run can have, or is for a schedule that is not asked for.
    """
    alike = fitted_runs(posterior, target)

    def values(name: str, asked: Setting, least: float) -> dict[str, float | None]:
        given = dict(asked) if isinstance(asked, Mapping) else {} if asked is None else dict.fromkeys(names, asked)
        for schedule, value in given.items():
            if schedule not in names:
                raise PosteriorError(
                    f"predict: {name} is given for {schedule!r}; allowed: names of schedules ({', '.join(names[:6])})"
                )
            if not least <= value < np.inf:
                allowed = "a number above 0" if least else "a number from 0 on"
                raise PosteriorError(f"predict: {name}={value!r}; allowed: {allowed}, or none")
        found = {getattr(curve, name) for curve in alike}
        common = found.pop() if len(found) == 1 else None
        own = None if started is None else getattr(started, name)
        return {schedule: given.get(schedule, common if own is None else own) for schedule in names}

    decays = values("weight_decay", weight_decay, 0.0)
    batches = values("batch_size", batch_size, np.nextafter(0.0, 1.0))
    return {name: Setup(weight_decay=decays[name], batch_size=batches[name]) for name in names}
