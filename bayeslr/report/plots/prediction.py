"""A prediction beside what happened."""

from collections.abc import Iterable

import matplotlib as mpl
from matplotlib.figure import Figure

from bayeslr.curves import LossCurve
from bayeslr.forecast import Forecast
from bayeslr.report.plots.bands import plot_bands
from bayeslr.report.plots.deviations import draw_deviations, named_curves
from bayeslr.report.plots.schedules import draw_rates
from bayeslr.report.plots.style import new_figure, note_health, set_figure_title, settings

__all__ = ["plot_prediction"]


def plot_prediction(
    forecast: Forecast,
    curves: LossCurve | Iterable[LossCurve],
    *,
    names: Iterable[str] | None = None,
    ci_prob: float = 0.9,
    latent: bool = False,
    title: str | None = None,
) -> Figure:
    """Draw predicted bands with measured curves, the rates, and measured minus predicted loss of each curve.

    Parameters
    ----------
    forecast
        The forecast.
    curves
        Measured curves, each named like the schedule that predicts it.
    names
        Schedules to draw, in this order. Default: all.
    ci_prob
        Probability of the outer band. Default 0.9.
    latent
        Whether to show the curve without measurement noise, instead of the loss as it would be measured.
    title
        Title of the picture. Default: none.

    Returns
    -------
    matplotlib.figure.Figure
        Losses over rates, and a small panel for each curve.

    Raises
    ------
    PosteriorError
        If no curve is named like a schedule.
    """
    forecast = forecast if names is None else forecast.select(names)
    known = named_curves(forecast, curves, "plot_prediction")
    with mpl.rc_context(settings()):
        lines = 0.35 + 1.3 * -(-len(known) // 3)
        figure = new_figure(4.3 + lines)
        above, below = figure.subfigures(2, 1, height_ratios=[4.3, lines], squeeze=False).ravel()
        for part in (above, below):
            part.set_facecolor(figure.get_facecolor())
        set_figure_title(figure, title)
        losses, rates = above.subplots(2, 1, sharex=True, height_ratios=[3.2, 1.0])
        plot_bands(forecast, curves=known, ci_prob=ci_prob, latent=latent, ax=losses)
        losses.set_xlabel("")
        draw_rates(rates, forecast.schedules)
        above.align_ylabels()
        draw_deviations(below, forecast, known, ci_prob=ci_prob, latent=latent)
        note_health(figure, forecast.health)
        return figure
