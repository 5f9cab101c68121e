"""Maps from the learning rate to the effective rate: how far an update moves the network.

What moves a network that is trained with weight decay is not the rate but the rate over the norm of its weights, and
the norm follows from the schedule. Relative to its start, with decoupled weight decay ``wd`` and random updates of
relative length ``growth``::

    w2_0 = 1,   w2_t = w2_{t-1} * exp(-2*wd*lr_t) + (growth*lr_t)^2,   u_t = lr_t / sqrt(w2_t)

(the equilibrium of such norms: van Laarhoven 2017, arXiv 1706.05350; Kosson, Messmer, Jaggi 2024, arXiv
2305.17212). The
recursion has a closed form, with ``S_t`` the sum of the rates up to ``t``::

    w2_t = exp(-2*wd*S_t) * (1 + sum_{i<=t} (growth*lr_i)^2 * exp(2*wd*S_i))

Over times shorter than ``1 / (2*wd*lr)`` the effective rate is proportional to the rate; over longer ones, to its
square root, whatever the start was.

A map has at most one or two parameters. Everything that a law needs of the effective rates is computed at a few
Chebyshev nodes of them (:class:`Axis`), so that inferring a map costs a short product.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from bayeslr.errors import ModelError
from bayeslr.laws.parameters import DEFAULT_WEIGHT_DECAY, Parameter, PriorSpec, Scale

__all__ = ["Axis", "DecayMode", "IdentityRate", "PowerRate", "RateMap", "WeightNormRate", "log_norm"]

type DecayMode = Literal["auto", "given", "inferred"]

_DECAY_MODES = ("auto", "given", "inferred")

type Vector = NDArray[np.float64]
type Positions = tuple[Vector, ...]
"""Places of a map's parameters, an array each."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Chebyshev nodes of one parameter of a map, in its unconstrained position.

    Parameters
    ----------
    low, high
        Range; positions outside count as its ends.
    count
        Number of nodes.
    """

    low: float
    high: float
    count: int

    @property
    def nodes(self) -> NDArray[np.float64]:
        """The positions, ``[count]``."""
        return (self._places + 1.0) / 2.0 * (self.high - self.low) + self.low

    @property
    def to_coefficients(self) -> NDArray[np.float64]:
        """Matrix from values at the nodes to coefficients of Chebyshev polynomials, ``[count, count]``."""
        return np.asarray(np.linalg.inv(np.polynomial.chebyshev.chebvander(self._places, self.count - 1)))

    @property
    def _places(self) -> NDArray[np.float64]:
        return np.asarray(np.cos(np.pi * (np.arange(self.count) + 0.5) / self.count))

    def polynomials(self, position: Array) -> Array:
        """Return the Chebyshev polynomials at a position, ``[count]``."""
        place = jnp.clip((2.0 * position - self.low - self.high) / (self.high - self.low), -1.0, 1.0)
        # cos(n arccos x) has an infinite derivative at the ends
        return jnp.cos(jnp.arange(self.count) * jnp.arccos(place * (1.0 - 1e-9)))


@dataclass(frozen=True, kw_only=True)
class RateMap(ABC):
    """A map from rates to effective rates."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the map in posterior files."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The map's parameters, one for each of :attr:`axes`. Default: none."""
        return ()

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Where the parameters are tabulated. Default: nowhere."""
        return ()

    def resolved(self, *, decays_known: bool) -> "RateMap":
        """Return this map as it is to be for some runs.

        Parameters
        ----------
        decays_known
            Whether some run says its weight decay.

        Returns
        -------
        RateMap
            Default: this map.
        """
        return self

    def assumed(self, decays: Sequence[float | None], scale: Scale) -> str:
        """Say what is taken for granted of the runs' weight decays; empty: nothing.

        Parameters
        ----------
        decays
            Weight decay of each run; none: not said.
        scale
            The data's scale.
        """
        return ""

    @abstractmethod
    def effective(
        self, lr: Vector, count: Vector, positions: Positions, weight_decay: float | None, scale: Scale
    ) -> NDArray[np.float64]:
        """Return effective rates.

        Parameters
        ----------
        lr
            Mean rates of consecutive stretches of updates from the first on, ``[C]``.
        count
            Number of updates of each, ``[C]``.
        positions
            The parameters' unconstrained positions, one array ``[M]`` for each of :attr:`parameters`; a map without
            any has ``M = 1``.
        weight_decay
            Decoupled weight decay of the run; none: unknown, or that of the reference run.
        scale
            The data's scale.

        Returns
        -------
        numpy.ndarray
            Mean effective rates of the stretches up to a constant factor, ``[C, M]``.
        """

    @abstractmethod
    def at_peak(self, peak: float, lr: float, effective: Vector, positions: Positions) -> Vector:
        """Return the effective rate that a run's peak has in mid-run.

        Parameters
        ----------
        peak
            The peak rate.
        lr, effective
            Rate and effective rates, ``[M]``, in mid-run.
        positions
            As of :meth:`effective`.

        Returns
        -------
        numpy.ndarray
            ``[M]``, in the units of :meth:`effective`.
        """


@dataclass(frozen=True, kw_only=True)
class IdentityRate(RateMap):
    """The rate itself, as in the published laws."""

    @property
    def name(self) -> str:
        """Name of the map."""
        return "identity"

    def effective(
        self, lr: Vector, count: Vector, positions: Positions, weight_decay: float | None, scale: Scale
    ) -> NDArray[np.float64]:
        """Return the rates."""
        return lr[:, None]

    def at_peak(self, peak: float, lr: float, effective: Vector, positions: Positions) -> Vector:
        """Return the peak."""
        return np.array([peak])


@dataclass(frozen=True, kw_only=True)
class PowerRate(RateMap):
    """A power of the rate, ``lr^power``: what a weight norm does to peaks over long times, without its dynamics."""

    @property
    def name(self) -> str:
        """Name of the map."""
        return "power"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """``rate_power``."""
        return (
            Parameter(
                name="rate_power",
                support="positive",
                unit="1",
                meaning="Exponent of the learning rate in the effective rate; 1 is the rate itself.",
                prior=PriorSpec(family="LogNormal", center=0.7, spread=0.25),
                shared=True,
            ),
        )

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Powers from 0.25 to 1.4."""
        return (Axis(low=float(np.log(0.25)), high=float(np.log(1.4)), count=7),)

    def effective(
        self, lr: Vector, count: Vector, positions: Positions, weight_decay: float | None, scale: Scale
    ) -> NDArray[np.float64]:
        """Return powers of the rates."""
        power: NDArray[np.float64] = lr[:, None] ** np.exp(positions[0])
        return power

    def at_peak(self, peak: float, lr: float, effective: Vector, positions: Positions) -> Vector:
        """Return the power of the peak."""
        return np.asarray(peak ** np.exp(positions[0]))


@dataclass(frozen=True, kw_only=True)
class WeightNormRate(RateMap):
    """The rate over the norm of the weights, which follows from the schedule and the weight decay.

    Parameters
    ----------
    weight_decay
        What is done with runs that do not say theirs. ``"inferred"``: they have one, a parameter with a prior.
        ``"given"``: they have that of the others, on average, or 0.1. ``"auto"`` (default): ``"inferred"`` where no run
        of a fit says it, else ``"given"``. Where it is inferred `norm_ratio` counts from a decay of 0.1.

    Raises
    ------
    ModelError
        If `weight_decay` is none of these.
    """

    weight_decay: DecayMode = "auto"

    def __post_init__(self) -> None:
        if self.weight_decay not in _DECAY_MODES:
            allowed = ", ".join(map(repr, _DECAY_MODES))
            raise ModelError(f"rate: weight_decay={self.weight_decay!r}; allowed: {allowed}")

    @property
    def name(self) -> str:
        """Name of the map."""
        return "weight-norm"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """``norm_ratio``, the square root of ``growth^2 * lr / (2 * wd)``; where it is inferred, ``weight_decay``."""
        ratio = Parameter(
            name="norm_ratio",
            support="positive",
            unit="1",
            meaning="Norm at which weights come to rest at the reference rate, over that of the initial weights.",
            prior=PriorSpec(family="LogNormal", center=2.0, spread=0.3),
            shared=True,
        )
        decay = Parameter(
            name="weight_decay",
            support="positive",
            unit="1",
            meaning="Decoupled weight decay of the runs, none of which says its own.",
            # that of nearly all language models; three times as much, or as little, where curves say so
            prior=PriorSpec(family="LogNormal", center=DEFAULT_WEIGHT_DECAY, spread=0.5),
            shared=True,
        )
        return (ratio, decay) if self.weight_decay == "inferred" else (ratio,)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Ratios from 0.6, which is nearly the rate itself, to 15; weight decays from 0.015 to 0.6."""
        low, high = float(np.log(0.6)), float(np.log(15.0))
        if self.weight_decay != "inferred":
            return (Axis(low=low, high=high, count=8),)
        # products of two, of a degree up to eight: with six nodes log densities are off by up to one
        decays = Axis(low=float(np.log(0.015)), high=float(np.log(0.6)), count=8)
        return (Axis(low=low, high=high, count=8), decays)

    def resolved(self, *, decays_known: bool) -> "WeightNormRate":
        """Choose what to do with runs that do not say their weight decay."""
        chosen: DecayMode = "given" if decays_known else "inferred"
        return replace(self, weight_decay=chosen) if self.weight_decay == "auto" else self

    def assumed(self, decays: Sequence[float | None], scale: Scale) -> str:
        """Say what runs that do not say their weight decay are taken to have."""
        unknown, at_zero = sum(decay is None for decay in decays), _of_no_decay(decays)
        if not unknown:
            return at_zero
        every = unknown == len(decays)
        some = f"{unknown} of {len(decays)} runs do not say their weight decay"
        whose = "No run says its weight decay" if every else some
        if self.weight_decay == "inferred":
            low, high = np.exp([self.axes[1].low, self.axes[1].high])
            inferred = "it" if every else "one for all of them"
            taken = f"so that {inferred} is inferred between {low:.3g} and {high:.3g} (weight_decay in the table)"
        elif every:
            taken = f"so that all are taken to have {scale.weight_decay:.3g}"
        else:
            taken = f"and are taken to have the others' mean, {scale.weight_decay:.3g}"
        return f"{whose}, {taken}; if you know it, give it in the manifest. {at_zero}".strip()

    def effective(
        self, lr: Vector, count: Vector, positions: Positions, weight_decay: float | None, scale: Scale
    ) -> NDArray[np.float64]:
        """Return rates over norms."""
        ratio, *inferred = map(np.exp, positions)
        if inferred:
            # whatever a run says that joins later, growth keeps its unit
            scale = replace(scale, weight_decay=DEFAULT_WEIGHT_DECAY)
        unknown = inferred[0] if inferred else np.full_like(ratio, scale.weight_decay)
        decays = unknown if weight_decay is None else np.full_like(ratio, weight_decay)
        norm = np.empty((len(lr), len(ratio)))
        for decay in np.unique(decays):
            own = decays == decay
            norm[:, own] = log_norm(lr, count, ratio[own] * scale.growth, float(decay))
        before = np.concatenate([np.zeros((1, norm.shape[1])), norm[:-1]])
        rates: NDArray[np.float64] = lr[:, None] * np.exp(-0.25 * (norm + before))
        return rates

    def at_peak(self, peak: float, lr: float, effective: Vector, positions: Positions) -> Vector:
        """Return the peak over the norm in mid-run."""
        return peak * effective / lr if lr > 0.0 else np.full_like(effective, peak)


def _of_no_decay(decays: Sequence[float | None]) -> str:
    """Say that some runs have a weight decay of 0, if there are any."""
    count = sum(decay == 0.0 for decay in decays)
    said = (
        f"{count} of {len(decays)} runs have a weight decay of 0: the norms of their weights never come to rest, and "
        "this part of the law was not tested on such runs."
    )
    return said if count else ""


def log_norm(lr: Vector, count: Vector, growth: Vector, weight_decay: float) -> NDArray[np.float64]:
    """Return the logarithm of the squared norm of the weights after stretches of updates, relative to the start.

    Parameters
    ----------
    lr
        Rates of the stretches, ``[C]``.
    count
        Number of updates of each, ``[C]``.
    growth
        Lengths of a random update over the rate, relative to the norm of the initial weights, ``[M]``.
    weight_decay
        Decoupled weight decay.

    Returns
    -------
    numpy.ndarray
        ``[C, M]``. Exact where the rate is constant within each stretch.
    """
    each = 2.0 * weight_decay * lr
    shrunk = np.cumsum(each * count)
    # a geometric sum; where hardly anything decays within an update, a product
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(each > 1e-12, np.expm1(-each * count) / np.expm1(-each), count)
        added = 2.0 * np.log(lr) + np.log(terms) + shrunk
    # what updates add, by a growth of one, does not depend on the growth
    grown = np.logaddexp.accumulate(added)[:, None] + 2.0 * np.log(growth)
    # log(1 + exp(grown)), which NumPy's own function takes five times as long for
    return np.asarray(np.maximum(grown, 0.0) + np.log1p(np.exp(-np.abs(grown))) - shrunk[:, None])
