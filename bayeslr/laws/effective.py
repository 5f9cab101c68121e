"""A law of the effective rate: ``L(s) = L0 + A * P(s)^-alpha + D * T(s)``.

The annealing law counts what was removed from each run's own peak, so that runs of different peaks have no zero in
common, and it takes the rate for what moves the network. Here both parts are read from the effective rate ``u``
(:mod:`bayeslr.laws.rates`) and are anchored at a rate of zero:

- ``P``, the *progress*, is the sum of the effective rates;
- ``T``, the *floor*, is the effective rate as seen through a mixture of memories, part of which run in area: what the
  noise of the current rate keeps the loss up by, ``D`` where the effective rate is that of the reference.

Where batch sizes differ, the progress of an update grows with a power of the batch size and the floor falls with one.
At a fixed rate the update of a plain gradient has an expected progress that does not depend on the batch and a floor
that falls like ``1 / batch``; that of an optimiser that normalises its updates gains in progress, at most like
``sqrt(batch)``, as long as its direction is mostly noise, and the floor falls less (the scale of the gradient's noise:
McCandlish et al. 2018, arXiv 1812.06162; the square root: Malladi et al. 2022, arXiv 2205.10287). Both exponents are
inferred.

For runs of one peak and the identity as the map this is the annealing law with a mixture of memories, a constant having
moved into ``L0``. As there, what is sampled is the level and the slope at the reference: a run at the reference rate
throughout, as long as the reference area says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray

from bayeslr.curves import Setup
from bayeslr.errors import ModelError
from bayeslr.laws.annealing import ALPHA, DROP, LEVEL, SLOPE, TAU, AnnealingLaw, ForwardPowerLaw
from bayeslr.laws.basis import COARSE_INVERSE, COARSE_NODES, COARSE_TAU, mixture
from bayeslr.laws.cells import Cells, through_memories
from bayeslr.laws.law import Terms
from bayeslr.laws.parameters import Parameter, PriorSpec, Scale
from bayeslr.laws.rates import RateMap, WeightNormRate
from bayeslr.schedules import Schedule

__all__ = ["BatchMode", "EffectiveFeatures", "EffectiveRateLaw"]

type BatchMode = Literal["auto", "fixed", "power"]

_BATCH_MODES = ("auto", "fixed", "power")

_BATCH = (
    Parameter(
        name="batch_progress",
        support="real",
        unit="1",
        meaning="Exponent of the batch size in the progress of an update.",
        # none of a plain gradient, a half of a normalised one whose direction is noise
        prior=PriorSpec(family="Normal", center=0.3, spread=0.2),
        shared=True,
    ),
    Parameter(
        name="batch_noise",
        support="positive",
        unit="1",
        meaning="Exponent of the batch size by which the floor falls.",
        # one of a plain gradient, a half of a normalised one
        prior=PriorSpec(family="LogNormal", center=0.7, spread=0.35),
        shared=True,
    ),
)

_REFERENCE_CELLS = 256
"""Stretches of the reference run."""

_POLYNOMIALS, _WEIGHTS = "rate_polynomials", "floor_weights"
"""What :meth:`EffectiveRateLaw.prepared` adds."""

_BASIS, _PRODUCTS = "floor_basis", "rate_products"
"""What :meth:`EffectiveRateLaw.compressed` returns beside the features, ``[M * 2 * 24, r]`` and ``[m, M]``."""

_MANY = 4
"""Rows of the floor from which on it is compressed, in multiples of its columns: a fit of many runs spends most of its
time on reading them."""

_WIDE = 384
"""Columns, those of a map with one parameter, beyond which the floor of few runs is compressed, too."""

_PRECISION, _PRECISION_OF_WIDE = 1e-8, 1e-6
"""Singular values that are left out, as a share of the largest: an error of the loss of less than 1e-6. Of more columns
polynomials are exact to a ten-thousandth or so, and an error of a few 1e-6 is not more than theirs."""

_RANKS, _RANKS_OF_PRODUCTS = 32, 8
"""Ranks are a multiple of this, so that similar data sets share a program."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class EffectiveFeatures:
    """What the law sees of a schedule, as coefficients on the ``M`` products of the map's Chebyshev polynomials.

    Parameters
    ----------
    log_progress
        Logarithm of the progress over that of the reference, ``[n, M]``.
    log_peak
        Logarithm of the effective rate at the run's peak over that of the reference, ``[M]``.
    floor
        Effective rate over that of the reference, for each of the ``M`` through memories in steps and, behind these,
        through memories in area, each on 24 polynomials: ``[n, M * 2 * 24]``.
    log_batch
        Logarithm of the batch size over that of the reference, a scalar.
    """

    log_progress: Array | NDArray[np.float64]
    log_peak: Array | NDArray[np.float64]
    floor: Array | NDArray[np.float64]
    log_batch: Array | NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class EffectiveRateLaw(ForwardPowerLaw):
    """Power law in the progress, plus a floor that follows the effective rate.

    Parameters
    ----------
    warmup
        See :class:`Law`; it concerns the area, on which the error model stands.
    rate
        The map from rate to effective rate. Default: the rate over the norm of the weights.
    batch
        ``"power"``: progress and floor follow powers of the batch size. ``"fixed"``: they do not depend on it.
        ``"auto"`` (default): ``"power"`` where runs of one size have different batch sizes, or a forecast is asked for
        another one than was fitted (the powers are then as wide as their priors); else ``"fixed"``.

    Raises
    ------
    ModelError
        If `batch` is none of these, or the map has not an axis for each of its parameters.
    """

    rate: RateMap = field(default_factory=WeightNormRate)
    batch: BatchMode = "auto"

    def __post_init__(self) -> None:
        if self.batch not in _BATCH_MODES:
            raise ModelError(f"law: batch={self.batch!r}; allowed: {', '.join(map(repr, _BATCH_MODES))}")
        if len(self.rate.parameters) != len(self.rate.axes):
            raise ModelError(
                f"law: the map {self.rate.name!r} has {len(self.rate.parameters)} parameters and "
                f"{len(self.rate.axes)} axes; allowed: an axis for each parameter"
            )

    @property
    def name(self) -> str:
        """Name of the law."""
        return "effective-rate"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """``level, slope, alpha, drop, tau``, and shared by all sizes the mixture, the map and the batch's powers."""
        return (
            LEVEL,
            SLOPE,
            # of all language models' losses 0.42 to 0.56
            replace(ALPHA, prior=PriorSpec(family="LogNormal", center=0.48, spread=0.15)),
            replace(DROP, meaning="Loss that the noise of the reference rate keeps the loss up by."),
            # of memories from a few steps to whole runs the median need not be known
            replace(TAU, meaning="Median memory of the floor, 1 / (1 - decay).", advice=""),
            Parameter(
                name="memory_spread",
                support="positive",
                unit="1",
                meaning="Standard deviation of the log-normal mixture of memories around tau, in log units.",
                # of runs of many kinds of schedules 1.3 to 2.9; of a response that fades like a power 1.9 to 2.2
                prior=PriorSpec(family="LogNormal", center=1.5, spread=0.3),
                shared=True,
            ),
            Parameter(
                name="area_memory",
                support="share",
                unit="1",
                meaning="Share of the floor whose memory runs in area instead of in steps.",
                # of the same runs 0.2 to 0.9
                prior=PriorSpec(family="Beta", center=0.6, spread=3.0),
                shared=True,
            ),
            *self._of_setup,
        )

    @property
    def reported_names(self) -> tuple[str, ...]:
        """``L0, A, alpha, C, decay`` with ``L0`` at a rate of zero, the mixture, the map and the batch's powers."""
        return (*AnnealingLaw().reported_names, *self._shared_names)

    @property
    def _shared_names(self) -> tuple[str, ...]:
        return ("memory_spread", "area_memory", *(parameter.name for parameter in self._of_setup))

    @property
    def _of_setup(self) -> tuple[Parameter, ...]:
        return (*self.rate.parameters, *(_BATCH if self.batch == "power" else ()))

    def resolved(self, *, batches_differ: bool, decays_known: bool = True) -> "EffectiveRateLaw":
        """Choose what to do with batch sizes and weight decays; see :meth:`Law.resolved`."""
        batch: BatchMode = "power" if self.batch == "auto" and batches_differ else self.batch
        return replace(self, batch=batch, rate=self.rate.resolved(decays_known=decays_known))

    def assumed(self, setups: Sequence[Setup], scale: Scale) -> tuple[str, ...]:
        """Say what runs that do not say their weight decay or batch size are taken to have."""
        decays = self.rate.assumed([setup.weight_decay for setup in setups], scale)
        unknown = sum(setup.batch_size is None for setup in setups) if self.batch == "power" else 0
        batches = (
            f"{unknown} of {len(setups)} runs do not say their batch size, and are taken to have that of their size's "
            "reference; if you know it, give it in the manifest."
        )
        return tuple(filter(None, (decays, batches if 0 < unknown < len(setups) else "")))

    def features(self, schedule: Schedule, steps: NDArray[np.int64], scale: Scale, setup: Setup) -> Any:
        """Compute an :class:`EffectiveFeatures`; see :meth:`Law.features`."""
        halfway = max(schedule.warmup_steps + 1, schedule.total_steps // 2)
        # an update of its own, of which the rate and the effective rate are exact
        cells = Cells.of(schedule, steps, through=(halfway - 1, halfway))
        at, middle = cells.at, cells.ending(halfway)
        positions = _positions(self.rate)
        reference_progress, reference_rate = _reference(self.rate, scale)
        effective = self.rate.effective(cells.lr, cells.count, positions, setup.weight_decay, scale)
        progress = np.log(np.cumsum(effective * cells.count[:, None], axis=0)[at] / reference_progress)
        # the peak by the norm that weights have in mid-run: at the start a map may still be far from it
        at_peak = self.rate.at_peak(schedule.peak_lr, float(cells.lr[middle]), effective[middle], positions)
        # memories begin with the first update after the warm-up
        values, at = (effective / reference_rate)[cells.first :], np.maximum(at - cells.first, 0)
        count = cells.count[cells.first :]
        by_step = through_memories(values, count, COARSE_TAU, at)
        by_area = through_memories(values, count * cells.lr[cells.first :] / schedule.peak_lr, COARSE_TAU, at)
        to_coefficients = _to_coefficients(self.rate)
        floor = COARSE_INVERSE @ np.stack([by_step, by_area], axis=1) @ to_coefficients
        floor = floor.transpose(0, 3, 1, 2)
        return EffectiveFeatures(
            log_progress=progress @ to_coefficients,
            log_peak=np.log(at_peak / reference_rate) @ to_coefficients,
            floor=floor.reshape(len(floor), -1),
            log_batch=np.asarray(scale.log_batch(setup.batch_size, level=True)),
        )

    def compressed(self, features: Any) -> tuple[Any, Mapping[str, NDArray[np.float64]]]:
        """Give the floor a basis of its own where there are many observations; see :meth:`Law.compressed`."""
        features, added = _with_fewer_products(features)
        runs, points, columns = features.floor.shape
        if runs * points < _MANY * columns and columns <= _WIDE:
            return features, added
        small, basis = _decomposed(features.floor.reshape(-1, columns))
        return replace(features, floor=small.reshape(runs, points, -1)), added | {_BASIS: basis.T}

    def prepared(self, values: Mapping[str, Array]) -> Mapping[str, Array]:
        """Add the polynomials of the map, and the weights of the floor's; see :meth:`Law.prepared`."""
        if _WEIGHTS in values:
            return values
        place = self._polynomials(values)
        if _PRODUCTS in values:
            place = values[_PRODUCTS] @ place
        weights = mixture(jnp.log(values["tau"]), values["memory_spread"], COARSE_NODES)
        share = values["area_memory"]
        memories = jnp.concatenate([(1.0 - share) * weights, share * weights])
        weights = (place[:, None] * memories[None]).ravel()
        return {**values, _POLYNOMIALS: place, _WEIGHTS: weights @ values[_BASIS] if _BASIS in values else weights}

    def terms(self, values: Mapping[str, Array], features: Any) -> Terms:
        """Evaluate the law; see :meth:`Law.terms`."""
        values = self.prepared(values)
        place = values[_POLYNOMIALS]
        log_progress = jnp.asarray(features.log_progress) @ place
        peak = jnp.exp(jnp.asarray(features.log_peak) @ place)
        floor = jnp.asarray(features.floor) @ values[_WEIGHTS]
        noise = jnp.ones(())
        if self.batch == "power":
            log_progress = log_progress + values["batch_progress"] * features.log_batch
            noise = jnp.exp(-values["batch_noise"] * features.log_batch)
        scale = values["slope"] / values["alpha"]
        forward = scale * jnp.exp(-values["alpha"] * log_progress)
        drop = values["drop"] * peak * noise
        return Terms(
            base=values["level"] - values["drop"] - scale + drop,
            forward=forward,
            drop=drop,
            response=1.0 - floor / peak,
            slope=values["alpha"] * forward,
        )

    def reported(self, values: Mapping[str, ArrayLike], scale: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Convert to the annealing law's parameters, in units in which the reference's progress is its area.

        ``L0`` is the loss that is never reached, at a rate of zero; ``C`` and ``decay`` are those of the median memory.
        """
        paper = AnnealingLaw().reported(values, scale)
        own = {name: jnp.asarray(values[name]) for name in self._shared_names}
        return paper | {"L0": paper["L0"] - jnp.asarray(values["drop"])} | own

    def _polynomials(self, values: Mapping[str, Array]) -> Array:
        """Return the products of the map's polynomials at its parameters, ``[M]``."""
        place = jnp.ones(1)
        for parameter, axis in zip(self.rate.parameters, self.rate.axes, strict=True):
            own = axis.polynomials(parameter.unconstrain(values[parameter.name]))
            place = (place[:, None] * own[None]).ravel()
        return place if len(self.rate.axes) < 2 else place[_kept(self.rate)]


def _with_fewer_products(features: Any) -> tuple[Any, dict[str, NDArray[np.float64]]]:
    """Give all that stands on the map's products a basis of its own, where there are several axes.

    A norm that grows faster and one that decays faster are much alike along a run: of 43 products 16 or 24 directions
    are left.
    """
    runs, points, count = features.log_progress.shape
    if count <= _WIDE // (2 * COARSE_NODES):
        return features, {}
    memories = np.moveaxis(features.floor.reshape(runs * points, count, -1), 1, 2)
    rows = memories.reshape(-1, count)
    progress = features.log_progress.reshape(-1, count)
    # a floor is an average over memories, so that one of its rows counts less
    squared = rows.T @ rows / memories.shape[1] + progress.T @ progress
    squared += points * features.log_peak.T @ features.log_peak
    squares, vectors = np.linalg.eigh(squared)
    size = np.sqrt(np.maximum(squares[::-1], 0.0))
    rank = _padded(size, _PRECISION_OF_WIDE, _RANKS_OF_PRODUCTS)
    if rank >= count:
        return features, {}
    basis = vectors[:, ::-1][:, :rank]
    fewer = replace(
        features,
        log_progress=features.log_progress @ basis,
        log_peak=features.log_peak @ basis,
        floor=np.moveaxis(memories @ basis, 1, 2).reshape(runs, points, -1),
    )
    return fewer, {_PRODUCTS: basis.T}


def _decomposed(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a matrix in an orthonormal basis of its rows, as far as the precision asks for it, and that basis."""
    if matrix.shape[1] <= _WIDE:
        left, size, right = np.linalg.svd(matrix, full_matrices=False)
        rank = _padded(size, _PRECISION, _RANKS)
        return (left * size)[:, :rank], right[:rank]
    # the range of its product with random columns is its own (Halko, Martinsson and Tropp 2011, arXiv 0909.4061),
    # and the precision is one that squares keep: ten times as fast as a decomposition of the whole
    sketch, size = _WIDE, np.ones(1)
    while size[-1] > _PRECISION_OF_WIDE * size[0]:
        width = min(sketch, *matrix.shape)
        columns = np.random.default_rng(0).standard_normal((matrix.shape[1], width))
        small = np.linalg.qr(matrix @ columns)[0].T @ matrix
        squares, vectors = np.linalg.eigh(small @ small.T)
        size, left = np.sqrt(np.maximum(squares[::-1], 0.0)), vectors[:, ::-1]
        if width < sketch:
            break
        sketch *= 2
    rank = _padded(size, _PRECISION_OF_WIDE, _RANKS)
    right, _ = np.linalg.qr(small.T @ left[:, :rank])
    return matrix @ right, right.T


def _padded(size: NDArray[np.float64], precision: float, multiple: int) -> int:
    return multiple * -(-int(np.sum(size > precision * size[0])) // multiple)


@lru_cache(maxsize=16)
def _positions(rate: RateMap) -> tuple[NDArray[np.float64], ...]:
    """Return the map's parameters at all combinations of their nodes, each ``[N]``."""
    nodes = np.array(list(product(*(axis.nodes for axis in rate.axes))))
    return tuple(nodes.T)


@lru_cache(maxsize=16)
def _kept(rate: RateMap) -> NDArray[np.intp]:
    """Return the products of polynomials that are kept: of two axes those of a degree up to the larger count."""
    counts = [axis.count for axis in rate.axes]
    degrees = [sum(each) for each in product(*map(range, counts))]
    return np.flatnonzero(np.array(degrees) <= max(counts, default=0))


@lru_cache(maxsize=16)
def _to_coefficients(rate: RateMap) -> NDArray[np.float64]:
    """Return the matrix from values at these combinations, ``[..., N]``, to coefficients of products, ``[..., M]``."""
    matrix: NDArray[np.float64] = np.ones((1, 1))
    for axis in rate.axes:
        matrix = np.asarray(np.kron(matrix, axis.to_coefficients))
    return matrix.T[:, _kept(rate)]


@lru_cache(maxsize=64)
def _reference(rate: RateMap, scale: Scale) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return progress and mid-run effective rate of a run at the reference rate and area, each ``[N]``."""
    count = np.full(_REFERENCE_CELLS, scale.level_area / scale.level_rate / _REFERENCE_CELLS)
    lr = np.full(_REFERENCE_CELLS, scale.level_rate)
    effective = rate.effective(lr, count, _positions(rate), None, scale)
    return count @ effective, effective[_REFERENCE_CELLS // 2]
