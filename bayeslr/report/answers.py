"""Tables of decisions for the terminal; the sentences that go with them are the answers' own."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table

from bayeslr.forecast import MetricForecast, NextRun, Optimum, Reach, Watch

__all__ = ["frame_table", "metric_table", "next_run_table", "optimum_table", "reach_table", "watch_table"]

_ROWS: Final = 12
"""Rows of a terminal's table at most; files and JSON have all."""


def frame_table(frame: pd.DataFrame, columns: Mapping[str, tuple[str, str]], *, title: str | None = None) -> Table:
    """Show columns of a frame.

    Parameters
    ----------
    frame
        The frame.
    columns
        By column the heading, whose words stand below each other, and the format of its numbers, empty for text.
    title
        Title of the table.

    Returns
    -------
    rich.table.Table
        One row per row.
    """
    table = Table(
        title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0)
    )
    for heading, spec in columns.values():
        if spec:
            table.add_column(heading.replace(" ", "\n"), justify="right", vertical="bottom", no_wrap=True)
        else:
            table.add_column(heading, overflow="fold", vertical="bottom")
    for row in frame.to_dict("records"):
        table.add_row(*(_cell(row[name], spec) for name, (_, spec) in columns.items()))
    return table


def optimum_table(optimum: Optimum) -> Table:
    """Show the best choice among its neighbours, and the ends of what was asked about.

    Parameters
    ----------
    optimum
        The answer of :func:`bayeslr.optimize`.

    Returns
    -------
    rich.table.Table
        At most twelve rows.
    """
    table = optimum.candidates
    several = len(optimum.family.free) > 1
    shown = table.sort_values("mean").head(_ROWS) if several else table.iloc[_spread(table, optimum.best)]
    columns = {a.name: (a.name, _spec(table[a.name])) for a in optimum.family.free}
    columns |= {
        "median": ("final loss", ".4f"),
        "lower": (f"{100 * optimum.ci_prob:g}% lower", ".4f"),
        "upper": ("upper", ".4f"),
        "expected_regret": ("expected regret", ".4f"),
        "p_within": (f"P(within {optimum.within:g})", ".2f"),
    }
    what = f"The best {len(shown)} of {len(table)} choices" if several else "Choices"
    return frame_table(shown, columns, title=f"{what}, final loss without measurement noise")


def reach_table(reach: Reach) -> Table:
    """Show the final loss, and the probability that the target is reached, at some lengths.

    Parameters
    ----------
    reach
        The answer of :func:`bayeslr.reach`.

    Returns
    -------
    rich.table.Table
        At most twelve rows.
    """
    table = reach.lengths
    columns = {"total_steps": ("steps", ",.0f")}
    if "tokens" in table:
        columns["tokens"] = ("tokens", ".3g")
    columns |= {
        "median": ("final loss", ".4f"),
        "lower": (f"{100 * reach.ci_prob:g}% lower", ".4f"),
        "upper": ("upper", ".4f"),
        "p_reached": ("P(reached)", ".3f"),
    }
    rows = np.unique(np.linspace(0, len(table) - 1, min(_ROWS, len(table))).round().astype(int))
    return frame_table(table.iloc[rows], columns, title="Final loss without measurement noise, by length")


def next_run_table(answer: NextRun) -> Table:
    """Show what each candidate would tell, and for what it costs.

    Parameters
    ----------
    answer
        The answer of :func:`bayeslr.next_run`.

    Returns
    -------
    rich.table.Table
        One row per candidate, the most useful for its cost first.
    """
    columns = {
        "candidate": ("candidate", ""),
        "size": ("size", ""),
        "cost": (answer.cost, ",.0f" if answer.cost == "steps" else ".3g"),
        "width_after": ("width after", ".4f"),
        "narrowing": ("narrower by", ".1%"),
        "narrowing_per_cost": ("for its cost", ".2f"),
    }
    if answer.choices:
        columns |= {"regret_after": ("regret after", ".5f"), "regret_per_cost": ("for its cost", ".2f")}
    if len(set(answer.candidates["size"])) == 1:
        del columns["size"]
    now = f"Interval of the target's final loss, {answer.candidates['width'].iloc[0]:.4f} wide now"
    return frame_table(answer.candidates.reset_index(), columns, title=now)


def watch_table(watched: Watch) -> Table:
    """Show every forecast of the final loss, and how the run then did against it.

    Parameters
    ----------
    watched
        What :func:`bayeslr.watch` returned.

    Returns
    -------
    rich.table.Table
        One row per forecast.
    """
    table = watched.to_dataframe()
    table["then"] = [
        "" if not row["seen"] else ("ALARM" if row["alarm"] else "as forecast") for row in table.to_dict("records")
    ]
    columns = {
        "step": ("at step", ",.0f"),
        "median": ("final loss", ".4f"),
        "lower": (f"{100 * watched.ci_prob:g}% lower", ".4f"),
        "upper": ("upper", ".4f"),
        "seen": ("then seen", ",.0f"),
        "outside": ("outside", ".0%"),
        "p_value": ("P(as far)", ".3f"),
        "then": ("", ""),
    }
    return frame_table(table, columns, title="Forecasts of the final loss, and the run since")


def metric_table(found: MetricForecast, *, ci_prob: float) -> Table:
    """Show the metric at the end of each schedule.

    Parameters
    ----------
    found
        What :meth:`bayeslr.MetricLink.apply` returned.
    ci_prob
        Probability of the intervals.

    Returns
    -------
    rich.table.Table
        One row per schedule.
    """
    columns = {
        "schedule": ("schedule", ""),
        "step": ("step", ",.0f"),
        "median": ("median", ".4g"),
        "lower": (f"{100 * ci_prob:g}% lower", ".4g"),
        "upper": ("upper", ".4g"),
    }
    return frame_table(found.final(ci_prob=ci_prob).reset_index(), columns, title=f"{found.name} at the end")


def _spread(table: pd.DataFrame, best: str) -> list[int]:
    """Return the places of the best choice and of others evenly around it."""
    place = list(table.index).index(best)
    even = np.linspace(0, len(table) - 1, min(_ROWS - 1, len(table))).round().astype(int)
    return sorted({int(k) for k in even} | {place})


def _spec(values: "pd.Series[Any]") -> str:
    if not pd.api.types.is_numeric_dtype(values):
        return ""
    return ",.0f" if pd.api.types.is_integer_dtype(values) else ".4g"


def _cell(value: Any, spec: str) -> str:
    if not spec:
        return str(value)
    return format(value, spec) if np.isfinite(value) else "-"
