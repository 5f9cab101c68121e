"""Comparison of schedules under uncertainty."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslr.errors import PosteriorError
from bayeslr.forecast.forecast import Forecast

__all__ = ["Comparison", "compare_schedules"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Which schedule ends lowest, and how sure that is.

    Parameters
    ----------
    final_loss
        Final loss of each schedule, without measurement noise: ``step, mean, sd, median, lower, upper``.
    p_best
        Probability that a schedule ends lowest.
    expected_regret
        Loss that choosing a schedule costs on average, against the one that turns out lowest.
    differences
        A row a pair, final loss of the first minus that of the second: ``first, second, median, lower, upper``, and the
        probability that the first ends lower, ``p_first_lower``.
    crossings
        A row a pair: the probability that the two curves cross, and the step at which they do so for the last time:
        ``first, second, probability, median, lower, upper``.
    warnings
        Those of the forecast.
    """

    final_loss: pd.DataFrame
    p_best: pd.Series
    expected_regret: pd.Series
    differences: pd.DataFrame
    crossings: pd.DataFrame
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON-ready values: one object a schedule, the pairs, and the warnings."""
        schedules = {
            str(name): {
                "final_loss": {key: float(row[key]) for key in ("median", "lower", "upper")},
                "p_best": float(best),
                "expected_regret": float(regret),
            }
            for (name, row), best, regret in zip(
                self.final_loss.iterrows(), self.p_best, self.expected_regret, strict=True
            )
        }
        pairs = {
            key: [
                {column: None if pd.isna(value) else value for column, value in row.items()}
                for row in table.to_dict("records")
            ]
            for key, table in (("differences", self.differences), ("crossings", self.crossings))
        }
        return {"schedules": schedules, **pairs, "warnings": list(self.warnings)}


def compare_schedules(forecast: Forecast, *, ci_prob: float = 0.9) -> Comparison:
    """Compare the schedules of a forecast by their final loss, draw by draw.

    Parameters
    ----------
    forecast
        A forecast of at least two schedules. Its draws are paired, so that what the schedules have in common cancels;
        what differs between two runs of one schedule (data order, seed) does not.
    ci_prob
        Probability of the intervals.

    Returns
    -------
    Comparison
        Probabilities, regrets, differences and crossings.

    Raises
    ------
    PosteriorError
        If the forecast has one schedule.
    """
    names = forecast.names
    if len(names) < 2:
        raise PosteriorError(f"compare: found one schedule ({names[0]}); allowed: at least two")
    final = np.stack([forecast.latent[name][:, -1] for name in names], axis=1)
    lowest = final.min(axis=1, keepdims=True)
    tail = (1.0 - ci_prob) / 2.0
    differences, crossings = [], []
    for a, b in combinations(range(len(names)), 2):
        gap = final[:, a] - final[:, b]
        lower, median, upper = np.quantile(gap, [tail, 0.5, 1.0 - tail])
        pair = {"first": names[a], "second": names[b]}
        differences.append(
            pair | {"median": median, "lower": lower, "upper": upper, "p_first_lower": float(np.mean(gap < 0.0))}
        )
        step = _last_crossing(forecast, names[a], names[b])
        crossed = step[np.isfinite(step)]
        places = np.quantile(crossed, [tail, 0.5, 1.0 - tail]) if crossed.size else np.full(3, np.nan)
        crossings.append(
            pair
            | {"probability": crossed.size / step.size, "median": places[1], "lower": places[0], "upper": places[2]}
        )
    return Comparison(
        final_loss=forecast.final_loss(ci_prob=ci_prob, latent=True),
        p_best=pd.Series((final == lowest).mean(axis=0), index=list(names), name="p_best"),
        expected_regret=pd.Series((final - lowest).mean(axis=0), index=list(names), name="expected_regret"),
        differences=pd.DataFrame(differences),
        crossings=pd.DataFrame(crossings),
        warnings=forecast.warnings,
    )


def _last_crossing(forecast: Forecast, first: str, second: str) -> NDArray[np.float64]:
    """Return for each draw the last step at which two expected curves cross, NaN where they do not."""
    start = max(forecast.steps[name][0] for name in (first, second))
    stop = min(forecast.steps[name][-1] for name in (first, second))
    grid = np.unique(np.concatenate([forecast.steps[name] for name in (first, second)]))
    grid = grid[(grid >= start) & (grid <= stop)].astype(float)
    if grid.size < 2:
        return np.full(len(forecast.latent[first]), np.nan)
    one, other = (
        np.stack([np.interp(grid, forecast.steps[name], row) for row in np.asarray(forecast.terms[name].expected)])
        for name in (first, second)
    )
    gap = one - other
    # while both follow the same rates their expected curves are equal to rounding: that is no crossing
    gap = np.where(np.abs(gap) < 1e-9, 0.0, gap)
    turns = gap[:, :-1] * gap[:, 1:] < 0.0
    last = gap.shape[1] - 2 - np.argmax(turns[:, ::-1], axis=1)
    rows = np.arange(len(gap))
    before, after = gap[rows, last], gap[rows, last + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        place = grid[last] + before / (before - after) * (grid[last + 1] - grid[last])
    return np.where(turns.any(axis=1), place, np.nan)
