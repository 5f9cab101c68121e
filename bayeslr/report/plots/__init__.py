"""Pictures: functions that take a forecast or a posterior and return a matplotlib ``Figure``.

Each draws on axes that are given (``ax=``), or on a figure of its own; pyplot and its global state are not used.
``figure.savefig("bands.pdf")`` writes it. Traces, ranks and posterior predictive checks are in ``arviz_plots``, which
takes ``posterior.tree``.
"""

from bayeslr.report.plots.bands import plot_bands, plot_deviations
from bayeslr.report.plots.decisions import plot_reach, plot_regret
from bayeslr.report.plots.final_loss import plot_final_loss
from bayeslr.report.plots.prediction import plot_prediction
from bayeslr.report.plots.residuals import plot_residuals
from bayeslr.report.plots.schedules import plot_schedules
from bayeslr.report.plots.terms import plot_terms

__all__ = [
    "plot_bands",
    "plot_deviations",
    "plot_final_loss",
    "plot_prediction",
    "plot_reach",
    "plot_regret",
    "plot_residuals",
    "plot_schedules",
    "plot_terms",
]
