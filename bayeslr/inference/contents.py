"""What a posterior file says must belong together: settings, draws and labels, the model and the curves.

The last step of :mod:`bayeslr.inference.integrity`. Nothing here is damage, which the seal finds: it is what somebody
made on purpose, or another program.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import xarray as xr

from bayeslr.curves import CurveSet
from bayeslr.errors import PosteriorError

__all__ = ["read_json", "require_contents", "require_observed", "require_settings"]

_MAX_JSON: Final = 5_000_000
_MAX_LINES: Final = 100
_MAX_LINE: Final = 100_000
_COUNTS: Final = {"seed": 0, "num_warmup": 0, "num_samples": 0, "num_chains": 1, "max_points_per_run": 2}
"""Settings that are whole numbers, and the least that each can be."""
_POSITIVE: Final = frozenset({"area", "rate", "loss", "memory", "areas", "rates", "level_areas", "level_rates"})
_POSITIVE_RANGE: Final = (1e-30, 1e30)
"""Of the numbers of a scale that are not zero, far beyond losses and rates that are fitted."""
_DRAWS: Final = ("chain", "draw")
_STATISTICS: Final = {"nuts": ("diverging", "reached_max_tree_depth", "energy"), "laplace": ("log_ratio",)}
"""What the check of a fit asks of its draws, by the method that made them."""


def read_json(text: object, where: str) -> Any:
    """Read JSON from a file that may be anything.

    Parameters
    ----------
    text
        The text.
    where
        What it is, for the message.

    Returns
    -------
    Any
        Its value.

    Raises
    ------
    PosteriorError
        If it is no JSON of a reasonable size and depth.
    """
    if not isinstance(text, str) or len(text) > _MAX_JSON:
        raise PosteriorError(f"{where}: not a text of up to {_MAX_JSON} characters")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise PosteriorError(f"{where}: not JSON ({str(problem)[:100]}); the file is damaged") from None


def require_settings(settings: Any, where: str, *, scale: Mapping[str, bool], sizes: int) -> None:
    """Refuse settings of a fit that no fit has.

    Parameters
    ----------
    settings
        What the file says.
    where
        The file, for the message.
    scale
        Names of the numbers of the data's scale, and whether each is a list with a number for each size.
    sizes
        How many sizes were fitted.

    Raises
    ------
    PosteriorError
        If a setting is missing, or is no such value.
    """
    if not isinstance(settings, dict):
        raise PosteriorError(f"{where}: its settings are a {type(settings).__name__}; allowed: an object")
    texts, values, search = settings.get("health"), settings.get("scale"), settings.get("search")
    if not isinstance(values, Mapping) or set(values) != set(scale):
        raise _no_setting(settings, "scale", where)
    for name, several in scale.items():
        if not _is_scale(values[name], several=several, sizes=sizes, positive=name in _POSITIVE):
            wanted = f"a list of {sizes} numbers, or none," if several else "a number"
            least = f"{_POSITIVE_RANGE[0]:g} to {_POSITIVE_RANGE[1]:g}" if name in _POSITIVE else "from 0 on"
            raise PosteriorError(
                f"{where}: in the setting scale {name} is {repr(values[name])[:60]}; allowed: {wanted} {least}"
            )
    sound = {
        "method": settings.get("method") in tuple(_STATISTICS),
        **{name: _is_count(settings.get(name), least) for name, least in _COUNTS.items()},
        "target_accept_prob": _is_number(settings.get("target_accept_prob")) and 0 < settings["target_accept_prob"] < 1,
        "keep_spikes": isinstance(settings.get("keep_spikes", False), bool),
        "search": search is None or _is_search(search),
        "health": isinstance(texts, list) and all(isinstance(text, str) for text in texts),
    }
    for name, fine in sound.items():
        if not fine:
            raise _no_setting(settings, name, where)
    lines, longest = len(settings["health"]), max(map(len, settings["health"]), default=0)
    if lines > _MAX_LINES or longest > _MAX_LINE:
        raise PosteriorError(
            f"{where}: the setting health has {lines} line{'s' if lines != 1 else ''}, the longest of {longest} "
            f"characters; allowed: up to {_MAX_LINES} lines of up to {_MAX_LINE} characters"
        )


def _no_setting(settings: Mapping[str, Any], name: str, where: str) -> PosteriorError:
    found = repr(settings[name])[:60] if name in settings else "nothing"
    return PosteriorError(f"{where}: the setting {name} is {found}, which no fit has; the file is damaged")


def _is_number(value: object) -> bool:
    """Tell whether a value is a number of an ordinary size, not below zero."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e300


def _is_count(value: object, least: int) -> bool:
    """Tell whether a value is a whole number of 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**63


def _is_scale(value: Any, *, several: bool, sizes: int, positive: bool) -> bool:
    """Tell whether a value can be one of the data's scale, or a list of these."""
    if several != isinstance(value, list):
        return False
    parts = value if isinstance(value, list) else [value]
    if several and len(parts) not in (0, sizes):
        return False
    low, high = _POSITIVE_RANGE
    return all(_is_number(part) and (low <= part <= high or not positive) for part in parts)


def _is_search(search: object) -> bool:
    """Tell whether a value is what the search of the mode met; what a search says of bad places may be no number."""

    def real(value: object) -> bool:
        return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)

    if not isinstance(search, Mapping) or not real(search.get("gradient")):
        return False
    others = search.get("others")
    return isinstance(others, list) and all(
        isinstance(mode, Mapping) and real(mode.get("below")) and real(mode.get("distance")) for mode in others
    )


def require_contents(
    groups: Mapping[str, xr.Dataset],
    where: str,
    *,
    sizes: Sequence[str],
    curves: Sequence[str],
    needed: Sequence[str],
    method: str,
) -> None:
    """Refuse groups that do not belong to the model and the curves.

    Parameters
    ----------
    groups
        The groups of draws and data, by name.
    where
        The file, for the message.
    sizes
        Labels of the fitted sizes.
    curves
        Names of the curves.
    needed
        Names of draws that the model has.
    method
        How they were made.

    Raises
    ------
    PosteriorError
        If draws are missing, are no finite numbers or of other sizes, runs or numbers of draws than the rest.
    """
    draws = groups["posterior"]
    lengths: dict[str, int] = {}
    for group, data in groups.items():
        for dim, length in data.sizes.items():
            # observations of one group need not be those of another
            if dim != "obs" and lengths.setdefault(str(dim), length) != length:
                raise PosteriorError(f"{where}: {group} has {length} of {dim}, where it should be {lengths[str(dim)]}")
        for name, array in data.data_vars.items():
            sampled = group in ("posterior", "sampled", "effects", "sample_stats")
            if sampled and array.dims[:2] != _DRAWS:
                raise PosteriorError(
                    f"{where}: {group}/{name} has the dimensions {array.dims}; allowed: chain, draw, ..."
                )
            if array.dtype.kind not in "fiub" or (group in ("posterior", "sampled") and array.dtype.kind != "f"):
                raise PosteriorError(f"{where}: {group}/{name} is of type {array.dtype}; allowed: numbers")
            if group != "observed_data" and not np.isfinite(array.to_numpy()).all():
                raise PosteriorError(f"{where}: {group}/{name} has values that are not finite; the file is damaged")
    if not draws.sizes.get("chain") or not draws.sizes.get("draw"):
        raise PosteriorError(f"{where}: it has no draws; the file is damaged")
    missing = [name for name in needed if name not in draws and name not in groups.get("sampled", ())]
    if missing:
        raise PosteriorError(
            f"{where}: the draws of {', '.join(missing)} are missing; the file is damaged, or another version of "
            "bayeslr wrote it: fit its logs again"
        )
    statistics = groups["sample_stats"]
    lost = [name for name in _STATISTICS[method] if name not in statistics or statistics[name].ndim != len(_DRAWS)]
    if lost:
        raise PosteriorError(f"{where}: draws by {method} without a number each of {', '.join(lost)}")
    if _labels(draws, "size") != list(sizes):
        raise PosteriorError(f"{where}: the sizes of its draws are not those of its curves ({', '.join(sizes)})")
    runs = list(dict.fromkeys(_labels(groups["observed_data"], "run")))
    strangers = [run for run in runs if run not in set(curves)]
    if strangers or not runs:
        raise PosteriorError(f"{where}: it has no curve of the run {', '.join(strangers[:3])}; the file is damaged")
    for group, data in groups.items():
        for dim, labels in (("run", runs), ("size", list(sizes))):
            if dim in data.dims and _labels(data, dim) != labels:
                raise PosteriorError(
                    f"{where}: {group} is of the {dim}s {', '.join(_labels(data, dim)[:3])}, ..., in this order; "
                    f"allowed: those of its curves, {', '.join(labels[:3])}, ..."
                )


def require_observed(data: xr.Dataset, curves: CurveSet, where: str) -> None:
    """Refuse observations that are not among those of the curves.

    Parameters
    ----------
    data
        The group ``observed_data``, with a loss, a run and a step for each observation.
    curves
        The curves.
    where
        The file, for the message.

    Raises
    ------
    PosteriorError
        If an observation has another loss than its run at its step, or those of a run are not in order.
    """
    place = f"{where}: observed_data"
    kinds = {"run": "OU", "step": "iu", "loss": "f"}
    if any(
        name not in data.variables or data[name].dims != ("obs",) or data[name].dtype.kind not in kind
        for name, kind in kinds.items()
    ):
        raise PosteriorError(f"{place} does not have a run, a step and a loss for each observation")
    known = {curve.name: curve for curve in curves}
    names, rows = np.unique(data["run"].to_numpy().astype(str), return_inverse=True)
    steps, losses = data["step"].to_numpy(), data["loss"].to_numpy()
    parts = np.split(np.argsort(rows, kind="stable"), np.cumsum(np.bincount(rows))[:-1])
    for name, part in zip(names, parts, strict=True):
        curve = known[str(name)]
        nearest = np.searchsorted(curve.steps, steps[part]).clip(max=len(curve) - 1)
        same = (curve.steps[nearest] == steps[part]) & (curve.loss[nearest] == losses[part])
        same[1:] &= np.diff(nearest) > 0
        if not same.all():
            wrong = part[int(np.argmin(same))]
            raise PosteriorError(
                f"{place} has the loss {losses[wrong]:.6g} at step {steps[wrong]} of the run {name}; allowed: losses "
                "of its curves, in their order"
            )


def _labels(data: xr.Dataset, dim: str) -> list[str]:
    return [str(label) for label in data[dim].to_numpy()] if dim in data.coords else []
