"""Draws of whole loss curves: the law, what it leaves out, and the noise, for one schedule and one size."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike, NDArray

from bayeslr.forecast.sizes import SizeDraws
from bayeslr.laws import AnnealingLaw, Features
from bayeslr.model import MIXED, Discrepancy, Noise, ScalingModel, memory_responses

__all__ = ["CurveTerms", "evaluate", "residual_process"]

type Draws = NDArray[np.float64]


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

    base: Draws
    forward: Draws
    annealing: Draws
    shared: Draws
    run: Draws
    residual_sd: Draws

    @property
    def expected(self) -> Draws:
        """The curve that the runs of this schedule have in common."""
        return self.base + self.forward - self.annealing + self.shared


def evaluate(
    model: ScalingModel,
    common: SizeDraws,
    features: Sequence[Features],
    own: Sequence[Draws],
) -> Iterator[tuple[CurveTerms, Draws]]:
    """Evaluate the parts of several curves, and how noisy their losses are, for every draw.

    Many short questions are answered together: a call of a compiled program takes longer than its work.

    Parameters
    ----------
    model
        The model.
    common
        What the curves have in common: parameters, scales and effects of the size.
    features
        Features of each schedule at its ``n`` steps.
    own
        Effects of each schedule's run in prior standard deviations: memories, then the offset, ``[draws, 5]``.

    Yields
    ------
    terms : CurveTerms
        For each schedule in turn, each part ``[draws, n]``.
    noise : numpy.ndarray
        Standard deviation of the white noise, ``[draws, n]``.
    """
    scale = np.asarray(model.discrepancy.run_scale(common.scales, common.values))
    counts = [len(feature.log_area) for feature in features]
    for first, last in _batches(counts):
        batch = jax.tree.map(_together, *features[first:last])
        memory = memory_responses(batch.response)
        parts = _evaluate(
            (model.law, model.discrepancy, model.noise),
            common.values,
            common.scales,
            common.shared,
            batch,
            memory,
            common.knots,
            (common.sigma, common.power),
        )
        whole = {name: np.asarray(part) for name, part in parts.items()}
        noise = whole.pop("noise")
        shapes = np.asarray(model.discrepancy.run_shapes(jnp.asarray(memory)))
        stop = 0
        for count, effects in zip(counts[first:last], own[first:last], strict=True):
            start, stop = stop, stop + count
            run = (scale * effects) @ shapes[:, start:stop]
            terms = CurveTerms(run=run, **{name: part[start:stop].T for name, part in whole.items()})
            yield terms, noise[start:stop].T


_AT_ONCE = 512


def _batches(counts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Group neighbours into batches of at most so many points, or of a single one that is larger."""
    first, total = 0, 0
    for k, count in enumerate(counts):
        if total and total + count > _AT_ONCE:
            yield first, k
            first, total = k, 0
        total += count
    yield first, len(counts)


def _together(*arrays: ArrayLike) -> NDArray[np.float64]:
    """Put arrays one below the other, and repeat the last row up to one of few lengths, each of which compiles once."""
    rows = np.concatenate([np.asarray(array) for array in arrays])
    width = max(32, 1 << (len(rows) - 1).bit_length())
    if width > _AT_ONCE:
        width = -(-len(rows) // _AT_ONCE) * _AT_ONCE
    return np.concatenate([rows, np.repeat(rows[-1:], width - len(rows), axis=0)])


@partial(jax.jit, static_argnums=0)
def _evaluate(
    model: tuple[AnnealingLaw, Discrepancy, Noise],
    values: Mapping[str, Array],
    scales: Mapping[str, Array],
    effects: Array,
    features: Features,
    memory: Array,
    knots: Array,
    noise: tuple[Array, Array | None],
) -> dict[str, Array]:
    """Return the parts of a curve but its run's own, and the noise, each ``[n, draws]``: a point's draws together."""
    law, discrepancy, white = model
    terms = law.terms(values, features, {name: scales[name] for name in MIXED if name in scales})
    log_area, removed = jnp.asarray(features.log_area)[None], jnp.asarray(features.removed)[None]
    gained = discrepancy.shared_scale(scales, values, knots) * effects
    given_up = (gained @ discrepancy.exchange(knots))[:, None] * terms.response
    shared = gained @ discrepancy.shared_shapes(memory, log_area[0], knots) - given_up
    areas = jnp.broadcast_to(log_area, terms.total.shape)
    parts = {
        "base": terms.base,
        "forward": terms.forward,
        "annealing": terms.annealing,
        "shared": shared,
        "residual_sd": discrepancy.residual_sd(scales, values, areas, removed),
        "noise": white.sd(*noise, features.rate),
    }
    return {name: part.T for name, part in parts.items()}


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
