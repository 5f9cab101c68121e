"""A Gaussian likelihood for curves whose errors are structured, at the cost of a few small matrices.

The loss of a run is a mean, plus effects that all runs of a size share, plus effects of the run, plus a residual::

    y = mean + (shared_scale * b_size) @ (shared_shapes - exchange * response)
             + (run_scale * b_run) @ run_shapes + residual
    b_size, b_run ~ Normal(0, 1)

The residual is an Ornstein-Uhlenbeck process plus white noise, taken as Markov: each value given the one before it, so
that its precision matrix has three diagonals. Effects are integrated out exactly: of their shapes only the inner
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


def _transpose(matrix: Array) -> Array:
    return jnp.swapaxes(matrix, -1, -2)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class _Factors:
    """Inverse Cholesky factors of the posterior precision of the effects, and their products with what is left."""

    run: Array
    run_rest: Array
    own: Array
    own_rest: Array
    common: Array
    common_rest: Array
    value: Array


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
    products = half @ _transpose(shapes)
    products = products + _transpose(products)
    scaled = rows.scale[:, :, None] * products * rows.scale[:, None, :]
    return scaled, (rows, shapes, products, exchange)


def _products_backward(known: tuple[_Rows, Array, Array, Array], change: Array) -> tuple[_Rows, None, None, None]:
    rows, shapes, products, exchange = known
    change = change + _transpose(change)
    moved = (change * rows.scale[:, None, :]) @ shapes
    # only what the mean leaves and the response depend on parameters: of all rows these two go through the precision
    given_up = -_from_left(rows.scale[:, -1 - exchange.size : -1] * exchange[None], moved[:, -1 - exchange.size : -1])
    two = jnp.stack([given_up, rows.scale[:, -1:] * moved[:, -1]])
    diagonal, beside = rows.diagonal[None], rows.beside[None]
    two = diagonal * two + beside * _before(two) + _after(beside * two)
    # sums over effects as products with their scales: the sums themselves compile to slow loops
    return (
        _Rows(
            response=two[0],
            rest=two[1],
            diagonal=0.5 * _from_left(rows.scale, shapes * moved),
            beside=_from_left(rows.scale, _before(shapes) * moved),
            scale=_from_left(rows.scale, change * products),
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


def _whiten(matrix: Array, right: Array) -> tuple[Array, Array, Array]:
    """Return the inverse Cholesky factor of ``1 + matrix``, it times `right`, and the factors' log determinant."""
    eye = jnp.broadcast_to(jnp.eye(matrix.shape[-1]), matrix.shape)
    factor = jnp.linalg.cholesky(matrix + eye)
    both = solve_triangular(factor, jnp.concatenate([eye, right], axis=-1), lower=True)
    volume = jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)).sum()
    return both[..., : matrix.shape[-1]], both[..., matrix.shape[-1] :], volume


def _membership(size_of_run: Array, sizes: int) -> Array:
    """Return which run is of which size as ones and zeros, ``[S, R]``: products with it add up runs."""
    return (size_of_run[None] == jnp.arange(sizes)[:, None]).astype(float)


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
            q=structure.run_shapes.shape[-2],
            p=structure.shared_shapes.shape[-2],
            sizes=structure.sizes.shape[0],
            common=structure.common,
        )

    def factorise(self, gram: Array, size_of_run: Array) -> _Factors:
        q, p = self.q, self.p
        run, run_rest, run_volume = _whiten(gram[:, :q, :q], gram[:, :q, q:])
        left = gram[:, q:, q:] - _transpose(run_rest) @ run_rest
        by_size = jnp.tensordot(_membership(size_of_run, self.sizes), left, axes=1)
        # effects of a size: sqrt(common) * c + sqrt(1 - common) * d, the size's own d integrated out first
        share, rest = self.common**0.5, (1.0 - self.common) ** 0.5
        columns = jnp.concatenate([share * by_size[:, :p, :p], by_size[:, :p, p:]], axis=-1)
        own, own_rest, own_volume = _whiten(rest**2 * by_size[:, :p, :p], rest * columns)
        value = -0.5 * (by_size[:, p, p].sum() - (own_rest[..., p] ** 2).sum()) - run_volume - own_volume
        common, common_rest = jnp.zeros((0, 0)), jnp.zeros(0)
        if self.common:
            both = (share * columns - _transpose(own_rest[..., :p]) @ own_rest).sum(axis=0)
            common, common_rest, common_volume = _whiten(both[:, :p], both[:, p:])
            common_rest = common_rest[:, 0]
            value = value + 0.5 * (common_rest**2).sum() - common_volume
        return _Factors(
            run=run,
            run_rest=run_rest,
            own=own,
            own_rest=own_rest,
            common=common,
            common_rest=common_rest,
            value=value,
        )

    def effects(
        self, factors: _Factors, size_of_run: Array, common: Array, own: Array, run: Array
    ) -> tuple[Array, Array, Array]:
        """Turn standard normals into effects given the losses; zeros give their means."""
        p = self.p
        if self.common:
            common = (factors.common_rest + common) @ factors.common
        rest = factors.own_rest[..., p] - factors.own_rest[..., :p] @ common
        own = _from_left(rest + own, factors.own)
        shared = self.common**0.5 * common[None] + (1.0 - self.common) ** 0.5 * own
        rest = factors.run_rest[..., -1] - (factors.run_rest[..., :-1] @ shared[size_of_run][..., None])[..., 0]
        return common, shared, _from_left(rest + run, factors.run)

    def moments(self, factors: _Factors, size_of_run: Array) -> Array:
        """Return ``E[e e']`` given the losses, ``[R, k, k]``, where ``e`` is (minus the effects of a run, one)."""
        p, runs = self.p, factors.run.shape[0]
        _, shared, run = self.effects(
            factors, size_of_run, jnp.zeros(p), jnp.zeros((self.sizes, p)), jnp.zeros((runs, self.q))
        )
        spread = (1.0 - self.common) * _transpose(factors.own) @ factors.own
        if self.common:
            # a size's effects given the common ones c move by this matrix times c
            follow = (1.0 - self.common) ** 0.5 * _transpose(factors.own) @ factors.own_rest[..., :p]
            follow = (self.common**0.5 * jnp.eye(p)[None] - follow) @ _transpose(factors.common)
            spread = spread + follow @ _transpose(follow)
        spread = spread[size_of_run]
        follow = -_transpose(factors.run) @ factors.run_rest[..., :-1]
        cross = follow @ spread
        within = _transpose(factors.run) @ factors.run + cross @ _transpose(follow)
        covariance = jnp.concatenate(
            [jnp.concatenate([within, cross], axis=-1), jnp.concatenate([_transpose(cross), spread], axis=-1)], axis=-2
        )
        mean = jnp.concatenate([-run, -shared[size_of_run], jnp.ones((runs, 1))], axis=-1)
        return mean[..., :, None] * mean[..., None, :] + jnp.pad(covariance, ((0, 0), (0, 1), (0, 1)))


def _from_left(vectors: Array, matrices: Array) -> Array:
    """Multiply each of some vectors from the left to its matrix."""
    return (vectors[..., None, :] @ matrices)[..., 0, :]


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _integrated(gram: Array, size_of_run: Array, levels: _Levels) -> Array:
    """Return the log density of losses, effects integrated out, given their inner products."""
    return levels.factorise(gram, size_of_run).value


def _integrated_forward(gram: Array, size_of_run: Array, levels: _Levels) -> tuple[Array, Array]:
    factors = levels.factorise(gram, size_of_run)
    return factors.value, -0.5 * levels.moments(factors, size_of_run)


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
    spread = jnp.log(structure.sd) + 0.5 * jnp.log1p(-(structure.autocorrelation**2)) + 0.5 * jnp.log(2.0 * jnp.pi)
    fitted = _integrated(_gram(structure, loss), structure.size_of_run, _Levels.of(structure))
    return fitted - jnp.where(structure.valid, spread, 0.0).sum()


def count_effects(structure: Structure) -> int:
    """Return the number of standard normals that :func:`condition` takes."""
    levels = _Levels.of(structure)
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
    levels = _Levels.of(structure)
    factors = levels.factorise(_gram(structure, loss), structure.size_of_run)
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
    effects = _from_left(structure.run_scale * run, structure.run_shapes) + _from_left(shared, structure.shared_shapes)
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
