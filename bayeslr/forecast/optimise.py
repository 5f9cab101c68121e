"""The best schedule of a family: how long to cool down, how far to train, which shape to take.

Every member of the family is predicted by the same draws of the posterior, so that what the members share cancels. A
choice is judged by its *regret*: the loss that it costs against the member that turns out best. The optimum of a free
curve of rates is not asked for: by the law it is "the peak rate, then zero", which is a fault of the law and no advice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslr.curves import Setup
from bayeslr.errors import PosteriorError
from bayeslr.forecast.questions import (
    ANSWERS,
    Question,
    ask_finals,
    cautions,
    checked_probability,
    checked_question,
    final_draws,
    rests_on,
    tell,
)
from bayeslr.inference import Posterior
from bayeslr.schedules import Schedule
from bayeslr.schedules.family import Member, ScheduleFamily, parse_family
from bayeslr.written import chance, decimals, estimate, nominal

__all__ = ["Optimum", "optimize"]

_RATE_MARGIN = 1.01

type Draws = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Optimum:
    """The best choice of a family, and how much the others cost.

    Parameters
    ----------
    family
        The family that was asked about.
    size
        Label of the model size.
    candidates
        One row per member, by its name: its free arguments, ``total_steps``, the final loss without measurement noise
        (``mean, median, lower, upper``), ``expected_regret`` against the member that turns out best, the paired
        difference to the best choice (``difference, difference_lower, difference_upper``), ``p_best``, and
        ``p_within``, the probability that it is within the tolerance of the member that turns out best.
    schedules
        The members, by name.
    best
        Name of the best choice.
    within, probability
        Tolerance in loss, and the probability with which a choice must keep it to be in the range.
    risk
        What was minimised: None for the expected loss, or a quantile of it.
    question
        ``"schedule"`` or ``"run"``.
    ci_prob
        Probability of the intervals.
    seed
        Seed of the forecast.
    basis
        What the answer rests on, in words.
    warnings
        What the reader must know.
    """

    family: ScheduleFamily
    size: str
    candidates: pd.DataFrame
    schedules: Mapping[str, Schedule]
    best: str
    within: float
    probability: float
    risk: float | None
    question: Question
    ci_prob: float
    seed: int | None = None
    basis: str = ""
    warnings: tuple[str, ...] = field(default=())

    @property
    def schedule(self) -> Schedule:
        """The best choice."""
        return self.schedules[self.best]

    @property
    def good(self) -> pd.DataFrame:
        """The choices that are within the tolerance of the best with the given probability."""
        return self.candidates[self.candidates["p_within"] >= self.probability]

    def range(self, argument: str) -> tuple[Any, Any] | None:
        """Return the least and the largest value of a free argument among the good choices, if there are any."""
        values = self.good[argument]
        return (values.min(), values.max()) if len(values) else None

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answer in words."""
        row = self.candidates.T[self.best]
        by = "expected final loss" if self.risk is None else f"{nominal(self.risk)} quantile of the final loss"
        lines = [
            f"Best choice by {by}: {self.best}, final loss {estimate(row, self.ci_prob)} without measurement noise.",
            f"Choosing it costs {decimals(row['expected_regret'])} on average against the choice that turns out best; "
            f"it is within {self.within:g} of that with probability {chance(row['p_within'])}.",
        ]
        good = self.good
        if len(good):
            spans = [f"{a.name} {_span(good[a.name])}" for a in self.family.free]
            lines.append(
                f"Within {self.within:g} of the best with a probability of at least {self.probability:g}: "
                f"{' and '.join(spans)} ({len(good)} of {len(self.candidates)} choices)."
            )
        else:
            lines.append(f"No choice is within {self.within:g} of the best with probability {self.probability:g}.")
        return (*lines, *filter(None, [self.basis]), ANSWERS[self.question])

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per member, as in `candidates`."""
        return self.candidates.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON-ready values."""
        names = [argument.name for argument in self.family.free]
        rows = self.candidates.rename_axis("choice").reset_index().to_dict("records")
        return {
            "family": self.family.text,
            "size": self.size,
            "question": self.question,
            "seed": self.seed,
            "best": {
                "choice": self.best,
                "arguments": {name: _plain(self.candidates.loc[self.best, name]) for name in names},
                "schedule": self.schedule.spec,
                "expected_regret": float(self.candidates["expected_regret"][self.best]),
            },
            "within": self.within,
            "probability": self.probability,
            "range": {
                name: None if (ends := self.range(name)) is None else [_plain(end) for end in ends] for name in names
            },
            "choices": [{str(key): _plain(value) for key, value in row.items()} for row in rows],
            "sentences": list(self.sentences),
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        found = f"{self.best!r} of {len(self.candidates)} choices, good={len(self.good)}"
        return f"Optimum({found}, size={self.size!r}, seed={self.seed})"


def optimize(
    posterior: Posterior,
    family: str | ScheduleFamily,
    *,
    size: float | str | None = None,
    seed: int = 0,
    within: float = 0.002,
    probability: float = 0.8,
    risk: float | None = None,
    question: Question = "schedule",
    points: int | None = None,
    num_draws: int | None = 4000,
    ci_prob: float = 0.9,
    weight_decay: float | None = None,
    batch_size: float | None = None,
) -> Optimum:
    """Choose the best schedule of a family.

    Parameters
    ----------
    posterior
        The posterior.
    family
        A spec with one or two free arguments, ``"wsd(peak_lr=3e-4, total_steps=40000, decay_steps=1000..30000)"``.
    size
        Model size, as in :func:`bayeslr.predict`.
    seed
        Seed of the forecast, default 0.
    within
        Tolerance in loss: which choices cost no more than that?
    probability
        With which probability they must keep it.
    risk
        Minimise this quantile of the final loss, such as 0.9, instead of its expectation.
    question
        ``"schedule"`` compares what runs of a schedule have in common, ``"run"`` single runs.
    points
        Values of each range. Default: 41, or 15 for each of two.
    num_draws
        At most this many posterior draws.
    ci_prob
        Probability of the intervals.
    weight_decay, batch_size
        Those of all choices, as in :func:`bayeslr.predict`. Default: what the fitted runs have in common.

    Returns
    -------
    Optimum
        The best choice, the range of good ones, regrets.

    Raises
    ------
    ScheduleError
        If the family is not valid.
    PosteriorError
        If the size cannot be predicted, a setting is out of range, or peak rates are free beyond those that were
        fitted.

    Warns
    -----
    FitWarning, ExtrapolationWarning
        As in the answer's ``warnings``.
    """
    chosen = parse_family(family) if isinstance(family, str) else family
    checked_probability("probability", probability)
    tail = (1.0 - checked_probability("ci_prob", ci_prob)) / 2.0
    if risk is not None:
        checked_probability("risk", risk)
    if not within >= 0.0:
        raise PosteriorError(f"within: found {within!r}; allowed: a loss from 0 on, such as 0.002")
    checked_question(question)
    _check_rates(posterior, chosen)
    members = chosen.members(points=points)
    plans = {member.name: member.schedule for member in members}
    forecast = ask_finals(
        posterior,
        plans,
        size=size,
        seed=seed,
        num_draws=num_draws,
        setup=Setup(weight_decay=weight_decay, batch_size=batch_size),
    )
    final = final_draws(forecast, question)
    score = final.mean(axis=0) if risk is None else np.quantile(final, risk, axis=0)
    best = int(score.argmin())
    told = [*cautions(posterior, forecast.warnings, tuple(plans)), *_at_the_end(chosen, members, best)]
    tell(told)
    return Optimum(
        family=chosen,
        size=forecast.size,
        candidates=_table(members, final, best, within, tail),
        schedules=plans,
        best=members[best].name,
        within=float(within),
        probability=float(probability),
        risk=risk,
        question=question,
        ci_prob=float(ci_prob),
        seed=seed,
        basis=rests_on(posterior, plans.values(), size),
        warnings=tuple(told),
    )


def _table(members: tuple[Member, ...], final: Draws, best: int, within: float, tail: float) -> pd.DataFrame:
    regret = final - final.min(axis=1, keepdims=True)
    levels = [tail, 0.5, 1.0 - tail]
    lower, median, upper = np.quantile(final, levels, axis=0)
    gap_lower, gap, gap_upper = np.quantile(final - final[:, [best]], levels, axis=0)
    table = pd.DataFrame([dict(member.arguments) for member in members], index=[member.name for member in members])
    table.index.name = "choice"
    columns: dict[str, Any] = {
        "mean": final.mean(axis=0),
        "median": median,
        "lower": lower,
        "upper": upper,
        "expected_regret": regret.mean(axis=0),
        "difference": gap,
        "difference_lower": gap_lower,
        "difference_upper": gap_upper,
        "p_best": np.bincount(final.argmin(axis=1), minlength=final.shape[1]) / len(final),
        "p_within": (regret <= within).mean(axis=0),
    }
    if "total_steps" not in table:
        columns = {"total_steps": [member.schedule.total_steps for member in members]} | columns
    return table.assign(**columns)


def _check_rates(posterior: Posterior, family: ScheduleFamily) -> None:
    """Refuse free peak rates beyond those that were fitted: the law does not know that one can be too high."""
    free = next((argument for argument in family.free if argument.name == "peak_lr"), None)
    if free is None:
        return
    peaks = [curve.schedule.peak_lr for curve in posterior.curves]
    low, high = min(peaks), max(peaks)
    ends = [float(value) for value in free.values(2)]
    if min(ends) * _RATE_MARGIN < low or max(ends) > high * _RATE_MARGIN:
        allowed = (
            f"rates within those that were fitted, {low:g} to {high:g}"
            if high > low * _RATE_MARGIN
            else (f"a fixed rate, since {low:g} alone was fitted")
        )
        raise PosteriorError(f"optimize: peak_lr is {min(ends):g} to {max(ends):g}; allowed: {allowed}")


def _at_the_end(family: ScheduleFamily, members: tuple[Member, ...], best: int) -> list[str]:
    """Say where the best choice is the first or the last of a range."""
    found = []
    for argument in family.free:
        values = [member.arguments[argument.name] for member in members]
        value = members[best].arguments[argument.name]
        if argument.low is not None and value in (min(values), max(values)):
            found.append(
                f"the best {argument.name}, {value:,}, is an end of the range that was asked about: beyond it there "
                "may be a better one"
            )
    return found


def _span(values: "pd.Series[Any]") -> str:
    if not pd.api.types.is_numeric_dtype(values):
        return " or ".join(dict.fromkeys(map(str, values)))
    low, high = values.min(), values.max()
    spec = ",.0f" if pd.api.types.is_integer_dtype(values) else ".4g"
    return format(low, spec) if low == high else f"from {format(low, spec)} to {format(high, spec)}"


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
