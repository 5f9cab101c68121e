"""Measured minus predicted loss, where errors of a thousandth can be seen."""

from collections.abc import Iterable

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from bayeslr.curves import LossCurve
from bayeslr.errors import PosteriorError
from bayeslr.forecast import Forecast
from bayeslr.report.plots.bands import INNER, as_curves, draw_band, draw_points
from bayeslr.report.plots.style import (
    colour,
    current,
    figure_of,
    new_figure,
    set_figure_title,
    set_title,
    settings,
    short_names,
    step_axis,
)

__all__ = ["draw_deviations", "named_curves", "plot_deviations"]

_COLUMNS = 3
_LATE = 0.25


def plot_deviations(
    forecast: Forecast,
    curves: LossCurve | Iterable[LossCurve],
    *,
    names: Iterable[str] | None = None,
    ci_prob: float = 0.9,
    latent: bool = False,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw measured minus predicted loss with the bands, one panel for each curve.

    Parameters
    ----------
    forecast
        The forecast.
    curves
        Measured curves, each named like the schedule that predicts it; others are left out.
    names
        Schedules to draw, in this order. Default: all.
    ci_prob
        Probability of the outer band. Default 0.9.
    latent
        Whether to show the bands of the curve without measurement noise.
    title
        Title of the picture. Default: none.
    ax
        Axes to draw one curve on. Default: a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure; zero is the predicted median. Limits leave out the first quarter of each run.

    Raises
    ------
    PosteriorError
        If no curve is named like a schedule, or several curves are to be drawn on one pair of axes.
    """
    forecast = forecast if names is None else forecast.select(names)
    known = named_curves(forecast, curves, "plot_deviations")
    if ax is not None and len(known) > 1:
        raise PosteriorError(f"plot_deviations: found {len(known)} curves for one pair of axes; allowed: one, or no ax")
    with mpl.rc_context(settings()):
        if ax is None:
            figure = new_figure(0.6 + 1.45 * -(-len(known) // _COLUMNS))
            set_figure_title(figure, title)
            draw_deviations(figure, forecast, known, ci_prob=ci_prob, latent=latent)
            return figure
        _panel(ax, forecast, known[0], ci_prob, latent)
        ax.set_ylabel("measured - median")
        set_title(ax, title)
        return figure_of(ax)


def named_curves(forecast: Forecast, curves: LossCurve | Iterable[LossCurve], caller: str) -> list[LossCurve]:
    """Return the curves that are named like a schedule."""
    known = [curve for curve in as_curves(curves) if curve.name in forecast.names]
    if not known:
        raise PosteriorError(f"{caller}: found no curve named like a schedule; allowed: {', '.join(forecast.names)}")
    return known


def draw_deviations(
    figure: Figure | SubFigure, forecast: Forecast, curves: list[LossCurve], *, ci_prob: float, latent: bool
) -> None:
    """Draw one panel for each curve on a figure, all with the same limits."""
    panels = _grid(figure, len(curves))
    names = short_names([curve.name for curve in curves])
    reach = 0.0
    for panel, curve, name in zip(panels, curves, names, strict=False):
        reach = max(reach, _panel(panel, forecast, curve, ci_prob, latent))
        panel.set_title(name, color=colour(forecast.names.index(curve.name)))
    for panel in panels[:-_COLUMNS]:
        panel.set_xlabel("")
    panels[0].set_ylim(-1.1 * reach, 1.1 * reach)
    figure.supylabel("measured - median (nats)", fontsize=9.0, color=current().ink)


def _grid(figure: Figure | SubFigure, count: int) -> list[Axes]:
    """Return so many panels in rows, with one scale of losses."""
    columns = min(_COLUMNS, count)
    lines = -(-count // columns)
    panels = list(figure.subplots(lines, columns, sharey=True, squeeze=False).ravel())
    for panel in panels[count:]:
        panel.set_axis_off()
    return panels[:count]


def _panel(ax: Axes, forecast: Forecast, curve: LossCurve, ci_prob: float, latent: bool) -> float:
    """Draw one curve; return the largest value after the first quarter."""
    outer, inner = (forecast.band(ci_prob=prob, latent=latent) for prob in (ci_prob, INNER))
    wide, narrow = (table[table["schedule"] == curve.name] for table in (outer, inner))
    steps, median = wide["step"].to_numpy(), wide["median"].to_numpy()
    shade = colour(forecast.names.index(curve.name))
    draw_band(ax, wide, narrow, shade, around=median)
    covered = (curve.steps >= steps[0]) & (curve.steps <= steps[-1])
    left = curve.loss[covered] - np.interp(curve.steps[covered], steps, median)
    draw_points(ax, curve.steps[covered], left, shade)
    step_axis(ax, float(steps[-1]), ticks=3)
    late, seen = steps >= _LATE * steps[-1], curve.steps[covered] >= _LATE * steps[-1]
    edges = [wide["upper"].to_numpy() - median, median - wide["lower"].to_numpy()]
    return float(max([*(edge[late].max() for edge in edges), *np.abs(left[seen])]))
