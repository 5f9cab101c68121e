"""What a law or an error model declares about each of its parameters; priors, summaries, docs and reports read it here.

Sampling happens on the scale of the data: the forward area is divided by a reference area, rates by a reference peak.
Priors are declared relative to a :class:`Scale` as well, so that one declaration serves a loss of 1.7 and of 9, a peak
rate of 1e-5 and of 1e-2, a horizon of 1e3 and of 1e6 steps.
"""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray

__all__ = ["DEFAULT_WEIGHT_DECAY", "Parameter", "PriorSpec", "Scale", "Support", "Trend"]

DEFAULT_WEIGHT_DECAY = 0.1
"""Decoupled weight decay of nearly all language models."""

_NO_DECAY = 1e-6
"""Weight decay below which weights never come to rest."""

_APART = 1e-9
"""Logarithms of parameters that are closer are of one size."""

type Trend = Literal["linear", "power", "none"]
type Support = Literal["real", "positive", "share"]


def power_of_params(
    log_params: NDArray[np.float64], logs: NDArray[np.float64], wanted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return logarithms of quantities that follow a power of the parameters, by least squares.

    Parameters
    ----------
    log_params
        Logarithms of the parameters of some sizes, ``[S]``.
    logs
        Logarithms of ``q`` quantities of these sizes, ``[q, S]``.
    wanted
        Logarithms of the parameters of the sizes that are wanted, ``[n]``.

    Returns
    -------
    numpy.ndarray
        ``[q, n]``; the same for all where the sizes have one number of parameters.
    """
    center = logs.mean(axis=1, keepdims=True)
    away = log_params - log_params.mean()
    apart = np.ptp(log_params) > _APART
    slope = (logs - center) @ away / float((away**2).sum()) if apart else np.zeros(len(logs))
    found: NDArray[np.float64] = center + slope[:, None] * (wanted - log_params.mean())
    return found


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The scale of the data at hand.

    Parameters
    ----------
    area
        Forward area S1 of the longest run, in units of rate times steps.
    rate
        Peak rate: the largest of all runs, or of one size that of its reference run: its longest, or in a
        grid its most typical one.
    loss
        Reference loss: the lowest that was observed.
    memory
        Reference memory in steps: the square root of the length of the longest fitted run. Fitted memories grow with
        the horizon, but slower than it.
    weight_decay
        Reference weight decay: the mean of what is known of the runs, else 0.1, that of nearly all language models.
    growth_rate
        Rate that the growth of weights refers to, the same for all sizes; 0: `rate`.
    areas, rates
        Area of each size's longest run and the peak rate of its reference run, from which errors of the law and the
        noise count. Empty: `area` and `rate` are those of all sizes.
    batch
        Reference batch size; 0: not known.
    batches
        Reference batch size of each size, that of its reference run, 0 where it is not known. Empty: `batch` is that
        of all sizes.
    level_area, level_rate, level_batch
        Area, rate and batch size at which a law's parameters are taken; 0: `area`, `rate` and `batch`.
    level_areas, level_rates, level_batches
        The same of each size: a power of its parameters, so that a size that was trained longer than its neighbours,
        at a higher rate or in larger batches, does not stand beside their trend for that. Empty: `areas`, `rates` and
        `batches`.
    jitter
        How far losses scatter from one observation to the next, the mean of the sizes; 0: not known.
    """

    area: float
    rate: float
    loss: float
    memory: float
    weight_decay: float = DEFAULT_WEIGHT_DECAY
    growth_rate: float = 0.0
    areas: tuple[float, ...] = ()
    rates: tuple[float, ...] = ()
    batch: float = 0.0
    batches: tuple[float, ...] = ()
    level_area: float = 0.0
    level_rate: float = 0.0
    level_areas: tuple[float, ...] = ()
    level_rates: tuple[float, ...] = ()
    level_batch: float = 0.0
    level_batches: tuple[float, ...] = ()
    jitter: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "level_area", self.level_area or self.area)
        object.__setattr__(self, "level_rate", self.level_rate or self.rate)
        object.__setattr__(self, "level_batch", self.level_batch or self.batch)

    def of_size(self, index: int) -> "Scale":
        """Return the scale on which the parameters of one size stand."""
        if not self.areas:
            return self
        batch = self.batches[index] if self.batches else self.batch
        own = (self.areas[index], self.rates[index], batch)
        level = tuple(
            found[index] if found else value
            for found, value in zip((self.level_areas, self.level_rates, self.level_batches), own, strict=True)
        )
        return self._at(own, level)

    def log_batch(self, batch_size: float | None, *, level: bool = False) -> float:
        """Return the logarithm of a batch size, none being the errors' reference, over that reference or the level's.

        0 where one of them is not known.
        """
        size = self.batch if batch_size is None else batch_size
        reference = self.level_batch if level else self.batch
        return float(np.log(size / reference)) if min(size, reference) > 0.0 else 0.0

    def of_params(self, params: tuple[float | None, ...], wanted: float | None) -> "Scale":
        """Return the scale of a size that was not fitted: area, rate and batch follow a power of the parameters.

        Parameters
        ----------
        params
            Parameters of the fitted sizes, none where unknown.
        wanted
            Parameters of the size; none: unknown, then the sizes' geometric mean is taken.
        """
        if not self.areas:
            return self
        # where one size's batch is not known, none is told from another
        told = bool(self.batches) and min(self.batches) > 0.0
        batches = (self.level_batches or self.batches) if told else (1.0,) * len(self.areas)
        found = np.log([self.level_areas or self.areas, self.level_rates or self.rates, batches])
        known = np.array([k for k, p in enumerate(params) if p is not None], dtype=int)
        center = found.mean(axis=1)
        if wanted is not None and known.size:
            log_params = np.log([params[k] for k in known])
            center = power_of_params(log_params, found[:, known], np.log([wanted]))[:, 0]
        area, rate, batch = np.exp(center).tolist()
        level = (area, rate, batch if told else 0.0)
        return self._at(level, level)

    def _at(self, own: tuple[float, ...], level: tuple[float, ...]) -> "Scale":
        area, rate, batch = own
        level_area, level_rate, level_batch = level
        return Scale(
            area=area,
            rate=rate,
            loss=self.loss,
            memory=self.memory,
            weight_decay=self.weight_decay,
            growth_rate=self.growth_rate or self.rate,
            batch=batch,
            level_area=level_area,
            level_rate=level_rate,
            level_batch=level_batch,
            jitter=self.jitter,
        )

    @property
    def growth(self) -> float:
        """Growth of the weights' norm by which a run at that rate would come to rest at its initial norm."""
        # without any decay norms grow as they do with the usual one, and do not come to rest
        decay = self.weight_decay if self.weight_decay > _NO_DECAY else DEFAULT_WEIGHT_DECAY
        return float((2.0 * decay / (self.growth_rate or self.rate)) ** 0.5)


@dataclass(frozen=True, kw_only=True)
class PriorSpec:
    """A prior as plain data, relative to the data's scale.

    Parameters
    ----------
    family
        ``"Normal"``, ``"LogNormal"``, or ``"Beta"`` for a share.
    center
        Median of the prior, in units of the scale that `relative_to` names; of a Beta its mean.
    spread
        Standard deviation: of a Normal in those same units, of a LogNormal in log units. Of a Beta the sum of its two
        parameters: the larger, the narrower.
    relative_to
        Field or property of :class:`Scale` that multiplies `center` (and a Normal's `spread`); none: an absolute prior.
    """

    family: Literal["Normal", "LogNormal", "Beta"]
    center: float
    spread: float
    relative_to: Literal["loss", "memory", "growth"] | None = None


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter, as it is sampled.

    Parameters
    ----------
    name
        Name of the sample site.
    support
        ``"real"``, ``"positive"`` (sampled as its logarithm) or ``"share"``, between 0 and 1 (as its logit).
    unit
        Unit of its values.
    meaning
        One sentence.
    prior
        Default prior of the parameter of one size (of the reference size where sizes are pooled).
    shared
        True: one value for all sizes, whatever the pooling. False (default): a value a size.
    trend
        How it may move with model size N: ``"linear"`` (its unconstrained value is linear in log N), ``"power"`` (an
        asymptote plus a power of N), or ``"none"``.
    slope
        Prior standard deviation of the linear trend, in unconstrained units per unit of log N.
    slope_mean
        Prior mean of the linear trend.
    area_exponent
        Exponent of the reference area that it follows besides, when sizes are trained for different areas: the prior
        mean of the trend moves by it times the exponent of N in these areas.
    rate_exponent
        The same of the reference rate, when sizes have different peak rates.
    deviation
        Prior median of the sizes' standard deviation around the trend, in unconstrained units. For a real parameter it
        is relative to the loss, and up to twice as much where losses jitter by more than that: seeds differ with it.
    advice
        What the user can do where the data hardly narrow the prior; empty where that is nothing to worry about.
    """

    name: str
    support: Support
    unit: str
    meaning: str
    prior: PriorSpec
    shared: bool = False
    trend: Trend = "linear"
    slope: float = 0.2
    slope_mean: float = 0.0
    area_exponent: float = 0.0
    rate_exponent: float = 0.0
    deviation: float = 0.1
    advice: str = ""

    def constrain(self, position: ArrayLike) -> Array:
        """Turn an unconstrained position into a value."""
        position = jnp.asarray(position)
        if self.support == "real":
            return position
        return jnp.exp(position) if self.support == "positive" else jax.nn.sigmoid(position)

    def unconstrain(self, value: ArrayLike) -> Array:
        """Turn a value into its unconstrained position."""
        value = jnp.asarray(value)
        if self.support == "real":
            return value
        return jnp.log(value) if self.support == "positive" else jnp.log(value) - jnp.log1p(-value)

    def unconstrained_prior(self, scale: Scale) -> tuple[float, float]:
        """Return center and standard deviation of the default prior in unconstrained positions.

        Parameters
        ----------
        scale
            The data's scale.

        Returns
        -------
        center, spread : float
            Exact for a Normal and a LogNormal; of a Beta those of the Normal that its logit is close to.
        """
        spec = self.prior
        unit = getattr(scale, spec.relative_to) if spec.relative_to else 1.0
        if spec.family == "Normal":
            return spec.center * unit, spec.spread * unit
        if spec.family == "LogNormal":
            return float(np.log(spec.center * unit)), spec.spread
        ends = spec.center * spec.spread, (1.0 - spec.center) * spec.spread
        return float(np.log(ends[0] / ends[1])), float(np.sqrt(1.0 / ends[0] + 1.0 / ends[1]))
