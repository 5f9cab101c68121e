"""What an error model is to the rest of the library: named blocks of effects, and a residual process.

A law is wrong in its own ways on every set of curves. An error model says in which ways it may be: blocks of effects,
each with a shape along the run and a standard deviation, that all runs of a size share or that a run has for itself,
and what is left over, an Ornstein-Uhlenbeck process in log area. Effects are Normal(0, 1) times their standard
deviation; they are integrated out in a fit and drawn afterwards.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from bayeslr.errors import ModelError
from bayeslr.laws import Parameter, Terms

__all__ = ["MEMORIES", "PREFIX", "Block", "ErrorModel", "Exposure", "Level", "NoDiscrepancy"]

MEMORIES = tuple(float(tau) for tau in np.geomspace(10.0, 30_000.0, 8))
"""Memories, in steps, of :class:`Exposure`: from ten steps to a whole run."""

PREFIX = "discrepancy_"
"""What the names of an error model's sites begin with."""

type Level = Literal["size", "run"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Exposure:
    """What a run has been exposed to, by its rates as they were, whatever the law makes of them.

    Parameters
    ----------
    log_area
        Logarithm of the forward area over that of the size's longest run, ``[n]``.
    log_level_area
        Logarithm of the area of the size's longest run over that at which the law's parameters are taken, a scalar.
    memory
        Share of the peak rate removed so far, as seen through memories of 10 to 30,000 steps, ``[8, n]``.
    log_warmup
        Logarithm of the area of the warm-up over that of the size's longest run, a scalar.
    log_peak
        Logarithm of the run's peak rate over that of the size's reference run, a scalar: its longest one, or of final
        losses alone the most typical.
    log_batch
        Logarithm of the run's batch size over the reference batch size, a scalar; 0 where it is not known.
    removed
        Share of the peak rate removed so far, ``[n]``.
    rate
        Rate of the last update over the peak of the size's reference run, ``[n]``.
    start
        The lowest loss of all runs times what is left of the first update after a half of, and after, the square root
        of the longest run's updates, both exponential, ``[2, n]``.
    """

    log_area: Array | NDArray[np.float64]
    log_level_area: Array | NDArray[np.float64]
    log_warmup: Array | NDArray[np.float64]
    log_peak: Array | NDArray[np.float64]
    log_batch: Array | NDArray[np.float64]
    memory: Array | NDArray[np.float64]
    removed: Array | NDArray[np.float64]
    rate: Array | NDArray[np.float64]
    start: Array | NDArray[np.float64]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Block:
    """Effects of one kind on one run.

    Parameters
    ----------
    name
        Name of the block, a Python identifier; draws of its effects are kept as ``effect_<name>``.
    level
        ``"size"``: all runs of a size share the effects; ``"run"``: a run has its own.
    basis
        Shapes of the ``k`` effects along the run, ``[k, n]``. They may depend on data alone, not on parameters.
    sd
        Standard deviations in units of `unit`, ``[k]``.
    unit
        A scalar in units of the loss, default 1. What differs between schedules belongs here, such as the drop at a
        run's peak: forecasts of many schedules are quicker where `sd` is the same for all of them.
    takes
        Share of the law's own response that an effect takes for itself: 1 moves a part of the drop from the law's
        memory to the effect's, 0 (default) adds. Effects of a run cannot take.
    labels
        Names of the effects; none: numbers.

    Raises
    ------
    ModelError
        If an effect of a run takes a share.
    """

    basis: Array
    sd: Array
    name: str = field(metadata={"static": True})
    level: Level = field(metadata={"static": True})
    unit: Array | float = 1.0
    takes: float = field(default=0.0, metadata={"static": True})
    labels: tuple[str, ...] | None = field(default=None, metadata={"static": True})

    def __post_init__(self) -> None:
        if self.level == "run" and self.takes:
            raise ModelError(f"block {self.name!r}: takes={self.takes!r}; allowed: 0 for effects of a run")


@dataclass(frozen=True, kw_only=True)
class ErrorModel(ABC):
    """What the law leaves out. Subclasses are frozen dataclasses, so that equal ones share compiled programs."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the error model in posterior files."""

    @property
    @abstractmethod
    def parameters(self) -> tuple[Parameter, ...]:
        """Its scales, shared by all sizes; their sites are called ``discrepancy_<name>``."""

    def resolved(self, *, single_losses: bool) -> "ErrorModel":
        """Return this error model as it is to be for some runs.

        Parameters
        ----------
        single_losses
            Whether no run has more than one observation.

        Returns
        -------
        ErrorModel
            The error model. Default: this one.
        """
        return self

    @abstractmethod
    def blocks(
        self,
        scales: Mapping[str, Array],
        terms: Terms,
        exposure: Exposure,
        places: Mapping[str, Array],
        slope: Callable[[Array], Array],
    ) -> tuple[Block, ...]:
        """Return the effects on one run.

        Parameters
        ----------
        scales
            Values of :attr:`parameters` by name, scalars, and ``noise``: the standard deviation of the white noise at
            the reference rate.
        terms
            The law's terms, ``[n]``.
        exposure
            What the run has been exposed to, ``[n]``.
        places
            What :meth:`places` returned, of a forecast :meth:`places_ahead`.
        slope
            The law's local slope at any log area.

        Returns
        -------
        tuple of Block
            The same blocks, in the same order, for every run.
        """

    @abstractmethod
    def residual_sd(self, scales: Mapping[str, Array], terms: Terms, exposure: Exposure) -> Array:
        """Return the standard deviation of the residual process of one run, ``[n]``; arguments as of :meth:`blocks`."""

    @property
    def residual_correlation_length(self) -> float:
        """Correlation length of the residual process in log area."""
        return 0.5

    @property
    def residual_likeness(self) -> float:
        """How far apart two schedules are when their residuals have little in common.

        The distance is that of their :attr:`Exposure.memory`: from a cool-down over a tenth of 50,000 steps it is 0.3
        to one over a fifth, and 0.7 to one over three fifths. Default: 0.3.
        """
        return 0.3

    @property
    def common_share(self) -> float:
        """Share of the variance of the sizes' effects that all sizes have in common, from 0 up to, not including, 1."""
        return 0.0

    def places(
        self, lowest: float, log_peaks: NDArray[np.float64], log_batches: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Return what :meth:`blocks` needs to know of all runs of a fit, such as the places of knots.

        Parameters
        ----------
        lowest
            Log area of the first observation; that of the last is 0.
        log_peaks, log_batches
            Log peak rates and batch sizes of the runs, relative to those of their sizes.

        Returns
        -------
        dict
            Arrays by name, first dimension the place. Default: none.
        """
        return {}

    def places_ahead(
        self,
        places: Mapping[str, NDArray[np.float64]],
        furthest: float,
        log_peaks: NDArray[np.float64],
        log_batches: NDArray[np.float64],
    ) -> dict[str, NDArray[np.float64]]:
        """Return the places of a forecast.

        Parameters
        ----------
        places
            Those of the fit, which come first in what is returned.
        furthest
            Log area of the furthest question.
        log_peaks, log_batches
            Log peak rates and batch sizes of the questions.

        Returns
        -------
        dict
            Arrays by name. Default: those of the fit.
        """
        return dict(places)


@dataclass(frozen=True, kw_only=True)
class NoDiscrepancy(ErrorModel):
    """The law and white noise alone. Its bands hold the final loss of two unseen runs in six: it is for comparison."""

    @property
    def name(self) -> str:
        """Name of the error model."""
        return "none"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """None."""
        return ()

    def blocks(
        self,
        scales: Mapping[str, Array],
        terms: Terms,
        exposure: Exposure,
        places: Mapping[str, Array],
        slope: Callable[[Array], Array],
    ) -> tuple[Block, ...]:
        """Return no blocks."""
        return ()

    def residual_sd(self, scales: Mapping[str, Array], terms: Terms, exposure: Exposure) -> Array:
        """Return zeros."""
        return jnp.zeros_like(exposure.log_area)
