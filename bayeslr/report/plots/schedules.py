"""Learning rates over the losses that they lead to."""

from collections.abc import Iterable

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bayeslr.curves import LossCurve
from bayeslr.forecast import Forecast
from bayeslr.report.plots.bands import plot_bands
from bayeslr.report.plots.style import STYLE, colour, new_figure, rate_axis, step_axis

__all__ = ["plot_schedules"]


def plot_schedules(
    forecast: Forecast,
    *,
    curves: Iterable[LossCurve] | None = None,
    ci_prob: float = 0.9,
    latent: bool = False,
) -> Figure:
    """Draw the rates of each schedule above its predicted loss, on one axis of steps.

    Parameters
    ----------
    forecast
        The forecast.
    curves
        Measured curves to draw as points over the bands.
    ci_prob
        Probability of the outer band. Default 0.9.
    latent
        Whether to show the curve without measurement noise, instead of the loss as it would be measured.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels.
    """
    with mpl.rc_context(STYLE):
        figure = new_figure(4.4)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.0, 2.4])
        for index, name in enumerate(forecast.names):
            rates = forecast.schedules[name].lr
            updates = np.arange(rates.size)
            # every corner of a schedule is kept; between corners a thousand points draw any curve
            turns = np.flatnonzero(np.abs(np.diff(rates, 2)) > 1e-3 * rates.max()) + 1
            shown = np.unique(np.concatenate([np.linspace(0, rates.size - 1, 1000).astype(int), turns, turns + 1]))
            above.plot(updates[shown], rates[shown], color=colour(index), linewidth=1.4)
        plot_bands(forecast, curves=curves, ci_prob=ci_prob, latent=latent, ax=below)
        rate_axis(above, max(schedule.peak_lr for schedule in forecast.schedules.values()))
        step_axis(above, max(schedule.total_steps for schedule in forecast.schedules.values()), label=False)
        figure.align_ylabels()
        return figure
