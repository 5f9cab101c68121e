"""How runs are laid out for products of matrices: those of a length together, and those of a size in bundles.

In a bundle, the inner products of several runs are one product of long matrices instead of one a run.
"""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike, NDArray

__all__ = ["Bundles", "Group"]

_EACH = 2.0
"""What a bundle costs beside its runs, in runs: the matrices that it has of its own."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Bundles:
    """Up to ``c`` runs of one size in each of ``K`` bundles, ordered by size, at least one bundle a size.

    Parameters
    ----------
    runs
        The runs of each, ``[K, c]``, -1 where there are fewer.
    size
        Their sizes, ``[K]``.
    place
        Where each run stands in the flattened `runs`, ``[R]``.
    """

    runs: Array
    size: Array
    place: Array

    @classmethod
    def of(cls, size_of_run: ArrayLike, sizes: int) -> "Bundles":
        """Bundle runs so that little is padded and bundles are few.

        Parameters
        ----------
        size_of_run
            Index of the size of each run, ``[R]``.
        sizes
            Number of sizes.

        Returns
        -------
        Bundles
            The bundles.
        """
        own = [np.flatnonzero(np.asarray(size_of_run) == size) for size in range(sizes)]
        counts = np.array([len(runs) for runs in own])
        # from the widest, which is taken where another is no better: runs of like numbers then share a program
        widths = np.arange(counts.max(), 0, -1)
        bundles = np.maximum(-(-counts[:, None] // widths), 1).sum(axis=0)
        width = int(widths[np.argmin(bundles * (widths + _EACH))])
        pieces = [(size, runs[k : k + width]) for size, runs in enumerate(own) for k in range(0, len(runs) or 1, width)]
        table = np.full((len(pieces), width), -1)
        for row, (_, runs) in zip(table, pieces, strict=True):
            row[: len(runs)] = runs
        place = np.argsort(np.where(table < 0, counts.sum(), table), axis=None, kind="stable")[: counts.sum()]
        return cls(runs=jnp.asarray(table), size=jnp.asarray([size for size, _ in pieces]), place=jnp.asarray(place))

    def gather(self, rows: Array) -> Array:
        """Put the rows of a bundle's runs, each ``[n, k]`` of ``[R, n, k]``, below each other, ``[K, c * n, k]``."""
        count, width = self.runs.shape
        # a single bundle has the runs in their order
        if count > 1:
            rows = jnp.where((self.runs >= 0)[..., None, None], rows[self.runs], 0.0)
        return rows.reshape(count, width * rows.shape[-2], rows.shape[-1])

    def scatter(self, rows: Array, points: int) -> Array:
        """Undo :meth:`gather`: from ``[K, c * n, k]`` to ``[R, n, k]``, where ``n`` is `points`."""
        apart = rows.reshape(self.runs.size, points, rows.shape[-1])
        return apart if len(self.runs) == 1 else apart[self.place]

    def add_up(self, matrices: Array, sizes: int) -> Array:
        """Add up matrices of bundles, ``[K, ...]``, to those of sizes, ``[S, ...]``."""
        if len(self.runs) == sizes:
            return matrices
        membership = (self.size[None] == jnp.arange(sizes)[:, None]).astype(matrices.dtype)
        return jnp.tensordot(membership, matrices, axes=1)

    def spread_out(self, matrices: Array) -> Array:
        """Give each bundle the matrix of its size: from ``[S, ...]`` to ``[K, ...]``."""
        return matrices if len(self.runs) == len(matrices) else matrices[self.size]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs that are computed together: all of them, or only those with a single observation, or only the others.

    Parameters
    ----------
    runs
        Their places among all runs, ``[G]``.
    size_of_run
        Their sizes, ``[G]``.
    bundles
        Those of one size in bundles, counted within the group.
    single
        Whether each has a single observation, which comes first.
    """

    runs: Array
    size_of_run: Array
    bundles: Bundles
    single: bool = field(default=False, metadata={"static": True})

    @classmethod
    def of(cls, runs: NDArray[np.int64], size_of_run: ArrayLike, sizes: int, *, single: bool = False) -> "Group":
        """Lay out some of the runs whose sizes are given."""
        own = np.asarray(size_of_run)[runs]
        return cls(runs=jnp.asarray(runs), size_of_run=jnp.asarray(own), bundles=Bundles.of(own, sizes), single=single)

    @classmethod
    def apart(cls, lengths: ArrayLike, size_of_run: ArrayLike, sizes: int) -> "tuple[Group, ...]":
        """Lay out all runs.

        Parameters
        ----------
        lengths
            Numbers of observations, ``[R]``.
        size_of_run
            Index of the size of each run, ``[R]``.
        sizes
            Number of sizes.

        Returns
        -------
        tuple of Group
            Curves, and single observations where more than half of the runs have one, which cost little beside curves.
            Where there are fewer, a program for them takes longer to compile than it saves.
        """
        singles = np.asarray(lengths) == 1
        if 2 * singles.sum() <= singles.size:
            return (cls.of(np.arange(singles.size), size_of_run, sizes),)
        curves = () if singles.all() else (cls.of(np.flatnonzero(~singles), size_of_run, sizes),)
        return (*curves, cls.of(np.flatnonzero(singles), size_of_run, sizes, single=True))

    def of_runs(self, rows: Array) -> Array:
        """Take what belongs to these runs, ``[R, ...]`` to ``[G, ...]``."""
        # all of them are in their order
        return rows if len(self.runs) == len(rows) else rows[self.runs]

    def take(self, rows: Array) -> Array:
        """Take their observations, ``[R, ..., n]`` to ``[G, ..., n]``, of single ones the first."""
        return self.of_runs(rows)[..., :1] if self.single else self.of_runs(rows)

    def put(self, rows: Array, whole: Array) -> Array:
        """Undo :meth:`take`: put rows of these runs into those of all."""
        if rows.shape == whole.shape:
            return rows
        return whole.at[self.runs, ..., : rows.shape[-1]].set(rows)
