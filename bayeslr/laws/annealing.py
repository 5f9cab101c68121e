"""The annealing law, ``L(s) = L0 + A * S1(s)^-alpha - C * S2(s)``.

Source: Tissue, Wang, Wang 2024, "Scaling Law with Learning Rate Annealing", arXiv 2408.11029, equation 1. The paper
fixes the decay of the momentum; here it is inferred. C and decay form one ridge (the best C is proportional to
``1 - decay``), so the law is sampled in ``drop = C / (1 - decay)``, the loss gained per unit of rate removed, and in
``tau = 1 / (1 - decay)``, the memory in steps. L0, A and alpha form another: what curves pin down is the level and the
slope of the forward term at the reference area, so these are sampled, and ``L0 = level - slope / alpha``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray

from bayeslr.curves import Setup
from bayeslr.laws.areas import annealing_area
from bayeslr.laws.basis import chebyshev, response_coefficients
from bayeslr.laws.law import Law, Terms
from bayeslr.laws.parameters import Parameter, PriorSpec, Scale
from bayeslr.schedules import Schedule

__all__ = [
    "ALPHA",
    "DROP",
    "FORWARD_PARAMETERS",
    "LEVEL",
    "SLOPE",
    "TAU",
    "AnnealingFeatures",
    "AnnealingLaw",
    "ForwardPowerLaw",
    "power_law_terms",
]

LEVEL = Parameter(
    name="level",
    support="real",
    unit="loss",
    meaning="Loss at the reference area under a constant rate, L0 + A * S1^-alpha.",
    prior=PriorSpec(family="Normal", center=1.03, spread=0.3, relative_to="loss"),
    trend="power",
    deviation=0.002,
)

SLOPE = Parameter(
    name="slope",
    support="positive",
    unit="loss",
    meaning="Slope of the forward term there, alpha * A * S1^-alpha: loss gained per unit of log S1.",
    prior=PriorSpec(family="LogNormal", center=0.03, spread=0.8, relative_to="loss"),
    slope=0.15,
    # of alpha * A * S1^-alpha, with an alpha of a half
    area_exponent=-0.5,
    deviation=0.05,
)

ALPHA = Parameter(
    name="alpha",
    support="positive",
    unit="1",
    meaning="Exponent of the forward area.",
    prior=PriorSpec(family="LogNormal", center=0.5, spread=0.4),
    slope=0.1,
    slope_mean=-0.06,
    deviation=0.05,
)

FORWARD_PARAMETERS = (LEVEL, SLOPE, ALPHA)
"""Parameters of a power law in the forward area."""

DROP = Parameter(
    name="drop",
    support="positive",
    unit="loss",
    meaning="Loss gained when a rate as high as the reference peak has been removed for long.",
    prior=PriorSpec(family="LogNormal", center=0.05, spread=0.8, relative_to="loss"),
    # of sizes at one rate it grows a little, the effective rate at which weights come to rest is the root of the rate
    slope=0.09,
    slope_mean=0.05,
    rate_exponent=0.5,
    deviation=0.025,
)

TAU = Parameter(
    name="tau",
    support="positive",
    unit="steps",
    meaning="Memory of the annealing momentum, 1 / (1 - decay).",
    prior=PriorSpec(family="LogNormal", center=3.0, spread=0.9, relative_to="memory"),
    deviation=0.15,
    advice="do not read C and decay one by one, their ratio (drop) is what is known; a run with a sudden drop of the "
    "rate would tell them apart",
)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class AnnealingFeatures:
    """What the law sees of a schedule at the steps of some observations, on the data's scale.

    Parameters
    ----------
    log_area
        ``log(S1 / scale.level_area)``, ``[n]``.
    peak
        Peak rate of the run over ``scale.level_rate``, a scalar.
    response
        Annealing response on the Chebyshev basis, divided by the run's peak rate, ``[n, 48]``.
    """

    log_area: Array | NDArray[np.float64]
    peak: Array | NDArray[np.float64]
    response: Array | NDArray[np.float64]


def power_law_terms(values: Mapping[str, Array], log_area: ArrayLike, peak: ArrayLike, response: Array) -> Terms:
    """Put a power law in the area and a response together.

    Parameters
    ----------
    values
        ``level, slope, alpha, drop``, scalars.
    log_area
        ``[n]``.
    peak
        Peak rate of the run over the reference peak.
    response
        Share of the drop that has been gained, ``[n]``.

    Returns
    -------
    Terms
        The parts.
    """
    scale = values["slope"] / values["alpha"]
    forward = scale * jnp.exp(-values["alpha"] * jnp.asarray(log_area))
    return Terms(
        base=values["level"] - scale,
        forward=forward,
        drop=values["drop"] * jnp.asarray(peak),
        response=response,
        slope=values["alpha"] * forward,
    )


@dataclass(frozen=True, kw_only=True)
class ForwardPowerLaw(Law):
    """What laws have in common whose forward term is a power law with the parameters ``level, slope, alpha``.

    Parameters
    ----------
    warmup
        See :class:`Law`.
    """

    def slope(self, values: Mapping[str, Array], log_area: ArrayLike) -> Array:
        """Return ``slope * exp(-alpha * log_area)``; see :meth:`Law.slope`."""
        return jnp.asarray(values["slope"] * jnp.exp(-values["alpha"] * jnp.asarray(log_area)))

    def starts(self, lowest: NDArray[np.float64], scale: Scale) -> tuple[dict[str, NDArray[np.float64]], ...]:
        """Return starts that differ in the memory, from half to eight times the square root of the horizon.

        The loss pins down level and slope from any start; what may have several modes is the memory.
        """
        base = {"level": 1.03 * lowest, "slope": 0.03 * lowest, "alpha": np.array(0.5), "drop": 0.04 * lowest}
        memories = [np.clip(ratio * scale.memory, 12.0, 5e4) for ratio in (0.5, 2.0, 8.0)]
        return tuple({**base, "tau": np.asarray(tau)} for tau in memories)


@dataclass(frozen=True, kw_only=True)
class AnnealingLaw(ForwardPowerLaw):
    """Power law in the forward area, minus an annealing term with exponential memory: the paper's law.

    Parameters
    ----------
    warmup
        See :class:`Law`.
    """

    @property
    def name(self) -> str:
        """Name of the law."""
        return "annealing"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """``level, slope, alpha, drop, tau``, in the order of the unconstrained vector."""
        return (*FORWARD_PARAMETERS, DROP, TAU)

    @property
    def reported_names(self) -> tuple[str, ...]:
        """The paper's parameters."""
        return ("L0", "A", "alpha", "C", "decay")

    def features(self, schedule: Schedule, steps: NDArray[np.int64], scale: Scale, setup: Setup) -> Any:
        """Compute an :class:`AnnealingFeatures`; see :meth:`Law.features`."""
        return AnnealingFeatures(
            log_area=np.log(self.area(schedule, steps) / scale.level_area),
            peak=np.asarray(schedule.peak_lr / scale.level_rate),
            response=response_coefficients(schedule, steps) / schedule.peak_lr,
        )

    def terms(self, values: Mapping[str, Array], features: Any) -> Terms:
        """Evaluate the law; see :meth:`Law.terms`."""
        response = jnp.asarray(features.response) @ chebyshev(jnp.log(values["tau"]))
        return power_law_terms(values, features.log_area, features.peak, response)

    def reported(self, values: Mapping[str, ArrayLike], scale: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Convert sampled values to the paper's parameters.

        Parameters
        ----------
        values
            The sampled parameters by name, on the data's scale.
        scale
            The data's scale by name, see :meth:`Law.reported`.

        Returns
        -------
        dict
            ``L0, A, alpha, C, decay`` in units of loss, ``loss * (rate*steps)^alpha``, 1, ``loss / (rate*steps)``
            and 1.
        """
        value = {name: jnp.asarray(array) for name, array in values.items()}
        return {
            "L0": value["level"] - value["slope"] / value["alpha"],
            "A": value["slope"] / value["alpha"] * jnp.asarray(scale["level_area"]) ** value["alpha"],
            "alpha": value["alpha"],
            "C": value["drop"] / (jnp.asarray(scale["level_rate"]) * value["tau"]),
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
        return L0 + A * self.area(schedule, steps) ** -alpha - C * annealing_area(schedule, steps, decay)
