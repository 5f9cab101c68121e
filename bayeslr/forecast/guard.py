"""Bands are numbers, or there are none: what a forecast may cost, and what it may say."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bayeslr.curves import CurveSet
from bayeslr.errors import PosteriorError
from bayeslr.schedules import MAX_UPDATES, Schedule

__all__ = ["require_numbers", "require_room"]

MAX_VALUES: Final = 40_000_000
"""Most draws of losses of all schedules together: with the terms of the law about 3 GB."""
_MAX_NAME: Final = 200
_ABSURD: Final = 1_000.0
"""How many times the highest fitted loss a final loss may be: early in a run losses are high, at its end they are not.
"""


def require_room(plans: Mapping[str, Schedule], steps: Mapping[str, NDArray[np.int64]], num_draws: int) -> None:
    """Refuse a question whose answer does not fit into memory, before any of it is computed.

    Parameters
    ----------
    plans
        The schedules, by name.
    steps
        The steps of each.
    num_draws
        Number of posterior draws.

    Raises
    ------
    PosteriorError
        If there are too many schedules, steps and draws, or a name is no short text.
    """
    for name in plans:
        if not isinstance(name, str) or not name.strip() or len(name) > _MAX_NAME:
            raise PosteriorError(
                f"predict: a schedule is called {name!r}; allowed: a name of up to {_MAX_NAME} characters"
            )
    updates = sum(plan.total_steps for plan in plans.values())
    if updates > MAX_UPDATES:
        raise PosteriorError(f"predict: {updates} updates in {len(plans)} schedules; allowed: {MAX_UPDATES} together")
    values = num_draws * sum(array.size for array in steps.values())
    if values > MAX_VALUES:
        raise PosteriorError(
            f"predict: {num_draws} draws of {values // num_draws} steps in {len(plans)} schedules; allowed: "
            f"{MAX_VALUES} numbers together, so fewer draws, steps or schedules at a time"
        )


def require_numbers(
    latent: Mapping[str, NDArray[np.float64]], observed: Mapping[str, NDArray[np.float64]], fitted: CurveSet
) -> None:
    """Refuse draws from which no band follows that means something.

    Parameters
    ----------
    latent, observed
        Draws of the loss of each schedule, ``[draws, n]``.
    fitted
        The fitted curves.

    Raises
    ------
    PosteriorError
        If a draw is no finite number, or a final loss is below zero or beyond a thousand times the highest fitted one.
    """
    highest = max(float(curve.loss.max()) for curve in fitted)
    advice = "allowed: a posterior that `bayeslr check` passes, and schedules like the fitted ones"
    for name in latent:
        for draws in (latent[name], observed[name]):
            wrong = int(np.count_nonzero(~np.isfinite(draws).all(axis=1)))
            if wrong:
                raise PosteriorError(
                    f"predict: {wrong} of {len(draws)} draws of {name!r} are not finite: no prediction; {advice}"
                )
            final = draws[:, -1]
            if final.min() > 0.0 and final.max() < _ABSURD * highest:
                continue
            lower, median, upper = (float(value) for value in np.quantile(final, [0.05, 0.5, 0.95]))
            if not 0.0 < median < _ABSURD * highest or upper - lower > _ABSURD * highest:
                raise PosteriorError(
                    f"predict: the final loss of {name!r} would be {median:.6g} ({lower:.6g} to {upper:.6g}), where "
                    f"fitted losses end at {highest:.6g}: no prediction; {advice}"
                )
