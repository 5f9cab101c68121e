"""How curves are kept in a posterior file: ragged arrays laid end to end, with the lengths of their parts."""

import json

import numpy as np
import xarray as xr

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.schedules import Schedule

__all__ = ["curves_from_dataset", "curves_to_dataset"]


def curves_to_dataset(curves: CurveSet) -> xr.Dataset:
    """Lay curves end to end.

    Parameters
    ----------
    curves
        The curves.

    Returns
    -------
    xarray.Dataset
        ``steps`` and ``loss`` over ``obs``, ``lr`` over ``update``, and over ``curve`` the number of each, the warm-up,
        the spec, size, parameters and metadata (JSON).
    """
    columns = {
        "observations": [len(curve) for curve in curves],
        "updates": [curve.schedule.total_steps for curve in curves],
        "warmup_steps": [curve.schedule.warmup_steps for curve in curves],
        "params": [np.nan if curve.params is None else curve.params for curve in curves],
        "size_label": ["" if curve.size is None else curve.size for curve in curves],
        "spec": [curve.schedule.spec for curve in curves],
        "metadata": [json.dumps(dict(curve.metadata), default=str) for curve in curves],
    }
    return xr.Dataset(
        {name: ("curve", np.array(values)) for name, values in columns.items()}
        | {
            "steps": ("obs", np.concatenate([curve.steps for curve in curves])),
            "loss": ("obs", np.concatenate([curve.loss for curve in curves])),
            "lr": ("update", np.concatenate([curve.schedule.lr for curve in curves]), {}, {"zlib": True}),
        },
        coords={"curve": list(curves.names)},
    )


def curves_from_dataset(data: xr.Dataset) -> CurveSet:
    """Read curves back from :func:`curves_to_dataset`."""
    at = np.cumsum([0, *data["observations"].values])
    updates = np.cumsum([0, *data["updates"].values])
    curves = []
    for k, name in enumerate(data["curve"].values):
        params = float(data["params"].values[k])
        schedule = Schedule(
            lr=data["lr"].values[updates[k] : updates[k + 1]],
            warmup_steps=int(data["warmup_steps"].values[k]),
            spec=str(data["spec"].values[k]),
        )
        curve = LossCurve(
            name=str(name),
            steps=data["steps"].values[at[k] : at[k + 1]],
            loss=data["loss"].values[at[k] : at[k + 1]],
            schedule=schedule,
            params=None if np.isnan(params) else params,
            size=str(data["size_label"].values[k]) or None,
            metadata=json.loads(str(data["metadata"].values[k])),
        )
        curves.append(curve)
    return CurveSet(curves=tuple(curves))
