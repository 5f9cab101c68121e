"""A Gaussian likelihood for curves whose errors are structured, at the cost of a few small matrices.

The loss of a run is a mean, plus effects that all runs of a size share, plus effects of the run, plus a residual::

    y = mean + shared_columns @ (shared_scale * b_size) + run_columns @ (run_scale * b_run) + residual
    b_size, b_run ~ Normal(0, 1)

The residual is an Ornstein-Uhlenbeck process plus white noise, taken as Markov: each value given the one before it, so
that its precision matrix has three diagonals. Effects are integrated out exactly: of the columns only their inner
products under that precision matter, and only Cholesky factors of the size of the effects are left (Woodbury), whatever
the number of observations.
"""

from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import solve_triangular

__all__ = ["Structure", "condition", "count_effects", "log_density", "residuals", "simulate"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Structure:
    """Mean and covariance of the losses of ``R`` runs of ``S`` sizes, ``n`` observations each, in low-rank form.

    Parameters
    ----------
    mean
        ``[R, n]``.
    sd
        Standard deviation of the residual (process and white noise together), ``[R, n]``.
    link
        Correlation of the residual with the one before it in the run, ``[R, n]``; the first of a run is zero.
    run_columns
        Shapes of the effects of a run, ``[R, n, q]``.
    run_scale
        Their standard deviations, ``[R, q]``.
    shared_columns
        Shapes of the effects that the runs of a size share, ``[R, n, p]``.
    shared_scale
        Their standard deviations, ``[R, p]``.
    valid
        Where there is an observation, ``[R, n]``.
    size_of_run
        ``[R]``.
    sizes
        Array of length ``S``, whose values are not used.
    common
        Share of the variance of the sizes' effects that all sizes have in common, from 0 up to, not including, 1.
    """

    mean: Array
    sd: Array
    link: Array
    run_columns: Array
    run_scale: Array
    shared_columns: Array
    shared_scale: Array
    valid: Array
    size_of_run: Array
    sizes: Array
    common: float = field(default=0.0, metadata={"static": True})


def _transpose(matrix: Array) -> Array:
    return jnp.swapaxes(matrix, -1, -2)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class _Factors:
    """Cholesky factors of the posterior precision of the effects, and what they divide, level by level."""

    run: Array
    run_rest: Array
    own: Array
    own_rest: Array
    common: Array
    common_rest: Array
    energy: Array


def _before(rows: Array) -> Array:
    """Shift rows ``[R, n, ...]`` by one, so that each finds what came before it; the first finds zero."""
    return jnp.concatenate([jnp.zeros_like(rows[:, :1]), rows[:, :-1]], axis=1)


def _after(rows: Array) -> Array:
    return jnp.concatenate([rows[:, 1:], jnp.zeros_like(rows[:, :1])], axis=1)


def _precision(structure: Structure) -> tuple[Array, Array]:
    """Return the residual's precision: its diagonal and what stands beside it, ``[R, n]``; zero where padded."""
    fresh = jnp.where(structure.valid, 1.0 / (1.0 - structure.link**2), 0.0)
    kept = structure.link * fresh
    diagonal = (fresh + _after(structure.link * kept)) / structure.sd**2
    beside = -kept[:, 1:] / (structure.sd[:, 1:] * structure.sd[:, :-1])
    return diagonal, jnp.pad(beside, ((0, 0), (1, 0)))


def _times_precision(columns: Array, diagonal: Array, beside: Array) -> Array:
    outer = beside[..., None] * _before(columns) + _after(beside)[..., None] * _after(columns)
    return diagonal[..., None] * columns + outer


@jax.custom_vjp
def _products(columns: Array, diagonal: Array, beside: Array) -> Array:
    """Return the inner products of columns ``[R, n, k]`` under a precision with three diagonals, ``[R, k, k]``."""
    return _transpose(columns) @ _times_precision(columns, diagonal, beside)


def _products_forward(columns: Array, diagonal: Array, beside: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    return _products(columns, diagonal, beside), (columns, diagonal, beside)


def _products_backward(known: tuple[Array, Array, Array], change: Array) -> tuple[Array, Array, Array]:
    columns, diagonal, beside = known
    moved = columns @ (change + _transpose(change))
    return (
        _times_precision(moved, diagonal, beside),
        0.5 * (columns * moved).sum(axis=-1),
        (_before(columns) * moved).sum(axis=-1),
    )


# by hand, since one matrix product gives all three parts, where automatic differentiation takes a pass for each step
_products.defvjp(_products_forward, _products_backward)


def _gram(structure: Structure, loss: Array) -> Array:
    """Return the inner products, run by run, of the scaled columns and of what the mean leaves, ``[R, k, k]``."""
    rest = (loss - structure.mean)[..., None]
    columns = jnp.concatenate([structure.run_columns, structure.shared_columns, rest], axis=-1)
    scale = jnp.concatenate([structure.run_scale, structure.shared_scale, jnp.ones_like(rest[:, 0])], axis=-1)
    columns, diagonal, beside = jax.lax.optimization_barrier((columns, *_precision(structure)))
    return scale[:, :, None] * _products(columns, diagonal, beside) * scale[:, None, :]


@dataclass(frozen=True, kw_only=True)
class _Levels:
    """How effects nest: ``q`` of each run, ``p`` of each of ``sizes`` sizes, of whose variance a share is common."""

    q: int
    p: int
    sizes: int
    common: float

    @classmethod
    def of(cls, structure: Structure) -> "_Levels":
        return cls(
            q=structure.run_columns.shape[-1],
            p=structure.shared_columns.shape[-1],
            sizes=structure.sizes.shape[0],
            common=structure.common,
        )

    def factorise(self, gram: Array, size_of_run: Array) -> _Factors:
        q, p = self.q, self.p
        run = jnp.linalg.cholesky(gram[:, :q, :q] + jnp.eye(q)[None])
        run_rest = solve_triangular(run, gram[:, :q, q:], lower=True)
        schur = gram[:, q:, q:] - _transpose(run_rest) @ run_rest
        by_size = jax.ops.segment_sum(schur, size_of_run, num_segments=self.sizes)
        # effects of a size: sqrt(common) * c + sqrt(1 - common) * d, the size's own d integrated out first
        share, rest = self.common**0.5, (1.0 - self.common) ** 0.5
        own = jnp.linalg.cholesky(rest**2 * by_size[:, :p, :p] + jnp.eye(p)[None])
        columns = jnp.concatenate([share * by_size[:, :p, :p], by_size[:, :p, p:]], axis=-1)
        own_rest = solve_triangular(own, rest * columns, lower=True)
        energy = by_size[:, p, p].sum() - (own_rest[..., p] ** 2).sum()
        common, common_rest = jnp.zeros((0, 0)), jnp.zeros(0)
        if self.common:
            left = (share * columns - _transpose(own_rest[..., :p]) @ own_rest).sum(axis=0)
            common = jnp.linalg.cholesky(left[:, :p] + jnp.eye(p))
            common_rest = solve_triangular(common, left[:, p:], lower=True)[:, 0]
        return _Factors(
            run=run,
            run_rest=run_rest,
            own=own,
            own_rest=own_rest,
            common=common,
            common_rest=common_rest,
            energy=energy - (common_rest**2).sum(),
        )

    def effects(
        self, factors: _Factors, size_of_run: Array, common: Array, own: Array, run: Array
    ) -> tuple[Array, Array, Array]:
        """Turn standard normals into effects given the losses; zeros give their means."""
        p = self.p
        if self.common:
            common = _solve_transposed(factors.common, factors.common_rest + common)
        rest = factors.own_rest[..., p] - factors.own_rest[..., :p] @ common
        own = _solve_transposed(factors.own, rest + own)
        shared = self.common**0.5 * common[None] + (1.0 - self.common) ** 0.5 * own
        rest = factors.run_rest[..., -1] - (factors.run_rest[..., :-1] @ shared[size_of_run][..., None])[..., 0]
        return common, shared, _solve_transposed(factors.run, rest + run)

    def moments(self, factors: _Factors, size_of_run: Array) -> Array:
        """Return ``E[e e']`` given the losses, ``[R, k, k]``, where ``e`` is (minus the effects of a run, one)."""
        p, runs = self.p, factors.run.shape[0]
        _, shared, run = self.effects(
            factors, size_of_run, jnp.zeros(p), jnp.zeros((self.sizes, p)), jnp.zeros((runs, self.q))
        )
        inverse = _inverse(factors.own)
        spread = (1.0 - self.common) * _transpose(inverse) @ inverse
        if self.common:
            # a size's effects given the common ones c move by this matrix times c
            follow = (1.0 - self.common) ** 0.5 * _transpose(inverse) @ factors.own_rest[..., :p]
            follow = (self.common**0.5 * jnp.eye(p)[None] - follow) @ _transpose(_inverse(factors.common))
            spread = spread + follow @ _transpose(follow)
        spread = spread[size_of_run]
        inverse = _inverse(factors.run)
        follow = -_transpose(inverse) @ factors.run_rest[..., :-1]
        cross = follow @ spread
        within = _transpose(inverse) @ inverse + cross @ _transpose(follow)
        covariance = jnp.concatenate(
            [jnp.concatenate([within, cross], axis=-1), jnp.concatenate([_transpose(cross), spread], axis=-1)], axis=-2
        )
        mean = jnp.concatenate([-run, -shared[size_of_run], jnp.ones((runs, 1))], axis=-1)
        return mean[..., :, None] * mean[..., None, :] + jnp.pad(covariance, ((0, 0), (0, 1), (0, 1)))


def _inverse(factor: Array) -> Array:
    eye = jnp.broadcast_to(jnp.eye(factor.shape[-1]), factor.shape)
    return solve_triangular(factor, eye, lower=True)


def _log_diagonal(factor: Array) -> Array:
    return jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)).sum()


def _value(factors: _Factors) -> Array:
    return (
        -0.5 * factors.energy - _log_diagonal(factors.run) - _log_diagonal(factors.own) - _log_diagonal(factors.common)
    )


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _integrated(gram: Array, size_of_run: Array, levels: _Levels) -> Array:
    """Return the log density of losses, effects integrated out, given their inner products."""
    return _value(levels.factorise(gram, size_of_run))


def _integrated_forward(gram: Array, size_of_run: Array, levels: _Levels) -> tuple[Array, Array]:
    factors = levels.factorise(gram, size_of_run)
    return _value(factors), -0.5 * levels.moments(factors, size_of_run)


def _integrated_backward(levels: _Levels, slope: Array, change: Array) -> tuple[Array, None]:
    return change * slope, None


# Fisher's identity: the gradient of the integrated density is the mean, over the effects given the losses, of the
# gradient of the joint one, which is quadratic in them. So no derivative passes through a Cholesky factor.
_integrated.defvjp(_integrated_forward, _integrated_backward)


def log_density(structure: Structure, loss: Array) -> Array:
    """Return the log density of observed losses, all effects integrated out.

    Parameters
    ----------
    structure
        Mean and covariance.
    loss
        Observed losses, ``[R, n]``.

    Returns
    -------
    jax.Array
        Scalar. Its first derivatives are exact; second ones must be taken as differences of these.
    """
    spread = jnp.log(structure.sd) + 0.5 * jnp.log1p(-(structure.link**2)) + 0.5 * jnp.log(2.0 * jnp.pi)
    fitted = _integrated(_gram(structure, loss), structure.size_of_run, _Levels.of(structure))
    return fitted - jnp.where(structure.valid, spread, 0.0).sum()


def count_effects(structure: Structure) -> int:
    """Return the number of standard normals that :func:`condition` takes."""
    levels = _Levels.of(structure)
    return levels.p + levels.sizes * levels.p + structure.run_columns.shape[0] * levels.q


def condition(structure: Structure, loss: Array, normals: Array) -> tuple[Array, Array, Array]:
    """Draw the effects from their distribution given observed losses.

    Parameters
    ----------
    structure
        Mean and covariance.
    loss
        Observed losses, ``[R, n]``.
    normals
        Standard normals, as many as :func:`count_effects` says; zeros give the effects' means. They come from outside
        since a generator of random numbers takes longer to compile than all else here.

    Returns
    -------
    common : jax.Array
        What the sizes' effects have in common, ``[p]``; zeros when ``structure.common`` is zero.
    shared : jax.Array
        The sizes' effects, ``[S, p]``, in prior standard deviations.
    run : jax.Array
        The runs' effects, ``[R, q]``, in prior standard deviations.
    """
    levels = _Levels.of(structure)
    factors = levels.factorise(_gram(structure, loss), structure.size_of_run)
    common, own, run = jnp.split(normals, np.cumsum([levels.p, levels.sizes * levels.p]))
    return levels.effects(
        factors,
        structure.size_of_run,
        common if structure.common else jnp.zeros(levels.p),
        own.reshape(levels.sizes, levels.p),
        run.reshape(-1, levels.q) if levels.q else jnp.zeros((structure.run_columns.shape[0], 0)),
    )


def _solve_transposed(factor: Array, vector: Array) -> Array:
    return solve_triangular(factor, vector[..., None], lower=True, trans=1)[..., 0]


def residuals(structure: Structure, loss: Array, shared: Array, run: Array) -> Array:
    """Return what the mean and the effects leave of the losses, ``[R, n]``."""
    effects = (structure.run_columns @ (structure.run_scale * run)[..., None])[..., 0]
    shared = structure.shared_scale * shared[structure.size_of_run]
    effects = effects + (structure.shared_columns @ shared[..., None])[..., 0]
    return loss - structure.mean - effects


def simulate(structure: Structure, key: Array) -> Array:
    """Draw losses, ``[R, n]``, with fresh effects and residuals."""
    keys = jax.random.split(key, 4)
    p = structure.shared_columns.shape[-1]
    own = jax.random.normal(keys[0], (structure.sizes.shape[0], p))
    common = jax.random.normal(keys[3], (1, p))
    shared = structure.common**0.5 * common + (1.0 - structure.common) ** 0.5 * own
    run = jax.random.normal(keys[1], (structure.run_columns.shape[0], structure.run_columns.shape[-1]))
    noise = jax.random.normal(keys[2], structure.mean.shape)

    def advance(before: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        link, fresh = now
        value = link * before + jnp.sqrt(1.0 - link**2) * fresh
        return value, value

    _, walk = jax.lax.scan(advance, jnp.zeros(noise.shape[0]), (structure.link.T, noise.T))
    return -residuals(structure, jnp.zeros_like(structure.mean), shared, run) + structure.sd * walk.T
