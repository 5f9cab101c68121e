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
from bayeslr.schedules import MAX_UPDATES, Schedule

__all__ = ["curves_from_dataset", "curves_to_dataset"]

_PACKED: Final = {"zlib": True, "shuffle": True, "complevel": 4}
_ORDERS: Final = (1, 2, 3)
_MAX_METADATA: Final = 2**26
"""Characters of all different metadata, which take twenty times as much memory."""


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
        The curves; those with the same schedule share one.

    Raises
    ------
    ValueError
        If the rates or the metadata are more than fits into memory, before they are unpacked, or are no such thing.
    """
    at = np.cumsum([0, *data["observations"].values])
    owners, rates = _rates(data)
    metadata = _metadata(data)
    schedules: dict[tuple[int, int, int, str], Schedule] = {}
    curves = []
    for k, name in enumerate(data["curve"].values):
        params = float(data["params"].values[k])
        warmup, spec = int(data["warmup_steps"].values[k]), str(data["spec"].values[k])
        key = (owners[k], rates[k].size, warmup, spec)
        if key not in schedules:
            schedules[key] = Schedule(lr=rates[k], warmup_steps=warmup, spec=spec)
        curve = LossCurve(
            name=str(name),
            steps=data["steps"].values[at[k] : at[k + 1]],
            loss=data["loss"].values[at[k] : at[k + 1]],
            schedule=schedules[key],
            params=None if np.isnan(params) else params,
            size=str(data["size_label"].values[k]) or None,
            metadata=metadata[k],
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


def _metadata(data: xr.Dataset) -> list[dict[str, object]]:
    """Return the metadata of each curve; those with the same text share what is in it."""
    texts = [str(text) for text in data["metadata"].values]
    different = set(texts)
    length = sum(map(len, different))
    if length > _MAX_METADATA:
        raise ValueError(f"metadata of {length} characters; allowed: {_MAX_METADATA} together")
    known = {text: json.loads(text) for text in different}
    return [known[text] for text in texts]


def _rates(data: xr.Dataset) -> tuple[list[int], list[NDArray[np.float64]]]:
    """Return for each curve which one's rates it has, and its rates."""
    lengths = [int(length) for length in data["updates"].values]
    # curves may share rates, so that a small file can have many
    if min(lengths) < 1 or sum(lengths) > MAX_UPDATES:
        raise ValueError(
            f"{sum(lengths)} updates in {len(lengths)} runs, {min(lengths)} at least; allowed: {MAX_UPDATES} together"
        )
    if "lr" in data:
        at = np.cumsum([0, *lengths])
        return list(range(len(lengths))), [data["lr"].values[at[k] : at[k + 1]] for k in range(len(lengths))]
    differences = data["rate_differences"].values
    if differences.dtype != np.int64:
        raise ValueError(f"rate_differences are of type {differences.dtype}")
    owners = data["rates_of"].values.tolist()
    rates: list[NDArray[np.float64]] = []
    start = 0
    for k, (owner, order, length) in enumerate(zip(owners, data["rate_order"].values.tolist(), lengths, strict=True)):
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
    return owners, rates
