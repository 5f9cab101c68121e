"""A posterior file proves itself before anything is computed from it.

In this order, so that each step only meets what the one before has let through:

1. the seal, the last line of the file, has the SHA-256 of all bytes before it: damage is found before the HDF5 library
   parses a byte. HDF5 ignores what follows its own end, so that other programs read the file as ever;
2. the structure: groups and arrays of numbers and texts, no links out of the file, no filters that load code, and sizes
   that fit into memory, all checked before an array is read; how long texts are is seen by reading a few at a time;
3. the contents, in :mod:`bayeslr.inference.contents`.

A seal is no signature: whoever writes a file can seal it. Steps 2 and 3 are there for such files.
"""

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py  # type: ignore[import-untyped]
import numpy as np

from bayeslr.errors import PosteriorError

__all__ = ["require_seal", "require_structure", "sealed"]

MAX_FILE_BYTES: Final = 2**30
MAX_ARRAY_BYTES: Final = 2**30
"""Of all arrays of a file together, as they are in memory."""
_MAX_DEPTH: Final = 4
_MAX_DIMS: Final = 8
_MAX_OBJECTS: Final = 5_000
_MAX_ATTRIBUTES: Final = 10_000
_MAX_ATTRIBUTE_BYTES: Final = 2**24
"""Of all attributes of a file together."""
_MAX_TEXTS: Final = 2**18
"""Names of runs at observations, and what is said of each run."""
_TEXT_BYTES: Final = 2**26
"""Of the texts that are read together to see how long they are. A file keeps a text once, however many refer to it."""
_FEW: Final = 2
_BYTES_OF_CHARACTER: Final = 4
_SEAL: Final = re.compile(rb"\nbayeslr posterior, sha256 ([0-9a-f]{64})\n")
_SEAL_BYTES: Final = len("\nbayeslr posterior, sha256 \n") + 64
_MAGIC: Final = b"\x89HDF\r\n\x1a\n"
# deflate, shuffle, fletcher32: built into HDF5, while others are looked up and loaded as shared libraries
_FILTERS: Final = frozenset({1, 2, 3})


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
            problem = next(_problems(file, _Tally(file_bytes=path.stat().st_size)), None)
    # what a library makes of hostile bytes is of any class
    except Exception as error:
        text = str(error) or type(error).__name__
        raise PosteriorError(
            f"{path}: cannot be read as a netCDF file ({text}); allowed: a bayeslr posterior"
        ) from None
    if problem is not None:
        raise PosteriorError(f"{path}: the file is damaged or hostile: {problem}")


@dataclass(kw_only=True)
class _Tally:
    """What a file has had so far."""

    file_bytes: int
    objects: int = 0
    attributes: int = 0
    attribute_bytes: int = 0
    texts: int = 0
    array_bytes: int = 0

    @property
    def at_once(self) -> int:
        """How many texts may be read together: each may be as long as the file, and all the same bytes."""
        return max(1, _TEXT_BYTES // self.file_bytes)


def _problems(file: Any, tally: _Tally) -> Iterator[str]:
    """Yield what a file should not have; nobody asks on after the first."""
    waiting = [("", file, 0)]
    while waiting:
        name, group, depth = waiting.pop()
        yield from _attribute_problems(name or "/", group, tally)
        for key in group:
            place = f"{name}/{key}"
            tally.objects += 1
            if tally.objects > _MAX_OBJECTS or depth >= _MAX_DEPTH:
                yield f"more than {_MAX_OBJECTS} objects, or nested more than {_MAX_DEPTH} deep"
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                yield f"{place} is a link; allowed: data within the file"
            item = group[key]
            if isinstance(item, h5py.Group):
                waiting.append((place, item, depth + 1))
            elif not isinstance(item, h5py.Dataset):
                yield f"{place} is neither a group nor an array"
            else:
                yield from _array_problems(place, item, tally)


def _array_problems(place: str, array: Any, tally: _Tally) -> Iterator[str]:
    if array.shape is None or not (_is_text(array.dtype) or array.dtype.kind in "iufb"):
        yield f"{place} has the type {array.dtype}; allowed: numbers and texts"
    if len(array.shape) > _MAX_DIMS:
        yield f"{place} has {len(array.shape)} dimensions; allowed: up to {_MAX_DIMS}"
    yield from _attribute_problems(place, array, tally)
    if array.is_virtual or array.external:
        yield f"{place} keeps its numbers in another file"
    if array.chunks is not None and _bytes(array.chunks, array.dtype) > MAX_ARRAY_BYTES:
        yield f"{place} has parts of {array.chunks} numbers; allowed: {MAX_ARRAY_BYTES} bytes"
    plan = array.id.get_create_plist()
    for k in range(plan.get_nfilters()):
        if plan.get_filter(k)[0] not in _FILTERS:
            yield f"{place} is packed by filter {plan.get_filter(k)[0]}; allowed: gzip"
    if _is_text(array.dtype):
        # in parts, each text would cost the reading of a part
        if len(array.shape) > 1 or (array.size and array.chunks is not None):
            yield f"{place} has texts of shape {array.shape} in parts of {array.chunks}; allowed: a list of texts"
        tally.texts += int(array.size)
        if tally.texts > _MAX_TEXTS:
            yield f"with {place} it has {tally.texts} texts; allowed: {_MAX_TEXTS}"
        tally.array_bytes += _text_bytes(array, tally.at_once)
    else:
        tally.array_bytes += _bytes(array.shape, array.dtype)
    if tally.array_bytes > MAX_ARRAY_BYTES:
        yield f"with {place} its arrays have {tally.array_bytes} bytes; allowed: {MAX_ARRAY_BYTES}"


def _attribute_problems(place: str, item: Any, tally: _Tally) -> Iterator[str]:
    tally.attributes += len(item.attrs)
    if tally.attributes > _MAX_ATTRIBUTES:
        yield f"with {place} it has {tally.attributes} attributes; allowed: {_MAX_ATTRIBUTES}"
    for key in item.attrs:
        attribute = item.attrs.get_id(key)
        where = f"the attribute {key} of {place}"
        # how netCDF ties arrays to their dimensions
        if key == "DIMENSION_LIST":
            if not _is_tied(item, attribute):
                yield f"{where} does not give each dimension one array"
            continue
        if _is_text(attribute.dtype) and attribute.shape is not None:
            count = _count(attribute.shape)
            if count > max(_FEW, tally.at_once):
                yield f"{where} has {count} texts; allowed: {max(_FEW, tally.at_once)}"
            tally.attribute_bytes += sum(map(len, np.ravel(item.attrs[key])))
        elif key == "REFERENCE_LIST" or attribute.dtype.kind in "iufbS":
            tally.attribute_bytes += _bytes(attribute.shape or (), attribute.dtype)
        else:
            yield f"{where} has the type {attribute.dtype}; allowed: numbers and texts"
        if tally.attribute_bytes > _MAX_ATTRIBUTE_BYTES:
            yield f"with {where} its attributes have more than {_MAX_ATTRIBUTE_BYTES} bytes, which are allowed"


def _is_tied(array: Any, attribute: Any) -> bool:
    """Tell whether an attribute refers to at most one array for each dimension, as of netCDF."""
    if not isinstance(array, h5py.Dataset) or attribute.shape != (array.ndim,):
        return False
    if h5py.check_ref_dtype(h5py.check_vlen_dtype(attribute.dtype)) is not h5py.Reference:
        return False
    return all(h5py.h5ds.get_num_scales(array.id, k) <= 1 for k in range(array.ndim))


def _text_bytes(array: Any, at_once: int) -> int:
    """Return the size of texts in memory, where each takes as much as the longest, as far as it may be."""
    if array.shape == ():
        return _BYTES_OF_CHARACTER * len(array[()])
    found = 0
    for start in range(0, array.size, at_once):
        longest = max(map(len, array[start : start + at_once]))
        found = max(found, _BYTES_OF_CHARACTER * longest * int(array.size))
        if found > MAX_ARRAY_BYTES:
            break
    return found


def _bytes(shape: Sequence[int], dtype: Any) -> int:
    """Return the size of numbers in memory, where what is smaller may become as long as a float."""
    return _count(shape) * max(int(dtype.itemsize), 8)


def _count(shape: Sequence[int]) -> int:
    """Return how many numbers an array has; in Python, since what a file says may not fit into 64 bits."""
    return math.prod(map(int, shape))


def _is_text(dtype: Any) -> bool:
    found = h5py.check_string_dtype(dtype)
    return found is not None and found.length is None
