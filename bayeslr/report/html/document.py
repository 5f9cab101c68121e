"""The report: from results to sentences, tables and pictures, laid out by a template."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pandas as pd

from bayeslr.curves import LossCurve
from bayeslr.errors import BayeslrError
from bayeslr.evaluation import Backtest
from bayeslr.files import write_atomically
from bayeslr.forecast import (
    Alternatives,
    Forecast,
    compare,
    predict,
)
from bayeslr.forecast.questions import cautions, rests_on
from bayeslr.forecast.setups import Setting
from bayeslr.inference import Posterior
from bayeslr.report.html.figures import inline_svg
from bayeslr.report.html.parts import (
    Answer,
    cells,
    compared_rows,
    decision,
    described,
    final_losses,
    measured_ends,
    run_rows,
    score_means,
    score_table,
    setting_rows,
)
from bayeslr.report.plots import (
    plot_bands,
    plot_final_loss,
)
from bayeslr.schedules import Schedule
from bayeslr.written import decimals, nominal

__all__ = ["Report", "build_report"]

_TEMPLATE: Final = "report.html.j2"
_MEANING: Final = {
    "PASS": "All checks of the fit passed.",
    "REVIEW": "Read the notes on the fit before you rely on these numbers.",
    "FAIL": "Do not use these numbers yet: the fit failed a check.",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """A page, and the numbers in it.

    Parameters
    ----------
    html
        The page; it asks for no other file.
    numbers
        What the page shows, as JSON-ready values; they are in the page too, under the id ``numbers``.
    final_loss
        The table of final losses.
    """

    html: str
    numbers: Mapping[str, Any]
    final_loss: pd.DataFrame

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the page.

        Parameters
        ----------
        path
            Name of the file.
        force
            Whether to replace an existing file.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        BayeslrError
            If the file exists and `force` is false, or its folder does not exist.
        """
        return write_atomically(
            Path(path), lambda target: target.write_text(self.html, encoding="utf-8"), force=force, error=BayeslrError
        )

    def to_dataframe(self) -> pd.DataFrame:
        """Return the table of final losses."""
        return self.final_loss.copy()

    def __repr__(self) -> str:
        return f"Report({len(self.html) / 1000:.0f} kB, schedules={list(self.final_loss.index)})"


def build_report(
    posterior: Posterior,
    plans: Mapping[str, Schedule] | Schedule | Alternatives,
    *,
    size: float | str | None = None,
    seed: int = 0,
    title: str | None = None,
    measured: Iterable[LossCurve] = (),
    decisions: Sequence[Answer] = (),
    backtest: Backtest | Mapping[str, Any] | None = None,
    commands: Sequence[str] = (),
    ci_prob: float = 0.9,
    num_draws: int | None = 2000,
    weight_decay: Setting = None,
    batch_size: Setting = None,
) -> Report:
    """Write up a forecast and the decisions that follow from it, for somebody who knows nothing of the library.

    Parameters
    ----------
    posterior
        The posterior.
    plans
        Schedules by name, a single one, or a comparison that was made before (:func:`bayeslr.compare`).
    size
        Model size, as in :func:`bayeslr.predict`.
    seed
        Seed of the forecast, default 0.
    title
        Title of the page. Default: the question.
    measured
        Measured runs to draw over the bands; one that is named like a schedule takes its colour.
    decisions
        Answers of :func:`bayeslr.optimize`, :func:`bayeslr.reach` and others, in the order of their sections.
    backtest
        How the model did on runs that it had not seen: a backtest, or its ``to_dict()``.
    commands
        The commands that made the report.
    ci_prob
        Probability of intervals and bands.
    num_draws
        At most this many posterior draws for bands and comparison; decisions were made with draws of their own.
    weight_decay, batch_size
        Those of the schedules, as in :func:`bayeslr.predict`; a comparison that was made before has its own.

    Returns
    -------
    Report
        The page.

    Raises
    ------
    BayeslrError
        If jinja2, which comes with the extra ``report``, is not installed.
    PosteriorError
        If the question is not one that this posterior can answer.

    Warns
    -----
    FitWarning, ExtrapolationWarning
        As in the report.
    """
    render, scores = _template(), score_means(backtest)
    runs = list(measured)
    settings: dict[str, Any] = {
        "size": size,
        "seed": seed,
        "num_draws": num_draws,
        "weight_decay": weight_decay,
        "batch_size": batch_size,
    }
    compared, forecast, told = _forecast(posterior, plans, ci_prob, settings)
    final = forecast.final_loss(ci_prob=ci_prob)
    notes = list(dict.fromkeys([*told, *(line for item in decisions for line in item.warnings)]))
    health = posterior.health
    shares = nominal(ci_prob)
    pictures = {
        "bands": inline_svg(
            lambda: plot_bands(forecast, curves=runs, ci_prob=ci_prob), "bands", "Predicted loss with its band, by step"
        ),
        "finals": inline_svg(
            lambda: plot_final_loss(forecast, ci_prob=ci_prob, measured=measured_ends(forecast, runs)),
            "finals",
            "Intervals of the final loss",
        ),
    }
    basis = compared.basis if compared is not None else rests_on(posterior, forecast.schedules.values(), size)
    answer = _answer(final, compared, shares, basis)
    numbers = {
        "size": forecast.size,
        "ci_prob": ci_prob,
        "seed": seed,
        "final_loss": final_losses(final),
        "comparison": None if compared is None else compared.to_dict(),
        "decisions": [{"kind": type(answer).__name__, **answer.to_dict()} for answer in decisions],
        "health": {"status": health.status, "checks": [dict(vars(item)) for item in health.checks]},
        "backtest": scores,
        "warnings": notes,
        "answer": answer,
    }
    page = render(
        title=title or _question(forecast),
        question=_question(forecast),
        answer=answer,
        meaning=_MEANING[health.status],
        told=notes,
        share=shares,
        status=health.status,
        checks=health.checks,
        pictures=pictures,
        schedules=[(name, plan.spec or described(plan)) for name, plan in forecast.schedules.items()],
        final=[(str(name), cells(row)) for name, row in final.iterrows()],
        measured=measured_ends(forecast, runs),
        compared=None if compared is None else compared_rows(compared),
        decisions=[decision(k, item) for k, item in enumerate(decisions)],
        scores=score_table(scores),
        runs=run_rows(posterior.curves),
        settings=setting_rows(posterior, seed=seed, draws=num_draws),
        commands=list(commands),
        numbers=_embedded(numbers),
    )
    return Report(html=page, numbers=numbers, final_loss=final)


def _template() -> Callable[..., str]:
    try:
        import jinja2
    except ImportError:
        raise BayeslrError(
            "report: the package jinja2 is not installed; allowed: with it, as by pip install 'bayeslr[report]'"
        ) from None
    text = files(__package__).joinpath(_TEMPLATE).read_text(encoding="utf-8")
    strict = jinja2.StrictUndefined
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=strict)
    render: Callable[..., str] = environment.from_string(text).render
    return render


def _forecast(
    posterior: Posterior,
    plans: Mapping[str, Schedule] | Schedule | Alternatives,
    ci_prob: float,
    settings: Mapping[str, Any],
) -> tuple[Alternatives | None, Forecast, tuple[str, ...]]:
    if isinstance(plans, Alternatives):
        return plans, plans.forecast, plans.warnings
    named = {"schedule": plans} if isinstance(plans, Schedule) else dict(plans)
    if len(named) > 1:
        found = compare(posterior, named, ci_prob=ci_prob, **settings)
        return found, found.forecast, found.warnings
    forecast = predict(posterior, named, **settings)
    return None, forecast, cautions(posterior, forecast.warnings, tuple(named))


def _question(forecast: Forecast) -> str:
    names, model = forecast.names, "" if forecast.size == "all" else f" for a model of size {forecast.size}"
    if len(names) == 1:
        return f"How low does the loss get under the schedule {names[0]}{model}?"
    listed = f"{', '.join(names[:-1])} or {names[-1]}" if len(names) <= 6 else f"{len(names)} schedules"
    return f"Which ends lower{model}: {listed}?"


def _answer(final: pd.DataFrame, compared: Alternatives | None, share: str, basis: str) -> list[str]:
    if compared is not None:
        # it says itself what it rests on
        return list(compared.sentences)
    name, row = str(final.index[0]), final.iloc[0]
    return [
        f"The loss of {name} is expected to end at {decimals(row['median'])} after {int(row['step']):,} steps; with a "
        f"probability of {share} it will be measured between {decimals(row['lower'])} and {decimals(row['upper'])}.",
        basis,
    ]


def _embedded(numbers: Mapping[str, Any]) -> str:
    """Return JSON that no text in it can end: a script element is closed by ``</``."""
    return json.dumps(numbers, allow_nan=False).replace("<", "\\u003c")
