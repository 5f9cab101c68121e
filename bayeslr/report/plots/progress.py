"""Pictures of what comes next: the gain of each candidate, a run that is watched, a metric that follows the loss."""

from collections.abc import Iterable

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bayeslr.curves import LossCurve
from bayeslr.forecast import MetricForecast, MetricLink, NextRun, Watch
from bayeslr.forecast.forecast import chosen
from bayeslr.report.plots.style import (
    colour,
    current,
    figure_of,
    label_ends,
    loss_axis,
    new_figure,
    set_title,
    settings,
    step_axis,
)

__all__ = ["plot_metric", "plot_next_run", "plot_watch"]

_MOST = 20


def plot_next_run(answer: NextRun, *, title: str | None = None, ax: Axes | None = None) -> Figure:
    """Draw how much each candidate is expected to narrow the target's interval.

    Parameters
    ----------
    answer
        The answer of :func:`bayeslr.next_run`.
    title
        Title of the picture. Default: none.
    ax
        Axes to draw on. Default: a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        One bar for each candidate, the most useful for its cost on top; the thin bar, with its value, is the gain
        for the cost, relative to the best.
    """
    table = answer.candidates.head(_MOST)
    with mpl.rc_context(settings()):
        if ax is None:
            ax = new_figure(1.1 + 0.3 * len(table)).subplots()
        places = np.arange(len(table))
        key = "regret_per_cost" if answer.choices else "narrowing_per_cost"
        most = float(table["narrowing"].max())
        ax.barh(places - 0.12, 100 * table["narrowing"], height=0.46, color=colour(0), label="narrower, in percent")
        relative = 100 * most * table[key].to_numpy()
        thin = ax.barh(places + 0.26, relative, height=0.18, color=colour(1), label="gain for the cost (the best: 1)")
        # another scale than that of the axis
        ax.bar_label(thin, labels=[f"{value:.2f}" for value in table[key]], padding=3, fontsize="small")
        ax.set_yticks(places, [str(name) for name in table.index])
        ax.set_ylim(len(table) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
        ax.grid(visible=False, axis="y")
        ax.set_xlabel("how much narrower the interval of the target is expected to be (%)")
        ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
        set_title(ax, title, legend=2)
        return figure_of(ax)


def plot_watch(
    watched: Watch, run: LossCurve | None = None, *, title: str | None = None, ax: Axes | None = None
) -> Figure:
    """Draw a run in the bands that were forecast for it, and how the forecast of its end has moved.

    Parameters
    ----------
    watched
        What :func:`bayeslr.watch` returned.
    run
        The run so far.
    title
        Title of the picture. Default: none.
    ax
        Axes to draw the run and its bands on. Default: a new figure, with the forecasts of the final loss below.

    Returns
    -------
    matplotlib.figure.Figure
        Above the run in the newest band and in that from before the run; below the forecasts of the final loss by the
        step at which they were made, red where the run left the forecast.
    """
    share = f"{100 * watched.ci_prob:g}%"
    with mpl.rc_context(settings()):
        above, below = ax, None
        if above is None:
            above, below = new_figure(5.0).subplots(2, 1, height_ratios=[1.7, 1.0])
        first, newest = watched.looks[0], watched.looks[-1]
        shown = [(first, current().muted, "before the run")]
        if newest is not first:
            shown.append((newest, colour(0), f"at step {newest.step:,}"))
        for look, shade, label in shown:
            steps = look.band["step"]
            above.fill_between(steps, look.band["lower"], look.band["upper"], color=shade, alpha=0.25, linewidth=0)
            above.plot(steps, look.band["median"], color=shade, linewidth=1.2, label=f"forecast {label}, {share} band")
        late = first.band[first.band["step"] >= 0.2 * watched.plan.total_steps]
        low, high = float(late["lower"].min()), float(late["upper"].max())
        if run is not None:
            after = run.past_warmup
            above.plot(run.steps[after], run.loss[after], color=current().ink, linewidth=0.9, label="the run")
            seen = run.loss[after & (run.steps >= 0.2 * watched.plan.total_steps)]
            if seen.size:
                low, high = min(low, float(np.quantile(seen, 0.02))), max(high, float(np.quantile(seen, 0.98)))
        above.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        step_axis(above, watched.plan.total_steps, label=below is None)
        loss_axis(above)
        above.legend(loc="upper right")
        set_title(above, title)
        if below is None:
            return figure_of(above)
        table = watched.to_dataframe()
        shades = [colour(1) if alarm else colour(0) for alarm in table["alarm"]]
        below.vlines(table["step"], table["lower"], table["upper"], color=shades, linewidth=2.0)
        below.scatter(table["step"], table["median"], color=shades, s=16, zorder=3)
        if run is not None and run.steps[-1] >= 0.99 * watched.plan.total_steps:
            below.axhline(float(run.loss[-1]), color=current().ink, linewidth=0.8)
        step_axis(below, watched.plan.total_steps)
        below.set_xlim(-0.02 * watched.plan.total_steps, watched.plan.total_steps)
        below.yaxis.set_major_locator(MaxNLocator(4))
        below.set_ylabel("final loss")
        return figure_of(below)


def plot_metric(
    found: MetricForecast,
    link: MetricLink | None = None,
    *,
    names: Iterable[str] | None = None,
    ci_prob: float = 0.9,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the bands of a metric, and the link that they come from.

    Parameters
    ----------
    found
        What :meth:`MetricLink.apply` returned.
    link
        The link, for a second panel with its pairs; with `ax` there is none.
    names
        Schedules to draw, in this order. Default: all.
    ci_prob
        Probability of the bands. Default 0.9.
    title
        Title of the picture. Default: none.
    ax
        Axes to draw the bands on. Default: a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        One or two panels.
    """
    with mpl.rc_context(settings()):
        link = link if ax is None else None
        panels: list[Axes] = [] if ax is None else [ax]
        if ax is None:
            figure = new_figure(3.0, 7.2 if link is not None else 5.6)
            panels += list(figure.subplots(1, 1 if link is None else 2, squeeze=False)[0])
        bands, ends = found.band(ci_prob=ci_prob), []
        kept = chosen(names, list(found.metric), "schedules")
        for index, name in enumerate(kept):
            band = bands[bands["schedule"] == name]
            panels[0].fill_between(
                band["step"], band["lower"], band["upper"], color=colour(index), alpha=0.2, linewidth=0
            )
            panels[0].plot(band["step"], band["median"], color=colour(index), linewidth=1.3)
            ends.append((float(band["step"].iloc[-1]), float(band["median"].iloc[-1]), name, colour(index)))
        step_axis(panels[0], max(end[0] for end in ends))
        panels[0].set_ylabel(found.name)
        label_ends(panels[0], ends)
        set_title(panels[0], title)
        if link is not None:
            losses = np.linspace(link.loss.min(), link.loss.max(), 80)
            tail = (1.0 - ci_prob) / 2.0
            lower, median, upper = np.quantile(link.curve(losses), [tail, 0.5, 1.0 - tail], axis=0)
            panels[1].fill_between(losses, lower, upper, color=current().muted, alpha=0.25, linewidth=0)
            panels[1].plot(losses, median, color=current().muted, linewidth=1.2)
            panels[1].plot(link.loss, link.metric, "o", color=current().ink, markersize=3.0)
            panels[1].invert_xaxis()
            panels[1].set_xlabel("loss (nats per token)")
            panels[1].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        return figure_of(panels[0])
