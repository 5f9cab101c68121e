"""Forecasts of several models as one: a mixture whose draws come in proportion to the models' weights."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayeslr.errors import PosteriorError
from bayeslr.forecast.forecast import Forecast
from bayeslr.model import CurveParts

__all__ = ["stack"]

type Draws = NDArray[np.float64]
type Rows = NDArray[np.int64]


def stack(forecasts: Mapping[str, Forecast], weights: Mapping[str, float] | pd.Series) -> Forecast:
    """Mix the forecasts of several models.

    Parameters
    ----------
    forecasts
        Forecasts by the models' names, of the same schedules, steps and size.
    weights
        Weight of each model, not negative; they are divided by their sum. The column ``weight`` of
        :func:`bayeslr.evaluation.compare_models` will do.

    Returns
    -------
    Forecast
        As many draws as the models' weights allow without using one twice. A draw comes from one model for all
        schedules, so that draws stay paired between schedules. Warnings are those of all models with a weight; what
        not all of them say is preceded by the model's name.

    Raises
    ------
    PosteriorError
        If weights and forecasts have different names, a weight is not valid, or forecasts differ in schedules, steps
        or size.
    """
    shares = _shares(forecasts, {str(name): float(weight) for name, weight in weights.items()})
    chosen = {name: forecasts[name] for name in shares}
    first, *others = chosen
    for name in others:
        _check_same(first, chosen[first], name, chosen[name])
    available = {name: len(next(iter(forecast.latent.values()))) for name, forecast in chosen.items()}
    total = min(int(available[name] / share) for name, share in shares.items())
    counts = np.diff(np.round(total * np.cumsum(list(shares.values()))).astype(int), prepend=0)
    # counts are rounded, so that a model may lack one draw
    counts = np.minimum(counts, list(available.values()))
    rows = [
        np.linspace(0, available[name] - 1, count).round().astype(int)
        for name, count in zip(chosen, counts, strict=True)
    ]
    # models take turns, so that any stretch of the draws is a mixture as well
    order = np.argsort(np.concatenate([(np.arange(count) + 0.5) / count for count in counts]), kind="stable")

    mixed = partial(_mixed, rows, order)
    members = list(chosen.values())
    return replace(
        members[0],
        latent={name: mixed(*(member.latent[name] for member in members)) for name in members[0].names},
        observed={name: mixed(*(member.observed[name] for member in members)) for name in members[0].names},
        parts={name: _mixed_parts(mixed, [member.parts[name] for member in members]) for name in members[0].names},
        warnings=_warnings(chosen),
        health="; ".join(f"{name}: {member.health}" for name, member in chosen.items() if member.health),
    )


def _mixed(rows: list[Rows], order: Rows, *parts: ArrayLike) -> Draws:
    """Take rows of each model's draws, in this order."""
    taken = [np.asarray(part)[keep] for part, keep in zip(parts, rows, strict=True)]
    whole: Draws = np.concatenate(taken)[order]
    return whole


def _mixed_parts(mixed: Callable[..., Draws], curves: list[CurveParts]) -> CurveParts:
    left_over = [curve.left_over for curve in curves if curve.left_over is not None]
    return CurveParts(
        **{name: mixed(*(curve.arrays[name] for curve in curves)) for name in curves[0].arrays},
        # members continue a run all of them, or none
        left_over=partial(_mixed_left_over, mixed, left_over) if len(left_over) == len(curves) else None,
    )


def _mixed_left_over(mixed: Callable[..., Draws], members: list[Callable[[], Draws]]) -> Draws:
    return mixed(*(member() for member in members))


def _shares(forecasts: Mapping[str, Forecast], weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weights that are not zero, divided by their sum, in the order of the forecasts."""
    if set(forecasts) != set(weights):
        raise PosteriorError(
            f"stack: weights are for {', '.join(weights)}, forecasts of {', '.join(forecasts)}; "
            "allowed: a weight for each forecast"
        )
    for name, weight in weights.items():
        if not (np.isfinite(weight) and weight >= 0.0):
            raise PosteriorError(f"stack: the weight of {name} is {weight!r}; allowed: finite numbers from 0")
    total = sum(weights.values())
    if total <= 0.0:
        raise PosteriorError("stack: all weights are 0; allowed: at least one above 0")
    return {name: weights[name] / total for name in forecasts if weights[name] > 0.0}


def _check_same(first: str, one: Forecast, name: str, other: Forecast) -> None:
    if one.size != other.size:
        raise PosteriorError(f"stack: {first} is for size {one.size}, {name} for {other.size}; allowed: the same size")
    if set(one.names) != set(other.names):
        raise PosteriorError(
            f"stack: {first} has the schedules {', '.join(one.names)}, {name} has {', '.join(other.names)}; "
            "allowed: the same schedules"
        )
    for schedule in one.names:
        if one.schedules[schedule] != other.schedules[schedule]:
            raise PosteriorError(
                f"stack: schedule {schedule} has other rates in {first} than in {name}; allowed: the same schedules"
            )
        if not np.array_equal(one.steps[schedule], other.steps[schedule]):
            raise PosteriorError(
                f"stack: schedule {schedule} is predicted at other steps in {first} than in {name}; allowed: the same "
                "steps"
            )


def _warnings(forecasts: Mapping[str, Forecast]) -> tuple[str, ...]:
    """Return all warnings once; those that not all models have are preceded by the model's name."""
    everywhere = set.intersection(*(set(forecast.warnings) for forecast in forecasts.values()))
    merged = [
        message if message in everywhere else f"{name}: {message}"
        for name, forecast in forecasts.items()
        for message in forecast.warnings
    ]
    return tuple(dict.fromkeys(merged))
