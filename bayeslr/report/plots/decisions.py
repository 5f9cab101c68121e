"""Pictures of decisions: the regret of each choice, and the length that a target needs."""

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bayeslr.forecast.optimise import Optimum
from bayeslr.forecast.reach import Reach
from bayeslr.report.plots.style import (
    colour,
    current,
    figure_of,
    format_rate,
    format_steps,
    new_figure,
    set_title,
    settings,
)

__all__ = ["plot_reach", "plot_regret"]


def plot_regret(optimum: Optimum, *, title: str | None = None, ax: Axes | None = None) -> Figure:
    """Draw what each choice costs against the best one, with its band, and which choices are good.

    Parameters
    ----------
    optimum
        The answer of :func:`bayeslr.optimize`.
    title
        Title of the picture. Default: none.
    ax
        Axes to draw on. Default: a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        One free range: its values and the difference in loss. With a second free argument: a line for each of its
        values, at most seven of them.
    """
    table = optimum.candidates
    ranges = [argument for argument in optimum.family.free if argument.low is not None]
    along = max(ranges, key=lambda argument: table[argument.name].nunique(), default=None)
    with mpl.rc_context(settings()):
        if ax is None:
            ax = new_figure(3.2).subplots()
        if along is None:
            _listed(ax, table, optimum)
        else:
            others = [argument.name for argument in optimum.family.free if argument is not along]
            groups = [("", table)] if not others else _some(table, others[0])
            for index, (label, group) in enumerate(groups):
                shade, x = colour(index), group[along.name].to_numpy(dtype=float)
                ax.fill_between(
                    x, group["difference_lower"], group["difference_upper"], color=shade, alpha=0.2, linewidth=0
                )
                ax.plot(x, group["difference"], color=shade, linewidth=1.4, label=label or None)
            _good(ax, optimum, along.name, single=not others)
            if along.geometric:
                ax.set_xscale("log")
            values = table[along.name].to_numpy(dtype=float)
            ax.set_xlim(values.min(), values.max())
            _ticks(ax, format_rate if along.name.endswith("lr") else format_steps, logarithmic=along.geometric)
            ax.set_xlabel(along.name)
            if others:
                ax.legend(title=others[0], ncols=2)
        ax.axhline(0.0, color=current().muted, linewidth=0.7)
        ax.axhline(optimum.within, color=current().muted, linewidth=0.7, linestyle=(0, (4, 3)))
        _limits(ax, table, optimum.within)
        ax.set_ylabel("final loss - that of the best choice")
        set_title(ax, title)
        return figure_of(ax)


def plot_reach(reach: Reach, *, title: str | None = None, ax: Axes | None = None) -> Figure:
    """Draw the final loss over the length of the run, the target, and the lengths at which it is reached.

    Parameters
    ----------
    reach
        The answer of :func:`bayeslr.reach`.
    title
        Title of the picture. Default: none.
    ax
        Axes to draw on. Default: a new figure, with the probability of reaching the target below.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.
    """
    table = reach.lengths
    with mpl.rc_context(settings()):
        below = None
        if ax is None:
            ax, below = new_figure(4.2).subplots(2, 1, sharex=True, height_ratios=[2.0, 1.0])
        steps = table["total_steps"].to_numpy(dtype=float)
        ax.fill_between(steps, table["lower"], table["upper"], color=colour(0), alpha=0.2, linewidth=0)
        ax.plot(steps, table["median"], color=colour(0), linewidth=1.4)
        if reach.target is not None:
            ax.axhline(reach.target, color=current().ink, linewidth=0.9)
            # at the end of the line from which the curve is further away, and above it, where there is always room
            reached = reach.p_reached > 0.5
            ax.annotate(
                f"target {reach.target:g}",
                xy=(1.0 if reached else 0.0, reach.target),
                xycoords=("axes fraction", "data"),
                xytext=(-4 if reached else 4, 3),
                textcoords="offset points",
                ha="right" if reached else "left",
                va="bottom",
                fontsize=8.5,
                color=current().ink,
            )
        ax.set_ylabel("final loss (nats per token)")
        set_title(ax, title)
        low, _, high = reach.interval
        for panel in (ax, below):
            if panel is not None and np.isfinite(low):
                panel.axvspan(low, min(high, steps[-1]), color=colour(2), alpha=0.12, linewidth=0)
        bottom = ax
        if below is not None:
            bottom = below
            below.plot(steps, table["p_reached"], color=colour(2), linewidth=1.4)
            below.set_ylim(0.0, 1.02)
            below.set_ylabel("P(reached)")
        ax.set_xscale("log")
        ax.set_xlim(steps[0], steps[-1])
        _ticks(bottom, format_steps, logarithmic=True)
        bottom.set_xlabel("length of the run (steps)")
        return figure_of(ax)


def _ticks(ax: Axes, form: Callable[[float, int | None], str], *, logarithmic: bool) -> None:
    """Label an axis at 1, 2 and 5 times each power of ten, or evenly."""
    if logarithmic:
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
        ax.xaxis.set_minor_locator(NullLocator())
    else:
        ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 4, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(form))


def _some(table: pd.DataFrame, name: str) -> list[tuple[str, pd.DataFrame]]:
    values = list(dict.fromkeys(table[name]))
    kept = [values[k] for k in np.unique(np.linspace(0, len(values) - 1, min(7, len(values))).round().astype(int))]
    return [
        (f"{value:,}" if isinstance(value, int | float) else str(value), table[table[name] == value]) for value in kept
    ]


def _good(ax: Axes, optimum: Optimum, name: str, *, single: bool) -> None:
    good = optimum.good[name]
    if len(good) and single:
        ax.axvspan(float(good.min()), float(good.max()), color=colour(2), alpha=0.15, linewidth=0)
    best = optimum.candidates.loc[[optimum.best]]
    ax.plot(best[name], best["difference"], "o", color=current().ink, markersize=4.5, zorder=5)


def _listed(ax: Axes, table: pd.DataFrame, optimum: Optimum) -> None:
    """Draw one interval per choice, where none of the free arguments is a range."""
    places = range(len(table))
    ax.vlines(places, table["difference_lower"], table["difference_upper"], color=colour(0), linewidth=1.4)
    ax.plot(places, table["difference"], "o", color="white", markeredgecolor=colour(0), markersize=5.0)
    ax.set_xticks(list(places), [str(name).replace(", ", "\n") for name in table.index])
    ax.set_xlim(-0.5, len(table) - 0.5)


def _limits(ax: Axes, table: pd.DataFrame, within: float) -> None:
    """Leave out choices that are much worse than most, so that the good ones can be told apart."""
    high = max(float(np.quantile(table["difference_upper"], 0.6)), 4.0 * within)
    low = min(float(table["difference_lower"].min()), -within)
    ax.set_ylim(low - 0.05 * (high - low), high)
