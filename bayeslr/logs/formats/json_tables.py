"""JSON documents that hold a table in another form than one object a row or one list a column.

======================  ================================================================================
form                    example
======================  ================================================================================
quantities              ``{"loss": {"steps": [10, 20], "values": [9.1, 8.2]}, "lr": ...}`` (Sacred),
                        with ``x, y`` (ClearML), as points (``[{"step": 10, "value": 9.1}, ...]``), or
                        by steps (``{"loss": {"10": 9.1, "20": 8.2}, "lr": ...}``)
columns and data        ``{"columns": ["step", "loss"], "data": [[10, 9.1], [20, 8.2]]}`` (pandas)
runs                    ``[{"name": "a", "history": [{"step": 10, "loss": 9.1}, ...]}, ...]``, or lists of the
                        quantities, or ``{"a": {"config": ..., "history": [...]}, ...}``
======================  ================================================================================
"""

from collections.abc import Iterator, Mapping
from typing import Final

from bayeslr.logs.columns import loss_columns, step_columns
from bayeslr.logs.formats.json_values import decoded, flattened

__all__ = ["HISTORIES", "rows_in", "runs_of_lines"]

HISTORIES: Final = ("log_history", "history", "logs", "metrics", "log", "records", "data")
"""Keys under which an object has the rows of a run."""
_AT: Final = ("x", "step", "steps", "iteration", "iterations", "iter", "iters", "global_step")
_VALUES: Final = ("y", "value", "values")
_NAMES: Final = ("name", "run", "run_name", "id", "run_id", "label")
_DEPTH: Final = 4

type Row = dict[str, object]
type Pairs = list[tuple[object, object]]
"""Steps and values."""


def rows_in(value: object) -> list[Row] | None:
    """Return the rows of a document of one of these forms.

    Parameters
    ----------
    value
        The document.

    Returns
    -------
    list of dict
        The rows; those of one quantity after those of the other, and of one run after those of the other.
    None
        If it has another form.
    """
    if isinstance(value, list):
        return _of_runs(value)
    if not isinstance(value, dict):
        return None
    return _of_columns(value) or _of_named_runs(value) or _of_quantities(value)


def _of_columns(value: Mapping[str, object]) -> list[Row] | None:
    """Return the rows of a list of names and a list of rows."""
    names, data = value.get("columns"), value.get("data")
    if not isinstance(names, list) or not isinstance(data, list) or not all(isinstance(name, str) for name in names):
        return None
    if not data or not all(isinstance(row, list) and len(row) == len(names) for row in data):
        return None
    return [dict(zip(names, row, strict=True)) for row in data]


def _of_runs(value: list[object]) -> list[Row] | None:
    """Return the rows of a list of runs, each with its name and its history."""
    rows: list[Row] = []
    for run in value:
        if not isinstance(run, dict):
            return None
        name = next((run[key] for key in _NAMES if isinstance(run.get(key), str)), None)
        history = _history(run)
        if name is None or history is None:
            return None
        rows += [{"run": name, **row} for row in history]
    return rows or None


def _of_named_runs(value: Mapping[str, object]) -> list[Row] | None:
    """Return the rows of runs by their names, each with its history beside other things."""
    runs = [{**run, "name": name} for name, run in value.items() if isinstance(run, dict)]
    whole = len(runs) == len(value) > 1 and all(any(key in run for key in HISTORIES) for run in runs)
    return _of_runs(list(runs)) if whole else None


def _history(run: Mapping[str, object]) -> list[Row] | None:
    """Return the rows of a run: a list of them, or lists of its quantities; None if it has neither."""
    for history in (*(run.get(key) for key in HISTORIES), run):
        if isinstance(history, list) and history and all(isinstance(row, dict) for row in history):
            return [flattened(row) for row in history]
        lists = {k: v for k, v in history.items() if isinstance(v, list)} if isinstance(history, dict) else {}
        steps = step_columns(list(lists))[:1]
        if steps and loss_columns(list(lists)):
            alike = {name: v for name, v in lists.items() if len(v) == len(lists[steps[0]]) > 1}
            return [dict(zip(alike, row, strict=True)) for row in zip(*alike.values(), strict=True)] or None
    return None


def runs_of_lines(text: str, start: int) -> list[Row] | None:
    """Return the rows of a file with a run a line, each with its name and its history.

    Parameters
    ----------
    text
        The file.
    start
        Where its first value begins.

    Returns
    -------
    list of dict
        The rows.
    None
        If it has one line, or lines of something else.
    """
    lines = text[start:].splitlines() if text.find("\n", start) >= 0 else []
    runs: list[object] = []
    for line in filter(str.strip, lines):
        try:
            value, end = decoded(line)
        except ValueError:
            return None
        if line[end:].strip() or (not runs and _of_runs([value]) is None):
            return None
        runs.append(value)
    return _of_runs(runs) if len(runs) > 1 else None


def _of_quantities(value: Mapping[str, object]) -> list[Row] | None:
    """Return the rows of an object of quantities each of which has steps of its own."""
    found = dict(_quantities(value, "", _DEPTH))
    if not loss_columns(list(found)) or step_columns(list(found)):
        return None
    return [{"step": step, name: number} for name, pairs in found.items() for step, number in pairs]


def _quantities(value: Mapping[str, object], prefix: str, depth: int) -> Iterator[tuple[str, Pairs]]:
    """Go through the quantities of an object, by their joined names."""
    for key, item in value.items():
        pairs = _points(item) if isinstance(item, list) else _lists(item) or _by_step(item)
        if pairs:
            yield f"{prefix}{key}", pairs
        elif isinstance(item, dict) and depth:
            yield from _quantities(item, f"{prefix}{key}/", depth - 1)


def _points(item: list[object]) -> Pairs:
    """Return the steps and values of a list of points; none if it is another list."""
    first = item[0] if item else None
    if not isinstance(first, dict):
        return []
    at, values = _key(first, _AT), _key(first, _VALUES)
    if not at or not values or not all(isinstance(point, dict) and at in point and values in point for point in item):
        return []
    return [(point[at], point[values]) for point in item if isinstance(point, dict)]


def _lists(item: object) -> Pairs:
    """Return the steps and values of an object with a list of each; none if it is something else."""
    if not isinstance(item, dict):
        return []
    at, values = item.get(_key(item, _AT)), item.get(_key(item, _VALUES))
    if not isinstance(at, list) or not isinstance(values, list) or len(at) != len(values):
        return []
    return list(zip(at, values, strict=True))


def _by_step(item: object) -> Pairs:
    """Return the steps and values of an object with a value a step; none if it is something else."""
    if not isinstance(item, dict) or len(item) < 2 or not all(key.isdigit() and len(key) < 16 for key in item):
        return []
    return list(item.items()) if not any(isinstance(number, dict | list) for number in item.values()) else []


def _key(item: Mapping[str, object], names: tuple[str, ...]) -> str:
    """Return the first of some keys that an object has; empty if it has none."""
    return next((name for name in names if name in item), "")
