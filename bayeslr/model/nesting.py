"""How effects nest, and what the losses say of them: effects of runs, of sizes, and what sizes have in common.

Each level is integrated out given the ones above it, by Cholesky factors of the size of its effects. Losses and shapes
come whitened by the residual, so that only inner products are left to take.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular

from bayeslr.model.bundles import Group

__all__ = ["Factors", "Levels", "OfRuns", "Whitened", "computed", "from_left", "from_right", "transpose", "whiten"]

_LARGEST_SQUARES = 1e16
"""Sums of whitened squares from which on rounding is as large as what is wanted, a difference of them and one."""


def transpose(matrix: Array) -> Array:
    """Swap the last two dimensions."""
    return jnp.swapaxes(matrix, -1, -2)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Whitened:
    """Scaled shapes of ``R`` runs, and what the mean leaves of their losses, in units of a white residual.

    Parameters
    ----------
    run
        Shapes of the effects of a run, ``[R, n, q]``.
    shared
        Shapes of the effects that the runs of a size share, ``[R, n, p]``.
    rest
        What the mean leaves, ``[R, n]``.
    """

    run: Array
    shared: Array
    rest: Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class OfRuns:
    """What is left of a group of runs after their own effects, and the factors by which these were integrated out.

    Parameters
    ----------
    shared_left, rest_left
        What the means of the runs' effects leave of shared shapes and of the rest, ``[G, n, p]`` and ``[G, n]``.
    lasting
        The runs' shapes times the factors, ``[G, n, q]``.
    factor, products
        Inverse Cholesky factors of the posterior precision of the runs' effects, ``[G, q, q]``, and ``[G, q, p + 1]``;
        products with the shared shapes, and with the rest.
    volume
        Log determinant of the factors' inverses.
    """

    shared_left: Array
    rest_left: Array
    lasting: Array
    factor: Array
    products: Array
    volume: Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Factors:
    """Inverse Cholesky factors of the posterior precision of the effects, and their products with what is left.

    Parameters
    ----------
    runs
        Of the runs of each group.
    own, own_rest
        Of sizes, ``[S, p, p]`` and ``[S, p, p + 1]``; products with what sizes have in common, and with the rest.
    common, common_rest
        Of what sizes have in common, ``[p, p]`` and ``[p]``; empty where they have nothing.
    value
        The log density, but for what depends on the residual alone.
    """

    runs: tuple[OfRuns, ...]
    own: Array
    own_rest: Array
    common: Array
    common_rest: Array
    value: Array


def computed(value: Array, *squares: Array) -> Array:
    """Return a log density, or minus infinity where these squares in it are too large for it to be known.

    Parameters that are far off, such as an exponent of ten, would come out as likely ones otherwise.
    """
    known = [square.sum() < _LARGEST_SQUARES for square in squares]
    return jnp.where(jnp.stack(known).all(), value, -jnp.inf)


def whiten(matrix: Array, right: Array, *, many: bool = False) -> tuple[Array, Array, Array]:
    """Return the inverse Cholesky factor of ``1 + matrix``, it times `right`, and the factors' log determinant.

    Of `many` small matrices, a product with the inverse takes less time than solving for `right` as well.
    """
    eye = jnp.broadcast_to(jnp.eye(matrix.shape[-1]), matrix.shape)
    factor = jnp.linalg.cholesky(matrix + eye)
    volume = jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)).sum()
    if many:
        inverse = solve_triangular(factor, eye, lower=True)
        return inverse, inverse @ right, volume
    both = solve_triangular(factor, jnp.concatenate([eye, right], axis=-1), lower=True)
    return both[..., : matrix.shape[-1]], both[..., matrix.shape[-1] :], volume


@dataclass(frozen=True, kw_only=True)
class Levels:
    """How effects nest: ``q`` of each run, ``p`` of each of ``sizes`` sizes, of whose variance a share is common."""

    q: int
    p: int
    sizes: int
    common: float

    def of_runs(self, rows: Whitened) -> OfRuns:
        """Integrate out the effects of some runs."""
        p, turned = self.p, transpose(rows.run)
        products = jnp.concatenate([turned @ rows.shared, turned @ rows.rest[..., None]], axis=-1)
        factor, products, volume = whiten(turned @ rows.run, products, many=True)
        lasting = rows.run @ transpose(factor)
        return OfRuns(
            shared_left=rows.shared - lasting @ products[..., :p],
            rest_left=rows.rest - from_right(lasting, products[..., p]),
            lasting=lasting,
            factor=factor,
            products=products,
            volume=volume,
        )

    def factorise(self, rows: Sequence[Whitened], groups: Sequence[Group]) -> Factors:
        """Factorise, given whitened shapes and losses of each group of runs."""
        p = self.p
        runs = tuple(self.of_runs(part) for part in rows)
        inner, with_rest = jnp.zeros((self.sizes, p, p)), jnp.zeros((self.sizes, p, 1))
        squares, volume, white = jnp.zeros(()), jnp.zeros(()), jnp.zeros(())
        for part, group, left in zip(rows, groups, runs, strict=True):
            bundles = group.bundles
            shared = transpose(bundles.gather(part.shared))
            inner = inner + bundles.add_up(shared @ bundles.gather(left.shared_left), self.sizes)
            with_rest = with_rest + bundles.add_up(shared @ bundles.gather(left.rest_left[..., None]), self.sizes)
            squares = squares + (part.rest * left.rest_left).sum()
            volume, white = volume + left.volume, white + (part.rest**2).sum()
        # effects of a size: sqrt(common) * c + sqrt(1 - common) * d, the size's own d integrated out first
        share, own_share = self.common**0.5, (1.0 - self.common) ** 0.5
        columns = jnp.concatenate([share * inner, with_rest], axis=-1)
        own, own_rest, own_volume = whiten(own_share**2 * inner, own_share * columns)
        value = -0.5 * (squares - (own_rest[..., p] ** 2).sum()) - volume - own_volume
        common, common_rest = jnp.zeros((0, 0)), jnp.zeros(0)
        if self.common:
            both = (share * columns - transpose(own_rest[..., :p]) @ own_rest).sum(axis=0)
            common, common_rest, common_volume = whiten(both[:, :p], both[:, p:])
            common_rest = common_rest[:, 0]
            value = value + 0.5 * (common_rest**2).sum() - common_volume
        value = computed(value, white, jnp.diagonal(inner, axis1=-2, axis2=-1))
        return Factors(runs=runs, own=own, own_rest=own_rest, common=common, common_rest=common_rest, value=value)

    def effects(
        self, factors: Factors, groups: Sequence[Group], common: Array, own: Array, runs: Sequence[Array]
    ) -> tuple[Array, Array, tuple[Array, ...]]:
        """Turn standard normals into effects given the losses, those of runs by group; zeros give their means."""
        p = self.p
        if self.common:
            common = (factors.common_rest + common) @ factors.common
        rest = factors.own_rest[..., p] - factors.own_rest[..., :p] @ common
        own = from_left(rest + own, factors.own)
        shared = self.common**0.5 * common[None] + (1.0 - self.common) ** 0.5 * own

        def of_runs(left: OfRuns, group: Group, normals: Array) -> Array:
            rest = left.products[..., -1] - from_right(left.products[..., :-1], shared[group.size_of_run])
            return from_left(rest + normals, left.factor)

        return common, shared, tuple(map(of_runs, factors.runs, groups, runs))

    def means(self, factors: Factors, groups: Sequence[Group]) -> tuple[Array, tuple[Array, ...]]:
        """Return the means given the losses of the effects of sizes, ``[S, p]``, and of each group's, ``[G, q]``."""
        runs = [jnp.zeros(left.factor.shape[:2]) for left in factors.runs]
        return self.effects(factors, groups, jnp.zeros(self.p), jnp.zeros((self.sizes, self.p)), runs)[1:]

    def covariance(self, factors: Factors) -> Array:
        """Return the covariance given the losses of the effects of each size, ``[S, p, p]``."""
        spread = (1.0 - self.common) * transpose(factors.own) @ factors.own
        if self.common:
            # a size's effects given the common ones c move by this matrix times c
            follow = (1.0 - self.common) ** 0.5 * transpose(factors.own) @ factors.own_rest[..., : self.p]
            follow = (self.common**0.5 * jnp.eye(self.p)[None] - follow) @ transpose(factors.common)
            spread = spread + follow @ transpose(follow)
        return spread


def from_left(vectors: Array, matrices: Array) -> Array:
    """Multiply each of some vectors from the left to its matrix."""
    return (vectors[..., None, :] @ matrices)[..., 0, :]


def from_right(matrices: Array, vectors: Array) -> Array:
    """Multiply each of some vectors from the right to its matrix."""
    return (matrices @ vectors[..., None])[..., 0]
