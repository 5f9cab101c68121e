"""Log densities of the losses of some of the runs, for every draw, all effects integrated out."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from bayeslr.inference.engine.devices import unshared_solves
from bayeslr.model import Observations, ScalingModel
from bayeslr.model.likelihood import log_density

__all__ = ["log_densities"]

_BATCH = 200
_AT_ONCE = 50  # draws whose arrays are in memory together


def log_densities(
    model: ScalingModel, observations: Observations, draws: Mapping[str, NDArray[np.float64]], runs: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the log density of the losses of each of several groups of runs.

    Parameters
    ----------
    model
        The model, its pooling resolved.
    observations
        The arrays of a fit with ``R`` runs.
    draws
        Draws by site, each ``[D, ...]``; names that the density does not need are left aside. Without the precisions
        of Student-t noise, they count as one.
    runs
        Which runs belong to a group, ``[G, R]``.

    Returns
    -------
    numpy.ndarray
        ``log p(losses of the group | draw)``, ``[D, G]``. Effects that runs share are integrated over the runs of the
        group together, so that the difference of two groups is the density of some runs given the others.
    """
    arrays = {name: np.asarray(draws[name]) for name in model.sites if name in draws}
    total = len(arrays["noise"])
    parts = []
    with unshared_solves():
        for start in range(0, total, _BATCH):
            # the last batch is filled up, so that one compiled program serves all
            rows = np.minimum(np.arange(start, start + _BATCH), total - 1)
            batch = {name: jnp.asarray(array[rows]) for name, array in arrays.items()}
            parts.append(np.asarray(_densities(batch, observations, jnp.asarray(runs), model=model)))
    return np.concatenate(parts)[:total]


@partial(jax.jit, static_argnames=("model",))
def _densities(draws: dict[str, Array], observations: Observations, runs: Array, *, model: ScalingModel) -> Array:
    def of_draw(draw: dict[str, Array]) -> Array:
        structure = model.structure(observations, draw)

        def of_group(group: Array) -> Array:
            return log_density(replace(structure, valid=structure.valid & group[:, None]), observations.loss)

        return jnp.asarray(jax.lax.map(of_group, runs))

    return jnp.asarray(jax.lax.map(of_draw, draws, batch_size=_AT_ONCE))
