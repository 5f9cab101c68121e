"""Predicted loss curves with their bands, over the rates that they come from."""

from collections.abc import Iterable
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from bayeslr.curves import LossCurve
from bayeslr.forecast import Forecast
from bayeslr.report.plots.schedules import draw_rates, shared_steps
from bayeslr.report.plots.style import (
    colour,
    current,
    figure_of,
    label_ends,
    loss_axis,
    new_figure,
    note_health,
    set_title,
    settings,
    short_names,
    step_axis,
    tint,
)

__all__ = ["INNER", "OUTER_TINT", "as_curves", "draw_band", "draw_points", "plot_bands"]

INNER = 0.5
OUTER_TINT, _INNER_TINT = 0.2, 0.45
_MAX_POINTS = 60
_NEARLY = 0.95
"""Share of the longest schedule from which a fitted run counts as long as that."""
_LEGEND: Any = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": 2, "columnspacing": 1.0}
_MARKER: Any = {"marker": "o", "markersize": 2.6, "markeredgewidth": 0.7}


def plot_bands(
    forecast: Forecast,
    *,
    names: Iterable[str] | None = None,
    curves: LossCurve | Iterable[LossCurve] | None = None,
    started: LossCurve | None = None,
    ci_prob: float = 0.9,
    latent: bool = False,
    rates: bool = True,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the predicted loss of each schedule: median, 50% band and the band of a given probability.

    Parameters
    ----------
    forecast
        The forecast.
    names
        Schedules to draw, in this order. Default: all.
    curves
        Measured curves to draw as points over the bands. A curve that is named like a schedule takes its colour.
    started
        The beginning of a run that has not ended: it is drawn up to where it is, which is marked "now", and the bands
        open from there.
    ci_prob
        Probability of the outer band. Default 0.9.
    latent
        Whether to show the curve without measurement noise, instead of the loss as it would be measured.
    rates
        Whether a panel below shows the learning rates. Default true; with `ax` there is none.
    title
        Title of the picture. Default: none.
    ax
        Axes to draw on. Default: a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. The axis of losses leaves out the steep beginning, and schedules that begin with the same rates are
        drawn as one until they part. Where the longest fitted run ends before they do, a line says so.
    """
    forecast, own = forecast if names is None else forecast.select(names), ax is None
    with mpl.rc_context(settings()):
        below = None
        if ax is None and rates:
            ax, below = new_figure(4.3).subplots(2, 1, sharex=True, height_ratios=[3.2, 1.0])
        elif ax is None:
            ax = new_figure(3.4).subplots()
        outer = forecast.band(ci_prob=ci_prob, latent=latent)
        inner = forecast.band(ci_prob=INNER, latent=latent)
        now = 0 if started is None else int(started.steps[-1])
        last = max(int(steps[-1]) for steps in forecast.steps.values())
        apart = shared_steps(forecast.schedules)
        ends = []
        for index, (name, label) in enumerate(zip(forecast.names, short_names(forecast.names), strict=True)):
            wide, narrow = outer[outer["schedule"] == name], inner[inner["schedule"] == name]
            begin = max(now, apart[name])
            # one point before the schedules part, so that the lines meet
            first = max(int(np.searchsorted(wide["step"], begin, side="right")) - 1, 0)
            draw_band(ax, wide.iloc[first:], narrow.iloc[first:], colour(index))
            ends.append((float(wide["step"].iloc[-1]), float(wide["median"].iloc[-1]), label, colour(index)))
        measured = as_curves(curves)
        seen: set[tuple[int, float]] = set()
        for curve in measured:
            known = curve.name in forecast.names
            shade = colour(forecast.names.index(curve.name)) if known else current().ink
            # branches have their trunk in common, which is drawn once
            new = [(s > curve.schedule.warmup_steps) and (s, x) not in seen for s, x in _pairs(curve)]
            seen.update(_pairs(curve))
            draw_points(ax, curve.steps[new], curve.loss[new], shade)
        step_axis(ax, last, label=below is None)
        loss_axis(ax)
        ax.set_ylim(*_limits(forecast, outer, last, [*measured, *([] if started is None else [started])]))
        if started is not None:
            after = started.steps > started.schedule.warmup_steps
            draw_points(ax, started.steps[after], started.loss[after], current().ink)
            _mark(ax, now, "now")
        elif forecast.fitted_steps is not None and forecast.fitted_steps < _NEARLY * last:
            _mark(ax, forecast.fitted_steps, "longest fitted run")
        label_ends(ax, ends)
        what = "without measurement noise" if latent else "of the observed loss"
        handles = _handles(ci_prob, what, measured=bool(measured), started=started is not None)
        ax.legend(handles=handles, **_LEGEND)
        set_title(ax, title, legend=len(handles))
        if own:
            note_health(figure_of(ax), forecast.health)
        if below is not None:
            draw_rates(below, forecast.schedules)
            if now:
                below.axvline(now, color=current().muted, linewidth=0.8, linestyle=(0, (3, 2)))
            figure_of(ax).align_ylabels()
        return figure_of(ax)


def _mark(ax: Axes, step: int, text: str) -> None:
    """Draw a line at a step, and say what it is."""
    ax.axvline(step, color=current().muted, linewidth=0.8, linestyle=(0, (3, 2)))
    side, offset = ("left", 3) if step < 0.7 * ax.get_xlim()[1] else ("right", -3)
    place: Any = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "ha": side}
    ax.annotate(text, (step, 1.0), (offset, -9), color=current().muted, **place)


def as_curves(curves: LossCurve | Iterable[LossCurve] | None) -> list[LossCurve]:
    """Return curves as a list: none, one, or several in any collection."""
    if curves is None:
        return []
    return [curves] if isinstance(curves, LossCurve) else list(curves)


def draw_band(
    ax: Axes, wide: pd.DataFrame, narrow: pd.DataFrame, shade: str, *, around: NDArray[np.float64] | float = 0.0
) -> None:
    """Draw two bands and their median, less what they are drawn around."""
    steps = wide["step"].to_numpy()
    for band, amount, order in ((wide, OUTER_TINT, 1.0), (narrow, _INNER_TINT, 1.1)):
        low, high = band["lower"].to_numpy() - around, band["upper"].to_numpy() - around
        ax.fill_between(steps, low, high, color=tint(shade, amount), linewidth=0, zorder=order)
    for edge in ("lower", "upper"):
        # where another band lies over this one, its edges still tell how wide it is
        ax.plot(steps, wide[edge].to_numpy() - around, color=shade, linewidth=0.5, alpha=0.75, zorder=1.5)
    ax.plot(steps, wide["median"].to_numpy() - around, color=shade, linewidth=1.3, zorder=2.0)


def draw_points(ax: Axes, steps: NDArray[np.int64], loss: NDArray[np.float64], shade: str) -> None:
    """Draw measurements, thinned so that single points can be seen."""
    shown = np.unique(np.linspace(0, steps.size - 1, min(_MAX_POINTS, steps.size)).round().astype(int))
    style = _MARKER | {"markerfacecolor": current().page, "color": shade}
    ax.plot(steps[shown], loss[shown], linestyle="none", zorder=4, **style)


def _pairs(curve: LossCurve) -> list[tuple[int, float]]:
    return list(zip(curve.steps.tolist(), curve.loss.tolist(), strict=True))


def _handles(ci_prob: float, what: str, *, measured: bool, started: bool) -> list[Line2D | Patch]:
    """Return what a legend says of median, bands and points."""
    muted = current().muted
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=muted, linewidth=1.3, label="predicted median"),
        Patch(color=tint(muted, 0.55), linewidth=0, label=f"{100 * INNER:g}% band"),
        Patch(color=tint(muted, 0.25), linewidth=0, label=f"{100 * ci_prob:g}% band {what}"),
    ]
    style = _MARKER | {"markerfacecolor": current().page}
    if measured or started:
        label = "measured so far" if started and not measured else "measured"
        handles.append(Line2D([], [], linestyle="none", color=current().ink, label=label, **style))
    return handles


def _limits(forecast: Forecast, band: pd.DataFrame, last: int, measured: list[LossCurve]) -> tuple[float, float]:
    """Return limits of the losses that leave out the steep beginning: the first quarter of the longest schedule."""
    begin = min(last / 4, float(band.groupby("schedule")["step"].median().min()))
    late = band[band["step"] >= begin]
    low, high = float(late["lower"].min()), float(late["upper"].max())
    for curve in measured:
        within = curve.loss[(curve.steps >= begin) & (curve.steps <= last)]
        low, high = min([low, *within]), max([high, *within])
    return low - 0.04 * (high - low), high + 0.04 * (high - low)
