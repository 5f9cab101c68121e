"""The next run: which of several training runs would tell most about a target, for what it costs.

Draws of the posterior are also draws of everything that a run could show. The target's final loss is regressed on the
losses that a candidate would log, over the draws: what the regression leaves unexplained is, for Gaussian draws, the
variance that remains once the run has been seen (the knowledge gradient). For a decision between schedules the same
regression says how much better it would be made. Every prediction of the regression is for draws that it was not fitted
to, so that a candidate gains nothing by having many points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslr.errors import PosteriorError, untold
from bayeslr.forecast.forecast import Forecast
from bayeslr.forecast.predict import predict
from bayeslr.forecast.questions import ANSWERS, Question, cautions, checked_probability, final_draws, rests_on, tell
from bayeslr.forecast.reach import tokens_of_a_step
from bayeslr.forecast.regression import decided, explained, penalty
from bayeslr.forecast.sizes import Target, find_target
from bayeslr.inference import STEADY_SHARE, Posterior, steady_share
from bayeslr.schedules import Schedule
from bayeslr.schedules.builders import constant, cosine, wsd

__all__ = ["NextRun", "Plan", "next_run", "usual_candidates"]

_TARGET = "target"
_POINTS = 16

type Draws = NDArray[np.float64]
type Cost = Literal["steps", "flops"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run that could be made.

    Parameters
    ----------
    schedule
        Its schedule.
    size
        Its size, if another than the target's.
    """

    schedule: Schedule
    size: float | str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class NextRun:
    """How much each candidate would tell.

    Parameters
    ----------
    target
        The schedule that the question is about.
    size
        Label of its size.
    candidates
        One row per candidate, the most useful for its cost first: ``size, steps, cost, width`` (of the interval of the
        target's final loss, now), ``width_after`` (as expected once the run has been seen), ``narrowing`` (the share
        of the width that goes), ``narrowing_per_cost`` (relative to the best, 1); with `choices` also ``regret``,
        ``regret_after`` and ``regret_per_cost``.
    choices
        Names of the schedules between which is to be decided; empty: the question is the target's final loss.
    cost
        ``"steps"`` or ``"flops"``.
    question
        ``"schedule"`` or ``"run"``.
    ci_prob
        Probability of the interval.
    advice
        What the fitted runs lack, if anything.
    basis
        What the answer rests on, in words.
    warnings
        What the reader must know.
    """

    target: Schedule
    size: str
    candidates: pd.DataFrame
    choices: tuple[str, ...]
    cost: Cost
    question: Question
    ci_prob: float
    advice: tuple[str, ...] = field(default=())
    basis: str = ""
    warnings: tuple[str, ...] = field(default=())

    @property
    def best(self) -> str:
        """The candidate that tells most for its cost."""
        return str(self.candidates.index[0])

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answer in words."""
        table, share = self.candidates, f"{100 * self.ci_prob:g}%"
        most = str(table["narrowing"].idxmax())
        lines = [*self.advice]
        if self.choices:
            regret, after = (table[key].to_numpy() for key in ("regret", "regret_after"))
            lines.append(
                f"The decision costs {regret[0]:.4f} in expected regret now; after {self.best}, which helps most for "
                f"its {self.cost}, {after[0]:.4f}."
            )
        width, after = (table[key].to_numpy() for key in ("width", "width_after"))
        lines.append(
            f"The {share} interval of the target's final loss is {width[0]:.4f} wide; after {self.best}, the best for "
            f"its {self.cost}, it is expected to be {after[0]:.4f} ({100 * table['narrowing'].iloc[0]:.0f}% narrower)."
        )
        if most != self.best:
            gain = float(table["narrowing"].max())
            lines.append(f"Whatever it costs, {most} narrows it most: by {100 * gain:.0f}%.")
        return (*lines, *filter(None, [self.basis]), ANSWERS[self.question])

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per candidate, as in `candidates`."""
        return self.candidates.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON-ready values."""
        rows = self.candidates.rename_axis("candidate").reset_index().to_dict("records")
        return {
            "target": self.target.spec,
            "size": self.size,
            "question": self.question,
            "cost": self.cost,
            "choices": list(self.choices),
            "best": self.best,
            "candidates": [
                {str(k): v.item() if isinstance(v, np.generic) else v for k, v in row.items()} for row in rows
            ],
            "sentences": list(self.sentences),
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        gain = float(self.candidates["narrowing"].iloc[0])
        return f"NextRun({self.best!r} of {len(self.candidates)}, narrows by {gain:.0%}, size={self.size!r})"


def next_run(
    posterior: Posterior,
    target: Schedule,
    candidates: Mapping[str, Schedule | Plan] | None = None,
    *,
    size: float | str | None = None,
    choices: Mapping[str, Schedule] | None = None,
    cost: Cost = "steps",
    reuse: bool = False,
    tokens_per_step: float | None = None,
    question: Question = "schedule",
    seed: int,
    num_draws: int | None = 4000,
    ci_prob: float = 0.9,
) -> NextRun:
    """Ask which run to make next.

    Parameters
    ----------
    posterior
        The posterior.
    target
        The schedule whose final loss is to be known better.
    candidates
        Runs that could be made, by name. Default: :func:`usual_candidates`.
    size
        Size of the target, and of candidates that have none of their own.
    choices
        Schedules between which is to be decided: then candidates are ranked by how much better the decision would be.
    cost
        What a run costs: its ``"steps"``, or ``"flops"`` (six a parameter and token).
    reuse
        Whether a candidate that begins like a fitted run goes on from a checkpoint of it, and costs only the rest.
    tokens_per_step
        Tokens of an update, for flops. Default: from the curves' columns; 1 where unknown, which ranks candidates of
        one batch size alike.
    question
        ``"schedule"``: the target's loss without the luck of a single run; ``"run"``: with it.
    seed
        Seed of the forecasts.
    num_draws
        At most this many posterior draws.
    ci_prob
        Probability of the interval.

    Returns
    -------
    NextRun
        Candidates, the most useful for its cost first.

    Raises
    ------
    PosteriorError
        If there is no candidate, a size cannot be predicted, or flops are asked for and a size is unknown.

    Warns
    -----
    FitWarning, ExtrapolationWarning
        As in the answer's ``warnings``.
    """
    checked_probability("ci_prob", ci_prob)
    aim = find_target(posterior, size)
    given = usual_candidates(posterior) if candidates is None else candidates
    plans = {name: plan if isinstance(plan, Plan) else Plan(schedule=plan) for name, plan in given.items()}
    if not plans:
        raise PosteriorError("next_run: there is no candidate; allowed: at least one")
    deciding = dict(choices or {})
    if len(deciding) == 1:
        raise PosteriorError("next_run: there is one choice; allowed: at least two, or none")
    final, seen, told = _predicted(posterior, target, plans, deciding, size, seed, num_draws, question)
    per = tokens_of_a_step(posterior.curves) if tokens_per_step is None else tokens_per_step
    tail = (1.0 - ci_prob) / 2.0
    width = float(np.diff(np.quantile(final[:, 0], [tail, 1.0 - tail]))[0])
    rows = {}
    for name, plan in plans.items():
        where = aim if plan.size is None else find_target(posterior, plan.size)
        known = explained(seen[name], final)
        missed = float(((final[:, 0] - known[:, 0]) ** 2).mean()) / penalty(*seen[name].shape)
        left = min(float(np.sqrt(missed / final[:, 0].var())), 1.0)
        row: dict[str, Any] = {"size": where.label, "steps": plan.schedule.total_steps}
        row["cost"] = _cost(posterior, plan.schedule, where, cost, per, reuse)
        row |= {"width": width, "width_after": width * left, "narrowing": 1.0 - left}
        if deciding:
            row |= decided(final[:, 1:], known[:, 1:])
        rows[name] = row
    table = _ranked(pd.DataFrame.from_dict(rows, orient="index").rename_axis("candidate"), decides=bool(deciding))
    lines = cautions(posterior, told, (_TARGET, *plans, *deciding))
    tell(lines)
    return NextRun(
        target=target,
        size=aim.label,
        candidates=table,
        choices=tuple(deciding),
        cost=cost,
        question=question,
        ci_prob=float(ci_prob),
        advice=_advice(posterior),
        basis=rests_on(posterior, [target, *deciding.values()], size),
        warnings=lines,
    )


def usual_candidates(posterior: Posterior) -> dict[str, Plan]:
    """Return runs that one could make next: the usual schedules, as long as the longest fitted run and half as long.

    Parameters
    ----------
    posterior
        The posterior; peak rate and warm-up are those of its longest run.

    Returns
    -------
    dict
        Candidates by name.
    """
    longest = max(posterior.curves, key=lambda curve: curve.schedule.total_steps).schedule
    found = {}
    for label, steps in (("", longest.total_steps), ("half ", longest.total_steps // 2)):
        common: dict[str, Any] = {
            "peak_lr": longest.peak_lr,
            "warmup_steps": min(longest.warmup_steps, steps // 10),
            "total_steps": steps,
        }
        found[f"{label}constant"] = constant(**common)
        found[f"{label}cosine"] = cosine(**common)
        for share in (10, 20, 40):
            found[f"{label}wsd {share}%"] = wsd(decay_steps=steps * share // 100, **common)
    return {name: Plan(schedule=schedule) for name, schedule in found.items()}


def _predicted(
    posterior: Posterior,
    target: Schedule,
    plans: Mapping[str, Plan],
    choices: Mapping[str, Schedule],
    size: float | str | None,
    seed: int,
    num_draws: int | None,
    question: Question,
) -> tuple[Draws, dict[str, Draws], list[str]]:
    """Draw the final losses of target and choices, ``[draws, 1 + choices]``, and what each candidate would log."""
    groups: dict[float | str | None, dict[str, Schedule]] = {size: {}}
    for name, plan in plans.items():
        groups.setdefault(size if plan.size is None else plan.size, {})[name] = plan.schedule
    seen: dict[str, Draws] = {}
    told: list[str] = []
    final = np.empty((0, 0))
    for k, (where, group) in enumerate(groups.items()):
        # a space keeps names apart that a user gave twice, once as a choice
        wanted = {_TARGET: target, **{f" {name}": plan for name, plan in choices.items()}} if k == 0 else {}
        asked = wanted | group
        steps = {name: _points(plan) if name in group else np.array([plan.total_steps]) for name, plan in asked.items()}
        if not asked:
            continue
        with untold():
            # sizes that were not fitted draw deviations of their own: never those of another size
            forecast = predict(posterior, asked, size=where, steps=steps, seed=seed + k, num_draws=num_draws)
        if k == 0:
            final = final_draws(_only(forecast, list(wanted)), question)
        seen |= {name: _logged(posterior, forecast, name) for name in group}
        told += forecast.warnings
    return final, seen, list(dict.fromkeys(line.lstrip() for line in told))


def _only(forecast: Forecast, names: Sequence[str]) -> Forecast:
    """Return a forecast of some of its schedules."""
    return replace(forecast, schedules={name: forecast.schedules[name] for name in names})


def _points(plan: Schedule) -> NDArray[np.int64]:
    """Return steps at which a run is looked at: evenly along it, and as many where its rate falls."""
    first, last = plan.warmup_steps + max((plan.total_steps - plan.warmup_steps) // 20, 1), plan.total_steps
    falling = np.flatnonzero(plan.lr[plan.warmup_steps :] < 0.99 * plan.peak_lr)
    begin = plan.warmup_steps + (int(falling[0]) if falling.size else 0) + 1
    half = _POINTS // 2
    places = [np.linspace(min(first, last), last, half), np.linspace(min(begin, last), last, half)]
    return np.unique(np.concatenate(places).round().astype(np.int64))


def _logged(posterior: Posterior, forecast: Forecast, name: str) -> Draws:
    """Return draws of what a candidate would log at the few steps at which it is looked at.

    Each of them stands for several that a fit would see, whose noise averages out.
    """
    latent, measured = forecast.latent[name], forecast.observed[name]
    usual = float(np.median([len(curve) for curve in posterior.fitted]))
    kept = min(float(posterior.settings["max_points_per_run"]), usual)
    return latent + float(np.sqrt(min(latent.shape[1] / kept, 1.0))) * (measured - latent)


def _cost(posterior: Posterior, plan: Schedule, where: Target, cost: Cost, tokens: float | None, reuse: bool) -> float:
    steps = plan.total_steps - (_shared(posterior, plan, where) if reuse else 0)
    if cost == "steps":
        return float(steps)
    if where.params is None:
        raise PosteriorError(f"next_run: size {where.label} has no number of parameters; allowed: cost='steps'")
    return 6.0 * where.params * steps * (1.0 if tokens is None else tokens)


def _shared(posterior: Posterior, plan: Schedule, where: Target) -> int:
    """Return how many of a plan's first updates a fitted run of its size has made already."""
    most = 0
    for curve in posterior.curves:
        if where.params is not None and curve.params is not None and curve.params != where.params:
            continue
        n = min(int(curve.steps[-1]), plan.total_steps)
        apart = np.flatnonzero(np.abs(plan.lr[:n] - curve.schedule.lr[:n]) > 1e-3 * plan.peak_lr)
        most = max(most, int(apart[0]) if apart.size else n)
    # a run that was made as a whole can only be made again
    return most if most < plan.total_steps else 0


def _ranked(table: pd.DataFrame, *, decides: bool) -> pd.DataFrame:
    """Add gains for the cost, relative to the best, and put the best first."""
    table["narrowing_per_cost"] = _relative(table["narrowing"] / table["cost"])
    key = "narrowing_per_cost"
    if decides:
        table["regret_per_cost"] = _relative((table["regret"] - table["regret_after"]) / table["cost"])
        key = "regret_per_cost"
    return table.sort_values(key, ascending=False, kind="stable")


def _relative(gain: "pd.Series[float]") -> "pd.Series[float]":
    most = float(gain.max())
    return gain / most if most > 0.0 else gain * 0.0


def _advice(posterior: Posterior) -> tuple[str, ...]:
    if steady_share(posterior) >= STEADY_SHARE:
        return ()
    return (
        "All fitted runs lower their rate all along, so that progress cannot be told from annealing: a run with a "
        "constant stretch, or a constant run and a cool-down from it, is what the data lack.",
    )
