"""Tables of decisions for the terminal; the sentences that go with them are the answers' own."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table

from bayeslr.curves.counts import count_label
from bayeslr.forecast import MetricForecast, NextRun, Optimum, Reach, Watch
from bayeslr.written import chance, decimals, nominal, share

__all__ = ["frame_table", "metric_table", "next_run_table", "optimum_table", "reach_table", "watch_table"]

_ROWS: Final = 12
"""Rows of a terminal's table at most; files and JSON have all."""


type Form = Callable[[Any], str]


def frame_table(frame: pd.DataFrame, columns: Mapping[str, tuple[str, Form]], *, title: str | None = None) -> Table:
    """Show columns of a frame.

    Parameters
    ----------
    frame
        The frame.
    columns
        By column the heading, whose words stand below each other unless the column is text (``str``), and how a cell is
        written.
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
    for heading, form in columns.values():
        if form is str:
            table.add_column(heading, overflow="fold", vertical="bottom")
        else:
            table.add_column(heading.replace(" ", "\n"), justify="right", vertical="bottom", no_wrap=True)
    for row in frame.to_dict("records"):
        table.add_row(*(form(row[name]) for name, (_, form) in columns.items()))
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
    columns = {a.name: (a.name, _form(table[a.name])) for a in optimum.family.free} | _losses(optimum.ci_prob)
    columns |= {
        "expected_regret": ("expected regret", decimals),
        "p_within": (f"P(within {optimum.within:g})", chance),
    }
    shown_as = _shown(len(shown), len(table), "choices", order="The best " if several else "")
    return frame_table(shown, columns, title=f"{shown_as}: final loss without measurement noise")


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
    columns: dict[str, tuple[str, Form]] = {"total_steps": ("steps", _whole)}
    if "tokens" in table:
        columns["tokens"] = ("tokens", count_label)
    columns |= _losses(reach.ci_prob) | {"p_reached": ("P(reached)", chance)}
    rows = np.unique(np.linspace(0, len(table) - 1, min(_ROWS, len(table))).round().astype(int))
    shown_as = _shown(len(rows), len(table), "lengths")
    return frame_table(table.iloc[rows], columns, title=f"{shown_as}: final loss without measurement noise")


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
    columns: dict[str, tuple[str, Form]] = {
        "candidate": ("candidate", str),
        "size": ("size", str),
        "cost": ("steps", _whole) if answer.cost == "steps" else ("FLOPs", "{:.3g}".format),
        "width_after": ("width after", decimals),
        "narrowing": ("narrower by", share),
        "narrowing_per_cost": ("for its cost", "{:.2f}".format),
    }
    if answer.choices:
        columns |= {
            "regret_after": ("regret after", "{:.5f}".format),
            "regret_per_cost": ("for its cost", "{:.2f}".format),
        }
    if set(answer.candidates["size"]) == {answer.size}:
        del columns["size"]
    now = f"Interval of the target's final loss, {decimals(answer.candidates['width'].iloc[0])} wide now"
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
    table.loc[table["seen"] == 0, ["outside", "p_value"]] = np.nan
    table["then"] = [
        "" if not row["seen"] else ("ALARM" if row["alarm"] else "as forecast") for row in table.to_dict("records")
    ]
    columns: dict[str, tuple[str, Form]] = {"step": ("at step", _whole)} | _losses(watched.ci_prob)
    columns |= {
        "seen": ("then seen", _whole),
        "outside": ("outside", share),
        "p_value": ("P(as far)", chance),
        "then": ("", str),
    }
    return frame_table(table, columns, title="Forecasts of the final loss, and the run since")


def metric_table(found: MetricForecast) -> Table:
    """Show the metric at the end of each schedule.

    Parameters
    ----------
    found
        What :meth:`bayeslr.MetricLink.apply` returned.

    Returns
    -------
    rich.table.Table
        One row per schedule.
    """
    columns: dict[str, tuple[str, Form]] = {
        "schedule": ("schedule", str),
        "step": ("step", _whole),
        "median": ("median", _short),
        "lower": (f"{nominal(found.ci_prob)} lower", _short),
        "upper": ("upper", _short),
    }
    return frame_table(found.final().reset_index(), columns, title=f"{found.name} at the end")


def _spread(table: pd.DataFrame, best: str) -> list[int]:
    """Return the places of the best choice and of others evenly around it."""
    place = list(table.index).index(best)
    even = np.linspace(0, len(table) - 1, min(_ROWS - 1, len(table))).round().astype(int)
    return sorted({int(k) for k in even} | {place})


def _shown(shown: int, found: int, what: str, order: str = "") -> str:
    """Say how many rows a table has of those that there are; files have all of them."""
    if shown == found:
        return f"All {found} {what}"
    return f"{order}{shown} of {found} {what} (all with -o FILE)"


def _losses(ci_prob: float) -> dict[str, tuple[str, Form]]:
    """Return the columns of a final loss and its interval."""
    return {
        "median": ("final loss", decimals),
        "lower": (f"{nominal(ci_prob)} lower", decimals),
        "upper": ("upper", decimals),
    }


def _form(values: "pd.Series[Any]") -> Form:
    if not pd.api.types.is_numeric_dtype(values):
        return str
    return _whole if pd.api.types.is_integer_dtype(values) else _short


def _whole(value: float) -> str:
    return f"{value:,.0f}" if np.isfinite(value) else "-"


def _short(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "-"
