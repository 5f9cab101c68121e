"""The inverse question: how long a run must be to end at a loss, or to beat another schedule.

A family with one free length is predicted at many lengths by the same draws. The share of draws that end at or below
the target is, as a function of the length, the distribution function of the length that is needed; what it reaches at
the longest run asked about is the probability that the target is reached at all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslr.curves import Setup
from bayeslr.curves.counts import count_label
from bayeslr.errors import PosteriorError
from bayeslr.forecast.forecast import Forecast
from bayeslr.forecast.questions import (
    ANSWERS,
    Question,
    ask_finals,
    cautions,
    checked_probability,
    final_draws,
    rests_on,
    tell,
)
from bayeslr.forecast.tokens import tokens_of_a_step
from bayeslr.inference import Posterior
from bayeslr.schedules import Schedule
from bayeslr.schedules.family import ScheduleFamily, parse_family
from bayeslr.written import chance, estimate, nominal

__all__ = ["Reach", "reach"]

_BASELINE = "baseline"
_EVEN: Final = 0.5
_NEVER: Final = 0.01
"""Chance below which no length is said to be enough, whatever interval is shown."""
_FAR: Final = 30
"""How many times as long as the longest run asked about one is at whose end the rate has done what it can."""
_FAR_STEPS: Final = 3_000_000
_ALLOWED: Final = (
    "allowed: a schedule with total_steps=lo..hi, such as wsd(peak_lr=3e-4, total_steps=20000..200000, decay_steps=20%)"
)

type Draws = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Reach:
    """How long a run must be.

    Parameters
    ----------
    family
        The family that was asked about.
    size
        Label of the model size.
    target
        The loss to reach, or None where it is the baseline's.
    baseline
        The schedule to beat, or None.
    lengths
        One row per length: ``total_steps``, ``tokens`` (where known), the final loss without measurement noise
        (``median, lower, upper``) and ``p_reached``, the probability that a run of this length ends at or below the
        target.
    tokens_per_step
        Tokens of an update, or None where unknown.
    question
        ``"schedule"`` or ``"run"``.
    ci_prob
        Probability of the intervals.
    floor
        Where the longest run is more likely not to reach the target than to: what the fitted law says of runs of any
        length. The loss that more steps bring a run towards (``median, lower, upper``), and ``p_reached``, the
        probability that this is at or below the target.
    seed
        Seed of the forecast.
    basis
        What the answer rests on, in words.
    warnings
        What the reader must know.
    """

    family: ScheduleFamily
    size: str
    target: float | None
    baseline: Schedule | None
    lengths: pd.DataFrame
    tokens_per_step: float | None
    question: Question
    ci_prob: float
    floor: Mapping[str, float] | None = None
    seed: int | None = None
    basis: str = ""
    warnings: tuple[str, ...] = field(default=())

    @property
    def p_reached(self) -> float:
        """Probability that the target is reached by the longest run that was asked about."""
        return float(self.lengths["p_reached"].iloc[-1])

    def steps(self, probability: float) -> float:
        """Return the length at which the target is reached with a probability.

        Parameters
        ----------
        probability
            The probability, between 0 and 1.

        Returns
        -------
        float
            Steps; infinite where the longest run does not reach it with that probability, and the shortest length where
            that one does already.
        """
        checked_probability("probability", probability)
        chances, steps = self.lengths["p_reached"].to_numpy(), self.lengths["total_steps"].to_numpy(dtype=float)
        if chances[-1] < probability:
            return float("inf")
        k = int(np.argmax(chances >= probability))
        if k == 0:
            return float(steps[0])
        share = (probability - chances[k - 1]) / (chances[k] - chances[k - 1])
        return float(np.exp(np.log(steps[k - 1]) + share * np.log(steps[k] / steps[k - 1])))

    @property
    def interval(self) -> tuple[float, float, float]:
        """Lower end, median and upper end of the steps that are needed; infinite beyond the longest run asked about."""
        tail = (1.0 - self.ci_prob) / 2.0
        return self.steps(tail), self.steps(0.5), self.steps(1.0 - tail)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answer in words."""
        shortest, longest = (int(self.lengths["total_steps"].iloc[k]) for k in (0, -1))
        what = "beats the baseline" if self.target is None else f"ends at {self.target:g} or below"
        lower, median, upper = self.interval
        lines = [
            f"A run of {longest:,} steps, the longest asked about, {what} with probability {chance(self.p_reached)}."
        ]
        if np.isfinite(median):
            at_least = "at most " if median <= shortest else ""
            lines.append(
                f"Steps needed: {at_least}{self._amount(median)}; {nominal(self.ci_prob)} interval "
                f"{self._amount(lower)} to {self._amount(upper, longest)}."
            )
            if self.baseline is not None:
                own = self.baseline.total_steps
                end = f"{upper / own:.2f}" if np.isfinite(upper) else f"more than {longest / own:.2f}"
                lines.append(
                    f"That is {median / own:.2f} times what the baseline costs in steps ({own:,}); "
                    f"{nominal(self.ci_prob)} interval {lower / own:.2f} to {end}."
                )
        else:
            lines.append(self._out_of_reach(longest))
        sure = self.steps(0.9)
        if np.isfinite(sure):
            lines.append(f"To be 90% sure, train for {self._amount(sure, unit=' steps')}.")
        return (*lines, *filter(None, [self.basis]), ANSWERS[self.question])

    def _out_of_reach(self, longest: int) -> str:
        """Say whether a longer run would do."""
        more = f"It needs more than {longest:,} steps rather than fewer"
        if self.floor is None:
            return f"{more}; ask about longer runs."
        law = (
            f"by the fitted law the loss of such runs cannot fall below {estimate(self.floor, self.ci_prob)}, the "
            "floor that steps do not lower (L0, and what the last rate adds)"
        )
        ever = self.floor["p_reached"]
        if ever < _NEVER:
            return f"No run of this family does, however long: {law}."
        if ever < _EVEN:
            return f"More likely than not, no length is enough (probability that some is: {chance(ever)}): {law}."
        return f"{more}; ask about longer runs: some length does with probability {chance(ever)}, since {law}."

    def _amount(self, steps: float, longest: int = 0, unit: str = "") -> str:
        if not np.isfinite(steps):
            return f"more than {longest:,}"
        text = f"{float(f'{steps:.3g}'):,.0f}{unit}"
        return text if self.tokens_per_step is None else f"{text} ({count_label(steps * self.tokens_per_step)} tokens)"

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per length, as in `lengths`."""
        return self.lengths.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON-ready values; an end beyond the longest run is None."""
        keys, ends = ("lower", "median", "upper"), [_finite(value) for value in self.interval]
        steps: dict[str, Any] = dict(zip(keys, ends, strict=True))
        per = self.tokens_per_step
        tokens = None if per is None else {k: None if v is None else v * per for k, v in steps.items()}
        rows = self.lengths.to_dict("records")
        return {
            "family": self.family.text,
            "size": self.size,
            "question": self.question,
            "seed": self.seed,
            "target": self.target,
            "baseline": None if self.baseline is None else self.baseline.spec,
            "p_reached": self.p_reached,
            "steps": steps,
            "tokens": tokens,
            "floor": None if self.floor is None else dict(self.floor),
            "lengths": [{str(key): _finite(value) for key, value in row.items()} for row in rows],
            "sentences": list(self.sentences),
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        lower, median, upper = self.interval
        return (
            f"Reach(steps={median:.0f} [{lower:.0f}, {upper:.0f}], p_reached={chance(self.p_reached)}, "
            f"size={self.size!r}, seed={self.seed})"
        )


def reach(
    posterior: Posterior,
    family: str | ScheduleFamily,
    *,
    loss: float | None = None,
    baseline: Schedule | None = None,
    size: float | str | None = None,
    seed: int = 0,
    tokens_per_step: float | None = None,
    question: Question = "schedule",
    points: int | None = None,
    num_draws: int | None = 4000,
    ci_prob: float = 0.9,
    weight_decay: float | None = None,
    batch_size: float | None = None,
) -> Reach:
    """Ask how long a run must be to end at a loss, or to beat another schedule.

    Parameters
    ----------
    posterior
        The posterior.
    family
        A spec whose ``total_steps`` is a range, ``"wsd(peak_lr=3e-4, total_steps=20000..200000, decay_steps=20%)"``.
    loss
        The loss to reach, without measurement noise.
    baseline
        Or the schedule to beat: its final loss is drawn together with those of the family.
    size
        Model size, as in :func:`bayeslr.predict`.
    seed
        Seed of the forecast, default 0.
    tokens_per_step
        Tokens of an update. Default: from the curves' columns, where they agree on one, for the batch size that is
        asked for.
    question
        ``"schedule"`` asks about what runs of a schedule have in common, ``"run"`` about single runs.
    points
        Lengths to look at. Default 41.
    num_draws
        At most this many posterior draws.
    ci_prob
        Probability of the intervals.
    weight_decay, batch_size
        Those of all runs that are asked about, as in :func:`bayeslr.predict`. Default: what the fitted runs have in
        common.

    Returns
    -------
    Reach
        Steps with their interval, and the probability that the target is reached at all.

    Raises
    ------
    ScheduleError
        If the family is not valid.
    PosteriorError
        If not exactly one of `loss` and `baseline` is given, anything but ``total_steps`` is free, or a setting is out
        of range.

    Warns
    -----
    FitWarning, ExtrapolationWarning
        As in the answer's ``warnings``.
    """
    if (loss is None) == (baseline is None):
        found = "neither a loss to reach nor a baseline to beat" if loss is None else "both a loss and a baseline"
        raise PosteriorError(f"reach: found {found}; allowed: one of `loss` (--loss) and `baseline` (--beat)")
    if loss is not None and not (np.isfinite(loss) and loss > 0.0):
        raise PosteriorError(f"reach: the loss is {loss!r}; allowed: a positive number")
    tail = (1.0 - checked_probability("ci_prob", ci_prob)) / 2.0
    chosen = parse_family(family, allowed=_ALLOWED) if isinstance(family, str) else family
    free = [argument.name for argument in chosen.free]
    if free != ["total_steps"]:
        raise PosteriorError(f"reach: free is {', '.join(free)}; allowed: total_steps alone, as total_steps=lo..hi")
    per = tokens_of_a_step(posterior.curves, batch_size) if tokens_per_step is None else _positive(tokens_per_step)
    members = sorted(chosen.members(points=points), key=lambda member: member.schedule.total_steps)
    plans: dict[str, Schedule] = {member.name: member.schedule for member in members}
    asked: Mapping[str, Schedule] = plans if baseline is None else {_BASELINE: baseline, **plans}
    ask = partial(
        ask_finals,
        posterior,
        size=size,
        seed=seed,
        num_draws=num_draws,
        setup=Setup(weight_decay=weight_decay, batch_size=batch_size),
    )
    forecast = ask(asked)
    final = final_draws(forecast, question)
    target, final = (float(loss), final) if loss is not None else (final[:, :1], final[:, 1:])
    chances = np.maximum.accumulate((final <= target).mean(axis=0))
    lower, median, upper = np.quantile(final, [tail, 0.5, 1.0 - tail], axis=0)
    steps = np.array([member.schedule.total_steps for member in members])
    tokens = {} if per is None else {"tokens": steps * per}
    told = cautions(posterior, forecast.warnings, tuple(asked))
    tell(told)
    floor = None
    if chances[-1] < _EVEN:
        lowest = _floor(ask, chosen, int(steps[-1]))
        floor = dict(
            zip(("lower", "median", "upper"), np.quantile(lowest, [tail, 0.5, 1.0 - tail]).tolist(), strict=True)
        )
        # errors of the law may bring a run below what the law has for a floor
        floor["p_reached"] = max(float((lowest <= np.ravel(target)).mean()), float(chances[-1]))
    return Reach(
        family=chosen,
        size=forecast.size,
        target=loss,
        baseline=baseline,
        lengths=pd.DataFrame(
            {"total_steps": steps} | tokens | {"median": median, "lower": lower, "upper": upper, "p_reached": chances}
        ),
        tokens_per_step=per,
        question=question,
        ci_prob=float(ci_prob),
        floor=floor,
        seed=seed,
        basis=rests_on(posterior, asked.values(), size),
        warnings=told,
    )


def _floor(ask: Callable[[Mapping[str, Schedule]], Forecast], family: ScheduleFamily, longest: int) -> Draws:
    """Draw the loss that the law brings runs of a family towards: that of a far longer run, progress excepted."""
    far = float(min(_FAR * longest, max(_FAR_STEPS, longest + 1)))
    lengths = replace(family.free[0], low=float(longest), high=far, choices=())
    member = replace(family, free=(lengths,)).members(points=2)[-1]
    parts = ask({member.name: member.schedule}).parts[member.name]
    ends: Draws = np.asarray(parts.base - parts.annealing)[:, -1]
    return ends


def _positive(value: float) -> float:
    if np.isfinite(value) and value > 0.0:
        return float(value)
    raise PosteriorError(f"tokens_per_step: found {value!r}; allowed: a positive number")


def _finite(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
