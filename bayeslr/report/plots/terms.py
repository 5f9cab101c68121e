"""The split of a loss curve into the parts of the law."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayeslr.errors import PosteriorError
from bayeslr.forecast import Forecast
from bayeslr.report.plots.style import colour, current, figure_of, loss_axis, new_figure, set_title, settings, step_axis

__all__ = ["plot_terms"]


def plot_terms(
    forecast: Forecast, *, name: str | None = None, title: str | None = None, ax: Axes | None = None
) -> Figure:
    """Draw how L0, the forward term and the annealing term make up the predicted loss of one schedule.

    Parameters
    ----------
    forecast
        The forecast.
    name
        The schedule. Default: the first one.
    title
        Title of the picture. Default: the name, and what each part is worth at the end.
    ax
        Axes to draw on. Default: a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure; medians of the parts, with their values at the end.

    Raises
    ------
    PosteriorError
        If there is no schedule of that name.
    """
    name = forecast.names[0] if name is None else name
    if name not in forecast.names:
        raise PosteriorError(f"plot_terms: there is no schedule {name!r}; allowed: {', '.join(forecast.names)}")
    terms, steps = forecast.parts[name], forecast.steps[name]
    base = np.median(np.asarray(terms.base), axis=0)
    forward = np.median(np.asarray(terms.base + terms.forward), axis=0)
    law = np.median(np.asarray(terms.law), axis=0)
    loss = np.median(forecast.latent[name], axis=0)
    with mpl.rc_context(settings()):
        if ax is None:
            ax = new_figure(3.4).subplots()
        high = float(forward[np.searchsorted(steps, steps[-1] / 10)])
        low = float(min(base.min(), loss.min()))
        low, high = low - 0.12 * (high - low), high + 0.04 * (high - low)
        ax.fill_between(steps, low, base, color=current().muted, alpha=0.15, linewidth=0)
        ax.fill_between(steps, base, np.minimum(law, forward), color=colour(0), alpha=0.18, linewidth=0)
        ax.fill_between(steps, law, forward, color=colour(1), alpha=0.25, linewidth=0)
        ax.plot(steps, forward, color=colour(0), linewidth=1.0, linestyle="--")
        ax.plot(steps, base, color=current().muted, linewidth=1.0)
        ax.plot(steps, loss, color=current().ink, linewidth=1.4)
        step_axis(ax, float(steps[-1]))
        loss_axis(ax)
        ax.set_ylim(low, high)
        ends = [
            (base[-1], f"$L_0$  {base[-1]:.3f}", current().muted),
            (forward[-1], f"$L_0$ + forward  {forward[-1]:.3f}", colour(0)),
            (loss[-1], f"loss  {loss[-1]:.3f}", current().ink),
        ]
        gap = 0.055 * (high - low)
        place = -np.inf
        for value, text, shade in sorted(ends):
            place = max(float(value), place + gap)
            ax.annotate(
                text, (1.0, place), (4, 0), ("axes fraction", "data"), "offset points", color=shade, va="center"
            )
        worth = f"{forward[-1] - base[-1]:.3f} forward, {forward[-1] - law[-1]:.3f} gained by annealing at the end"
        set_title(ax, f"{name}: {worth}" if title is None else title)
        return figure_of(ax)
