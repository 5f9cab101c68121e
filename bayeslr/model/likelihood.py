"""A Gaussian likelihood for curves whose errors are structured, at the cost of a few small matrices.

The loss of a run is a mean, plus effects that all runs of a size share, plus effects of the run, plus a residual::

    y = mean + (shared_scale * b_size) @ (shared_shapes - exchange * response)
             + (run_scale * b_run) @ run_shapes + residual
    b_size, b_run ~ Normal(0, 1)

The residual is an Ornstein-Uhlenbeck process plus white noise, taken as Markov: each value given the one before it, so
that a difference of neighbours whitens it. Effects are integrated out exactly: of their whitened shapes only the inner
products matter, and only Cholesky factors of the size of the effects are left (Woodbury), whatever the number of
observations.

Of runs with a single observation, as in a grid of final losses, there may be thousands, and some curves beside them.
They are computed apart: a run's own effects are part of the variance of its observation. Where there are fewer
observations than effects, the covariance of the observations is factorised instead.
"""

from dataclasses import dataclass, field, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bayeslr.model.bundles import Group
from bayeslr.model.few import density_of_few, is_few
from bayeslr.model.nesting import Factors, Levels, OfRuns, Whitened, from_left, from_right, transpose

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
    groups
        The runs that are computed together.
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
    groups: tuple[Group, ...]
    common: float = field(default=0.0, metadata={"static": True})

    def of_group(self, group: Group) -> "Structure":
        """Return what belongs to the runs of a group."""
        return replace(
            self,
            mean=group.take(self.mean),
            sd=group.take(self.sd),
            autocorrelation=group.take(self.autocorrelation),
            run_shapes=group.take(self.run_shapes),
            run_scale=group.of_runs(self.run_scale),
            shared_shapes=group.take(self.shared_shapes),
            shared_scale=group.of_runs(self.shared_scale),
            response=group.take(self.response),
            valid=group.take(self.valid),
            size_of_run=group.size_of_run,
            groups=(group,),
        )


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


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _integrated(
    rows: tuple[_Rows, ...], shapes: tuple[_Shapes, ...], groups: tuple[Group, ...], levels: Levels
) -> Array:
    """Return the log density of whitened losses, effects integrated out, up to the residual's own terms."""
    return _integrated_forward(rows, shapes, groups, levels)[0]


type _Known = tuple[tuple[_Rows, ...], tuple[_Shapes, ...], tuple[Group, ...], Factors]


def _integrated_forward(
    rows: tuple[_Rows, ...], shapes: tuple[_Shapes, ...], groups: tuple[Group, ...], levels: Levels
) -> tuple[Array, _Known]:
    factors = levels.factorise(list(map(_whitened, rows, shapes)), groups)
    return factors.value, (rows, shapes, groups, factors)


def _integrated_backward(levels: Levels, known: _Known, change: Array) -> tuple[tuple[_Rows, ...], None, None]:
    rows, shapes, groups, factors = known
    of_size, of_runs = levels.means(factors, groups)
    covariance = levels.covariance(factors)

    def by_rows(rows: _Rows, shapes: _Shapes, group: Group, left: OfRuns, of_run: Array) -> _Rows:
        shared, bundles = of_size[group.size_of_run], group.bundles
        # what the effects' means leave, and how it varies with the effects of sizes
        rest = left.rest_left - from_right(left.shared_left, shared)
        follow = bundles.gather(left.shared_left) @ bundles.spread_out(covariance)
        follow = bundles.scatter(follow, rest.shape[1])
        with_run = (follow @ transpose(left.products[..., : levels.p]) - left.lasting) @ left.factor
        by_shared = change * (rest[..., None] * shared[:, None] - follow)
        by_run = change * (rest[..., None] * of_run[:, None] + with_run)
        # sums over effects, and over points, as products: the sums themselves compile to slow loops
        now, before = by_shared * shapes.shared, by_shared * shapes.shared_before
        run_now, run_before = by_run * shapes.run, by_run * shapes.run_before
        given_up = from_left(rows.response, by_shared) * shapes.exchange[None]
        return _Rows(
            weight=from_right(now, rows.shared_scale) + from_right(run_now, rows.run_scale),
            kept=-from_right(before, rows.shared_scale) - from_right(run_before, rows.run_scale),
            response=-from_right(by_shared, rows.shared_scale * shapes.exchange[None]),
            rest=-change * rest,
            run_scale=from_left(rows.weight, run_now) - from_left(rows.kept, run_before),
            shared_scale=from_left(rows.weight, now) - from_left(rows.kept, before) - given_up,
        )

    return tuple(map(by_rows, rows, shapes, groups, factors.runs, of_runs)), None, None


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


def _factors(structure: Structure, loss: Array) -> Factors:
    parts = [(structure.of_group(group), group.take(loss)) for group in structure.groups]
    rows = [_whitened(_Rows.of(part, own), _Shapes.of(part)) for part, own in parts]
    return _levels(structure).factorise(rows, structure.groups)


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
    parts = [_absorbed(part) if part.groups[0].single else part for part in map(structure.of_group, structure.groups)]
    rows = tuple(_Rows.of(part, part.groups[0].take(loss)) for part in parts)
    shapes = tuple(map(_Shapes.of, parts))
    levels = _levels(structure)
    if is_few(structure.groups, structure.mean.shape[1], levels):
        fitted = density_of_few(list(map(_whitened, rows, shapes)), structure.groups, levels)
    else:
        fitted = _integrated(rows, shapes, structure.groups, levels)
    for part in parts:
        spread = jnp.log(part.sd) + 0.5 * jnp.log1p(-(part.autocorrelation**2)) + 0.5 * jnp.log(2.0 * jnp.pi)
        fitted = fitted - jnp.where(part.valid, spread, 0.0).sum()
    return fitted


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
    of_runs = run.reshape(structure.run_shapes.shape[0], levels.q)
    common, shared, parts = levels.effects(
        factors,
        structure.groups,
        common if structure.common else jnp.zeros(levels.p),
        own.reshape(levels.sizes, levels.p),
        [group.of_runs(of_runs) for group in structure.groups],
    )
    for group, part in zip(structure.groups, parts, strict=True):
        of_runs = group.put(part, of_runs)
    return common, shared, of_runs


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
