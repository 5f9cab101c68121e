"""Intervals of the final loss."""

from collections.abc import Iterable, Mapping

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bayeslr.curves import LossCurve
from bayeslr.forecast import Forecast
from bayeslr.report.plots.bands import as_curves
from bayeslr.report.plots.style import (
    colour,
    current,
    figure_of,
    new_figure,
    note_health,
    set_title,
    settings,
    short_names,
)

__all__ = ["plot_final_loss"]

_END = 0.98
"""From this share of the steps on a loss counts as the final one."""


def plot_final_loss(
    forecast: Forecast,
    *,
    names: Iterable[str] | None = None,
    curves: LossCurve | Iterable[LossCurve] | None = None,
    measured: Mapping[str, float] | None = None,
    ci_prob: float = 0.9,
    latent: bool = False,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the final loss of each schedule: median, 50% interval and the interval of a given probability.

    Parameters
    ----------
    forecast
        The forecast.
    names
        Schedules to draw. Default: all.
    curves
        Measured curves, each named like a schedule; the last loss of those that reach its end is drawn.
    measured
        Final losses that were measured, by schedule.
    ci_prob
        Probability of the outer interval. Default 0.9.
    latent
        Whether to show the loss without measurement noise, instead of the loss as it would be measured.
    title
        Title of the picture. Default: none.
    ax
        Axes to draw on. Default: a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, the lowest median on top.
    """
    forecast, own = forecast if names is None else forecast.select(names), ax is None
    with mpl.rc_context(settings()):
        outer = forecast.final_loss(ci_prob=ci_prob, latent=latent)
        inner = forecast.final_loss(ci_prob=0.5, latent=latent)
        order = outer["median"].sort_values().index
        if ax is None:
            ax = new_figure(1.4 + 0.26 * len(order)).subplots()
        ended = [curve for curve in as_curves(curves) if curve.name in forecast.names]
        found = {c.name: float(c.loss[-1]) for c in ended if c.steps[-1] >= _END * forecast.steps[c.name][-1]}
        found |= measured or {}
        for place, name in enumerate(order):
            shade = colour(forecast.names.index(str(name)))
            wide, narrow = outer.loc[name], inner.loc[name]
            ax.hlines(place, wide["lower"], wide["upper"], color=shade, linewidth=1.2)
            ax.hlines(place, narrow["lower"], narrow["upper"], color=shade, linewidth=4.0, alpha=0.75)
            ax.plot(wide["median"], place, "o", color=current().page, markeredgecolor=shade, markersize=4.5, zorder=4)
            if name in found:
                ax.plot(found[str(name)], place, "D", color=current().ink, markersize=4.0, zorder=5)
        ax.set_yticks(range(len(order)), short_names([str(name) for name in order]))
        ax.set_ylim(len(order) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
        ax.grid(visible=False, axis="y")
        ax.spines["left"].set_visible(False)
        ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        ax.set_xlabel("final loss (nats per token)")
        what = "without measurement noise" if latent else "of the observed loss"
        handles = [
            Line2D([], [], color=current().muted, linewidth=4.0, alpha=0.75, label="50% interval"),
            Line2D([], [], color=current().muted, linewidth=1.2, label=f"{100 * ci_prob:g}% interval {what}"),
            Line2D(
                [],
                [],
                color=current().muted,
                marker="o",
                markerfacecolor=current().page,
                lw=0,
                markersize=4.5,
                label="median",
            ),
        ]
        if found:
            handles.append(
                Line2D([], [], color=current().ink, marker="D", linewidth=0, markersize=4.0, label="measured")
            )
        figure = figure_of(ax)
        ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, columnspacing=1.0)
        set_title(ax, title, legend=len(handles))
        if own:
            note_health(figure, forecast.health)
        return figure
