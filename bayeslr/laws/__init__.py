"""Laws of the loss: the areas under a schedule, and the formula that turns them into a loss. Pure maths."""

# first: it asks whether JAX was there before the library brought it
from bayeslr.laws.precision import compute_in_64_bits

# isort: split
from bayeslr.laws.annealing import AnnealingLaw, Features, Terms
from bayeslr.laws.areas import Warmup, annealing_area, counted_rates, forward_area, rate_removed, response
from bayeslr.laws.basis import LOG_TAU_RANGE, NODES, chebyshev, response_coefficients
from bayeslr.laws.parameters import Parameter, PriorSpec, Scale

__all__ = [
    "LOG_TAU_RANGE",
    "NODES",
    "AnnealingLaw",
    "Features",
    "Parameter",
    "PriorSpec",
    "Scale",
    "Terms",
    "Warmup",
    "annealing_area",
    "chebyshev",
    "compute_in_64_bits",
    "counted_rates",
    "forward_area",
    "rate_removed",
    "response",
    "response_coefficients",
]
