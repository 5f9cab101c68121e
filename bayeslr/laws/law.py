"""What a law is to the rest of the library: parameters, features of a schedule, and the terms of a loss.

The posterior, its health check, forecasts, plots and the point fit know a law by this interface alone, so that a law
written outside of the library is fitted and predicted like one that ships with it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray

from bayeslr.curves import Setup
from bayeslr.laws.areas import Warmup, forward_area
from bayeslr.laws.parameters import Parameter, Scale
from bayeslr.schedules import Schedule

__all__ = ["Law", "Terms"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Terms:
    """The parts of a loss curve, ``total = base + forward - drop * response``.

    Parameters
    ----------
    base
        The asymptote under a constant rate, a scalar.
    forward
        What training longer still removes, ``[n]``.
    drop
        Loss gained when the run's peak rate has been removed for long, a scalar.
    response
        Share of it that has been gained, ``[n]``.
    slope
        Local slope of the forward term: loss gained per unit of log area, ``[n]``.
    """

    base: Array
    forward: Array
    drop: Array
    response: Array
    slope: Array

    @property
    def annealing(self) -> Array:
        """What lowering the rate has gained, ``[n]``."""
        return self.drop * self.response

    @property
    def total(self) -> Array:
        """The loss of the law, ``[n]``."""
        return self.base + self.forward - self.annealing


@dataclass(frozen=True, kw_only=True)
class Law(ABC):
    """A law of the loss. Subclasses are frozen dataclasses, so that equal laws share compiled programs.

    Parameters
    ----------
    warmup
        How warm-up is counted: ``"as_logged"`` (default, the rates as they were) or ``"peak"`` (the convention of
        Tissue et al. 2024: warm-up updates count at the peak rate). It changes alpha and L0 a lot, so it is stored
        with every posterior.
    """

    warmup: Warmup = "as_logged"

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the law on the command line and in posterior files."""

    @property
    @abstractmethod
    def parameters(self) -> tuple[Parameter, ...]:
        """The sampled parameters. One named ``level`` is to be the loss at the reference area under a constant rate."""

    @property
    def reported_names(self) -> tuple[str, ...]:
        """Names of what :meth:`reported` returns. Default: those of the parameters."""
        return tuple(parameter.name for parameter in self.parameters)

    @abstractmethod
    def features(self, schedule: Schedule, steps: NDArray[np.int64], scale: Scale, setup: Setup) -> Any:
        """Compute what the law needs of a schedule, once, in float64 NumPy.

        Parameters
        ----------
        schedule
            The full schedule from update 0.
        steps
            Steps of the observations, shape ``[n]``; one may occur several times.
        scale
            The data's scale.
        setup
            Weight decay and batch size of the run.

        Returns
        -------
        Any
            A pytree of arrays whose shapes depend on ``n`` alone. Only :meth:`terms` looks into it.
        """

    def compressed(self, features: Any) -> tuple[Any, Mapping[str, NDArray[np.float64]]]:
        """Make the features of the runs of a fit smaller by what they have in common.

        Parameters
        ----------
        features
            What :meth:`features` returned of all runs, each leaf stacked, ``[R, ...]``.

        Returns
        -------
        features : Any
            The same for each run, smaller. Default: as they are.
        common : Mapping
            Arrays by names of their own, which :meth:`prepared` finds among its values. Default: none.
        """
        return features, {}

    def prepared(self, values: Mapping[str, Array]) -> Mapping[str, Array]:
        """Add what follows from the parameters alone, so that a fit of many runs computes it once a size.

        Parameters
        ----------
        values
            The sampled parameters by name, scalars, or what this function made of them; in a fit with what
            :meth:`compressed` returned beside the features.

        Returns
        -------
        Mapping
            The same, and arrays by names of their own. Default: the same alone.
        """
        return values

    @abstractmethod
    def terms(self, values: Mapping[str, Array], features: Any) -> Terms:
        """Evaluate the law for one run.

        Parameters
        ----------
        values
            The sampled parameters by name, scalars; :meth:`prepared` or not.
        features
            What :meth:`features` returned.

        Returns
        -------
        Terms
            The parts, ``[n]`` each.
        """

    @abstractmethod
    def slope(self, values: Mapping[str, Array], log_area: ArrayLike) -> Array:
        """Return the local slope of the forward term, where the error model asks for it.

        Parameters
        ----------
        values
            As in :meth:`terms`.
        log_area
            Logarithm of the area over that at which the parameters are taken, any shape.

        Returns
        -------
        jax.Array
            Loss gained per unit of log area, of the shape of `log_area`.
        """

    def reported(self, values: Mapping[str, ArrayLike], scale: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Convert sampled values to those that are reported.

        Parameters
        ----------
        values
            The sampled parameters by name, each ``[...]``.
        scale
            The data's scale by name: ``loss, memory, weight_decay`` of all sizes, ``level_area, level_rate, batch`` of
            each.

        Returns
        -------
        dict
            Values by the names of :attr:`reported_names`, each ``[...]``. Default: the parameters themselves.
        """
        return {name: jnp.asarray(values[name]) for name in self.reported_names}

    def starts(self, lowest: NDArray[np.float64], scale: Scale) -> tuple[dict[str, NDArray[np.float64]], ...]:
        """Return where a search of the mode may start; several, where the posterior may have several modes.

        Parameters
        ----------
        lowest
            Lowest loss of each size, ``[S]``.
        scale
            The data's scale.

        Returns
        -------
        tuple of dict
            Values by parameter, scalars or ``[S]``. Default: one start, the medians of the priors.
        """
        found = {}
        for parameter in self.parameters:
            center, _ = parameter.unconstrained_prior(scale)
            found[parameter.name] = np.asarray(parameter.constrain(center))
        return (found,)

    def resolved(self, *, batches_differ: bool, decays_known: bool = True) -> "Law":
        """Return this law as it is to be for some runs.

        Parameters
        ----------
        batches_differ
            Whether runs of one size have different batch sizes.
        decays_known
            Whether some run says its weight decay.

        Returns
        -------
        Law
            Default: this law.
        """
        return self

    def assumed(self, setups: Sequence[Setup], scale: Scale) -> tuple[str, ...]:
        """Say what is taken for granted of runs that do not say their weight decay or their batch size.

        Parameters
        ----------
        setups
            Those of the runs.
        scale
            The data's scale.

        Returns
        -------
        tuple of str
            Sentences. Default: none.
        """
        return ()

    def area(self, schedule: Schedule, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the forward area at some steps, ``[n]``, by the law's convention of the warm-up."""
        return forward_area(schedule, steps, warmup=self.warmup)
