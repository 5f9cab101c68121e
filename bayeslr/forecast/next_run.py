"""The next run: which of several training runs would tell most about a target, for what it costs.

Draws of the posterior are also draws of everything that a run could show. The target's final loss is regressed on the
losses that a candidate would log, over the draws: what the regression leaves unexplained is, for Gaussian draws, the
variance that remains once the run has been seen (the knowledge gradient). For a decision between schedules the same
regression says how much better it would be made. Every prediction of the regression is for draws that it was not fitted
to, so that a candidate gains nothing by having many points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslr.curves import Setup
from bayeslr.errors import PosteriorError, untold
from bayeslr.forecast.candidates import (
    Cost,
    Plan,
    candidate_notes,
    cost_in_words,
    cost_of,
    find_place,
    usual_candidates,
)
from bayeslr.forecast.forecast import Forecast
from bayeslr.forecast.predict import predict
from bayeslr.forecast.questions import ANSWERS, Question, cautions, checked_probability, final_draws, rests_on, tell
from bayeslr.forecast.regression import decided, explained, penalty
from bayeslr.forecast.sizes import find_target
from bayeslr.forecast.tokens import tokens_of_a_step
from bayeslr.inference import STEADY_SHARE, Posterior, steady_share
from bayeslr.schedules import Schedule
from bayeslr.written import decimals, nominal, share

__all__ = ["NextRun", "next_run"]

_TARGET = "target"
_POINTS = 16
_NO_REGRET = 5e-6

type Draws = NDArray[np.float64]


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
        One row per candidate, the most useful for its cost first: ``size, schedule`` (its spec; empty where its rates
        came from elsewhere), ``steps, cost, width`` (of the interval of the target's final loss, now), ``width_after``
        (as expected once the run has been seen), ``narrowing`` (the share of the width that goes),
        ``narrowing_per_cost`` (relative to the best, 1); with `choices` also ``regret``, ``regret_after`` and
        ``regret_per_cost``.
    choices
        Names of the schedules between which is to be decided; empty: the question is the target's final loss.
    cost
        ``"steps"`` or ``"flops"``.
    question
        ``"schedule"`` or ``"run"``.
    ci_prob
        Probability of the interval.
    seed
        Seed of the forecasts.
    advice
        What the fitted runs lack, if anything.
    notes
        What a run costs here, and what there is to know about the candidates.
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
    seed: int | None = None
    advice: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())
    basis: str = ""
    warnings: tuple[str, ...] = field(default=())

    @property
    def best(self) -> str:
        """The candidate that tells most for its cost."""
        return str(self.candidates.index[0])

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answer in words."""
        table = self.candidates
        most = str(table["narrowing"].idxmax())
        lines = [*self.advice]
        if self.choices:
            regret, after = (table[key].to_numpy() for key in ("regret", "regret_after"))
            decided_already = regret[0] < _NO_REGRET
            lines.append(
                "The decision is made: its expected regret is below 0.00001 now, which no run can lower further."
                if decided_already
                else f"The decision costs {regret[0]:.5f} in expected regret now; after {self.best}, which helps most "
                f"for its cost, {after[0]:.5f}."
            )
        width, after = (table[key].to_numpy() for key in ("width", "width_after"))
        why = "" if self.choices else "the best for its cost, "
        lines.append(
            f"The {nominal(self.ci_prob)} interval of the target's final loss is {decimals(width[0])} wide; after "
            f"{self.best}, {why}it is expected to be {decimals(after[0])} ("
            f"{share(table['narrowing'].iloc[0])} narrower)."
        )
        if most != self.best:
            lines.append(f"Whatever it costs, {most} narrows it most: by {share(table['narrowing'].max())}.")
        if spec := table["schedule"].iloc[0]:
            where = "" if table["size"].iloc[0] == self.size else f" on {table['size'].iloc[0]}"
            lines.append(f"{self.best} as a schedule: {spec}{where}")
        return (*lines, *self.notes, *filter(None, [self.basis]), ANSWERS[self.question])

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
            "seed": self.seed,
            "choices": list(self.choices),
            "best": self.best,
            "candidates": [
                {str(k): v.item() if isinstance(v, np.generic) else v for k, v in row.items()} for row in rows
            ],
            "sentences": list(self.sentences),
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        gain = share(self.candidates["narrowing"].iloc[0])
        found = f"{self.best!r} of {len(self.candidates)}, narrows by {gain}"
        return f"NextRun({found}, size={self.size!r}, seed={self.seed})"


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
    seed: int = 0,
    num_draws: int | None = 4000,
    ci_prob: float = 0.9,
    weight_decay: float | None = None,
    batch_size: float | None = None,
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
        Tokens of an update, for flops. Default: from the curves' columns, for the batch size that is asked for; 1 where
        unknown, which ranks candidates of one batch size alike.
    question
        ``"schedule"``: the target's loss without the luck of a single run; ``"run"``: with it.
    seed
        Seed of the forecasts, default 0.
    num_draws
        At most this many posterior draws.
    ci_prob
        Probability of the interval.
    weight_decay, batch_size
        Those of all runs that are asked about, as in :func:`bayeslr.predict`. Default: what the fitted runs have in
        common.

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
    places = {name: find_place(posterior, name, plan, aim) for name, plan in plans.items()}
    setup = Setup(weight_decay=weight_decay, batch_size=batch_size)
    final, seen, told = _predicted(posterior, target, plans, deciding, size, seed, num_draws, question, setup)
    per = tokens_of_a_step(posterior.curves, batch_size) if tokens_per_step is None else tokens_per_step
    tail = (1.0 - ci_prob) / 2.0
    width = float(np.diff(np.quantile(final[:, 0], [tail, 1.0 - tail]))[0])
    rows = {}
    for name, plan in plans.items():
        where = places[name]
        known = explained(seen[name], final)
        missed = float(((final[:, 0] - known[:, 0]) ** 2).mean()) / penalty(*seen[name].shape)
        left = min(float(np.sqrt(missed / final[:, 0].var())), 1.0)
        row: dict[str, Any] = {"size": where.label, "schedule": plan.schedule.spec, "steps": plan.schedule.total_steps}
        row["cost"] = cost_of(posterior, plan.schedule, where, setup, cost, per, reuse)
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
        seed=seed,
        advice=_advice(posterior),
        notes=(
            cost_in_words(cost, per, reuse),
            *candidate_notes(posterior, plans, places, setup, usual=candidates is None),
        ),
        basis=rests_on(posterior, [target, *deciding.values()], size),
        warnings=lines,
    )


def _predicted(
    posterior: Posterior,
    target: Schedule,
    plans: Mapping[str, Plan],
    choices: Mapping[str, Schedule],
    size: float | str | None,
    seed: int,
    num_draws: int | None,
    question: Question,
    setup: Setup,
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
            forecast = predict(
                posterior, asked, size=where, steps=steps, seed=seed + k, num_draws=num_draws, **vars(setup)
            )
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
    # with a residual of its own: what is left over of the target is not told by fitting a run of its schedule
    latent, measured = forecast.latent[name], forecast.observed[name]
    usual = float(np.median([len(curve) for curve in posterior.fitted]))
    kept = min(float(posterior.settings["max_points_per_run"]), usual)
    return latent + float(np.sqrt(min(latent.shape[1] / kept, 1.0))) * (measured - latent)


def _ranked(table: pd.DataFrame, *, decides: bool) -> pd.DataFrame:
    """Add gains for the cost, relative to the best, and put the best first."""
    table["narrowing_per_cost"] = _relative(table["narrowing"] / table["cost"])
    key = "narrowing_per_cost"
    if decides:
        # of a decision that is made nothing is left to save but errors of rounding
        saved = (table["regret"] - table["regret_after"]).where(table["regret"] >= _NO_REGRET, 0.0)
        table["regret_per_cost"] = _relative(saved / table["cost"])
        key = "regret_per_cost"
    # where nothing is left to decide, by what else a candidate tells
    return table.sort_values([key, "narrowing_per_cost"], ascending=False, kind="stable")


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
