"""JSON logs: one object a line, a list of objects, or the ``trainer_state.json`` of Hugging Face's Trainer.

Objects inside objects become columns with their keys joined by ``/``.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from bayeslr.errors import LogError
from bayeslr.logs.rawlog import RawLog

__all__ = ["open_json"]


def open_json(path: Path, text: str) -> RawLog:
    """Open a JSON log.

    Parameters
    ----------
    path
        The file.
    text
        Its text.

    Returns
    -------
    RawLog
        With values as JSON has them.

    Raises
    ------
    LogError
        If the text is not JSON, or not a list of objects.
    """
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        return _raw_log(path, _json_lines(path, text), "line")
    except RecursionError:
        raise LogError(f"{path}: JSON nested too deeply; allowed: a list of objects") from None
    if isinstance(whole, dict) and "log_history" in whole:
        whole = whole["log_history"]
        if not isinstance(whole, list):
            raise LogError(f"{path}: log_history is a {type(whole).__name__}; allowed: a list of objects")
    if isinstance(whole, dict):
        whole = [whole]
    if not isinstance(whole, list):
        raise LogError(f"{path}: JSON of type {type(whole).__name__}; allowed: objects, one a line or in a list")
    return _raw_log(path, list(enumerate(whole, start=1)), "record")


def _json_lines(path: Path, text: str) -> list[tuple[int, object]]:
    """Parse one JSON value a line."""
    records: list[tuple[int, object]] = []
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            records.append((number, json.loads(line)))
        except (json.JSONDecodeError, RecursionError) as problem:
            reason = problem.msg if isinstance(problem, json.JSONDecodeError) else "nested too deeply"
            raise LogError(f"{path}, line {number}: not JSON ({reason}); allowed: one object a line") from None
    return records


def _raw_log(path: Path, records: Sequence[tuple[int, object]], unit: str) -> RawLog:
    """Make columns of the keys of all records."""
    flat: list[tuple[int, dict[str, object]]] = []
    for number, record in records:
        if not isinstance(record, Mapping):
            raise LogError(f"{path}, {unit} {number}: {type(record).__name__} found; allowed: an object with metrics")
        flat.append((number, dict(_flattened(record))))
    if not flat:
        raise LogError(f"{path}: there are no records; allowed: a log with at least one")
    columns = tuple(dict.fromkeys(key for _, record in flat for key in record))

    def read(wanted: Sequence[str]) -> pd.DataFrame:
        values = {column: [record.get(column) for _, record in flat] for column in wanted}
        return pd.DataFrame(values, index=[number for number, _ in flat], dtype=object)

    return RawLog(path=str(path), columns=columns, rows=read, unit=unit)


def _flattened(record: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the values of nested objects under joined keys."""
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value
