"""Reading posterior files, those of earlier formats included."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
import xarray as xr

from bayeslr.curves import CurveSet, Sizes
from bayeslr.errors import PosteriorError, one_line
from bayeslr.forking import require_unforked
from bayeslr.inference.contents import read_json, require_contents, require_observed, require_settings
from bayeslr.inference.groups import observed_group, shown_names
from bayeslr.inference.inputs import require_fittable
from bayeslr.inference.integrity import require_seal, require_structure
from bayeslr.inference.posterior import FORMAT, Posterior, data_hash
from bayeslr.inference.store import curves_from_dataset
from bayeslr.laws import Scale, WeightNormRate
from bayeslr.model import Discrepancy, ScalingModel, model_from_settings

__all__ = ["load_posterior"]

READABLE = range(2, FORMAT + 1)
"""Format 2 has the rates of every update as they are, format 3 all draws in one group and losses a row a run, format 4
no batch sizes, format 5 a noise of each size alone, format 6 parameters of each size at its longest run, format 7 no
jitter of the losses, format 8 no amplitude of the errors, format 9 no effect of the random start, format 10 batches of
each size at its longest run, format 11 no weight decay that is inferred."""

_WITH_SAMPLED, _WITH_BATCHES, _WITH_LEVELS, _WITH_JITTER = 4, 5, 7, 8
_WITH_AMPLITUDE, _WITH_START, _WITH_BATCH_LEVELS, _WITH_DECAY = 9, 10, 11, 12
_NOT_IN_SCALE: dict[int, dict[str, float | list[float]]] = {
    _WITH_BATCHES: {"batch": 0.0, "batches": []},
    _WITH_LEVELS: {"level_area": 0.0, "level_rate": 0.0, "level_areas": [], "level_rates": []},
    _WITH_JITTER: {"jitter": 0.0},
    _WITH_BATCH_LEVELS: {"level_batch": 0.0, "level_batches": []},
}
"""By the format that brought it, what the scale of an earlier one does not say."""

_NOT_IN_ERRORS = {_WITH_AMPLITUDE: ("amplitude_spread", 0.0), _WITH_START: ("start", 0.0)}
"""The same of the error model's settings, as it was fitted then."""

_NOT_IN_RATE = {_WITH_DECAY: ("weight_decay", "given")}
"""The same of the map from rates to effective rates."""


def load_posterior(path: str | Path) -> Posterior:
    """Read a posterior from a file; the logs that made it are not needed.

    Parameters
    ----------
    path
        A file written by :meth:`Posterior.save`.

    Returns
    -------
    Posterior
        The posterior.

    Raises
    ------
    PosteriorError
        If the file does not exist, is not such a file, has another format, or is not as it was written, see
        :mod:`bayeslr.inference.integrity`.
    """
    path = Path(path)
    if not path.is_file():
        raise PosteriorError(f"{path}: there is no such file; allowed: a posterior written by bayeslr")
    require_seal(path)
    require_structure(path)
    try:
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            tree = opened.load()
    # what a library makes of hostile contents is of any class
    except Exception as problem:
        raise PosteriorError(
            f"{path}: cannot be read as a netCDF file ({problem}); allowed: a bayeslr posterior"
        ) from None
    if "bayeslr_format" not in tree.attrs:
        raise PosteriorError(f"{path}: a netCDF file, but not a posterior written by bayeslr")
    found = tree.attrs["bayeslr_format"]
    if not isinstance(found, int | np.integer) or found not in READABLE:
        raise PosteriorError(
            f"{path}: format {found}; allowed: {READABLE[0]} to {FORMAT} (fit again, or take the bayeslr that wrote it)"
        )
    missing = {"posterior", "sample_stats", "observed_data", "curves"} - set(tree.children)
    if missing:
        raise PosteriorError(f"{path}: the file is damaged, it has no group {', '.join(sorted(missing))}")
    settings = read_json(tree.attrs.get("settings"), f"{path}: settings")
    if isinstance(settings, dict) and isinstance(settings.get("scale"), dict):
        for since, unknown in _NOT_IN_SCALE.items():
            settings["scale"] |= unknown if found < since else {}
    described = read_json(tree.attrs.get("model"), f"{path}: model")
    if isinstance(described, dict):
        law = described.get("law")
        _complete(described.get("discrepancy"), Discrepancy().name, _NOT_IN_ERRORS, found)
        _complete(law.get("rate") if isinstance(law, dict) else None, WeightNormRate().name, _NOT_IN_RATE, found)
        if described.get("priors"):
            # numbers of JAX
            require_unforked()
    try:
        curves = curves_from_dataset(tree["curves"].to_dataset())
        fitted = curves.after_warmup()
        model = model_from_settings(described)
        require_fittable(fitted)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as problem:
        raise PosteriorError(f"{path}: the file is damaged ({problem})") from None
    if data_hash(curves) != tree.attrs.get("data_sha256"):
        raise PosteriorError(f"{path}: the curves in it do not match their checksum; the file is damaged")
    groups = {name: node.to_dataset() for name, node in tree.children.items() if name != "curves"}
    law, sizes = model.law, Sizes.of(fitted).labels
    scale = {field.name: isinstance(field.default, tuple) for field in fields(Scale)}
    require_settings(settings, str(path), scale=scale, sizes=len(sizes))
    settings["health"] = [one_line(text) for text in settings["health"]]
    require_contents(
        groups,
        str(path),
        sizes=sizes,
        curves=curves.names,
        needed=list(dict.fromkeys([*(name for name in model.sites if name != "noise_precision"), *law.reported_names])),
        method=settings["method"],
    )
    if found < _WITH_SAMPLED:
        groups = _rearranged(groups, model, fitted.thin(settings["max_points_per_run"]))
    require_observed(groups["observed_data"], curves, str(path))
    if found < _WITH_BATCHES and "constant_data" in groups:
        none = xr.DataArray(np.zeros((0, 3)), dims=["place_batch", "part_batch"])
        groups["constant_data"] = groups["constant_data"].assign(places_batch=none)
    posterior = Posterior(tree=xr.DataTree.from_dict(groups), curves=curves, model=model, settings=settings)
    lost = [name for name in model.discrepancy.places(-1.0, np.zeros(1), np.zeros(1)) if name not in posterior.places]
    if lost:
        raise PosteriorError(f"{path}: the places of {', '.join(lost)} are missing; the file is damaged")
    return posterior


def _rearranged(groups: dict[str, xr.Dataset], model: ScalingModel, observed: CurveSet) -> dict[str, xr.Dataset]:
    """Return groups of an earlier format as they are now."""
    draws, shown = groups["posterior"], shown_names(model)
    rest = [name for name in draws.data_vars if name not in shown]
    parts = {"posterior": draws.drop_vars(rest), "sampled": draws[rest]}
    return groups | parts | {"observed_data": observed_group(observed)}


def _complete(part: object, name: str, missing: Mapping[int, tuple[str, object]], found: int | np.integer) -> None:
    """Add to a part of the model what its settings did not say in the format of the file."""
    if isinstance(part, dict) and part.get("name") == name:
        for since, (setting, value) in missing.items():
            if found < since:
                part.setdefault(setting, value)
