"""Laws of the loss: the areas under a schedule, and the formulas that turn them into a loss. Pure maths."""

from bayeslr.laws.annealing import AnnealingLaw
from bayeslr.laws.areas import Warmup, annealing_area, counted_rates, forward_area, rate_removed, response
from bayeslr.laws.basis import LOG_TAU_RANGE, NODES, chebyshev, response_coefficients
from bayeslr.laws.law import Law, Terms
from bayeslr.laws.mixed import MixedMemoryLaw
from bayeslr.laws.multipower import MultiPowerLaw
from bayeslr.laws.parameters import Parameter, PriorSpec, Scale

__all__ = [
    "LOG_TAU_RANGE",
    "NODES",
    "AnnealingLaw",
    "Law",
    "MixedMemoryLaw",
    "MultiPowerLaw",
    "Parameter",
    "PriorSpec",
    "Scale",
    "Terms",
    "Warmup",
    "annealing_area",
    "chebyshev",
    "counted_rates",
    "forward_area",
    "rate_removed",
    "response",
    "response_coefficients",
]
