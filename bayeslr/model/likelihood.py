"""A Gaussian likelihood for curves whose errors are structured, at the cost of a few small matrices.

The loss of a run is a mean, plus effects that all runs of a size share, plus effects of the run, plus a residual::

    y = mean + (shared_scale * b_size) @ (shared_shapes - exchange * response)
             + (run_scale * b_run) @ run_shapes + residual
    b_size, b_run ~ Normal(0, 1)

The residual is an Ornstein-Uhlenbeck process plus white noise, taken as Markov: each value given the one before it, so
that its precision matrix has three diagonals. Effects are integrated out exactly: of their shapes only the inner
products under that precision matter, and only Cholesky factors of the size of the effects are left (Woodbury), whatever
the number of observations.

Of runs with a single observation, as in a grid of final losses, there may be thousands. There a run's own effects are
part of the variance of its observation, and inner products are taken once a size instead of once a run.
"""

from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bayeslr.model.nesting import Factors, Levels, from_left, transpose

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
        How much of `response` each of these effects gives up for its own shape, ``[p]``.
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
    runs_of_size
        Where no run has more than one observation, which comes first: the runs of each size, ``[S, M]``, -1 where there
        are fewer; else none.
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
    common: float = field(default=0.0, metadata={"static": True})
    runs_of_size: Array | None = None


_TINY = 1e-300


def _before(rows: Array) -> Array:
    """Shift rows ``[..., n]`` by one, so that each place holds what stood before it, and the first holds zero."""
    return jnp.concatenate([jnp.zeros_like(rows[..., :1]), rows[..., :-1]], axis=-1)


def _after(rows: Array) -> Array:
    return jnp.concatenate([rows[..., 1:], jnp.zeros_like(rows[..., :1])], axis=-1)


def _precision(structure: Structure) -> tuple[Array, Array]:
    """Return the residual's precision: its diagonal and what stands before it, ``[R, n]``; zero where padded."""
    fresh = jnp.where(structure.valid, 1.0 / (1.0 - structure.autocorrelation**2), 0.0)
    kept = structure.autocorrelation * fresh
    diagonal = (fresh + _after(structure.autocorrelation * kept)) / structure.sd**2
    beside = -kept[:, 1:] / (structure.sd[:, 1:] * structure.sd[:, :-1])
    return diagonal, jnp.pad(beside, ((0, 0), (1, 0)))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class _Rows:
    """What of the inner products depends on parameters: all but the shapes of the effects, which are data.

    Parameters
    ----------
    response, rest
        ``[R, n]``.
    diagonal, beside
        The precision, ``[R, n]``.
    scale
        Standard deviations of the effects and a one, ``[R, q + p + 1]``.
    """

    response: Array
    rest: Array
    diagonal: Array
    beside: Array
    scale: Array


@jax.custom_vjp
def _products(rows: _Rows, run_shapes: Array, shared_shapes: Array, exchange: Array) -> Array:
    """Return the inner products, run by run, of the scaled shapes and of what the mean leaves, ``[R, k, k]``."""
    return _products_forward(rows, run_shapes, shared_shapes, exchange)[0]


def _products_forward(
    rows: _Rows, run_shapes: Array, shared_shapes: Array, exchange: Array
) -> tuple[Array, tuple[_Rows, Array, Array, Array]]:
    shared = shared_shapes - exchange[None, :, None] * rows.response[:, None]
    shapes = jnp.concatenate([run_shapes, shared, rows.rest[:, None]], axis=1)
    # one half of a symmetric precision, whose other half is its transpose
    half = 0.5 * rows.diagonal[:, None] * shapes + rows.beside[:, None] * _before(shapes)
    products = half @ transpose(shapes)
    products = products + transpose(products)
    scaled = rows.scale[:, :, None] * products * rows.scale[:, None, :]
    return scaled, (rows, shapes, products, exchange)


def _products_backward(known: tuple[_Rows, Array, Array, Array], change: Array) -> tuple[_Rows, None, None, None]:
    rows, shapes, products, exchange = known
    change = change + transpose(change)
    moved = (change * rows.scale[:, None, :]) @ shapes
    # only what the mean leaves and the response depend on parameters: of all rows these two go through the precision
    given_up = -from_left(rows.scale[:, -1 - exchange.size : -1] * exchange[None], moved[:, -1 - exchange.size : -1])
    two = jnp.stack([given_up, rows.scale[:, -1:] * moved[:, -1]])
    diagonal, beside = rows.diagonal[None], rows.beside[None]
    two = diagonal * two + beside * _before(two) + _after(beside * two)
    # sums over effects as products with their scales: the sums themselves compile to slow loops
    return (
        _Rows(
            response=two[0],
            rest=two[1],
            diagonal=0.5 * from_left(rows.scale, shapes * moved),
            beside=from_left(rows.scale, _before(shapes) * moved),
            scale=from_left(rows.scale, change * products),
        ),
        None,
        None,
        None,
    )


# by hand: one matrix product gives all parts, and shapes that are data are not differentiated
_products.defvjp(_products_forward, _products_backward)


def _gram(structure: Structure, loss: Array) -> Array:
    diagonal, beside = _precision(structure)
    one = jnp.ones((len(loss), 1))
    rows = _Rows(
        response=structure.response,
        rest=loss - structure.mean,
        diagonal=diagonal,
        beside=beside,
        scale=jnp.concatenate([structure.run_scale, structure.shared_scale, one], axis=-1),
    )
    return _products(rows, structure.run_shapes, structure.shared_shapes, structure.exchange)


def _levels(structure: Structure) -> Levels:
    return Levels(
        q=structure.run_shapes.shape[-2],
        p=structure.shared_shapes.shape[-2],
        sizes=structure.sizes.shape[0],
        common=structure.common,
    )


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _integrated(gram: Array, size_of_run: Array, levels: Levels) -> Array:
    """Return the log density of losses, effects integrated out, given their inner products."""
    return levels.factorise(gram, size_of_run).value


def _integrated_forward(gram: Array, size_of_run: Array, levels: Levels) -> tuple[Array, Array]:
    factors = levels.factorise(gram, size_of_run)
    return factors.value, -0.5 * levels.moments(factors, size_of_run)


def _integrated_backward(levels: Levels, slope: Array, change: Array) -> tuple[Array, None]:
    return change * slope, None


# Fisher's identity: the gradient of the integrated density is the mean, over the effects given the losses, of the
# gradient of the joint one, which is quadratic in them. So no derivative passes through a Cholesky factor.
_integrated.defvjp(_integrated_forward, _integrated_backward)


def _factors_of_single(structure: Structure, loss: Array, runs: Array) -> Factors:
    """Factorise where no run has more than one observation: nothing has the size of runs times effects squared."""
    valid = structure.valid[:, :1]
    own = jnp.where(valid, structure.run_scale * structure.run_shapes[..., 0] / structure.sd[:, :1], 0.0)
    shared = structure.shared_scale * (
        structure.shared_shapes[..., 0] - structure.exchange[None] * structure.response[:, :1]
    )
    columns = jnp.concatenate([shared, (loss - structure.mean)[:, :1]], axis=-1) / structure.sd[:, :1]
    columns = jnp.where(valid, columns, 0.0)
    variance = 1.0 + (own**2).sum(axis=-1, keepdims=True)
    # the inverse Cholesky factor of one plus an outer product, in closed form of its symmetric root
    long = jnp.sqrt(variance)
    direction = own / jnp.sqrt(jnp.maximum(variance - 1.0, _TINY))
    run = jnp.eye(own.shape[1])[None] - (1.0 - 1.0 / long)[..., None] * direction[:, :, None] * direction[:, None]
    run_rest = (own / long)[:, :, None] * columns[:, None]
    of_size = jnp.where((runs >= 0)[..., None], (columns / long)[runs], 0.0)
    return _levels(structure).complete(transpose(of_size) @ of_size, run, run_rest, -jnp.log(long).sum())


def _factors(structure: Structure, loss: Array) -> Factors:
    if structure.runs_of_size is not None:
        return _factors_of_single(structure, loss, structure.runs_of_size)
    return _levels(structure).factorise(_gram(structure, loss), structure.size_of_run)


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
    spread = jnp.log(structure.sd) + 0.5 * jnp.log1p(-(structure.autocorrelation**2)) + 0.5 * jnp.log(2.0 * jnp.pi)
    if structure.runs_of_size is not None:
        fitted = _factors_of_single(structure, loss, structure.runs_of_size).value
    else:
        fitted = _integrated(_gram(structure, loss), structure.size_of_run, _levels(structure))
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
