"""The density of few observations of many effects, such as a grid of final losses: by the observations' covariance."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from bayeslr.model.bundles import Group
from bayeslr.model.nesting import Levels, Whitened, computed, transpose, whiten

__all__ = ["density_of_few", "is_few"]


def is_few(groups: Sequence[Group], points: int, levels: Levels) -> bool:
    """Tell whether factorising the covariance of all observations takes less work than that of the effects.

    Parameters
    ----------
    groups
        The runs. Only where some have a single observation there can be few.
    points
        Observations of each of the others.
    levels
        The effects.
    """
    if not any(group.single for group in groups):
        return False
    count = sum(len(group.runs) * (1 if group.single else points) for group in groups)
    return count**2 * (count + levels.p) < 4 * levels.sizes * levels.p**3


def density_of_few(parts: Sequence[Whitened], groups: Sequence[Group], levels: Levels) -> Array:
    """Return the log density of whitened losses, effects integrated out, up to the residual's own terms.

    Parameters
    ----------
    parts
        Shapes and losses of each group, ``[G, n, ...]``; without shapes of runs where these are in the residual.
    groups
        The groups.
    levels
        How effects nest.
    """
    shared = jnp.concatenate([part.shared.reshape(-1, levels.p) for part in parts])
    rest = jnp.concatenate([part.rest.ravel() for part in parts])
    sizes = [jnp.repeat(g.size_of_run, part.rest.shape[1]) for g, part in zip(groups, parts, strict=True)]
    size = jnp.concatenate(sizes)
    inner = jnp.where(size[:, None] == size[None], 1.0, levels.common) * (shared @ shared.T)
    own = jax.scipy.linalg.block_diag(*map(_of_runs, parts))
    return jnp.asarray(_by_covariance(inner + own, rest))


def _of_runs(part: Whitened) -> Array:
    """Return the covariance of a group's observations by the effects of its runs."""
    if not part.run.shape[-1]:
        return jnp.zeros((part.rest.size, part.rest.size))
    return jnp.asarray(jax.scipy.linalg.block_diag(*(part.run @ transpose(part.run))))


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


# no derivative passes through the Cholesky factor
_by_covariance.defvjp(_by_covariance_forward, _by_covariance_backward)
