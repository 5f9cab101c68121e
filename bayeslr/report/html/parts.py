"""Parts of the report: what a template needs of each result, as text."""

import platform
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.curves.counts import size_label
from bayeslr.errors import BayeslrError
from bayeslr.evaluation import Backtest
from bayeslr.forecast import Alternatives, Forecast, MetricForecast, NextRun, Optimum, Reach, Watch
from bayeslr.inference import Posterior
from bayeslr.report.html.figures import inline_svg
from bayeslr.report.plots import plot_metric, plot_next_run, plot_reach, plot_regret, plot_watch
from bayeslr.schedules import Schedule
from bayeslr.written import chance, decimals, in_format

__all__ = [
    "Answer",
    "cells",
    "compared_rows",
    "decision",
    "described",
    "final_losses",
    "measured_ends",
    "run_rows",
    "score_means",
    "score_table",
    "setting_rows",
]

_PACKAGES: Final = ("bayeslr", "numpyro", "jax", "numpy", "arviz")
_BACKTEST: Final = {
    "runs": ("runs", ".0f"),
    "coverage_90": ("points in the 90% band", ".0%"),
    "final_in_90": ("final losses in the 90% interval", ".0%"),
    "mae": ("mean error of the median", ".4f"),
    "width_90": ("width of the 90% band", ".4f"),
}


@runtime_checkable
class Answer(Protocol):
    """What an answer must have to be shown: every decision of the library has it."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answer in words."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader must know."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON-ready values."""
        ...


def compared_rows(found: Alternatives) -> dict[str, Any]:
    """Return the rows of the tables of a comparison."""
    table = found.to_dataframe()
    return {
        "rows": [
            {
                "name": str(name),
                "kind": {"plan": "new run", "running": "continues", "finished": "measured"}[str(row["kind"])],
                **{key: decimals(row[key]) for key in ("median", "lower", "upper", "expected_regret")},
                "p_best": chance(row["p_best"]),
            }
            for name, row in table.iterrows()
        ],
        "pairs": [
            {
                "first": str(pair["first"]),
                "second": str(pair["second"]),
                **{key: decimals(pair[key], signed=True) for key in ("median", "lower", "upper")},
                "p": chance(pair["p_first_lower"]),
            }
            for pair in found.comparison.differences.to_dict("records")
        ],
    }


def decision(place: int, answer: Answer) -> dict[str, Any]:
    """Return title, sentences and picture of the section of an answer."""
    title, draw = _shown(answer)
    family = getattr(answer, "family", None)
    return {
        "title": title,
        "spec": "" if family is None else family.text,
        "sentences": answer.sentences,
        "picture": "" if draw is None else inline_svg(draw, f"decision{place}", title),
    }


def _shown(answer: Answer) -> tuple[str, Callable[[], Figure] | None]:
    """Return the title of an answer's section, and what draws its picture."""
    match answer:
        case Optimum():
            free = " and ".join(argument.name for argument in answer.family.free)
            return f"Which {free} is best?", partial(plot_regret, answer)
        case Reach():
            what = "beat the baseline" if answer.target is None else f"reach a loss of {answer.target:g}"
            return f"How long must a run be to {what}?", partial(plot_reach, answer)
        case NextRun():
            return "Which run should be made next?", partial(plot_next_run, answer)
        case Watch():
            return "How is the run doing?", partial(plot_watch, answer)
        case MetricForecast():
            return f"What does that mean for {answer.name}?", partial(plot_metric, answer)
        case _:
            return "A further answer", None


def score_means(backtest: Backtest | Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the means of a backtest's scores by forecaster, or none where there is no backtest."""
    if backtest is None:
        return None
    whole = backtest.to_dict() if isinstance(backtest, Backtest) else backtest
    try:
        names = {str(whole.get("forecaster", "bayeslr")): whole["mean"]}
        names |= {str(name): part["mean"] for name, part in whole.get("baselines", {}).items()}
        return {name: {key: mean.get(key) for key in _BACKTEST} for name, mean in names.items()}
    except (KeyError, TypeError, AttributeError):
        raise BayeslrError(
            "report: the backtest lacks its means; allowed: what `bayeslr backtest --format json` prints"
        ) from None


def score_table(scores: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Any] | None:
    """Return headings and rows of the table of scores."""
    if scores is None:
        return None
    rows = [
        (name, [_formatted(mean[key], spec) for key, (_, spec) in _BACKTEST.items()]) for name, mean in scores.items()
    ]
    return {"headings": [heading for heading, _ in _BACKTEST.values()], "rows": rows}


def _formatted(value: Any, spec: str) -> str:
    return "–" if value is None or not np.isfinite(value) else in_format(value, spec)


def run_rows(curves: CurveSet) -> list[dict[str, str]]:
    """Return the rows of the table of fitted runs."""
    return [
        {
            "name": curve.name,
            "size": size_label(curve.size, curve.params),
            "points": f"{len(curve):,}",
            "steps": f"{int(curve.steps[-1]):,}",
            "peak": f"{curve.schedule.peak_lr:.3g}",
            "final": decimals(curve.loss[-1]),
            "spec": curve.schedule.spec or described(curve.schedule),
        }
        for curve in curves
    ]


def described(plan: Schedule) -> str:
    """Return a few words about a schedule that has no spec."""
    return f"{plan.total_steps:,} steps, peak rate {plan.peak_lr:.3g}, last rate {plan.final_lr:.3g}"


def setting_rows(posterior: Posterior, *, seed: int, draws: int | None) -> list[tuple[str, str]]:
    """Return how the fit and the forecast were made."""
    settings = posterior.settings
    method = {"nuts": "sampled (NUTS)", "laplace": "approximated by a Gaussian (Laplace)"}
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    model = posterior.model
    return [
        ("model", f"law {model.law.name}, error model {model.discrepancy.name}"),
        ("how the fit was made", method.get(posterior.method, posterior.method)),
        (
            "draws",
            f"{settings['num_chains']} × {settings['num_samples']:,}, of which "
            f"{'all' if draws is None else f'at most {draws:,}'} were used for bands and comparison",
        ),
        ("seed of the fit", str(settings["seed"])),
        ("seed of the forecast", str(seed)),
        ("software", f"{packages}, Python {platform.python_version()}"),
    ]


def measured_ends(forecast: Forecast, runs: Sequence[LossCurve]) -> dict[str, float]:
    """Return the final losses of measured runs that are named like a schedule and reach its end."""
    return {
        curve.name: float(curve.loss[-1])
        for curve in runs
        if curve.name in forecast.names and curve.steps[-1] >= 0.99 * forecast.steps[curve.name][-1]
    }


def cells(row: "pd.Series[Any]") -> dict[str, str]:
    """Return the numbers of a final loss as text."""
    return {"step": f"{int(row['step']):,}"} | {key: decimals(row[key]) for key in ("median", "lower", "upper", "sd")}


def final_losses(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return a table of final losses as JSON-ready values."""
    return {str(name): {str(k): float(v) for k, v in row.items()} for name, row in table.iterrows()}
