"""How effects nest, and what the losses say of them: effects of runs, of sizes, and what sizes have in common.

Each level is integrated out given the ones above it, by Cholesky factors of the size of its effects. Losses and shapes
come whitened by the residual, so that only inner products are left to take.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular

from bayeslr.model.bundles import Bundles

__all__ = ["Factors", "Levels", "Whitened", "computed", "from_left", "from_right", "transpose", "whiten"]

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
class Factors:
    """Inverse Cholesky factors of the posterior precision of the effects, and their products with what is left.

    Parameters
    ----------
    shared_left, rest_left
        What the means of the runs' effects leave of shared shapes and of the rest, ``[R, n, p]`` and ``[R, n]``.
    lasting
        The runs' shapes times the factors, ``[R, n, q]``.
    run, run_rest
        ``[R, q, q]`` and ``[R, q, p + 1]``; products with the shared shapes, and with the rest.
    own, own_rest
        Of sizes, ``[S, p, p]`` and ``[S, p, p + 1]``; products with what sizes have in common, and with the rest.
    common, common_rest
        Of what sizes have in common, ``[p, p]`` and ``[p]``; empty where they have nothing.
    value
        The log density, but for what depends on the residual alone.
    """

    shared_left: Array
    rest_left: Array
    lasting: Array
    run: Array
    run_rest: Array
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

    def factorise(self, rows: Whitened, bundles: Bundles) -> Factors:
        """Factorise, given whitened shapes and losses, and which runs are of one size."""
        p = self.p
        turned = transpose(rows.run)
        products = jnp.concatenate([turned @ rows.shared, turned @ rows.rest[..., None]], axis=-1)
        run, run_rest, run_volume = whiten(turned @ rows.run, products, many=True)
        lasting = rows.run @ transpose(run)
        shared_left = rows.shared - lasting @ run_rest[..., :p]
        rest_left = rows.rest - from_right(lasting, run_rest[..., p])
        shared = transpose(bundles.gather(rows.shared))
        inner = bundles.add_up(shared @ bundles.gather(shared_left), self.sizes)
        with_rest = bundles.add_up(shared @ bundles.gather(rest_left[..., None]), self.sizes)
        # effects of a size: sqrt(common) * c + sqrt(1 - common) * d, the size's own d integrated out first
        share, own_share = self.common**0.5, (1.0 - self.common) ** 0.5
        columns = jnp.concatenate([share * inner, with_rest], axis=-1)
        own, own_rest, own_volume = whiten(own_share**2 * inner, own_share * columns)
        squares = (rows.rest * rest_left).sum() - (own_rest[..., p] ** 2).sum()
        value = -0.5 * squares - run_volume - own_volume
        common, common_rest = jnp.zeros((0, 0)), jnp.zeros(0)
        if self.common:
            both = (share * columns - transpose(own_rest[..., :p]) @ own_rest).sum(axis=0)
            common, common_rest, common_volume = whiten(both[:, :p], both[:, p:])
            common_rest = common_rest[:, 0]
            value = value + 0.5 * (common_rest**2).sum() - common_volume
        value = computed(value, rows.rest**2, jnp.diagonal(inner, axis1=-2, axis2=-1))
        return Factors(
            shared_left=shared_left,
            rest_left=rest_left,
            lasting=lasting,
            run=run,
            run_rest=run_rest,
            own=own,
            own_rest=own_rest,
            common=common,
            common_rest=common_rest,
            value=value,
        )

    def effects(
        self, factors: Factors, size_of_run: Array, common: Array, own: Array, run: Array
    ) -> tuple[Array, Array, Array]:
        """Turn standard normals into effects given the losses; zeros give their means."""
        p = self.p
        if self.common:
            common = (factors.common_rest + common) @ factors.common
        rest = factors.own_rest[..., p] - factors.own_rest[..., :p] @ common
        own = from_left(rest + own, factors.own)
        shared = self.common**0.5 * common[None] + (1.0 - self.common) ** 0.5 * own
        rest = factors.run_rest[..., -1] - from_right(factors.run_rest[..., :-1], shared[size_of_run])
        return common, shared, from_left(rest + run, factors.run)

    def means(self, factors: Factors, size_of_run: Array) -> tuple[Array, Array]:
        """Return the means given the losses of the effects of sizes, ``[S, p]``, and of runs, ``[R, q]``."""
        zeros = jnp.zeros(self.p), jnp.zeros((self.sizes, self.p)), jnp.zeros((len(size_of_run), self.q))
        return self.effects(factors, size_of_run, *zeros)[1:]

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
