"""A prediction beside what happened."""

from collections.abc import Iterable

import matplotlib as mpl
from matplotlib.figure import Figure

from bayeslr.curves import LossCurve
from bayeslr.forecast import Forecast
from bayeslr.report.plots.bands import plot_bands, plot_deviations
from bayeslr.report.plots.style import STYLE, new_figure

__all__ = ["plot_prediction"]


def plot_prediction(
    forecast: Forecast, curves: Iterable[LossCurve], *, ci_prob: float = 0.9, latent: bool = False
) -> Figure:
    """Draw predicted bands with measured curves, and below them measured minus predicted loss.

    Parameters
    ----------
    forecast
        The forecast.
    curves
        Measured curves, each named like the schedule that predicts it.
    ci_prob
        Probability of the outer band. Default 0.9.
    latent
        Whether to show the curve without measurement noise, instead of the loss as it would be measured.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels.

    Raises
    ------
    PosteriorError
        If no curve is named like a schedule.
    """
    measured = list(curves)
    with mpl.rc_context(STYLE):
        figure = new_figure(4.6)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.2, 1.0])
        plot_bands(forecast, curves=measured, ci_prob=ci_prob, latent=latent, ax=above)
        plot_deviations(forecast, measured, ci_prob=ci_prob, latent=latent, ax=below)
        above.set_xlabel("")
        figure.align_ylabels()
        return figure
