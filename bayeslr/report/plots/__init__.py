"""Pictures: functions that take a forecast or a posterior and return a matplotlib ``Figure``.

A notebook shows the figure that a function returns, without ``%matplotlib`` and without pyplot;
``figure.savefig("bands.pdf")`` writes it. With ``ax=`` a picture is drawn on axes of yours, and
``with bl.plots.theme("dark"):`` draws it for dark pages. Traces, ranks and posterior predictive checks are ArviZ's,
which takes ``posterior.tree``.
"""

from bayeslr.report.plots.bands import plot_bands
from bayeslr.report.plots.decisions import plot_reach, plot_regret
from bayeslr.report.plots.deviations import plot_deviations
from bayeslr.report.plots.final_loss import plot_final_loss
from bayeslr.report.plots.prediction import plot_prediction
from bayeslr.report.plots.progress import plot_metric, plot_next_run, plot_watch
from bayeslr.report.plots.residuals import plot_residuals
from bayeslr.report.plots.schedules import plot_schedules
from bayeslr.report.plots.style import theme
from bayeslr.report.plots.terms import plot_terms

__all__ = [
    "plot_bands",
    "plot_deviations",
    "plot_final_loss",
    "plot_metric",
    "plot_next_run",
    "plot_prediction",
    "plot_reach",
    "plot_regret",
    "plot_residuals",
    "plot_schedules",
    "plot_terms",
    "plot_watch",
    "theme",
]
