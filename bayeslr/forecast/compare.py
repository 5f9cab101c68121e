"""Comparison of schedules under uncertainty."""

from dataclasses import dataclass, fields
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslr.curves import Setup
from bayeslr.errors import PosteriorError
from bayeslr.forecast.forecast import Forecast
from bayeslr.forecast.questions import (
    ANSWERS,
    Question,
    checked_probability,
    checked_question,
    expected_curves,
    final_draws,
)
from bayeslr.forecast.shown import comparison_html, comparison_text

__all__ = ["ALL_PAIRS", "Comparison", "compare_schedules"]

ALL_PAIRS = 20
"""Up to so many schedules every pair is compared; of more, each with the one of the least expected regret."""
_APART: Final = 0.001
"""Curves that are closer than this are on no side of each other: single runs of one schedule differ by as much."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Which schedule ends lowest, and how sure that is.

    Parameters
    ----------
    final_loss
        Final loss of each schedule as a run of it would be measured, that of :meth:`Forecast.final_loss`: ``step, mean,
        sd, median, lower, upper``, and the weight decay or batch size in which schedules differ. All that follows is of
        the loss without measurement noise, by the question.
    p_best
        Probability that a schedule ends lowest.
    expected_regret
        Loss that choosing a schedule costs on average, against the one that turns out lowest.
    differences
        One row per pair, final loss of the first minus that of the second: ``first, second, median, lower, upper``, and
        the probability that the first ends lower, ``p_first_lower``.
    crossings
        One row per pair: the probability that the two curves cross, and the step at which they do so for the last time:
        ``first, second, probability, median, lower, upper``. A crossing counts where the curves are at least 0.001
        apart before and after it. Of single runs the curves are without what wanders along a run.
    question
        ``"schedule"``: what runs of a schedule have in common is compared, ``"run"``: single runs.
    warnings, health
        Those of the forecast.
    """

    final_loss: pd.DataFrame
    p_best: pd.Series
    expected_regret: pd.Series
    differences: pd.DataFrame
    crossings: pd.DataFrame
    question: Question = "schedule"
    warnings: tuple[str, ...] = ()
    health: str = ""

    def __repr__(self) -> str:
        return comparison_text(self)

    def _repr_html_(self) -> str:
        return comparison_html(self)

    @property
    def answers(self) -> str:
        """Which question this answers, in words."""
        return ANSWERS[self.question]

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per schedule: its final loss, the probability that it ends lowest, and its expected regret."""
        return self.final_loss.join([self.p_best, self.expected_regret])

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON-ready values: one object per schedule, the pairs, question and warnings."""
        schedules = {
            str(name): {
                "final_loss": {key: float(row[key]) for key in ("median", "lower", "upper")},
                "p_best": float(best),
                "expected_regret": float(regret),
            }
            | {part.name: _or_none(row[part.name]) for part in fields(Setup) if part.name in row}
            for (name, row), best, regret in zip(
                self.final_loss.iterrows(), self.p_best, self.expected_regret, strict=True
            )
        }
        pairs = {
            key: [{column: _or_none(value) for column, value in row.items()} for row in table.to_dict("records")]
            for key, table in (("differences", self.differences), ("crossings", self.crossings))
        }
        told = {"warnings": list(self.warnings), "health": self.health}
        return {"schedules": schedules, **pairs, "question": self.question, **told}


def _or_none(value: Any) -> Any:
    """Return a value as JSON has it: there is no NaN."""
    return None if pd.isna(value) else value


def compare_schedules(forecast: Forecast, *, question: Question | None = None, ci_prob: float = 0.9) -> Comparison:
    """Compare the schedules of a forecast by their final loss, draw by draw.

    Parameters
    ----------
    forecast
        A forecast of at least two schedules. Its draws are paired, so that what the schedules have in common cancels.
    question
        ``"schedule"`` compares what all runs of a schedule have in common; ``"run"`` single runs, where what differs
        between two runs of one schedule (data order, seed) is in the numbers. Default: schedules, or single runs where
        the forecast continues a run that was observed.
    ci_prob
        Probability of the intervals.

    Returns
    -------
    Comparison
        Probabilities, regrets, differences and crossings. Up to 20 schedules give all their pairs; of more, each is
        paired with the one that has the least expected regret.

    Raises
    ------
    PosteriorError
        If the forecast has one schedule, schedules are to be compared where a run is continued, or `ci_prob` does not
        lie between 0 and 1.
    """
    names = forecast.names
    if len(names) < 2:
        raise PosteriorError(f"compare: found one schedule ({names[0]}); allowed: at least two")
    checked_probability("ci_prob", ci_prob)
    asked = _asked(forecast, question)
    final = final_draws(forecast, asked)
    lowest = final.min(axis=1, keepdims=True)
    tail = (1.0 - ci_prob) / 2.0
    regret = (final - lowest).mean(axis=0)
    best = int(regret.argmin())
    every = len(names) <= ALL_PAIRS
    pairs = list(combinations(range(len(names)), 2)) if every else [(best, k) for k in range(len(names)) if k != best]
    columns = {"first": [names[a] for a, _ in pairs], "second": [names[b] for _, b in pairs]}
    first, second = np.array(pairs).T
    gaps = final[:, first] - final[:, second]
    lower, median, upper = np.quantile(gaps, [tail, 0.5, 1.0 - tail], axis=0)
    if asked == "schedule":
        curves = expected_curves(forecast)
    else:
        curves = {name: np.asarray(part.smooth + part.run) for name, part in forecast.parts.items()}
    crossings = []
    for a, b in zip(columns["first"], columns["second"], strict=True):
        step = _last_crossing(forecast.steps[a], curves[a], forecast.steps[b], curves[b])
        crossed = step[np.isfinite(step)]
        places = np.quantile(crossed, [tail, 0.5, 1.0 - tail]) if crossed.size else np.full(3, np.nan)
        crossings.append((crossed.size / step.size, *places))
    probability, start, middle, end = np.array(crossings).T
    return Comparison(
        final_loss=forecast.final_loss(ci_prob=ci_prob),
        p_best=pd.Series((final == lowest).mean(axis=0), index=list(names), name="p_best"),
        expected_regret=pd.Series(regret, index=list(names), name="expected_regret"),
        differences=pd.DataFrame(
            columns | {"median": median, "lower": lower, "upper": upper, "p_first_lower": (gaps < 0.0).mean(axis=0)}
        ),
        crossings=pd.DataFrame(columns | {"probability": probability, "median": middle, "lower": start, "upper": end}),
        question=asked,
        warnings=forecast.warnings,
        health=forecast.health,
    )


def _asked(forecast: Forecast, question: Question | None) -> Question:
    """Return the question that is answered: of a run that was observed, only single runs can be compared."""
    if question is None:
        return "schedule" if forecast.continues is None else "run"
    if checked_question(question) == "schedule" and forecast.continues is not None:
        raise PosteriorError(
            f"compare: the forecast continues the run {forecast.continues!r}, a single run; allowed: question='run'"
        )
    return question


def _last_crossing(
    steps: NDArray[np.int64], one: NDArray[np.float64], other_steps: NDArray[np.int64], other: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return for each draw the last step at which two expected curves cross, NaN where they do not."""
    start, stop = max(steps[0], other_steps[0]), min(steps[-1], other_steps[-1])
    grid = np.union1d(steps, other_steps)
    grid = grid[(grid >= start) & (grid <= stop)].astype(float)
    if grid.size < 2:
        return np.full(len(one), np.nan)
    one, other = _interpolated(grid, steps, one), _interpolated(grid, other_steps, other)
    gap = one - other
    # while both follow nearly the same rates they are apart by nothing to speak of: that is no crossing
    side = np.where(np.abs(gap) < _APART, 0.0, np.sign(gap))
    reached = np.maximum.accumulate(np.where(side != 0.0, np.arange(grid.size), 0), axis=1)
    side = np.take_along_axis(side, reached, axis=1)
    changed = side[:, :-1] * side[:, 1:] < 0.0
    before_it = changed.any(axis=1)[:, None] & (np.arange(grid.size - 1) <= _last(changed)[:, None])
    turns = before_it & (gap[:, :-1] * gap[:, 1:] <= 0.0)
    last = _last(turns)
    rows = np.arange(len(gap))
    before, after = gap[rows, last], gap[rows, last + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        place = grid[last] + before / (before - after) * (grid[last + 1] - grid[last])
    return np.where(turns.any(axis=1), place, np.nan)


def _last(true: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the last place of each row that is true; that of a row without one is the last of all."""
    return np.asarray(true.shape[1] - 1 - np.argmax(true[:, ::-1], axis=1))


def _interpolated(
    grid: NDArray[np.float64], steps: NDArray[np.int64], curves: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate curves ``[draws, n]`` between their steps, all draws at once."""
    if np.array_equal(grid, steps):
        return curves
    left = np.clip(np.searchsorted(steps, grid, side="right") - 1, 0, len(steps) - 2)
    share = (grid - steps[left]) / (steps[left + 1] - steps[left])
    return (1.0 - share) * curves[:, left] + share * curves[:, left + 1]
