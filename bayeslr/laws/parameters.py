"""What a law declares about each of its parameters; priors, summaries, docs and reports read it from here.

Sampling happens on the scale of the data: the forward area is divided by a reference area, rates by a reference peak.
Priors are declared relative to a :class:`Scale` as well, so that one declaration serves a loss of 1.7 and of 9, a peak
rate of 1e-5 and of 1e-2, a horizon of 1e3 and of 1e6 steps.
"""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Parameter", "PriorSpec", "Scale", "Trend"]

type Trend = Literal["linear", "power", "none"]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The scale of the data at hand.

    Parameters
    ----------
    area
        Reference forward area S1, in units of rate times steps: the largest that was fitted.
    rate
        Reference peak rate.
    loss
        Reference loss: the lowest that was observed.
    memory
        Reference memory in steps: the square root of the length of the longest fitted run. Fitted memories grow with
        the horizon, but slower than it.
    """

    area: float
    rate: float
    loss: float
    memory: float


@dataclass(frozen=True, kw_only=True)
class PriorSpec:
    """A prior as plain data, relative to the data's scale.

    Parameters
    ----------
    family
        ``"Normal"`` or ``"LogNormal"``.
    center
        Median of the prior, in units of the scale that `relative_to` names.
    spread
        Standard deviation: of a Normal in those same units, of a LogNormal in log units.
    relative_to
        Field of :class:`Scale` that multiplies `center` (and a Normal's `spread`); none: an absolute prior.
    """

    family: Literal["Normal", "LogNormal"]
    center: float
    spread: float
    relative_to: Literal["loss", "memory"] | None = None


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a law, as it is sampled.

    Parameters
    ----------
    name
        Name of the sample site.
    support
        ``"real"`` or ``"positive"``; a positive parameter is sampled as its logarithm.
    unit
        Unit of its values.
    meaning
        One sentence.
    prior
        Default prior of the parameter of one size (of the reference size where sizes are pooled).
    trend
        How it may move with model size N: ``"linear"`` (its unconstrained value is linear in log N), ``"power"`` (an
        asymptote plus a power of N), or ``"none"``.
    slope
        Prior standard deviation of the linear trend, in unconstrained units per unit of log N.
    deviation
        Prior median of the sizes' standard deviation around the trend, in unconstrained units (for a real parameter,
        relative to the loss).
    """

    name: str
    support: Literal["real", "positive"]
    unit: str
    meaning: str
    prior: PriorSpec
    trend: Trend = "linear"
    slope: float = 0.2
    deviation: float = 0.1
