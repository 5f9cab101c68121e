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
MAX_STEPS: Final = 50_000
"""Most steps of one schedule: what the law sees of one takes 3 kB a step, or 14 kB where weight decay is inferred."""
_LIMITS: Final = (10.0, 1e3, 1e6)
"""How many times the highest fitted loss may be: the median of a final loss, any draw of it, and any draw at any step,
since losses are high early in a run.
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
    for name, array in steps.items():
        if array.size > MAX_STEPS:
            raise PosteriorError(f"predict: {array.size} steps of {name!r}; allowed: {MAX_STEPS} of a schedule")
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
        If a draw is no finite number or too far beyond the fitted losses to mean something, or the final loss is below
        zero.
    """
    highest = max(float(curve.loss.max()) for curve in fitted)
    typical, at_end, anywhere = (limit * highest for limit in _LIMITS)
    advice = "allowed: a posterior that `bayeslr check` passes, and schedules like the fitted ones"
    for name in latent:
        for draws in (latent[name], observed[name]):
            final = draws[:, -1]
            lowest, largest = final.min(), final.max()
            within = lowest > 0.0 and largest < typical
            # of many schedules a single step each is asked, and what was just looked at is all there is
            if within and draws.shape[1] == 1:
                continue
            wrong = np.count_nonzero(~np.isfinite(draws).all(axis=1))
            if wrong:
                raise PosteriorError(
                    f"predict: {wrong} of {len(draws)} draws of {name!r} are not finite: no prediction; {advice}"
                )
            reached, furthest = (max(-part.min(), part.max()) for part in (final, draws))
            if reached > at_end or furthest > anywhere:
                raise PosteriorError(
                    f"predict: draws of {name!r} go to {furthest:.6g}, and at its end to {reached:.6g}, where "
                    f"fitted losses are at most {highest:.6g}: no prediction; {advice}"
                )
            if within:
                continue
            lower, median, upper = (float(value) for value in np.quantile(final, [0.05, 0.5, 0.95]))
            if not 0.0 < median < typical or upper - lower > typical:
                raise PosteriorError(
                    f"predict: the final loss of {name!r} would be {median:.6g} ({lower:.6g} to {upper:.6g}), where "
                    f"fitted losses are at most {highest:.6g}: no prediction; {advice}"
                )
