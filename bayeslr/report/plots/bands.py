"""Predicted loss curves with their bands."""

from collections.abc import Iterable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from bayeslr.curves import LossCurve
from bayeslr.errors import PosteriorError
from bayeslr.forecast import Forecast
from bayeslr.report.plots.style import (
    GREY,
    INK,
    STYLE,
    colour,
    figure_of,
    label_ends,
    loss_axis,
    new_figure,
    step_axis,
)

__all__ = ["plot_bands", "plot_deviations"]

_INNER = 0.5
_MAX_POINTS = 60
_LEGEND: Any = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": 2, "columnspacing": 1.0}
_MARKER: Any = {"marker": "o", "markersize": 2.6, "markerfacecolor": "white", "markeredgewidth": 0.7}


def plot_bands(
    forecast: Forecast,
    *,
    curves: Iterable[LossCurve] | None = None,
    ci_prob: float = 0.9,
    latent: bool = False,
    ax: Axes | None = None,
) -> Figure:
    """Draw the predicted loss of each schedule: median, 50% band and the band of a given probability.

    Parameters
    ----------
    forecast
        The forecast.
    curves
        Measured curves to draw as points over the bands. A curve that is named like a schedule takes its colour.
    ci_prob
        Probability of the outer band. Default 0.9.
    latent
        Whether to show the curve without measurement noise, instead of the loss as it would be measured.
    ax
        Axes to draw on. Default: a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. The axis of losses leaves out the steep beginning.
    """
    with mpl.rc_context(STYLE):
        if ax is None:
            ax = new_figure(3.4).subplots()
        outer = forecast.band(ci_prob=ci_prob, latent=latent)
        inner = forecast.band(ci_prob=_INNER, latent=latent)
        last = max(int(steps[-1]) for steps in forecast.steps.values())
        ends = []
        for index, name in enumerate(forecast.names):
            wide, narrow = outer[outer["schedule"] == name], inner[inner["schedule"] == name]
            steps, shade = wide["step"].to_numpy(), colour(index)
            ax.fill_between(steps, wide["lower"], wide["upper"], color=shade, alpha=0.18, linewidth=0)
            ax.fill_between(steps, narrow["lower"], narrow["upper"], color=shade, alpha=0.32, linewidth=0)
            ax.plot(steps, wide["median"], color=shade, linewidth=1.2)
            ends.append((float(steps[-1]), float(wide["median"].iloc[-1]), name, shade))
        measured = list(curves or ())
        for curve in measured:
            known = curve.name in forecast.names
            after = curve.steps > curve.schedule.warmup_steps
            shade = colour(forecast.names.index(curve.name)) if known else INK
            _points(ax, curve.steps[after], curve.loss[after], shade)
        step_axis(ax, last)
        loss_axis(ax)
        ax.set_ylim(*_limits(forecast, latent, ci_prob, last))
        label_ends(ax, ends)
        what = "without measurement noise" if latent else "of the observed loss"
        ax.legend(handles=band_handles(ci_prob, what, measured=bool(measured)), **_LEGEND)
        return figure_of(ax)


def plot_deviations(
    forecast: Forecast,
    curves: Iterable[LossCurve],
    *,
    ci_prob: float = 0.9,
    latent: bool = False,
    ax: Axes | None = None,
) -> Figure:
    """Draw measured minus predicted loss over the bands, where errors of a thousandth can be seen.

    Parameters
    ----------
    forecast
        The forecast.
    curves
        Measured curves, each named like the schedule that predicts it; others are left out.
    ci_prob
        Probability of the outer band. Default 0.9.
    latent
        Whether to show the bands of the curve without measurement noise.
    ax
        Axes to draw on. Default: a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, a panel a curve unless axes are given; zero is the predicted median.

    Raises
    ------
    PosteriorError
        If no curve is named like a schedule.
    """
    known = [curve for curve in curves if curve.name in forecast.names]
    if not known:
        raise PosteriorError(
            f"plot_deviations: found no curve named like a schedule; allowed: {', '.join(forecast.names)}"
        )
    outer = forecast.band(ci_prob=ci_prob, latent=latent)
    inner = forecast.band(ci_prob=_INNER, latent=latent)
    with mpl.rc_context(STYLE):
        if ax is not None:
            panels = [ax] * len(known)
        else:
            columns = min(3, len(known))
            lines = -(-len(known) // columns)
            grid = new_figure(0.6 + 1.5 * lines).subplots(lines, columns, sharey=True, squeeze=False)
            panels = list(grid.ravel())
        for panel, curve in zip(panels, known, strict=False):
            wide, narrow = (table[table["schedule"] == curve.name] for table in (outer, inner))
            shade, steps, median = colour(forecast.names.index(curve.name)), wide["step"], wide["median"]
            panel.axhline(0.0, color=GREY, linewidth=0.7)
            for band, alpha in ((wide, 0.18), (narrow, 0.32)):
                low, high = band["lower"] - median.to_numpy(), band["upper"] - median.to_numpy()
                panel.fill_between(steps, low, high, color=shade, alpha=alpha, linewidth=0)
            covered = (curve.steps >= steps.iloc[0]) & (curve.steps <= steps.iloc[-1])
            left = curve.loss[covered] - np.interp(curve.steps[covered], steps, median)
            _points(panel, curve.steps[covered], left, shade)
            step_axis(panel, float(steps.iloc[-1]), ticks=6 if ax is not None else 3)
            if ax is None:
                panel.set_title(curve.name)
        for panel in panels[len(known) :]:
            panel.set_axis_off()
        figure = figure_of(panels[0])
        if ax is not None:
            ax.set_xlim(0.0, max(int(forecast.steps[curve.name][-1]) for curve in known))
            ax.set_ylabel("measured - median")
        else:
            figure.supylabel("measured - median (nats)", fontsize=9.0, color=INK)
        return figure


def band_handles(ci_prob: float, what: str, *, measured: bool) -> list[Line2D | Patch]:
    """Return what a legend says of median, bands and points."""
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=GREY, linewidth=1.2, label="predicted median"),
        Patch(color=GREY, alpha=0.5, linewidth=0, label=f"{100 * _INNER:g}% band"),
        Patch(color=GREY, alpha=0.2, linewidth=0, label=f"{100 * ci_prob:g}% band {what}"),
    ]
    if measured:
        handles.append(Line2D([], [], linestyle="none", color=INK, **_MARKER, label="measured"))
    return handles


def _points(ax: Axes, steps: NDArray[np.int64], loss: NDArray[np.float64], shade: str) -> None:
    """Draw measurements, thinned so that single points can be seen."""
    shown = np.unique(np.linspace(0, steps.size - 1, min(_MAX_POINTS, steps.size)).round().astype(int))
    ax.plot(steps[shown], loss[shown], linestyle="none", color=shade, zorder=4, **_MARKER)


def _limits(forecast: Forecast, latent: bool, ci_prob: float, last: int) -> tuple[float, float]:
    """Return limits of the losses that leave out the steep beginning: the first quarter of the longest schedule."""
    band = forecast.band(ci_prob=ci_prob, latent=latent)
    late = band[band["step"] >= min(last / 4, band.groupby("schedule")["step"].median().min())]
    low, high = float(late["lower"].min()), float(late["upper"].max())
    return low - 0.04 * (high - low), high + 0.04 * (high - low)
