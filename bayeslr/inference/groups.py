"""How draws and data are arranged into the groups that ArviZ reads."""

import jax
import numpy as np
import xarray as xr
from arviz_base import from_dict
from numpy.typing import NDArray

from bayeslr.curves import CurveSet
from bayeslr.model import Observations, ScalingModel, find_blocks

__all__ = ["arrange", "observed_group", "shown_names"]


def shown_names(model: ScalingModel) -> list[str]:
    """Return the names of the group ``posterior``, few enough for a plot of all pairs: the law of a size, its noise.

    Parameters
    ----------
    model
        The model.

    Returns
    -------
    list of str
        The names.
    """
    shared = {parameter.name for parameter in model.law.parameters if parameter.shared}
    return [*(name for name in model.law.reported_names if name not in shared), "noise"]


def observed_group(curves: CurveSet) -> xr.Dataset:
    """Return the observations that curves own, one after the other, each with its run and step.

    Parameters
    ----------
    curves
        Curves after the warm-up, thinned.

    Returns
    -------
    xarray.Dataset
        ``loss`` over ``obs``.
    """
    kept = curves.distinct()
    return xr.Dataset(
        {"loss": ("obs", np.concatenate([curve.loss for curve in kept]))},
        coords={
            "obs": np.arange(sum(map(len, kept))),
            "run": ("obs", np.repeat([curve.name for curve in kept], [len(curve) for curve in kept])),
            "step": ("obs", np.concatenate([curve.steps for curve in kept])),
        },
    )


def arrange(
    draws: dict[str, NDArray[np.float64]],
    stats: dict[str, NDArray[np.float64]],
    model: ScalingModel,
    observations: Observations,
    curves: CurveSet,
    *,
    sizes: tuple[str, ...],
    runs: tuple[str, ...],
) -> xr.DataTree:
    """Put draws, statistics and data into ArviZ's groups.

    Parameters
    ----------
    draws
        Draws by name, each ``[chains, draws, ...]``, with the effects of each level.
    stats
        Statistics of the sampler, each ``[chains, draws]``.
    model
        The model, its pooling resolved.
    observations
        The arrays of the fit.
    curves
        The curves that they are of.
    sizes, runs
        Labels of the dimensions ``size`` and ``run``.

    Returns
    -------
    xarray.DataTree
        The groups ``posterior, sampled, effects, sample_stats, observed_data, constant_data``.
    """
    levels = {level: draws[f"effect_{level}"] for level in ("common", "size", "run")}
    values = {name: array for name, array in draws.items() if name.removeprefix("effect_") not in levels}
    effects, dims, coords = _effects(model, observations, levels)
    per_size = [*model.per_size, *(p.name for p in model.law.parameters if not p.shared), *model.law.reported_names]
    dims |= {name: ["size"] for name in per_size if name in values and values[name].ndim == 3}
    shown = [name for name in shown_names(model) if name in values]
    data = {
        "posterior": {name: values[name] for name in shown},
        "sampled": {name: array for name, array in values.items() if name not in shown},
        "effects": effects,
        "sample_stats": stats,
        "constant_data": {f"places_{name}": np.asarray(array) for name, array in observations.places.items()},
    }
    for name, array in observations.places.items():
        dims[f"places_{name}"] = [f"place_{name}", *(f"part_{name}" for _ in range(array.ndim - 1))]
    tree = from_dict(
        {name: group for name, group in data.items() if group},
        coords={"size": list(sizes), "run": list(runs), **coords},
        dims=dims,
    )
    if not isinstance(tree, xr.DataTree):
        raise TypeError(f"ArviZ returned a {type(tree).__name__}")
    tree["observed_data"] = xr.DataTree(observed_group(curves))
    return tree


def _effects(
    model: ScalingModel, observations: Observations, levels: dict[str, NDArray[np.float64]]
) -> tuple[dict[str, NDArray[np.float64]], dict[str, list[str]], dict[str, list[str]]]:
    """Split the draws of all effects into named blocks; return them with their dimensions and coordinates."""
    first = jax.tree.map(lambda leaf: leaf[0], observations.inputs)
    effects: dict[str, NDArray[np.float64]] = {}
    dims: dict[str, list[str]] = {}
    coords: dict[str, list[str]] = {}
    reached = {"size": 0, "run": 0}
    for block in find_blocks(model.composition, model.sites, first, observations.places, observations.of_law):
        name, count = f"effect_{block.name}", block.sd.shape[0]
        part = slice(reached[block.level], reached[block.level] + count)
        reached[block.level] += count
        if not count:
            continue
        effects[name], dims[name] = levels[block.level][..., part], [block.level, block.name]
        if block.level == "size" and levels["size"].shape[2] > 1 and model.discrepancy.common_share:
            effects[f"{name}_common"], dims[f"{name}_common"] = levels["common"][..., part], [block.name]
        coords[block.name] = list(block.labels or map(str, range(count)))
    return effects, dims, coords
