"""A Gaussian likelihood for curves whose errors are structured, at the cost of a few small matrices.

The loss of a run is a mean, plus effects that all runs of a size share, plus effects of the run, plus a residual::

    y = mean + (shared_scale * b_size) @ (shared_shapes - exchange * response)
             + (run_scale * b_run) @ run_shapes + residual
    b_size, b_run ~ Normal(0, 1)

The residual is an Ornstein-Uhlenbeck process plus white noise, taken as Markov: each value given the one before it, so
that a difference of neighbours whitens it. Effects are integrated out exactly: of their whitened shapes only the inner
products matter, and only Cholesky factors of the size of the effects are left (Woodbury), whatever the number of
observations.

Of runs with a single observation, as in a grid of final losses, there may be thousands. There a run's own effects are
part of the variance of its observation. Where there are fewer of them than effects, their covariance is factorised
instead.
"""

from dataclasses import dataclass, field, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bayeslr.model.bundles import Bundles
from bayeslr.model.nesting import Factors, Levels, Whitened, computed, from_left, from_right, transpose, whiten

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
    autocorrelation
        Correlation of the residual with the one before it in the run, ``[R, n]``; the first of a run is zero.
    run_shapes
        Shapes of the effects of a run, ``[R, q, n]``. All shapes are data: no derivative is taken by them.
    run_scale
        Their standard deviations, ``[R, q]``.
    shared_shapes
        Shapes of the effects that the runs of a size share, ``[R, p, n]``.
    shared_scale
        Their standard deviations, ``[R, p]``.
    exchange
        How much of `response` each of these effects gives up for its own shape, ``[p]``; data, too.
    response
        What is given up, ``[R, n]``.
    valid
        Where there is an observation, ``[R, n]``.
    size_of_run
        ``[R]``.
    sizes
        Array of length ``S``, whose values are not used.
    common
        Share of the variance of the sizes' effects that all sizes have in common, from 0 up to, not including, 1.
    bundles
        The runs of each size in bundles.
    single
        Whether no run has more than one observation, which comes first.
    """

    mean: Array
    sd: Array
    autocorrelation: Array
    run_shapes: Array
    run_scale: Array
    shared_shapes: Array
    shared_scale: Array
    exchange: Array
    response: Array
    valid: Array
    size_of_run: Array
    sizes: Array
    bundles: Bundles
    common: float = field(default=0.0, metadata={"static": True})
    single: bool = field(default=False, metadata={"static": True})


def _before(rows: Array) -> Array:
    """Shift rows ``[R, n, ...]`` by one, so that each place holds what stood before it, and the first holds zero."""
    return jnp.concatenate([jnp.zeros_like(rows[:, :1]), rows[:, :-1]], axis=1)


def _after(rows: Array) -> Array:
    return jnp.concatenate([rows[:, 1:], jnp.zeros_like(rows[:, :1])], axis=1)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class _Shapes:
    """Shapes of effects, ``[R, n, q]`` and ``[R, n, p]``, and their values one observation earlier: all of it data."""

    run: Array
    run_before: Array
    shared: Array
    shared_before: Array
    exchange: Array

    @classmethod
    def of(cls, structure: Structure) -> "_Shapes":
        run, shared = transpose(structure.run_shapes), transpose(structure.shared_shapes)
        return cls(
            run=run,
            run_before=_before(run),
            shared=shared,
            shared_before=_before(shared),
            exchange=structure.exchange,
        )


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class _Rows:
    """What depends on parameters: a value is whitened as `weight` times it less `kept` times the value before.

    Parameters
    ----------
    weight, kept
        ``[R, n]``, zero where padded.
    response, rest
        Whitened, ``[R, n]``.
    run_scale, shared_scale
        ``[R, q]`` and ``[R, p]``.
    """

    weight: Array
    kept: Array
    response: Array
    rest: Array
    run_scale: Array
    shared_scale: Array

    @classmethod
    def of(cls, structure: Structure, loss: Array) -> "_Rows":
        fresh = jnp.where(structure.valid, 1.0 / jnp.sqrt(1.0 - structure.autocorrelation**2), 0.0)
        weight = fresh / structure.sd
        before = jnp.concatenate([jnp.ones_like(structure.sd[:, :1]), structure.sd[:, :-1]], axis=1)
        kept = structure.autocorrelation * fresh / before
        rest = loss - structure.mean
        return cls(
            weight=weight,
            kept=kept,
            response=weight * structure.response - kept * _before(structure.response),
            rest=weight * rest - kept * _before(rest),
            run_scale=structure.run_scale,
            shared_scale=structure.shared_scale,
        )


def _whitened(rows: _Rows, shapes: _Shapes) -> Whitened:
    weight, kept = rows.weight[..., None], rows.kept[..., None]
    given_up = rows.response[..., None] * shapes.exchange[None, None]
    run = weight * shapes.run - kept * shapes.run_before
    shared = weight * shapes.shared - kept * shapes.shared_before - given_up
    return Whitened(run=run * rows.run_scale[:, None], shared=shared * rows.shared_scale[:, None], rest=rows.rest)


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def _integrated(rows: _Rows, shapes: _Shapes, size_of_run: Array, bundles: Bundles, levels: Levels) -> Array:
    """Return the log density of whitened losses, effects integrated out, up to the residual's own terms."""
    return _integrated_forward(rows, shapes, size_of_run, bundles, levels)[0]


def _integrated_forward(
    rows: _Rows, shapes: _Shapes, size_of_run: Array, bundles: Bundles, levels: Levels
) -> tuple[Array, tuple[_Rows, _Shapes, Array, Bundles, Factors]]:
    factors = levels.factorise(_whitened(rows, shapes), bundles)
    return factors.value, (rows, shapes, size_of_run, bundles, factors)


def _integrated_backward(
    levels: Levels, known: tuple[_Rows, _Shapes, Array, Bundles, Factors], change: Array
) -> tuple[_Rows, None, None, None]:
    rows, shapes, size_of_run, bundles, factors = known
    of_size, of_run = levels.means(factors, size_of_run)
    shared = of_size[size_of_run]
    # what the effects' means leave, and how it varies with the effects of sizes
    rest = factors.rest_left - from_right(factors.shared_left, shared)
    covariance = bundles.spread_out(levels.covariance(factors))
    follow = bundles.scatter(bundles.gather(factors.shared_left) @ covariance, rest.shape[1])
    with_run = (follow @ transpose(factors.run_rest[..., : levels.p]) - factors.lasting) @ factors.run
    by_shared = change * (rest[..., None] * shared[:, None] - follow)
    by_run = change * (rest[..., None] * of_run[:, None] + with_run)
    # sums over effects, and over points, as products: the sums themselves compile to slow loops
    now, before = by_shared * shapes.shared, by_shared * shapes.shared_before
    run_now, run_before = by_run * shapes.run, by_run * shapes.run_before
    given_up = from_left(rows.response, by_shared) * shapes.exchange[None]
    return (
        _Rows(
            weight=from_right(now, rows.shared_scale) + from_right(run_now, rows.run_scale),
            kept=-from_right(before, rows.shared_scale) - from_right(run_before, rows.run_scale),
            response=-from_right(by_shared, rows.shared_scale * shapes.exchange[None]),
            rest=-change * rest,
            run_scale=from_left(rows.weight, run_now) - from_left(rows.kept, run_before),
            shared_scale=from_left(rows.weight, now) - from_left(rows.kept, before) - given_up,
        ),
        None,
        None,
        None,
    )


# Fisher's identity: the gradient of the integrated density is the mean, over the effects given the losses, of the
# gradient of the joint one, which is quadratic in them. So no derivative passes through a Cholesky factor, and shapes,
# which are data, are not differentiated.
_integrated.defvjp(_integrated_forward, _integrated_backward)


def _levels(structure: Structure) -> Levels:
    return Levels(
        q=structure.run_shapes.shape[-2],
        p=structure.shared_shapes.shape[-2],
        sizes=structure.sizes.shape[0],
        common=structure.common,
    )


def _absorbed(structure: Structure) -> Structure:
    """Make the effects of runs with a single observation part of its variance."""
    variance = ((structure.run_scale[..., None] * structure.run_shapes) ** 2).sum(axis=1)
    return replace(
        structure,
        sd=jnp.sqrt(structure.sd**2 + jnp.where(structure.valid, variance, 0.0)),
        run_shapes=structure.run_shapes[:, :0],
        run_scale=structure.run_scale[:, :0],
    )


@jax.custom_vjp
def _by_covariance(inner: Array, rest: Array) -> Array:
    """Return the log density of whitened losses whose covariance is ``1 + inner``, up to the residual's own terms."""
    return _by_covariance_forward(inner, rest)[0]


def _by_covariance_forward(inner: Array, rest: Array) -> tuple[Array, tuple[Array, Array]]:
    inverse, white, volume = whiten(inner, rest[:, None], many=True)
    value = computed(-0.5 * (white**2).sum() - volume, rest**2, jnp.diagonal(inner))
    return value, (inverse, inverse.T @ white[:, 0])


def _by_covariance_backward(known: tuple[Array, Array], change: Array) -> tuple[Array, Array]:
    inverse, weights = known
    by_inner = 0.5 * change * (weights[:, None] * weights[None] - inverse.T @ inverse)
    return by_inner, -change * weights


# no derivative passes through the Cholesky factor here either
_by_covariance.defvjp(_by_covariance_forward, _by_covariance_backward)


def _few(structure: Structure) -> bool:
    """Tell whether factorising the covariance of single observations takes less work than that of the effects."""
    runs, p, _ = structure.shared_shapes.shape
    return runs**2 * (runs + p) < 4 * structure.sizes.shape[0] * p**3


def _of_singles(structure: Structure, white: Whitened) -> Array:
    """Return what :func:`_integrated` does of single observations, by their covariance."""
    shared, rest = white.shared[:, 0], white.rest[:, 0]
    same = structure.size_of_run[:, None] == structure.size_of_run[None]
    return jnp.asarray(_by_covariance(jnp.where(same, 1.0, structure.common) * (shared @ shared.T), rest))


def _factors(structure: Structure, loss: Array) -> Factors:
    rows = _whitened(_Rows.of(structure, loss), _Shapes.of(structure))
    return _levels(structure).factorise(rows, structure.bundles)


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
        Scalar. Its first derivatives are exact; second ones must be taken as differences of these. Minus infinity where
        it would be lost in rounding.
    """
    if structure.single:
        structure = _absorbed(structure)
    rows, shapes = _Rows.of(structure, loss), _Shapes.of(structure)
    if structure.single and _few(structure):
        fitted = _of_singles(structure, _whitened(rows, shapes))
    else:
        fitted = _integrated(rows, shapes, structure.size_of_run, structure.bundles, _levels(structure))
    spread = jnp.log(structure.sd) + 0.5 * jnp.log1p(-(structure.autocorrelation**2)) + 0.5 * jnp.log(2.0 * jnp.pi)
    return fitted - jnp.where(structure.valid, spread, 0.0).sum()


def count_effects(structure: Structure) -> int:
    """Return the number of standard normals that :func:`condition` takes."""
    levels = _levels(structure)
    return levels.p + levels.sizes * levels.p + structure.run_shapes.shape[0] * levels.q


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
    levels = _levels(structure)
    factors = _factors(structure, loss)
    common, own, run = jnp.split(normals, np.cumsum([levels.p, levels.sizes * levels.p]))
    return levels.effects(
        factors,
        structure.size_of_run,
        common if structure.common else jnp.zeros(levels.p),
        own.reshape(levels.sizes, levels.p),
        run.reshape(-1, levels.q) if levels.q else jnp.zeros((structure.run_shapes.shape[0], 0)),
    )


def residuals(structure: Structure, loss: Array, shared: Array, run: Array) -> Array:
    """Return what the mean and the effects leave of the losses, ``[R, n]``."""
    shared = structure.shared_scale * shared[structure.size_of_run]
    effects = from_left(structure.run_scale * run, structure.run_shapes) + from_left(shared, structure.shared_shapes)
    return loss - structure.mean - effects + (shared @ structure.exchange)[:, None] * structure.response


def simulate(structure: Structure, key: Array) -> Array:
    """Draw losses, ``[R, n]``, with fresh effects and residuals."""
    keys = jax.random.split(key, 4)
    p = structure.shared_shapes.shape[-2]
    own = jax.random.normal(keys[0], (structure.sizes.shape[0], p))
    common = jax.random.normal(keys[3], (1, p))
    shared = structure.common**0.5 * common + (1.0 - structure.common) ** 0.5 * own
    run = jax.random.normal(keys[1], (structure.run_shapes.shape[0], structure.run_shapes.shape[-2]))
    noise = jax.random.normal(keys[2], structure.mean.shape)

    def advance(before: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        autocorrelation, fresh = now
        value = autocorrelation * before + jnp.sqrt(1.0 - autocorrelation**2) * fresh
        return value, value

    _, walk = jax.lax.scan(advance, jnp.zeros(noise.shape[0]), (structure.autocorrelation.T, noise.T))
    return -residuals(structure, jnp.zeros_like(structure.mean), shared, run) + structure.sd * walk.T
