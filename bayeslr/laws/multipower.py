"""The Multi-Power Law, ``L(s) = L0 + A * S1(s)^-alpha - LD(s)``.

Source: Luo, Wen, Hu, Sun, Liu, Sun, Lyu, Chen 2025, "A Multi-Power Law for Loss Curve Prediction Across Learning Rate
Schedules", arXiv 2503.12811. What lowering the rate gains is summed over the changes of the rate, each of which takes
effect as a power law in the area ``S_k`` from its own update on::

    LD(s) = B * sum_{k<=s} (lr_{k-1} - lr_k) * G(lr_k^-gamma * S_k(s)),   G(x) = 1 - (1 + C*x)^-beta

As in the annealing law, what is sampled is on the scale of the data: ``drop = B * peak``, the loss gained when a rate
as high as the reference peak has been removed for long, and ``tau``, the area at which a change that ends at the peak
has ``C*x = 1``, in updates at the peak: ``C = peak^(gamma - 1) / tau``.
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
from bayeslr.laws.annealing import DROP, FORWARD_PARAMETERS, TAU, AnnealingLaw, ForwardPowerLaw, power_law_terms
from bayeslr.laws.law import Terms
from bayeslr.laws.parameters import Parameter, PriorSpec, Scale
from bayeslr.schedules import Schedule

__all__ = ["MultiPowerFeatures", "MultiPowerLaw"]

_CELLS = 96
"""Cells into which the changes of the rate are gathered, each of about the same share of the rate that changes."""
_LOWEST = 1e-4
"""Rates below this share of the reference peak count as this: a power of zero has no value."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class MultiPowerFeatures:
    """What the law sees of a schedule, on the data's scale.

    Parameters
    ----------
    log_area
        ``log(S1 / scale.level_area)``, ``[n]``.
    peak
        Peak rate of the run over ``scale.level_rate``, a scalar.
    area
        Area covered, in updates at the reference peak, ``[n]``.
    change, log_rate, before
        Of each cell of changes the rate removed over the run's peak, the logarithm of the rate after it over the
        reference peak, and the area covered before it, ``[96]``.
    """

    log_area: Array | NDArray[np.float64]
    peak: Array | NDArray[np.float64]
    area: Array | NDArray[np.float64]
    change: Array | NDArray[np.float64]
    log_rate: Array | NDArray[np.float64]
    before: Array | NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MultiPowerLaw(ForwardPowerLaw):
    """Power law in the forward area, minus a power law of its own for every change of the rate.

    Parameters
    ----------
    warmup
        See :class:`Law`.
    """

    @property
    def name(self) -> str:
        """Name of the law."""
        return "multi-power"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """``level, slope, alpha, drop, tau, beta, gamma``."""
        tau = replace(
            TAU,
            unit="updates at the peak",
            meaning="Area at which the gain of a small change that ends at the peak has set in.",
            advice="",
        )
        # published fits of both exponents lie between 0.3 and 0.7
        beta = Parameter(
            name="beta",
            support="positive",
            unit="1",
            meaning="Exponent with which what a change will still gain dies away.",
            prior=PriorSpec(family="LogNormal", center=0.5, spread=0.4),
            slope=0.1,
            deviation=0.05,
        )
        gamma = replace(
            beta, name="gamma", meaning="Exponent by which changes that end at low rates take effect faster."
        )
        return (*FORWARD_PARAMETERS, DROP, tau, beta, gamma)

    @property
    def reported_names(self) -> tuple[str, ...]:
        """The paper's parameters."""
        return ("L0", "A", "alpha", "B", "C", "beta", "gamma")

    def features(self, schedule: Schedule, steps: NDArray[np.int64], scale: Scale, setup: Setup) -> Any:
        """Compute a :class:`MultiPowerFeatures`; see :meth:`Law.features`."""
        rate = schedule.lr / scale.level_rate
        covered = np.cumsum(rate)
        changed = np.flatnonzero(np.diff(rate[schedule.warmup_steps :])) + schedule.warmup_steps + 1
        change, log_rate, before = np.zeros((3, _CELLS))
        if changed.size:
            removed = rate[changed - 1] - rate[changed]
            cell = _cells(removed)
            weight = np.abs(removed)
            total = np.bincount(cell, weight, _CELLS)
            filled = np.maximum(total, 1e-300)
            change = np.bincount(cell, removed, _CELLS)
            log_rate = np.bincount(cell, weight * np.log(np.maximum(rate[changed], _LOWEST)), _CELLS) / filled
            before = np.bincount(cell, weight * covered[changed - 1], _CELLS) / filled
        return MultiPowerFeatures(
            log_area=np.log(self.area(schedule, steps) / scale.level_area),
            peak=np.asarray(schedule.peak_lr / scale.level_rate),
            area=covered[np.asarray(steps) - 1],
            change=change * scale.level_rate / schedule.peak_lr,
            log_rate=log_rate,
            before=before,
        )

    def terms(self, values: Mapping[str, Array], features: Any) -> Terms:
        """Evaluate the law; see :meth:`Law.terms`."""
        since = jnp.maximum(jnp.asarray(features.area)[:, None] - jnp.asarray(features.before)[None], 0.0)
        pace = jnp.exp(-values["gamma"] * jnp.asarray(features.log_rate)) / values["tau"]
        gained = -jnp.expm1(-values["beta"] * jnp.log1p(since * pace[None]))
        return power_law_terms(values, features.log_area, features.peak, gained @ jnp.asarray(features.change))

    def reported(self, values: Mapping[str, ArrayLike], scale: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Convert sampled values to the paper's parameters; see :meth:`Law.reported`."""
        value = {name: jnp.asarray(array) for name, array in values.items()}
        rate = jnp.asarray(scale["level_rate"])
        forward = AnnealingLaw().reported(values, scale)
        return {name: forward[name] for name in ("L0", "A", "alpha")} | {
            "B": value["drop"] / rate,
            "C": rate ** (value["gamma"] - 1.0) / value["tau"],
            "beta": value["beta"],
            "gamma": value["gamma"],
        }


def _cells(removed: NDArray[np.float64]) -> NDArray[np.int64]:
    """Assign changes to cells that carry equal shares of what changes; few changes have a cell each.

    Falls and rises never share a cell, in which they would cancel: each stretch of one sign has cells of its own, or,
    where there are too many stretches, all falls and all rises.
    """
    if removed.size <= _CELLS:
        return np.arange(removed.size)
    weight = np.abs(removed)
    stretch = np.append(0, np.cumsum(np.diff(np.sign(removed)) != 0.0))
    if stretch[-1] >= _CELLS // 2:
        stretch = (removed < 0.0).astype(np.int64)
    whole = np.bincount(stretch, weight)
    count = 1 + np.floor((_CELLS - whole.size) * whole / whole.sum()).astype(np.int64)
    order = np.argsort(stretch, kind="stable")
    reached = np.empty_like(weight)
    reached[order] = np.cumsum(weight[order]) - 0.5 * weight[order]
    share = (reached - (np.cumsum(whole) - whole)[stretch]) / whole[stretch]
    within = np.minimum((count[stretch] * share).astype(np.int64), count[stretch] - 1)
    cell: NDArray[np.int64] = (np.cumsum(count) - count)[stretch] + np.maximum(within, 0)
    return cell
