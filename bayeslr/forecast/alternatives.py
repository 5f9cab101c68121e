"""Everything that can be compared: plans, what a running run may do next, and runs that are over.

All are put into one forecast whose draws are paired, a finished run with the losses that were measured: what is
uncertain of it is the noise of the measurement alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from bayeslr.curves import LossCurve
from bayeslr.errors import PosteriorError, untold
from bayeslr.forecast.compare import Comparison, compare_schedules
from bayeslr.forecast.continuation import fit_with, fitted_run
from bayeslr.forecast.forecast import Forecast
from bayeslr.forecast.predict import predict
from bayeslr.forecast.questions import (
    ANSWERS,
    Question,
    cautions,
    checked_probability,
    checked_question,
    final_draws,
    rests_on,
    tell,
)
from bayeslr.forecast.setups import Setting, by_name, with_setup
from bayeslr.forecast.sizes import find_target
from bayeslr.inference import Posterior
from bayeslr.schedules import Schedule
from bayeslr.schedules.tails import parse_tail
from bayeslr.written import chance, estimate, nominal

__all__ = ["Alternatives", "compare"]

_SAME_RATE = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class Alternatives:
    """Plans, running and finished runs side by side.

    Parameters
    ----------
    comparison
        Final losses, probabilities, differences and crossings.
    kinds
        Of each alternative by name: ``"plan"``, ``"running"`` (continues the run that was observed) or ``"finished"``.
    forecast
        The draws of all of them.
    baseline, by
        The alternative to beat, or None, and by how much.
    p_beats
        Probability that an alternative ends lower than the baseline by at least that much; empty without a baseline.
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

    comparison: Comparison
    kinds: Mapping[str, str]
    forecast: Forecast
    baseline: str | None
    by: float
    p_beats: "pd.Series[float]"
    question: Question
    ci_prob: float
    seed: int | None = None
    basis: str = ""
    warnings: tuple[str, ...] = field(default=())

    @property
    def best(self) -> str:
        """The alternative of the least expected regret."""
        return str(self.comparison.expected_regret.idxmin())

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answer in words."""
        found = self.comparison
        lines = [
            f"{self.best} is expected to end lowest, at {estimate(found.final_loss.T[self.best], self.ci_prob)}; it is "
            f"the best with probability {chance(found.p_best[self.best])}."
        ]
        second = str(found.expected_regret.drop(self.best).idxmin())
        gaps = found.differences
        pair = gaps["first"].isin([self.best, second]) & gaps["second"].isin([self.best, second])
        lower, upper = gaps.loc[pair, ["lower", "upper"]].to_numpy(float)[0]
        if lower <= 0.0 <= upper:
            held = f"the {nominal(self.ci_prob)} interval of their difference holds 0"
            lines.append(f"Whether it ends below {second} is open: {held}.")
        if self.baseline is not None:
            margin = f" by at least {self.by:g}" if self.by > 0.0 else ""
            chances = [f"{name} with probability {chance(p)}" for name, p in self.p_beats.items()]
            lines.append(f"Ends below {self.baseline}{margin}: {', '.join(chances)}.")
        lengths = found.final_loss["step"]
        if lengths.min() < lengths.max():
            lines.append("The runs have different lengths: what the longer ones cost more is not in these numbers.")
        return (*lines, *filter(None, [self.basis]), ANSWERS[self.question])

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per alternative: its kind, final loss, ``p_best``, ``expected_regret`` and ``p_beats``."""
        found = self.comparison
        table = found.final_loss.join([found.p_best, found.expected_regret])
        table.insert(0, "kind", [self.kinds[str(name)] for name in table.index])
        return table if self.baseline is None else table.join(self.p_beats.rename("p_beats"))

    def to_dict(self) -> dict[str, Any]:
        """Return the values of the comparison, with kinds, seed, baseline, sentences and all warnings."""
        values = self.comparison.to_dict()
        beats = {str(name): float(p) for name, p in self.p_beats.items()}
        baseline = None if self.baseline is None else {"name": self.baseline, "by": self.by, "p_beats": beats}
        told = {"sentences": list(self.sentences), "warnings": list(self.warnings)}
        return values | {"kinds": dict(self.kinds), "seed": self.seed, "baseline": baseline} | told

    def __repr__(self) -> str:
        return f"Alternatives({', '.join(f'{name}: {kind}' for name, kind in self.kinds.items())}; best={self.best!r})"


def compare(
    posterior: Posterior,
    plans: Mapping[str, Schedule] | None = None,
    *,
    observed: LossCurve | str | None = None,
    then: Mapping[str, str] | None = None,
    finished: Iterable[LossCurve] = (),
    baseline: str | None = None,
    by: float = 0.0,
    size: float | str | None = None,
    seed: int = 0,
    question: Question | None = None,
    num_draws: int | None = 2000,
    ci_prob: float = 0.9,
    weight_decay: Setting = None,
    batch_size: Setting = None,
    progress: bool | None = None,
) -> Alternatives:
    """Compare plans, what a running run may do next, and finished runs.

    Parameters
    ----------
    posterior
        The posterior.
    plans
        Schedules by name. Those that continue the observed run are predicted as its continuation, others as new runs.
    observed
        A run that is under way: its curve so far, with which the model is fitted again, or the name of a fitted run.
    then
        What it may do from its last observation on, by name: ``{"cool down": "linear(decay_steps=4000)", "keep going":
        "constant(steps=20000) + linear(decay_steps=4000)"}`` (:func:`bayeslr.schedules.parse_tail`).
    finished
        Runs that are over, of the same size.
    baseline, by
        An alternative to beat, and by how much.
    size
        Model size, as in :func:`bayeslr.predict`.
    seed
        Seed of the forecast, default 0.
    question
        ``"schedule"`` compares what all runs of a schedule have in common, for plans alone; ``"run"`` single runs.
        Default: schedules, or single runs where an observed or a finished one is among them.
    num_draws
        At most this many posterior draws.
    ci_prob
        Probability of the intervals.
    weight_decay, batch_size
        Of the plans and the tails, as in :func:`bayeslr.predict`: a number for all of them, or one for each by name. A
        tail has that of its run, and a finished run its own; a number counts for such a run that does not say it, too.
    progress
        Whether a fit with the observed run shows a progress bar.

    Returns
    -------
    Alternatives
        All of them side by side.

    Raises
    ------
    PosteriorError
        If there are fewer than two alternatives, two have one name, or a setting does not go with the others.
    ScheduleError
        If a tail is not valid.

    Warns
    -----
    FitWarning, ExtrapolationWarning
        As in the answer's ``warnings``.
    """
    checked_probability("ci_prob", ci_prob)
    over = {curve.name: with_setup(curve, weight_decay=weight_decay, batch_size=batch_size) for curve in finished}
    single = bool(over) or observed is not None
    asked = ("run" if single else "schedule") if question is None else checked_question(question)
    if asked == "schedule" and single:
        raise PosteriorError("compare: a run that was observed is a single run; allowed: question='run'")
    if then and observed is None:
        raise PosteriorError("compare: a tail needs the run that it continues; allowed: with observed")
    named = dict(plans or {})
    asked_for: dict[str, Setting] = {"weight_decay": weight_decay, "batch_size": batch_size}
    setups = {what: by_name(what, setting, [*named, *(then or {})]) for what, setting in asked_for.items()}
    for what, own in setups.items():
        own |= {name: getattr(curve, what) for name, curve in over.items() if getattr(curve, what) is not None}
    if isinstance(observed, LossCurve):
        observed = with_setup(observed, weight_decay=weight_decay, batch_size=batch_size)
    posterior, running = _running(posterior, observed, size, progress)
    tails = {} if running is None else {name: _continued(running, text) for name, text in (then or {}).items()}
    names = [*named, *tails, *over]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None or len(names) < 2:
        found = f"two called {twice!r}" if twice is not None else f"{len(names)}"
        raise PosteriorError(f"compare: found {found}; allowed: at least two alternatives, each with a name of its own")
    if baseline is not None and baseline not in names:
        raise PosteriorError(f"compare: the baseline is {baseline!r}; allowed: one of {', '.join(names)}")
    ahead = tails | {name: plan for name, plan in named.items() if running is not None and _continues(running, plan)}
    new = {name: plan for name, plan in named.items() if name not in ahead}
    forecast = _together(posterior, running, ahead, new, over, setups, size=size, seed=seed, num_draws=num_draws)
    forecast = forecast.select(names)
    kinds = dict.fromkeys(ahead, "running") | dict.fromkeys(new, "plan") | dict.fromkeys(over, "finished")
    told = cautions(posterior, forecast.warnings, tuple(names))
    tell(told)
    return Alternatives(
        comparison=compare_schedules(replace(forecast, warnings=told), question=asked, ci_prob=ci_prob),
        kinds={name: kinds[name] for name in names},
        forecast=replace(forecast, warnings=told),
        baseline=baseline,
        by=float(by),
        p_beats=_beats(forecast, asked, baseline, by),
        question=asked,
        ci_prob=float(ci_prob),
        seed=seed,
        basis=rests_on(posterior, forecast.schedules.values(), None if len(posterior.sizes) == 1 else size),
        warnings=told,
    )


def _running(
    posterior: Posterior, observed: LossCurve | str | None, size: float | str | None, progress: bool | None
) -> tuple[Posterior, LossCurve | None]:
    """Return the run that is under way, and a posterior that knows it."""
    if observed is None:
        return posterior, None
    if isinstance(observed, str):
        return posterior, fitted_run(posterior, observed)[0]
    return fit_with(posterior, observed.after_warmup(), find_target(posterior, size), progress=progress)


def _continued(running: LossCurve, text: str) -> Schedule:
    return parse_tail(text).after(running.schedule, int(running.steps[-1]))


def _continues(running: LossCurve, plan: Schedule) -> bool:
    seen = int(running.steps[-1])
    rates, own = plan.lr[:seen], running.schedule.lr[:seen]
    return plan.total_steps > seen and np.allclose(rates, own, rtol=_SAME_RATE, atol=_SAME_RATE * plan.peak_lr)


def _together(
    posterior: Posterior,
    running: LossCurve | None,
    ahead: Mapping[str, Schedule],
    new: Mapping[str, Schedule],
    over: Mapping[str, LossCurve],
    setups: Mapping[str, Mapping[str, float]],
    *,
    size: float | str | None,
    seed: int,
    num_draws: int | None,
) -> Forecast:
    """Predict continuations and new runs from the same draws."""
    fresh = {**new, **{name: curve.schedule for name, curve in over.items()}}
    places: dict[str, Any] = {name: curve.after_warmup().steps for name, curve in over.items()}
    parts: list[Forecast] = []

    def known(plans: Mapping[str, Schedule]) -> dict[str, Any]:
        return {what: {name: value for name, value in given.items() if name in plans} for what, given in setups.items()}

    common: dict[str, Any] = {"seed": seed, "num_draws": num_draws}
    with untold():
        if ahead and running is not None:
            own = None if len(posterior.sizes) == 1 else size
            question = common | known(ahead) | {"run": running.name, "size": own}
            parts.append(predict(posterior, ahead, **question))
        if fresh:
            question = common | known(fresh) | {"steps": places, "size": size}
            parts.append(predict(posterior, fresh, **question))
    whole = parts[0] if len(parts) == 1 else _merged(parts)
    latent = dict(whole.latent)
    for name, curve in over.items():
        # noise as it is drawn for the schedule of the run, taken from what was measured
        latent[name] = curve.after_warmup().loss - (whole.observed[name] - whole.latent[name])
    measured = {name: np.broadcast_to(c.after_warmup().loss, latent[name].shape) for name, c in over.items()}
    return replace(whole, latent=latent, observed={**whole.observed, **measured})


def _merged(parts: list[Forecast]) -> Forecast:
    """Put forecasts from the same draws into one."""

    def joined(field_name: str) -> dict[str, Any]:
        return {name: v for part in parts for name, v in getattr(part, field_name).items()}

    told = [line for part in parts for line in part.warnings]
    mappings: dict[str, Any] = {
        name: joined(name) for name, value in vars(parts[0]).items() if isinstance(value, Mapping)
    }
    return replace(parts[0], **mappings, warnings=tuple(dict.fromkeys(told)))


def _beats(forecast: Forecast, question: Question, baseline: str | None, by: float) -> "pd.Series[float]":
    if baseline is None:
        return pd.Series(dtype=float)
    final = dict(zip(forecast.names, final_draws(forecast, question).T, strict=True))
    reference = final.pop(baseline)
    chances = {name: float((values < reference - by).mean()) for name, values in final.items()}
    return pd.Series(chances, dtype=float)
