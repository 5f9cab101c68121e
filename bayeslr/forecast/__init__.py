"""Questions to a posterior about schedules: predictive bands, final losses, comparisons."""

# first: it asks whether JAX was there before the library brought it
import bayeslr.laws  # noqa: F401

# isort: split
from bayeslr.forecast.alternatives import Alternatives, compare
from bayeslr.forecast.candidates import Plan, usual_candidates
from bayeslr.forecast.compare import Comparison, compare_schedules
from bayeslr.forecast.extrapolation import extrapolations
from bayeslr.forecast.forecast import Forecast
from bayeslr.forecast.looks import Watch, load_watch
from bayeslr.forecast.metric import MetricForecast, MetricLink, fit_metric
from bayeslr.forecast.next_run import NextRun, next_run
from bayeslr.forecast.optimise import Optimum, optimize
from bayeslr.forecast.predict import predict
from bayeslr.forecast.reach import Reach, reach
from bayeslr.forecast.stack import stack
from bayeslr.forecast.watch import replay, watch

__all__ = [
    "Alternatives",
    "Comparison",
    "Forecast",
    "MetricForecast",
    "MetricLink",
    "NextRun",
    "Optimum",
    "Plan",
    "Reach",
    "Watch",
    "compare",
    "compare_schedules",
    "extrapolations",
    "fit_metric",
    "load_watch",
    "next_run",
    "optimize",
    "predict",
    "reach",
    "replay",
    "stack",
    "usual_candidates",
    "watch",
]
