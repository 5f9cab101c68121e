"""What the law leaves over in the runs that were fitted."""

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bayeslr.inference import Posterior, fitted_curves
from bayeslr.report.plots.style import colour, current, new_figure, settings, short_names, step_axis, tint

__all__ = ["plot_residuals"]

_MAX_RUNS = 12
_COLUMNS = 3
_NORMAL_90 = 1.6449


def plot_residuals(posterior: Posterior, *, num_draws: int = 200) -> Figure:
    """Draw measured minus fitted loss along each run that was fitted, a panel a run.

    Parameters
    ----------
    posterior
        The posterior.
    num_draws
        Draws over which the law is averaged. Default 200.

    Returns
    -------
    matplotlib.figure.Figure
        At most 12 panels, those with the largest residuals. The fitted loss is the median of the law alone: the error
        model is not subtracted. The grey band is the measurement noise, so what lies outside of it is what the error
        model stands for.
    """
    residuals = {
        name: (steps, loss - np.median(parts.law, axis=0), np.median(noise, axis=0))
        for name, steps, loss, parts, noise in fitted_curves(posterior, num_draws=num_draws)
    }
    shown = sorted(residuals, key=lambda name: -float(np.abs(residuals[name][1]).max()))[:_MAX_RUNS]
    columns = min(_COLUMNS, len(shown))
    lines = -(-len(shown) // columns)
    with mpl.rc_context(settings()):
        figure = new_figure(0.6 + 1.5 * lines)
        panels = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
        for index, (ax, name, label) in enumerate(zip(panels, shown, short_names(shown), strict=False)):
            steps, left, noise = residuals[name]
            reach = _NORMAL_90 * noise
            ax.fill_between(steps, -reach, reach, color=tint(current().muted, 0.25), linewidth=0)
            ax.axhline(0.0, color=current().muted, linewidth=0.7)
            ax.plot(steps, left, color=colour(0), linewidth=0.6, alpha=0.6)
            ax.plot(steps, left, linestyle="none", marker=".", markersize=2.2, color=colour(0))
            step_axis(ax, float(steps[-1]), label=index >= len(shown) - columns, ticks=3)
            ax.set_title(label)
        for ax in panels[len(shown) :]:
            ax.set_axis_off()
        figure.supylabel("measured - law (nats)", fontsize=9.0, color=current().ink)
        band = Patch(color=tint(current().muted, 0.25), linewidth=0, label="90% of the measurement noise")
        figure.legend(handles=[band], loc="outside lower right")
        figure.suptitle(
            "What the law alone leaves over (the error model is not subtracted)", x=0.01, ha="left", size=9.0
        )
        return figure
