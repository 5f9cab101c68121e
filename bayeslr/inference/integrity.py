"""A posterior file proves itself before anything is computed from it.

In this order, so that each step only meets what the one before has let through:

1. the seal, the last line of the file, has the SHA-256 of all bytes before it: damage is found before the HDF5 library
   parses a byte. HDF5 ignores what follows its own end, so that other programs read the file as ever;
2. the structure: groups and arrays of numbers and texts, no links out of the file, no filters that load code, and sizes
   that fit into memory, all checked before an array is read;
3. the contents, in :mod:`bayeslr.inference.contents`.

A seal is no signature: whoever writes a file can seal it. Steps 2 and 3 are there for such files.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import h5py  # type: ignore[import-untyped]

from bayeslr.errors import PosteriorError

__all__ = ["require_seal", "require_structure", "sealed"]

MAX_FILE_BYTES: Final = 2**30
MAX_ARRAY_BYTES: Final = 2**30
"""Of all arrays of a file together, as they are in memory."""
_MAX_DEPTH: Final = 4
_MAX_OBJECTS: Final = 5_000
_MAX_ATTRIBUTE_BYTES: Final = 2**26
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
