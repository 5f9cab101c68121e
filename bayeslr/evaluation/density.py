"""Log densities of the losses of some of the runs, for every draw, all effects integrated out."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from bayeslr.model import Design, ScalingModel
from bayeslr.model.likelihood import log_density

__all__ = ["log_densities", "needed"]

_BATCH = 200
_AT_ONCE = 50  # draws whose arrays are in memory together
_SCALES = "discrepancy_"


def needed(model: ScalingModel, names: list[str]) -> list[str]:
    """Return the names, among those of a set of draws, that the density is computed from.

    Parameters
    ----------
    model
        The model.
    names
        Names of draws.

    Returns
    -------
    list of str
        The law's sampled parameters, the noise with its precisions, and the scales of the discrepancy.
    """
    wanted = {"noise", "noise_precision", *(parameter.name for parameter in model.law.parameters)}
    return [name for name in names if name in wanted or name.startswith(_SCALES)]


def log_densities(
    model: ScalingModel, design: Design, draws: Mapping[str, NDArray[np.float64]], runs: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the log density of the losses of each of several groups of runs.

    Parameters
    ----------
    model
        The model, its pooling resolved.
    design
        The arrays of a fit with ``R`` runs.
    draws
        Draws by site, each ``[D, ...]``; names that the density does not need are left aside.
    runs
        Which runs belong to a group, ``[G, R]``.

    Returns
    -------
    numpy.ndarray
        ``log p(losses of the group | draw)``, ``[D, G]``. Effects that runs share are integrated over the runs of the
        group together, so that the difference of two groups is the density of some runs given the others.
    """
    settings = json.dumps(model.settings(), sort_keys=True)
    arrays = {name: np.asarray(draws[name]) for name in needed(model, list(draws))}
    total = len(arrays["noise"])
    parts = []
    for start in range(0, total, _BATCH):
        # the last batch is filled up, so that one compiled program serves all
        rows = np.minimum(np.arange(start, start + _BATCH), total - 1)
        batch = {name: jnp.asarray(array[rows]) for name, array in arrays.items()}
        parts.append(np.asarray(_densities(batch, design, jnp.asarray(runs), settings=settings)))
    return np.concatenate(parts)[:total]


@partial(jax.jit, static_argnames=("settings",))
def _densities(draws: dict[str, Array], design: Design, runs: Array, *, settings: str) -> Array:
    """Evaluate; settings are text, so that equal models on data of equal shapes share a compiled program."""
    model = ScalingModel.from_settings(json.loads(settings))

    def of_draw(draw: dict[str, Array]) -> Array:
        law = {parameter.name: draw[parameter.name] for parameter in model.law.parameters}
        scales = {name.removeprefix(_SCALES): value for name, value in draw.items() if name.startswith(_SCALES)}
        precision = draw.get("noise_precision", jnp.ones(design.valid.shape))
        structure = model.structure(design, law, scales, draw["noise"], 1.0 / jnp.sqrt(precision))

        def of_group(group: Array) -> Array:
            return log_density(replace(structure, valid=structure.valid & group[:, None]), design.loss)

        return jnp.asarray(jax.lax.map(of_group, runs))

    return jnp.asarray(jax.lax.map(of_draw, draws, batch_size=_AT_ONCE))
