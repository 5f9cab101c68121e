"""Tables for the terminal, of at most 80 columns.

Each function turns numbers into a :class:`rich.table.Table`; :func:`as_text` lays tables and lines out as plain text.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import fields
from io import StringIO
from textwrap import fill

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from bayeslr.curves import Setup
from bayeslr.forecast import Comparison
from bayeslr.inference import Health
from bayeslr.written import WIDTH, chance, decimals, folded, nominal

__all__ = [
    "WIDTH",
    "as_text",
    "comparison_tables",
    "demo_table",
    "final_loss_table",
    "health_lines",
    "health_table",
    "summary_table",
]

_COMPARED = {"schedule": "schedules", "run": "single runs"}


def as_text(parts: Iterable[Table | str]) -> str:
    """Lay out tables and lines of text below each other.

    Parameters
    ----------
    parts
        Tables, and lines of text that are wrapped; one that begins with spaces is a command to copy and stays whole.

    Returns
    -------
    str
        Plain text, no line longer than :data:`WIDTH` that can be folded, ending with a newline.
    """
    target = StringIO()
    # names of sizes and schedules are the user's: "[small]" is no markup and ":x:" no emoji
    console = Console(
        file=target,
        width=WIDTH,
        color_system=None,
        force_terminal=False,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
    )
    for part in parts:
        if isinstance(part, str):
            console.print(part if part.startswith("  ") else folded(part), soft_wrap=True)
        else:
            # a title of the table's own would be wrapped at the table's width
            bare = copy(part)
            if part.title:
                console.print(fill(str(part.title), WIDTH), soft_wrap=True)
                bare.title = None
            console.print(bare)
    return "\n".join(line.rstrip() for line in target.getvalue().splitlines()) + "\n"


def summary_table(summary: pd.DataFrame, *, ci_prob: float) -> Table:
    """Show parameters with their intervals and what is known of the sampling.

    Parameters
    ----------
    summary
        What :meth:`bayeslr.Posterior.summary` returned.
    ci_prob
        Probability of its intervals.

    Returns
    -------
    rich.table.Table
        One row per number, rounded to two digits of its standard deviation.
    """
    interval = nominal(ci_prob)
    laplace = "Laplace approximation: draws of the Gaussian at the mode, not of the posterior"
    title = laplace if summary.attrs.get("method") == "laplace" else None
    table = _table(title, ["parameter"], ["mean", "sd", f"{interval} lower", "upper", "ESS bulk", "ESS tail", "R-hat"])
    for name, row in summary.iterrows():
        values = [_to_sd(float(row[key]), float(row["sd"])) for key in ("mean", "sd", "lower", "upper")]
        ess = [_or_dash(float(row[key]), ".0f") for key in ("ess_bulk", "ess_tail")]
        table.add_row(str(name), *values, *ess, _or_dash(float(row["r_hat"]), ".3f"))
    return table


def health_table(health: Health) -> Table:
    """Show every check with its evidence.

    Parameters
    ----------
    health
        What :func:`bayeslr.check` returned.

    Returns
    -------
    rich.table.Table
        One row per check, advice below the evidence.
    """
    table = _table(None, ["", "check", "evidence and advice"], [])
    for item in health.checks:
        text = item.evidence + (f"\n-> {item.advice}" if item.advice else "")
        table.add_row(item.status, item.name, text)
    return table


def health_lines(health: Health) -> list[str]:
    """Say the status, and what did not pass, each with its advice.

    Parameters
    ----------
    health
        What :func:`bayeslr.check` returned.

    Returns
    -------
    list of str
        The line ``health: ...``, then one a check that did not pass.
    """
    passed = sum(item.status == "PASS" for item in health.checks)
    lines = [f"health: {health.status} ({passed} of {len(health.checks)} checks passed)"]
    lines += [
        f"{item.status}: {item.name}: {item.evidence} -> {item.advice}"
        for item in health.checks
        if item.status != "PASS"
    ]
    return lines


def final_loss_table(final: pd.DataFrame, *, ci_prob: float, latent: bool = False) -> Table:
    """Show the final loss of each schedule.

    Parameters
    ----------
    final
        What :meth:`bayeslr.Forecast.final_loss` returned.
    ci_prob
        Probability of its intervals.
    latent
        Whether it is the loss without measurement noise.

    Returns
    -------
    rich.table.Table
        One row per schedule.
    """
    what = "Final loss, without measurement noise" if latent else "Final loss as it would be measured"
    setup = _differing(final)
    table = _table(what, ["schedule"], [*setup, "step", "median", f"{nominal(ci_prob)} lower", "upper", "sd"])
    for name, row in final.iterrows():
        losses = [decimals(row[key]) for key in ("median", "lower", "upper", "sd")]
        table.add_row(str(name), *(cells[str(name)] for cells in setup.values()), f"{int(row['step']):,}", *losses)
    return table


def comparison_tables(comparison: Comparison, *, ci_prob: float) -> list[Table]:
    """Show which schedule ends lowest, the paired differences, and where curves cross.

    Parameters
    ----------
    comparison
        What :func:`bayeslr.compare_schedules` returned.
    ci_prob
        Probability of its intervals.

    Returns
    -------
    list of rich.table.Table
        Two tables, and a third one if any two curves are likely to cross.
    """
    lower = f"{nominal(ci_prob)} lower"
    setup = _differing(comparison.final_loss)
    ends = _table(
        "Final loss as it would be measured",
        ["schedule"],
        [*setup, "median", lower, "upper", "P(best)", "expected regret"],
    )
    finals = comparison.final_loss.iterrows()
    for (name, row), best, regret in zip(finals, comparison.p_best, comparison.expected_regret, strict=True):
        losses = [decimals(row[key]) for key in ("median", "lower", "upper")]
        ends.add_row(
            str(name), *(cells[str(name)] for cells in setup.values()), *losses, chance(best), decimals(regret)
        )
    pairs = _table(
        f"First minus second, {_COMPARED[comparison.question]}, without measurement noise",
        ["first", "second"],
        ["median", lower, "upper", "P(first lower)"],
    )
    for pair in comparison.differences.to_dict("records"):
        losses = [decimals(pair[key], signed=True) for key in ("median", "lower", "upper")]
        pairs.add_row(str(pair["first"]), str(pair["second"]), *losses, chance(pair["p_first_lower"]))
    tables = [ends, pairs]
    crossed = comparison.crossings[comparison.crossings["probability"] >= 0.01]
    if len(crossed):
        places = _table(
            "Last crossing of the two schedules' curves", ["first", "second"], ["P(cross)", "step", lower, "upper"]
        )
        for pair in crossed.to_dict("records"):
            steps = [f"{pair[key]:,.0f}" for key in ("median", "lower", "upper")]
            places.add_row(str(pair["first"]), str(pair["second"]), chance(pair["probability"]), *steps)
        tables.append(places)
    return tables


def demo_table(rows: pd.DataFrame, *, ci_prob: float) -> Table:
    """Compare predicted with measured final losses.

    Parameters
    ----------
    rows
        Columns ``run, step, measured, median, lower, upper``.
    ci_prob
        Probability of the intervals.

    Returns
    -------
    rich.table.Table
        One row per run, with the error and whether the interval holds the measurement.
    """
    table = _table(
        "Final loss of the runs that were not fitted",
        ["run"],
        ["step", "measured", "predicted", f"{nominal(ci_prob)} lower", "upper", "error", "inside"],
    )
    for row in rows.to_dict("records"):
        losses = [f"{row[key]:.3f}" for key in ("measured", "median", "lower", "upper")]
        inside = "yes" if row["lower"] <= row["measured"] <= row["upper"] else "no"
        error = f"{row['median'] - row['measured']:+.3f}"
        table.add_row(str(row["run"]), f"{int(row['step']):,}", *losses, error, inside)
    return table


def _table(title: str | None, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0)
    )
    for text in texts:
        table.add_column(text, overflow="fold")
    for number in numbers:
        # a header may take two lines, a number never does
        table.add_column(number.replace(" ", "\n"), justify="right", vertical="bottom", no_wrap=True)
    return table


def _differing(final: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return cells by schedule of weight decay and batch size, by heading, where schedules differ in them."""
    found = [part.name for part in fields(Setup) if part.name in final]
    return {
        name.replace("_", " "): {str(schedule): _or_dash(value, ",.15g") for schedule, value in final[name].items()}
        for name in found
    }


def _or_dash(value: float, spec: str) -> str:
    return format(value, spec) if np.isfinite(value) else "-"


def _to_sd(value: float, sd: float) -> str:
    """Round to two significant digits of the standard deviation, in at most seven characters where possible."""
    if not np.isfinite(value):
        return "-"
    if 0.0 < abs(value) < 0.01 or abs(value) >= 1e5:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{mantissa}e{int(exponent)}"
    if not (np.isfinite(sd) and sd > 0.0):
        return f"{value:.4g}"
    return f"{value:.{min(max(int(1 - np.floor(np.log10(sd))), 0), 5)}f}"
