"""How curves are kept in a posterior file: ragged arrays laid end to end, with the lengths of their parts.

Rates are kept to the last bit, and small: their bits, read as whole numbers, are replaced by differences of the first
to third order, which is exact on any machine, and of which a byte a step is left after packing (of a constant nothing).
Runs with the same rates share them.
"""

import json
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.schedules import Schedule

__all__ = ["curves_from_dataset", "curves_to_dataset"]

_PACKED: Final = {"zlib": True, "shuffle": True, "complevel": 4}
_ORDERS: Final = (1, 2, 3)


def curves_to_dataset(curves: CurveSet) -> xr.Dataset:
    """Lay curves end to end.

    Parameters
    ----------
    curves
        The curves.

    Returns
    -------
    xarray.Dataset
        ``steps`` and ``loss`` over ``obs``, ``rate_differences`` over ``update``, and over ``curve`` the number of
        each, the order of the differences, the curve whose rates they are (its own, or an earlier one), the warm-up,
        the spec, size, parameters and metadata (JSON).
    """
    owners = _owners([curve.schedule for curve in curves])
    packed = [_differences(curves.curves[k].schedule.lr) for k in dict.fromkeys(owners)]
    orders = dict(zip(dict.fromkeys(owners), (order for order, _ in packed), strict=True))
    columns = {
        "observations": [len(curve) for curve in curves],
        "updates": [curve.schedule.total_steps for curve in curves],
        "rate_order": [orders[owner] for owner in owners],
        "rates_of": owners,
        "warmup_steps": [curve.schedule.warmup_steps for curve in curves],
        "params": [np.nan if curve.params is None else curve.params for curve in curves],
        "size_label": ["" if curve.size is None else curve.size for curve in curves],
        "spec": [curve.schedule.spec for curve in curves],
        "metadata": [json.dumps(dict(curve.metadata), default=str) for curve in curves],
    }
    return xr.Dataset(
        {name: ("curve", np.array(values)) for name, values in columns.items()}
        | {
            "steps": ("obs", np.concatenate([curve.steps for curve in curves]), {}, _PACKED),
            "loss": ("obs", np.concatenate([curve.loss for curve in curves]), {}, _PACKED),
            "rate_differences": ("update", np.concatenate([array for _, array in packed]), {}, _PACKED),
        },
        coords={"curve": list(curves.names)},
    )


def curves_from_dataset(data: xr.Dataset) -> CurveSet:
    """Read curves back from :func:`curves_to_dataset`.

    Parameters
    ----------
    data
        The dataset; also one of the format before, with the rates themselves in ``lr``.

    Returns
    -------
    CurveSet
        The curves.
    """
    at = np.cumsum([0, *data["observations"].values])
    rates = _rates(data)
    curves = []
    for k, name in enumerate(data["curve"].values):
        params = float(data["params"].values[k])
        schedule = Schedule(
            lr=rates[k],
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


def _owners(schedules: Sequence[Schedule]) -> list[int]:
    """Return for each schedule the first one with the same rates."""
    first: dict[bytes, int] = {}
    return [first.setdefault(np.ascontiguousarray(plan.lr).tobytes(), k) for k, plan in enumerate(schedules)]


def _differences(lr: NDArray[np.float64]) -> tuple[int, NDArray[np.int64]]:
    """Return the order of the differences that pack best, and the differences."""
    bits = np.ascontiguousarray(lr, dtype=np.float64).view(np.int64)
    found: dict[int, NDArray[np.int64]] = {}
    for order in _ORDERS:
        array = bits if order == _ORDERS[0] else found[order - 1]
        found[order] = np.diff(array, prepend=np.int64(0))
    # beyond the first million steps the rest is alike
    sizes = {order: _packed_size(array[: 2**20]) for order, array in found.items()}
    best = min(sizes, key=lambda order: sizes[order])
    return best, found[best]


def _packed_size(array: NDArray[np.int64]) -> int:
    return len(zlib.compress(array.view(np.uint8).reshape(-1, 8).T.tobytes(), 1))


def _rates(data: xr.Dataset) -> list[NDArray[np.float64]]:
    """Return the rates of each curve."""
    lengths = [int(length) for length in data["updates"].values]
    if "lr" in data:
        at = np.cumsum([0, *lengths])
        return [data["lr"].values[at[k] : at[k + 1]] for k in range(len(lengths))]
    differences = data["rate_differences"].values
    if differences.dtype != np.int64:
        raise ValueError(f"rate_differences are of type {differences.dtype}")
    rates: list[NDArray[np.float64]] = []
    start = 0
    for k, (owner, order, length) in enumerate(
        zip(data["rates_of"].values.tolist(), data["rate_order"].values.tolist(), lengths, strict=True)
    ):
        if not 0 <= owner <= k or order not in _ORDERS:
            raise ValueError(f"rates of curve {owner}, differences of order {order}")
        if owner < k:
            rates.append(rates[owner][:length])
            continue
        array = differences[start : start + length]
        start += length
        for _ in range(order):
            array = np.cumsum(array)
        rates.append(array.view(np.float64))
    return rates
