"""Runs that have already started: what their beginning says of the rest.

A run that was fitted has effects of its own in the posterior, and a residual whose last value is known up to the noise.
A run that was not fitted is fitted now, together with the curves of the posterior.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.errors import PosteriorError
from bayeslr.forecast.sizes import Target
from bayeslr.inference import Posterior, fit
from bayeslr.schedules import Schedule

__all__ = ["check_continues", "fit_with", "fitted_run", "own_effects"]

_OBSERVED = "observed run"

type Draws = NDArray[np.float64]


def fitted_run(posterior: Posterior, name: str) -> tuple[LossCurve, str]:
    """Find a run among the fitted ones.

    Parameters
    ----------
    posterior
        The posterior.
    name
        Name of the run.

    Returns
    -------
    curve : LossCurve
        Its observations after warm-up.
    size : str
        Label of its size.

    Raises
    ------
    PosteriorError
        If no fitted run has this name.
    CurveError
        If all its observations lie in the warm-up.
    """
    names = posterior.curves.names
    if name not in names:
        listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise PosteriorError(f"run: found {name!r}; allowed: a fitted run: {listed}")
    curve = posterior.curves[name].after_warmup()
    return curve, posterior.sizes[posterior.size_of(curve) or 0]


def check_continues(run: LossCurve, plans: Mapping[str, Schedule]) -> None:
    """Refuse plans that are no continuation of a run.

    Parameters
    ----------
    run
        The beginning of the run.
    plans
        The schedules, by name.

    Raises
    ------
    PosteriorError
        If a plan ends before the last observation, or its rates up to there are others.
    """
    seen = int(run.steps[-1])
    for name, plan in plans.items():
        if plan.total_steps <= seen:
            raise PosteriorError(f"{name}: ends at step {plan.total_steps}, but the run was observed to step {seen}")
        if not np.allclose(plan.lr[:seen], run.schedule.lr[:seen], rtol=1e-3, atol=1e-3 * plan.peak_lr):
            raise PosteriorError(f"{name}: its rates up to step {seen} are not those of the observed run")


def fit_with(
    posterior: Posterior, observed: LossCurve, target: Target, *, progress: bool | None
) -> tuple[Posterior, LossCurve]:
    """Fit again, by the settings of a posterior, with the observed beginning of a run.

    Parameters
    ----------
    posterior
        The posterior.
    observed
        The beginning of the run, of any name.
    target
        The size of the run.
    progress
        Whether to show a progress bar.

    Returns
    -------
    posterior : Posterior
        The new posterior.
    run : LossCurve
        The run as it was fitted.
    """
    label = None if target.label == "all" else target.label
    fitted = next((c for c in posterior.curves if c.params == target.params), None)
    run = replace(observed, name=_OBSERVED, params=target.params, size=fitted.size if fitted is not None else label)
    settings = posterior.settings
    refitted = fit(
        CurveSet(curves=(*posterior.curves, run)),
        posterior.model if posterior.model.pooling != "none" or target.index is not None else None,
        # files of earlier versions do not say: all losses were fitted
        keep_spikes=settings.get("keep_spikes", True),
        method=settings["method"],
        progress=progress,
        **posterior.repeated,
    )
    return refitted, run


def own_effects(posterior: Posterior, effects: Mapping[str, Draws], run: str) -> dict[str, Draws] | None:
    """Return the effects of a fitted run.

    Parameters
    ----------
    posterior
        The posterior.
    effects
        Draws of the effects of runs by block, each ``[draws, R, k]``.
    run
        Name of the run.

    Returns
    -------
    dict or None
        Effects by block, each ``[draws, k]``; None where the posterior has none.
    """
    row = posterior.row_of(run)
    return None if row is None else {name: array[:, row] for name, array in effects.items()}
