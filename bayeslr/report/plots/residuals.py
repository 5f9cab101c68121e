"""What the law leaves over in the runs that were fitted."""

from collections.abc import Iterable, Mapping
from statistics import NormalDist

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from bayeslr.errors import PosteriorError
from bayeslr.forecast.forecast import chosen
from bayeslr.inference import Posterior, fitted_curves
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
    tint,
)

__all__ = ["plot_residuals"]

_MAX_RUNS = 12
_COLUMNS = 3

type _Residuals = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]
"""Of a run: steps, measured minus fitted loss, and the sd of the noise."""


def plot_residuals(
    posterior: Posterior,
    *,
    runs: Iterable[str] | None = None,
    num_draws: int = 200,
    ci_prob: float = 0.9,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw measured minus fitted loss along each run that was fitted, one panel for each run.

    Parameters
    ----------
    posterior
        The posterior.
    runs
        Names of the runs to draw, in this order. Default: at most 12, those with the largest residuals first.
    num_draws
        Draws over which the law is averaged. Default 200.
    ci_prob
        Probability of the band of the measurement noise. Default 0.9.
    title
        Title of the picture. Default: one that says what is drawn.
    ax
        Axes to draw one run on. Default: a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The fitted loss is the median of the law alone: the error model is not subtracted. The grey band is the
        measurement noise, so what lies outside of it is what the error model stands for.

    Raises
    ------
    PosteriorError
        If a run was not fitted, or several are to be drawn on one pair of axes.
    """
    residuals = {
        name: (steps, loss - np.median(parts.law, axis=0), np.median(noise, axis=0))
        for name, steps, loss, parts, noise in fitted_curves(posterior, num_draws=num_draws)
    }
    shown = _chosen(residuals, runs)
    if ax is not None and len(shown) > 1:
        raise PosteriorError(f"plot_residuals: found {len(shown)} runs for one pair of axes; allowed: one, or no ax")
    columns = min(_COLUMNS, len(shown))
    lines = -(-len(shown) // columns)
    with mpl.rc_context(settings()):
        title = "What the law alone leaves over (the error model is not subtracted)" if title is None else title
        reach = NormalDist().inv_cdf(0.5 + ci_prob / 2.0)
        if ax is not None:
            _panel(ax, residuals[shown[0]], reach)
            step_axis(ax, float(residuals[shown[0]][0][-1]))
            ax.set_ylabel("measured - law (nats)")
            set_title(ax, title)
            return figure_of(ax)
        figure = new_figure(0.6 + 1.5 * lines)
        panels = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
        for index, (panel, name, label) in enumerate(zip(panels, shown, short_names(shown), strict=False)):
            _panel(panel, residuals[name], reach)
            last = float(residuals[name][0][-1])
            step_axis(panel, last, label=index >= len(shown) - columns, ticks=3)
            panel.set_title(label)
        for panel in panels[len(shown) :]:
            panel.set_axis_off()
        figure.supylabel("measured - law (nats)", fontsize=9.0, color=current().ink)
        label = f"{100 * ci_prob:g}% of the measurement noise"
        band = Patch(color=tint(current().muted, 0.25), linewidth=0, label=label)
        figure.legend(handles=[band], loc="outside lower right")
        set_figure_title(figure, title)
        return figure


def _chosen(residuals: Mapping[str, _Residuals], runs: Iterable[str] | None) -> list[str]:
    """Return the names of the runs to draw."""
    if runs is None:
        return sorted(residuals, key=lambda name: -float(np.abs(residuals[name][1]).max()))[:_MAX_RUNS]
    return chosen(runs, list(residuals), "runs")


def _panel(ax: Axes, residuals: _Residuals, reach: float) -> None:
    """Draw the residuals of one run over the noise, so many of its standard deviations wide."""
    steps, left, noise = residuals
    ax.fill_between(steps, -reach * noise, reach * noise, color=tint(current().muted, 0.25), linewidth=0)
    ax.axhline(0.0, color=current().muted, linewidth=0.7)
    ax.plot(steps, left, color=colour(0), linewidth=0.6, alpha=0.6)
    ax.plot(steps, left, linestyle="none", marker=".", markersize=2.2, color=colour(0))
