"""What a peak rate, or a batch size, has of its own: random walks in its logarithm, made finer as more are asked for.

A walk starts at the peak of the size's longest run, so that what is unknown opens with the distance from it, and its
pieces are Brownian bridges: a place between two that are known is known better than one beyond them.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

__all__ = ["reached", "refined"]

_SAME = 0.02
"""Places closer than this are one."""

_FAR = 1e3


def refined(known: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Refine a random walk, in the logarithm of the peak or of the batch, by further places.

    A row is a piece of the walk: zero up to its first number, one at its second, and zero again from its third on, or
    one for ever where that is far away. Walks start at 0 and are independent on both sides.
    """
    rows = [tuple(row) for row in known]
    for here in sorted(set(np.round(wanted, 6)), key=abs):
        side = [0.0, *sorted((row[1] for row in rows if row[1] * here > 0.0), key=abs)]
        if min(abs(here - place) for place in side) <= _SAME:
            continue
        inner = max((place for place in side if abs(place) < abs(here)), key=abs)
        outer = min((place for place in side if abs(place) > abs(here)), key=abs, default=float(np.sign(here)) * _FAR)
        rows.append((inner, float(here), outer))
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def reached(at: Array, pieces: Array) -> Array:
    """Return the pieces of a walk at a place, ``[J]``, each times its standard deviation."""
    inner, center, outer = jnp.abs(pieces).T
    here = jnp.where(jnp.sign(pieces[:, 1]) * at > 0.0, jnp.abs(at), 0.0)
    up = jnp.clip((here - inner) / (center - inner), 0.0, 1.0)
    down = jnp.clip((outer - here) / (outer - center), 0.0, 1.0)
    sd = jnp.sqrt((center - inner) * (outer - center) / (outer - inner))
    return jnp.minimum(up, down) * sd
