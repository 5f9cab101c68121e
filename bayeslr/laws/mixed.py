"""The annealing law with a mixture of memories, part of which run in area.

The annealing of Tissue et al. 2024 forgets with one exponential in steps. Measured curves respond to a lowered rate
over a range of times, and the more slowly the lower the rate is by then. So the response is a log-normal mixture of
memories around ``tau``, and a share of it has memories that run in area instead of in steps, so that what is removed
when rates are already low takes longer to show. It is what lets fast decays speak for slow ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray

from bayeslr.curves import Setup
from bayeslr.laws.annealing import (
    DROP,
    FORWARD_PARAMETERS,
    TAU,
    AnnealingFeatures,
    AnnealingLaw,
    ForwardPowerLaw,
    power_law_terms,
)
from bayeslr.laws.basis import area_coefficients, mixture
from bayeslr.laws.law import Terms
from bayeslr.laws.parameters import Parameter, PriorSpec, Scale
from bayeslr.schedules import Schedule

__all__ = ["MixedFeatures", "MixedMemoryLaw"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class MixedFeatures(AnnealingFeatures):
    """What the law sees of a schedule: that of the annealing law, and the response with a memory in area.

    Parameters
    ----------
    log_area, peak, response
        As in :class:`AnnealingFeatures`.
    by_area
        The response with a memory that runs in area, on the first 24 polynomials, over the run's peak, ``[n, 24]``.
    """

    by_area: Array | NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MixedMemoryLaw(ForwardPowerLaw):
    """Power law in the forward area, minus an annealing term with a mixture of memories.

    Parameters
    ----------
    warmup
        See :class:`Law`.
    """

    @property
    def name(self) -> str:
        """Name of the law."""
        return "mixed-memory"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Those of the annealing law, and two that all sizes share."""
        return (
            *FORWARD_PARAMETERS,
            DROP,
            replace(TAU, meaning="Median memory of the annealing momentum, 1 / (1 - decay)."),
            Parameter(
                name="memory_spread",
                support="positive",
                unit="1",
                meaning="Standard deviation of the log-normal mixture of memories around tau, in log units.",
                prior=PriorSpec(family="LogNormal", center=1.5, spread=0.3),
                shared=True,
            ),
            Parameter(
                name="area_memory",
                support="share",
                unit="1",
                meaning="Share of the response whose memory runs in area instead of in steps.",
                # open from 0.05 to 0.8
                prior=PriorSpec(family="Beta", center=0.4, spread=4.0),
                shared=True,
            ),
        )

    @property
    def reported_names(self) -> tuple[str, ...]:
        """The paper's parameters, with the decay of the median memory, and the two of the mixture."""
        return (*AnnealingLaw().reported_names, "memory_spread", "area_memory")

    def features(self, schedule: Schedule, steps: NDArray[np.int64], scale: Scale, setup: Setup) -> Any:
        """Compute a :class:`MixedFeatures`; see :meth:`Law.features`."""
        simple = AnnealingLaw(warmup=self.warmup).features(schedule, steps, scale, setup)
        return MixedFeatures(**vars(simple), by_area=area_coefficients(schedule, steps) / schedule.peak_lr)

    def terms(self, values: Mapping[str, Array], features: Any) -> Terms:
        """Evaluate the law; see :meth:`Law.terms`."""
        weights = mixture(jnp.log(values["tau"]), values["memory_spread"])
        by_area = jnp.asarray(features.by_area)
        response = (1.0 - values["area_memory"]) * (jnp.asarray(features.response) @ weights)
        response = response + values["area_memory"] * (by_area @ weights[: by_area.shape[-1]])
        return power_law_terms(values, features.log_area, features.peak, response)

    def reported(self, values: Mapping[str, ArrayLike], scale: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Convert to the paper's parameters, of which C and decay are those of the median memory."""
        mixture_of = {name: jnp.asarray(values[name]) for name in ("memory_spread", "area_memory")}
        return AnnealingLaw().reported(values, scale) | mixture_of
