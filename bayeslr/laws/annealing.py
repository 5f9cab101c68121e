"""The annealing law, ``L(s) = L0 + A * S1(s)^-alpha - C * S2(s)``.

Source: Tissue, Wang, Wang 2024, "Scaling Law with Learning Rate Annealing", arXiv 2408.11029, equation 1. The paper
fixes the decay of the momentum; here it is inferred. C and decay form one ridge (the best C is proportional to
``1 - decay``), so the law is sampled in ``drop = C / (1 - decay)``, the loss gained per unit of rate removed, and in
``tau = 1 / (1 - decay)``, the memory in steps. L0, A and alpha form another: what curves pin down is the level and the
slope of the forward term at the reference area, so these are sampled, and ``L0 = level - slope / alpha``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray

from bayeslr.laws.areas import Warmup, annealing_area, forward_area, rate_removed
from bayeslr.laws.basis import area_coefficients, chebyshev, mixture, response_coefficients
from bayeslr.laws.parameters import Parameter, PriorSpec, Scale
from bayeslr.schedules import Schedule

__all__ = ["AnnealingLaw", "Features", "Terms"]


def _lifted(vector: ArrayLike, ndim: int) -> Array:
    """Give a vector leading dimensions of length one."""
    vector = jnp.asarray(vector)
    return vector.reshape((1,) * (ndim - vector.ndim) + vector.shape)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Features:
    """What a law sees of a schedule at the steps of some observations, all on the data's scale.

    Parameters
    ----------
    log_area
        ``log(S1 / scale.area)``, shape ``[n]``.
    response
        Annealing response on the Chebyshev basis, divided by ``scale.rate``, shape ``[n, 48]``.
    by_area
        The same with a memory that runs in area instead of in steps, shape ``[n, 24]``.
    removed
        Rate removed so far divided by ``scale.rate``, shape ``[n]``.
    rate
        Rate of the last update divided by ``scale.rate``, shape ``[n]``.
    """

    log_area: Array | NDArray[np.float64]
    response: Array | NDArray[np.float64]
    by_area: Array | NDArray[np.float64]
    removed: Array | NDArray[np.float64]
    rate: Array | NDArray[np.float64]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Terms:
    """The parts of the loss, ``total = base + forward - annealing``, each of shape ``[..., n]`` but the drop.

    Parameters
    ----------
    base
        The asymptote L0.
    forward
        ``A * S1^-alpha``.
    drop
        Loss gained when a rate as high as the reference peak has been removed for long, ``[..., 1]``.
    response
        Share of it that has been gained.
    """

    base: Array
    forward: Array
    drop: Array
    response: Array

    @property
    def annealing(self) -> Array:
        """The annealing term, ``C * S2``."""
        return self.drop * self.response

    @property
    def total(self) -> Array:
        """The loss of the law."""
        return self.base + self.forward - self.annealing


@dataclass(frozen=True, kw_only=True)
class AnnealingLaw:
    """Power law in the forward area, minus an annealing term with exponential memory.

    Parameters
    ----------
    warmup
        How warm-up is counted: ``"as_logged"`` (default, the rates as they were) or ``"peak"`` (the paper's convention:
        warm-up updates count at the peak rate). It changes alpha and L0 a lot, so it is stored with every posterior.
    """

    warmup: Warmup = "as_logged"

    reported_names = ("L0", "A", "alpha", "C", "decay")

    @property
    def name(self) -> str:
        """Name of the law on the command line and in posterior files."""
        return "annealing"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The sampled parameters, in the order of the unconstrained vector."""
        return (
            Parameter(
                name="level",
                support="real",
                unit="loss",
                meaning="Loss at the reference area under a constant rate, L0 + A * S1^-alpha.",
                prior=PriorSpec(family="Normal", center=1.03, spread=0.3, relative_to="loss"),
                trend="power",
                deviation=0.004,
            ),
            Parameter(
                name="slope",
                support="positive",
                unit="loss",
                meaning="Slope of the forward term there, alpha * A * S1^-alpha: loss gained per unit of log S1.",
                prior=PriorSpec(family="LogNormal", center=0.03, spread=0.8, relative_to="loss"),
                deviation=0.05,
            ),
            Parameter(
                name="alpha",
                support="positive",
                unit="1",
                meaning="Exponent of the forward area.",
                prior=PriorSpec(family="LogNormal", center=0.5, spread=0.4),
                slope=0.1,
                deviation=0.05,
            ),
            Parameter(
                name="drop",
                support="positive",
                unit="loss",
                meaning="Loss gained when a rate as high as the reference peak has been removed for long.",
                prior=PriorSpec(family="LogNormal", center=0.05, spread=0.8, relative_to="loss"),
                deviation=0.05,
            ),
            Parameter(
                name="tau",
                support="positive",
                unit="steps",
                meaning="Memory of the annealing momentum, 1 / (1 - decay).",
                prior=PriorSpec(family="LogNormal", center=3.0, spread=0.9, relative_to="memory"),
                deviation=0.15,
            ),
        )

    def features(self, schedule: Schedule, steps: NDArray[np.int64], scale: Scale) -> Features:
        """Compute what the law needs of a schedule, once, in float64 NumPy.

        Parameters
        ----------
        schedule
            The full schedule from update 0.
        steps
            Steps of the observations, shape ``[n]``.
        scale
            The data's scale.

        Returns
        -------
        Features
            Arrays whose size does not depend on the number of training steps.

        Raises
        ------
        ModelError
            If a step lies outside the schedule, or no area has been covered by a step.
        """
        return Features(
            log_area=np.log(forward_area(schedule, steps, warmup=self.warmup) / scale.area),
            response=response_coefficients(schedule, steps) / scale.rate,
            by_area=area_coefficients(schedule, steps) / scale.rate,
            removed=rate_removed(schedule, steps) / scale.rate,
            rate=schedule.lr[steps - 1] / scale.rate,
        )

    def terms(
        self, values: Mapping[str, ArrayLike], features: Features, mixed: Mapping[str, ArrayLike] | None = None
    ) -> Terms:
        """Evaluate the parts of the law.

        Parameters
        ----------
        values
            The sampled parameters by name, each of shape ``[...]``, on the data's scale.
        features
            What :meth:`features` returned, ``n`` observations.
        mixed
            ``spread``, the standard deviation of a log-normal mixture of memories around tau, at least 0.3, and
            ``area_memory``, the share of the response whose memory runs in area instead of in steps, each ``[...]``.
            Default: none, the paper's single exponential in steps.

        Returns
        -------
        Terms
            Each of shape ``[..., n]``.
        """
        column = {name: jnp.asarray(value)[..., None] for name, value in values.items()}
        scale = column["slope"] / column["alpha"]
        forward = scale * jnp.exp(-column["alpha"] * _lifted(features.log_area, column["alpha"].ndim))
        log_tau = jnp.log(jnp.asarray(values["tau"]))
        if mixed:
            weights = mixture(log_tau, jnp.asarray(mixed["spread"]))
            share = jnp.asarray(mixed["area_memory"])[..., None]
            by_area = jnp.asarray(features.by_area)
            response = (1.0 - share) * (weights @ jnp.asarray(features.response).T)
            response = response + share * (weights[..., : by_area.shape[-1]] @ by_area.T)
        else:
            response = jnp.moveaxis(chebyshev(log_tau), 0, -1) @ jnp.asarray(features.response).T
        base = jnp.broadcast_to(column["level"] - scale, forward.shape)
        return Terms(base=base, forward=forward, drop=column["drop"], response=response)

    def reported(self, values: Mapping[str, ArrayLike], scale: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Convert sampled values to the paper's parameters.

        Parameters
        ----------
        values
            The sampled parameters by name, on the data's scale.
        scale
            The fields of the data's :class:`Scale` by name.

        Returns
        -------
        dict
            ``L0, A, alpha, C, decay`` in units of loss, ``loss * (rate*steps)^alpha``, 1, ``loss / (rate*steps)``
            and 1.
        """
        value = {name: jnp.asarray(array) for name, array in values.items()}
        return {
            "L0": value["level"] - value["slope"] / value["alpha"],
            "A": value["slope"] / value["alpha"] * jnp.asarray(scale["area"]) ** value["alpha"],
            "alpha": value["alpha"],
            "C": value["drop"] / (jnp.asarray(scale["rate"]) * value["tau"]),
            "decay": 1.0 - 1.0 / value["tau"],
        }

    def loss(
        self,
        schedule: Schedule,
        steps: NDArray[np.int64],
        *,
        L0: float,
        A: float,
        alpha: float,
        C: float,
        decay: float,
    ) -> NDArray[np.float64]:
        """Evaluate the law with the paper's parameters, exactly and for any decay.

        Parameters
        ----------
        schedule
            The schedule.
        steps
            Steps of the loss, shape ``[n]``.
        L0, A, alpha, C, decay
            The paper's parameters, S1 and S2 in units of rate times steps.

        Returns
        -------
        numpy.ndarray
            The loss, shape ``[n]``.

        Raises
        ------
        ModelError
            If a step lies outside the schedule, or `decay` outside [0, 1).
        """
        area = forward_area(schedule, steps, warmup=self.warmup)
        return L0 + A * area**-alpha - C * annealing_area(schedule, steps, decay)
