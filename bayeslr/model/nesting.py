"""How effects nest, and what the losses say of them: effects of runs, of sizes, and what sizes have in common.

Each level is integrated out given the ones above it, by Cholesky factors of the size of its effects.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular

__all__ = ["Factors", "Levels", "from_left", "transpose"]


def transpose(matrix: Array) -> Array:
    """Swap the last two dimensions."""
    return jnp.swapaxes(matrix, -1, -2)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Factors:
    """Inverse Cholesky factors of the posterior precision of the effects, and their products with what is left."""

    run: Array
    run_rest: Array
    own: Array
    own_rest: Array
    common: Array
    common_rest: Array
    value: Array


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
class Levels:
    """How effects nest: ``q`` of each run, ``p`` of each of ``sizes`` sizes, of whose variance a share is common."""

    q: int
    p: int
    sizes: int
    common: float

    def factorise(self, gram: Array, size_of_run: Array) -> Factors:
        """Factorise, given the inner products of all runs, ``[R, k, k]``."""
        q = self.q
        run, run_rest, run_volume = _whiten(gram[:, :q, :q], gram[:, :q, q:])
        left = gram[:, q:, q:] - transpose(run_rest) @ run_rest
        by_size = jnp.tensordot(_membership(size_of_run, self.sizes), left, axes=1)
        return self.complete(by_size, run, run_rest, -run_volume)

    def complete(self, by_size: Array, run: Array, run_rest: Array, value: Array) -> Factors:
        """Add the factors of sizes, given inner products from which the effects of runs are integrated out."""
        p = self.p
        # effects of a size: sqrt(common) * c + sqrt(1 - common) * d, the size's own d integrated out first
        share, rest = self.common**0.5, (1.0 - self.common) ** 0.5
        columns = jnp.concatenate([share * by_size[:, :p, :p], by_size[:, :p, p:]], axis=-1)
        own, own_rest, own_volume = _whiten(rest**2 * by_size[:, :p, :p], rest * columns)
        value = value - 0.5 * (by_size[:, p, p].sum() - (own_rest[..., p] ** 2).sum()) - own_volume
        common, common_rest = jnp.zeros((0, 0)), jnp.zeros(0)
        if self.common:
            both = (share * columns - transpose(own_rest[..., :p]) @ own_rest).sum(axis=0)
            common, common_rest, common_volume = _whiten(both[:, :p], both[:, p:])
            common_rest = common_rest[:, 0]
            value = value + 0.5 * (common_rest**2).sum() - common_volume
        return Factors(
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
        rest = factors.run_rest[..., -1] - (factors.run_rest[..., :-1] @ shared[size_of_run][..., None])[..., 0]
        return common, shared, from_left(rest + run, factors.run)

    def moments(self, factors: Factors, size_of_run: Array) -> Array:
        """Return ``E[e e']`` given the losses, ``[R, k, k]``, where ``e`` is (minus the effects of a run, one)."""
        p, runs = self.p, factors.run.shape[0]
        _, shared, run = self.effects(
            factors, size_of_run, jnp.zeros(p), jnp.zeros((self.sizes, p)), jnp.zeros((runs, self.q))
        )
        spread = (1.0 - self.common) * transpose(factors.own) @ factors.own
        if self.common:
            # a size's effects given the common ones c move by this matrix times c
            follow = (1.0 - self.common) ** 0.5 * transpose(factors.own) @ factors.own_rest[..., :p]
            follow = (self.common**0.5 * jnp.eye(p)[None] - follow) @ transpose(factors.common)
            spread = spread + follow @ transpose(follow)
        spread = spread[size_of_run]
        follow = -transpose(factors.run) @ factors.run_rest[..., :-1]
        cross = follow @ spread
        within = transpose(factors.run) @ factors.run + cross @ transpose(follow)
        covariance = jnp.concatenate(
            [jnp.concatenate([within, cross], axis=-1), jnp.concatenate([transpose(cross), spread], axis=-1)], axis=-2
        )
        mean = jnp.concatenate([-run, -shared[size_of_run], jnp.ones((runs, 1))], axis=-1)
        return mean[..., :, None] * mean[..., None, :] + jnp.pad(covariance, ((0, 0), (0, 1), (0, 1)))


def from_left(vectors: Array, matrices: Array) -> Array:
    """Multiply each of some vectors from the left to its matrix."""
    return (vectors[..., None, :] @ matrices)[..., 0, :]
