"""Laws of the loss: the areas under a schedule, and the formulas that turn them into a loss. Pure maths."""

# first: it asks whether JAX was there before the library brought it
from bayeslr.laws.precision import compute_in_64_bits

# isort: split
import bayeslr.laws.bars  # noqa: F401

# isort: split
from bayeslr.laws.annealing import AnnealingLaw
from bayeslr.laws.areas import Warmup, annealing_area, counted_rates, forward_area, rate_removed, response
from bayeslr.laws.basis import LOG_TAU_RANGE, NODES, chebyshev, response_coefficients
from bayeslr.laws.effective import EffectiveRateLaw
from bayeslr.laws.law import Law, Terms
from bayeslr.laws.mixed import MixedMemoryLaw
from bayeslr.laws.multipower import MultiPowerLaw
from bayeslr.laws.parameters import DEFAULT_WEIGHT_DECAY, Parameter, PriorSpec, Scale
from bayeslr.laws.rates import IdentityRate, PowerRate, RateMap, WeightNormRate

__all__ = [
    "DEFAULT_WEIGHT_DECAY",
    "LOG_TAU_RANGE",
    "NODES",
    "AnnealingLaw",
    "EffectiveRateLaw",
    "IdentityRate",
    "Law",
    "MixedMemoryLaw",
    "MultiPowerLaw",
    "Parameter",
    "PowerRate",
    "PriorSpec",
    "RateMap",
    "Scale",
    "Terms",
    "Warmup",
    "WeightNormRate",
    "annealing_area",
    "chebyshev",
    "compute_in_64_bits",
    "counted_rates",
    "forward_area",
    "rate_removed",
    "response",
    "response_coefficients",
]
