"""Questions to a posterior about schedules: predictive bands, final losses, comparisons."""

from bayeslr.forecast.alternatives import Alternatives, compare
from bayeslr.forecast.compare import Comparison, compare_schedules
from bayeslr.forecast.extrapolation import extrapolations
from bayeslr.forecast.forecast import Forecast
from bayeslr.forecast.optimise import Optimum, optimize
from bayeslr.forecast.predict import predict
from bayeslr.forecast.reach import Reach, reach
from bayeslr.forecast.stack import stack

__all__ = [
    "Alternatives",
    "Comparison",
    "Forecast",
    "Optimum",
    "Reach",
    "compare",
    "compare_schedules",
    "extrapolations",
    "optimize",
    "predict",
    "reach",
    "stack",
]
