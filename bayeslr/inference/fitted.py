"""What a posterior says of the runs that it was fitted to."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bayeslr.inference.posterior import Posterior
from bayeslr.model import CurveParts, Plan, evaluate

__all__ = ["fitted_curves"]

type Draws = NDArray[np.float64]


def fitted_curves(
    posterior: Posterior, *, num_draws: int | None = 200
) -> Iterator[tuple[str, NDArray[np.int64], Draws, CurveParts, Draws]]:
    """Evaluate the model along each run that was fitted, with the run's own effects.

    Parameters
    ----------
    posterior
        The posterior.
    num_draws
        At most this many draws.

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
    trunks = posterior.fitted.trunks()
    for position, curve in enumerate(posterior.fitted):
        size, owner = posterior.size_of(curve), position
        while posterior.fitted.names[owner] not in posterior.runs and trunks[owner] >= 0:
            owner = trunks[owner]
        name = posterior.fitted.names[owner]
        run = posterior.runs.index(name) if name in posterior.runs else 0
        values = {
            site: draws[site][:, size] if site in model.per_size else draws[site]
            for site in model.sites
            if site in draws
        }
        shared = {
            site.removeprefix("effect_"): array[:, size]
            for site, array in effects.items()
            if site not in of_run and not site.endswith("_common")
        }
        own = {site.removeprefix("effect_"): effects[site][:, run] for site in of_run}
        scale = posterior.scale_of(size)
        plan = Plan(schedule=curve.schedule, steps=curve.steps, setup=curve.setup, effects=own)
        ((parts, noise),) = evaluate(model.composition, values, shared, posterior.places, [plan], scale)
        yield curve.name, curve.steps, curve.loss, parts, noise
