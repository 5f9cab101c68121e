"""Draws of whole loss curves: the law, what it leaves out, and the noise, for one schedule and one size."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from bayeslr.laws import AnnealingLaw, Features
from bayeslr.model import MIXED, Discrepancy

__all__ = ["CurveTerms", "Effects", "evaluate", "residual_process"]

type Draws = NDArray[np.float64]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Effects:
    """Effects in prior standard deviations, a row a posterior draw.

    Parameters
    ----------
    shared
        Effects that the runs of a size share: memories, then bends, ``[draws, 8 + K]``.
    run
        Effects of the run: memories, then the offset, ``[draws, 5]``.
    """

    shared: Draws | Array
    run: Draws | Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class CurveTerms:
    """The parts of a loss curve, ``base + forward - annealing + shared + run + residual``, each ``[draws, n]``.

    Parameters
    ----------
    base, forward, annealing
        The law: L0, the forward term, the annealing term.
    shared
        What the law leaves out, common to the runs of a size.
    run
        What is the run's own.
    residual_sd
        Standard deviation of the residual process.
    """

    base: Array
    forward: Array
    annealing: Array
    shared: Array
    run: Array
    residual_sd: Array

    @property
    def expected(self) -> Array:
        """The curve that the runs of this schedule have in common."""
        return self.base + self.forward - self.annealing + self.shared


@partial(jax.jit, static_argnums=(0, 1))
def evaluate(
    law: AnnealingLaw,
    discrepancy: Discrepancy,
    values: Mapping[str, Array],
    scales: Mapping[str, Array],
    effects: Effects,
    features: Features,
    memory: Array,
    knots: Array,
) -> CurveTerms:
    """Evaluate the parts of a curve for every draw.

    Parameters
    ----------
    law, discrepancy
        Parts of the model.
    values
        The law's parameters, each ``[draws]``.
    scales
        The discrepancy's scales, each ``[draws]``.
    effects
        The effects.
    features
        Features of the schedule at ``n`` steps.
    memory
        Responses through the memories, ``[n, 8]``.
    knots
        Places of the bends, ``[K]``.

    Returns
    -------
    CurveTerms
        Each part, ``[draws, n]``.
    """
    terms = law.terms(values, features, {name: scales[name] for name in MIXED if name in scales})
    log_area, removed = jnp.asarray(features.log_area)[None], jnp.asarray(features.removed)[None]
    run = discrepancy.run_columns(memory) @ (discrepancy.run_scale(scales, values) * jnp.asarray(effects.run)).T
    gained = discrepancy.shared_scale(scales, values, knots) * jnp.asarray(effects.shared)
    shared = discrepancy.shared_columns(jnp.zeros_like(memory[..., 0]), memory, log_area[0], knots) @ gained.T
    # what the memories gain, the law's own response loses
    shared = shared.T - gained[:, : memory.shape[-1]].sum(axis=-1, keepdims=True) * terms.response
    areas = jnp.broadcast_to(log_area, terms.total.shape)
    return CurveTerms(
        base=terms.base,
        forward=terms.forward,
        annealing=terms.annealing,
        shared=shared,
        run=run.T,
        residual_sd=discrepancy.residual_sd(scales, values, areas, removed),
    )


def residual_process(
    sd: Draws,
    log_area: Draws,
    length: float,
    rng: np.random.Generator,
    *,
    start: tuple[float, Draws, Draws] | None = None,
) -> Draws:
    """Draw the residual process of a run.

    Parameters
    ----------
    sd
        Its standard deviation, ``[draws, n]``.
    log_area
        Where it is wanted, ascending, ``[n]``.
    length
        Correlation length in log S1.
    rng
        Source of randomness.
    start
        What is known of the process at an earlier place: the place, and mean and variance there in units of its
        standard deviation, each ``[draws]``. Default: nothing.

    Returns
    -------
    numpy.ndarray
        ``[draws, n]``.
    """
    fresh = rng.standard_normal(sd.shape)
    place, mean, variance = start or (-np.inf, np.zeros(len(sd)), np.ones(len(sd)))
    state = mean + np.sqrt(variance) * rng.standard_normal(len(sd))
    # from one place to the next the process keeps exp(-distance / length) of its value
    kept = np.exp(-np.abs(np.diff(log_area, prepend=place)) / length)
    values = np.empty_like(sd)
    for k, share in enumerate(kept):
        state = share * state + np.sqrt(1.0 - share**2) * fresh[:, k]
        values[:, k] = state
    return values * sd
