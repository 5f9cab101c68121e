"""Learning rates of schedules."""

from collections.abc import Iterable, Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bayeslr.forecast import Forecast
from bayeslr.forecast.forecast import chosen
from bayeslr.report.plots.style import colour, figure_of, new_figure, rate_axis, set_title, settings, step_axis
from bayeslr.schedules import Plans, Schedule, named_schedules

__all__ = ["draw_rates", "plot_schedules", "shared_steps"]


def plot_schedules(
    plans: Forecast | Plans,
    *,
    names: Iterable[str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the learning rate of each schedule.

    Parameters
    ----------
    plans
        A forecast, a schedule, a spec such as ``"cosine(peak_lr=1e-3, total_steps=4000)"``, or several schedules and
        specs by name or in a list.
    names
        Schedules to draw, in this order. Default: all.
    title
        Title of the picture. Default: none.
    ax
        Axes to draw on. Default: a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure; several schedules are named above it.

    Raises
    ------
    PosteriorError
        If there is no schedule of one of the names.
    """
    schedules = dict(plans.schedules) if isinstance(plans, Forecast) else named_schedules(plans)
    schedules = {name: schedules[name] for name in chosen(names, list(schedules), "schedules")}
    with mpl.rc_context(settings()):
        if ax is None:
            ax = new_figure(2.2).subplots()
        draw_rates(ax, schedules)
        if len(schedules) > 1:
            handles = [Line2D([], [], color=colour(k), linewidth=1.3, label=name) for k, name in enumerate(schedules)]
            ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, columnspacing=1.2)
        # names stand in four columns
        set_title(ax, title, legend=-(-len(schedules) // 2) if len(schedules) > 1 else 0)
        return figure_of(ax)


def draw_rates(ax: Axes, schedules: Mapping[str, Schedule]) -> None:
    """Draw rates on axes, in the order of the colours; what schedules begin with in common is drawn once."""
    apart = shared_steps(schedules)
    for index, (name, schedule) in enumerate(schedules.items()):
        rates = schedule.lr
        # every corner of a schedule is kept; between corners a thousand points draw any curve
        turns = np.flatnonzero(np.abs(np.diff(rates, 2)) > 1e-3 * rates.max()) + 1
        shown = np.unique(np.concatenate([np.linspace(0, rates.size - 1, 1000).astype(int), turns, turns + 1]))
        shown = shown[shown >= min(apart[name] - 1, rates.size - 2)]
        ax.plot(shown, rates[shown], color=colour(index), linewidth=1.3)
    rate_axis(ax, max(schedule.peak_lr for schedule in schedules.values()))
    step_axis(ax, max(schedule.total_steps for schedule in schedules.values()))


def shared_steps(schedules: Mapping[str, Schedule]) -> dict[str, int]:
    """Return for each schedule the number of first updates whose rates it shares with one before it."""
    found: dict[str, int] = {}
    before: list[Schedule] = []
    for name, schedule in schedules.items():
        common = max((_common(schedule, other) for other in before), default=0)
        # a schedule that is all in another one would vanish
        found[name] = common if common < schedule.total_steps else 0
        before.append(schedule)
    return found


def _common(one: Schedule, other: Schedule) -> int:
    length = min(one.total_steps, other.total_steps)
    differs = np.abs(one.lr[:length] - other.lr[:length]) > 1e-9 * one.peak_lr
    return int(differs.argmax()) if differs.any() else length
