"""What a posterior file says must belong together: settings, draws and labels, the model and the curves.

The last step of :mod:`bayeslr.inference.integrity`. Nothing here is damage, which the seal finds: it is what somebody
made on purpose, or another program.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import xarray as xr

from bayeslr.errors import PosteriorError

__all__ = ["read_json", "require_contents", "require_settings"]

_MAX_JSON: Final = 50_000_000


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


def require_settings(settings: Any, where: str, *, scale: Sequence[str]) -> None:
    """Refuse settings of a fit that no fit has.

    Parameters
    ----------
    settings
        What the file says.
    where
        The file, for the message.
    scale
        Names of the numbers of the data's scale.

    Raises
    ------
    PosteriorError
        If a setting is missing, or is no such value.
    """
    if not isinstance(settings, dict):
        raise PosteriorError(f"{where}: its settings are a {type(settings).__name__}; allowed: an object")
    counts = ("seed", "num_warmup", "num_samples", "num_chains", "max_points_per_run")
    texts, values = settings.get("health"), settings.get("scale")
    sound = {
        "method": settings.get("method") in ("nuts", "laplace"),
        **{name: _is_number(settings.get(name)) and isinstance(settings[name], int) for name in counts},
        "target_accept_prob": _is_number(settings.get("target_accept_prob")) and 0 < settings["target_accept_prob"] < 1,
        "scale": isinstance(values, Mapping)
        and set(values) == set(scale)
        and all(
            _is_number(part) for value in values.values() for part in (value if isinstance(value, list) else [value])
        ),
        "health": isinstance(texts, list) and all(isinstance(text, str) for text in texts),
    }
    for name, fine in sound.items():
        if not fine:
            found = repr(settings[name])[:60] if name in settings else "nothing"
            raise PosteriorError(f"{where}: the setting {name} is {found}, which no fit has; the file is damaged")


def _is_number(value: object) -> bool:
    """Tell whether a value is a number of an ordinary size, not below zero."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e300


def require_contents(
    groups: Mapping[str, xr.Dataset], where: str, *, sizes: Sequence[str], curves: Sequence[str], needed: Sequence[str]
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
            if sampled and array.dims[:2] != ("chain", "draw"):
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
    if _labels(draws, "size") != list(sizes):
        raise PosteriorError(f"{where}: the sizes of its draws are not those of its curves ({', '.join(sizes)})")
    runs = list(dict.fromkeys(_labels(groups["observed_data"], "run")))
    strangers = [run for run in runs if run not in set(curves)]
    if strangers or not runs:
        raise PosteriorError(f"{where}: it has no curve of the run {', '.join(strangers[:3])}; the file is damaged")
    if lengths.get("run", len(runs)) != len(runs):
        raise PosteriorError(f"{where}: effects of {lengths['run']} runs, but observations of {len(runs)}")


def _labels(data: xr.Dataset, dim: str) -> list[str]:
    return [str(label) for label in data[dim].to_numpy()] if dim in data.coords else []
