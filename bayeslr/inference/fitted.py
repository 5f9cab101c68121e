"""What a posterior says of the runs that it was fitted to."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayeslr.curves import LossCurve
from bayeslr.inference.posterior import Posterior
from bayeslr.model import CurveParts, PlannedCurve, evaluate

__all__ = ["fitted_curves"]

type Draws = NDArray[np.float64]


def fitted_curves(
    posterior: Posterior, *, num_draws: int | None = 200, max_points_per_run: int = 1000
) -> Iterator[tuple[str, NDArray[np.int64], Draws, CurveParts, Draws]]:
    """Evaluate the model along each run that was fitted, with the run's own effects.

    Parameters
    ----------
    posterior
        The posterior.
    num_draws
        At most this many draws.
    max_points_per_run
        At most this many observations of a run, evenly spread over all of them, the first and the last included.

    Yields
    ------
    name : str
        Name of the run.
    steps, loss : numpy.ndarray
        What was measured after the warm-up, ``[n]``.
    parts : CurveParts
        The parts of the curve, each ``[draws, n]``.
    noise : numpy.ndarray
        Standard deviation of the white noise, ``[draws, n]``.
    """
    model = posterior.model
    draws, effects = posterior.sample(num_draws=num_draws), posterior.sample_effects(num_draws=num_draws)
    of_run = {name for name, array in posterior.tree["effects"].items() if "run" in array.dims} if effects else set()
    known = [site for site in model.sites if site in draws]
    for size in range(len(posterior.sizes)):
        curves = [_spread(curve, max_points_per_run) for curve in posterior.fitted if posterior.size_of(curve) == size]
        values = {site: draws[site][:, size] if site in model.per_size else draws[site] for site in known}
        shared = {
            site.removeprefix("effect_"): array[:, size]
            for site, array in effects.items()
            if site not in of_run and not site.endswith("_common")
        }
        plans = []
        for curve in curves:
            row = posterior.row_of(curve.name)
            # without effects of its own a curve is that of its schedule
            own = {
                site.removeprefix("effect_"): effects[site][:, row] if row is not None else 0.0 * effects[site][:, 0]
                for site in of_run
            }
            plans.append(PlannedCurve(schedule=curve.schedule, steps=curve.steps, setup=curve.setup, effects=own))
        evaluated = evaluate(model.composition, values, shared, posterior.places, plans, posterior.scale_of(size))
        for curve, (parts, noise, *_) in zip(curves, evaluated, strict=True):
            yield curve.name, curve.steps, curve.loss, parts, noise


def _spread(curve: LossCurve, count: int) -> LossCurve:
    """Keep evenly spread observations of a curve."""
    if len(curve) <= count:
        return curve
    kept = np.linspace(0, len(curve) - 1, count).round().astype(np.int64)
    return replace(curve, steps=curve.steps[kept], loss=curve.loss[kept])
