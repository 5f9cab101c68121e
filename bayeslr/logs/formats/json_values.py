"""Values of JSON as logs have them: numbers of any length, objects inside objects."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from bayeslr.logs.columns import loss_columns, step_columns
from bayeslr.logs.limits import MAX_DEPTH

__all__ = ["decoded", "flattened", "object_in", "wrapper_of"]


def _integer(text: str) -> int | float:
    """Convert a whole number; one of more digits than a float has is one anyway."""
    return int(text) if len(text) < 19 else float(text)


_DECODER: Final = json.JSONDecoder(parse_int=_integer)


def decoded(text: str, start: int = 0) -> tuple[object, int]:
    """Parse one JSON value.

    Parameters
    ----------
    text
        The text.
    start
        Where the value begins.

    Returns
    -------
    value : object
        The value.
    end : int
        Where it ends.

    Raises
    ------
    ValueError
        If the text is not JSON, or nested too deeply.
    """
    try:
        return _DECODER.raw_decode(text, start)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def object_in(line: str) -> dict[str, object]:
    """Return the object with which a line ends; empty if there is none.

    Parameters
    ----------
    line
        A line, whatever stands before the object.

    Returns
    -------
    dict
        The object.
    """
    at = line.find('{"')
    try:
        value, end = decoded(line, at) if at >= 0 else (None, 0)
    except ValueError:
        return {}
    return value if isinstance(value, dict) and not line[end:].strip() else {}


def flattened(record: Mapping[str, object]) -> dict[str, object]:
    """Return the values of nested objects under joined keys.

    Parameters
    ----------
    record
        An object; what is nested more deeply than the limit is left out.

    Returns
    -------
    dict
        The values by the joined keys.
    """
    if not any(isinstance(value, dict) for value in record.values()):
        return dict(record)
    return dict(_leaves(record, "", MAX_DEPTH))


def wrapper_of(keys: Sequence[str]) -> str:
    """Return what stands before the names of all quantities, as where a logger puts what it is given under one key.

    Parameters
    ----------
    keys
        The joined keys of all records.

    Returns
    -------
    str
        ``attributes/`` where there are ``attributes/step`` and ``attributes/loss``; empty if a step has its own name,
        or names would occur twice.
    """
    if step_columns(keys):
        return ""
    for prefix in dict.fromkeys(key[: key.rfind("/") + 1] for key in keys if "/" in key):
        inside = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
        outside = {key for key in keys if not key.startswith(prefix)}
        if step_columns(inside) and loss_columns(inside) and not outside & set(inside):
            return prefix
    return ""


def _leaves(record: Mapping[str, object], prefix: str, depth: int) -> Iterator[tuple[str, object]]:
    for key, value in record.items():
        if not isinstance(value, Mapping):
            yield f"{prefix}{key}", value
        elif depth:
            yield from _leaves(value, f"{prefix}{key}/", depth - 1)
