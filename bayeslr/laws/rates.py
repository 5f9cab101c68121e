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
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from bayeslr.laws.parameters import Parameter, PriorSpec

__all__ = ["Axis", "IdentityRate", "PowerRate", "RateMap", "WeightNormRate", "log_norm"]

DEFAULT_WEIGHT_DECAY = 0.1
"""Decoupled weight decay of nearly all language models; of a run that does not say its own."""

_BLOCK = 4096


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

    @abstractmethod
    def effective(
        self, lr: NDArray[np.float64], positions: tuple[float, ...], weight_decay: float | None
    ) -> NDArray[np.float64]:
        """Return effective rates.

        Parameters
        ----------
        lr
            Rates of all updates from the first, ``[T]``.
        positions
            The parameters' unconstrained positions.
        weight_decay
            Decoupled weight decay of the run; none: unknown.

        Returns
        -------
        numpy.ndarray
            Effective rates up to a constant factor, ``[T]``.
        """


@dataclass(frozen=True, kw_only=True)
class IdentityRate(RateMap):
    """The rate itself, as in the published laws."""

    @property
    def name(self) -> str:
        """Name of the map."""
        return "identity"

    def effective(
        self, lr: NDArray[np.float64], positions: tuple[float, ...], weight_decay: float | None
    ) -> NDArray[np.float64]:
        """Return the rates."""
        return lr


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
        self, lr: NDArray[np.float64], positions: tuple[float, ...], weight_decay: float | None
    ) -> NDArray[np.float64]:
        """Return powers of the rates."""
        power: NDArray[np.float64] = lr ** np.exp(positions[0])
        return power


@dataclass(frozen=True, kw_only=True)
class WeightNormRate(RateMap):
    """The rate over the norm of the weights, which follows from the schedule and the weight decay.

    Parameters
    ----------
    weight_decay
        Decoupled weight decay of runs that do not say their own.
    """

    weight_decay: float = DEFAULT_WEIGHT_DECAY

    @property
    def name(self) -> str:
        """Name of the map."""
        return "weight-norm"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """``norm_growth``."""
        return (
            Parameter(
                name="norm_growth",
                support="positive",
                unit="1 / rate",
                meaning="Length of a random update over the rate, relative to the norm of the initial weights.",
                prior=PriorSpec(family="LogNormal", center=50.0, spread=0.7),
                shared=True,
            ),
        )

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Growths from 3 to 1000."""
        return (Axis(low=float(np.log(3.0)), high=float(np.log(1000.0)), count=8),)

    def effective(
        self, lr: NDArray[np.float64], positions: tuple[float, ...], weight_decay: float | None
    ) -> NDArray[np.float64]:
        """Return rates over norms."""
        known = self.weight_decay if weight_decay is None else weight_decay
        rates: NDArray[np.float64] = lr * np.exp(-0.5 * log_norm(lr, float(np.exp(positions[0])), known))
        return rates


def log_norm(lr: NDArray[np.float64], growth: float, weight_decay: float) -> NDArray[np.float64]:
    """Return the logarithm of the squared norm of the weights after each update, relative to the first.

    Parameters
    ----------
    lr
        Rates, ``[T]``.
    growth
        Length of a random update over the rate, relative to the norm of the initial weights.
    weight_decay
        Decoupled weight decay.

    Returns
    -------
    numpy.ndarray
        ``[T]``.
    """
    shrunk = 2.0 * weight_decay * np.cumsum(lr)
    with np.errstate(divide="ignore"):
        added = 2.0 * np.log(growth * lr) + shrunk
    total = np.empty_like(added)
    carried = 0.0
    # sums of exponentials block by block, each relative to its largest: they neither overflow nor vanish
    for start in range(0, added.size, _BLOCK):
        block = added[start : start + _BLOCK]
        largest = max(float(block.max()), carried)
        total[start : start + _BLOCK] = largest + np.log(np.exp(carried - largest) + np.cumsum(np.exp(block - largest)))
        carried = float(total[min(start + _BLOCK, added.size) - 1])
    return total - shrunk
