"""A posterior file proves itself before anything is computed from it.

In this order, so that each step only meets what the one before has let through:

1. the seal, the last line of the file, has the SHA-256 of all bytes before it: damage is found before the HDF5 library
   parses a byte. HDF5 ignores what follows its own end, so that other programs read the file as ever;
2. the structure: groups and arrays of numbers and texts, no links out of the file, no filters that load code, and sizes
   that fit into memory, all checked before an array is read;
3. the contents: settings, draws and labels that belong to the model and the curves, every draw a finite number.

A seal is no signature: whoever writes a file can seal it. Steps 2 and 3 are there for such files.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import h5py  # type: ignore[import-untyped]
import numpy as np
import xarray as xr

from bayeslr.errors import PosteriorError

__all__ = ["read_json", "require_contents", "require_seal", "require_settings", "require_structure", "sealed"]

MAX_FILE_BYTES: Final = 2**30
MAX_ARRAY_BYTES: Final = 2**30
"""Of all arrays of a file together, as they are in memory."""
_MAX_DEPTH: Final = 4
_MAX_OBJECTS: Final = 5_000
_MAX_ATTRIBUTE_BYTES: Final = 2**26
_MAX_JSON: Final = 50_000_000
_SEAL: Final = re.compile(rb"\nbayeslr posterior, sha256 ([0-9a-f]{64})\n")
_SEAL_BYTES: Final = len("\nbayeslr posterior, sha256 \n") + 64
_MAGIC: Final = b"\x89HDF\r\n\x1a\n"
# deflate, shuffle, fletcher32: built into HDF5, while others are looked up and loaded as shared libraries
_FILTERS: Final = frozenset({1, 2, 3})
# how netCDF ties arrays to their dimensions
_SCALES: Final = frozenset({"DIMENSION_LIST", "REFERENCE_LIST"})


def sealed(content: bytes) -> bytes:
    """Return a file's bytes with their hash at the end.

    Parameters
    ----------
    content
        All bytes of a file without a seal.

    Returns
    -------
    bytes
        Those bytes and the seal.
    """
    return content + f"\nbayeslr posterior, sha256 {hashlib.sha256(content).hexdigest()}\n".encode()


def require_seal(path: Path) -> None:
    """Refuse a file whose bytes are not those that were written.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    PosteriorError
        If it is no HDF5 file, is too large, has no seal, or does not match its seal.
    """
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise PosteriorError(f"{path}: {size} bytes; allowed: a posterior file of up to {MAX_FILE_BYTES}")
    with path.open("rb") as file:
        magic = file.read(len(_MAGIC))
        file.seek(max(size - _SEAL_BYTES, 0))
        end = file.read()
    if magic != _MAGIC:
        raise PosteriorError(f"{path}: cannot be read as a netCDF file; allowed: a bayeslr posterior")
    found = _SEAL.fullmatch(end)
    if found is None:
        raise PosteriorError(
            f"{path}: no checksum at its end, as if it were cut off, changed by another program, or not a posterior; "
            "allowed: a file as bayeslr wrote it"
        )
    if _digest(path, size - _SEAL_BYTES) != found[1].decode():
        raise PosteriorError(f"{path}: does not match its checksum; the file is damaged or was changed")


def _digest(path: Path, size: int) -> str:
    """Return the SHA-256 of the first bytes of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(size, 2**20))):
            digest.update(block)
            size -= len(block)
    return digest.hexdigest()


def require_structure(path: Path) -> None:
    """Refuse a file with anything but groups, plain arrays of a reasonable size, and hard links between them.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    PosteriorError
        If it has something else; the message names it.
    """
    try:
        with h5py.File(path, "r") as file:
            problem = next(_problems(file), None)
    # what a library makes of hostile bytes is of any class
    except Exception as error:
        text = str(error) or type(error).__name__
        raise PosteriorError(
            f"{path}: cannot be read as a netCDF file ({text}); allowed: a bayeslr posterior"
        ) from None
    if problem is not None:
        raise PosteriorError(f"{path}: the file is damaged or hostile: {problem}")


def _problems(file: Any) -> Iterator[str]:
    """Yield what a file should not have."""
    waiting, seen, total = [("", file, 0)], 0, 0
    while waiting:
        name, group, depth = waiting.pop()
        yield from _attribute_problems(name or "/", group)
        for key in group:
            place, seen = f"{name}/{key}", seen + 1
            if seen > _MAX_OBJECTS or depth >= _MAX_DEPTH:
                yield f"more than {_MAX_OBJECTS} objects, or nested more than {_MAX_DEPTH} deep"
                return
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                yield f"{place} is a link; allowed: data within the file"
                continue
            item = group[key]
            if isinstance(item, h5py.Group):
                waiting.append((place, item, depth + 1))
            elif not isinstance(item, h5py.Dataset):
                yield f"{place} is neither a group nor an array"
            else:
                yield from _array_problems(place, item)
                total += _bytes(item.shape, item.dtype)
                if total > MAX_ARRAY_BYTES:
                    yield f"with {place} its arrays have {total} bytes; allowed: {MAX_ARRAY_BYTES}"
                    return


def _array_problems(place: str, array: Any) -> Iterator[str]:
    yield from _attribute_problems(place, array)
    if array.is_virtual or array.external:
        yield f"{place} keeps its numbers in another file"
    if array.shape is None or not _plain(array.dtype):
        yield f"{place} has the type {array.dtype}; allowed: numbers and texts"
    if array.chunks is not None and _bytes(array.chunks, array.dtype) > MAX_ARRAY_BYTES:
        yield f"{place} has parts of {array.chunks} numbers; allowed: {MAX_ARRAY_BYTES} bytes"
    plan = array.id.get_create_plist()
    for k in range(plan.get_nfilters()):
        if plan.get_filter(k)[0] not in _FILTERS:
            yield f"{place} is packed by filter {plan.get_filter(k)[0]}; allowed: gzip"


def _attribute_problems(place: str, item: Any) -> Iterator[str]:
    for key in item.attrs:
        attribute = item.attrs.get_id(key)
        if key in _SCALES:
            continue
        if not _plain(attribute.dtype):
            yield f"the attribute {key} of {place} has the type {attribute.dtype}; allowed: numbers and texts"
        elif _bytes(attribute.shape or (), attribute.dtype) > _MAX_ATTRIBUTE_BYTES:
            yield f"the attribute {key} of {place} is too long; allowed: {_MAX_ATTRIBUTE_BYTES} bytes"


def _bytes(shape: Sequence[int], dtype: Any) -> int:
    """Return the size of an array in memory, of texts at least."""
    count = 1
    for length in shape:
        count *= int(length)
    return count * max(int(dtype.itemsize), 1)


def _plain(dtype: Any) -> bool:
    return dtype.kind in "iufbS" or h5py.check_string_dtype(dtype) is not None


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
