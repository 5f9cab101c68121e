"""JSON logs: one object per line, a list of objects, an object of lists, or Hugging Face's ``trainer_state.json``.

Objects inside objects become columns with their keys joined by ``/``. A file that is cut off is read up to there; a
line that is damaged is left out.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from bayeslr.errors import LogError
from bayeslr.logs.columns import loss_columns, split_of, step_columns
from bayeslr.logs.formats.files import LogFile
from bayeslr.logs.formats.json_tables import HISTORIES, rows_in, runs_of_lines
from bayeslr.logs.formats.json_values import decoded, flattened, object_in, wrapper_of
from bayeslr.logs.limits import MAX_COLUMNS, MAX_LINE
from bayeslr.logs.rawlog import CHUNK, Chunk, RawLog

__all__ = ["has_json_in_lines", "open_json"]

_SPACE: Final = re.compile(r"[\s,]*")
_PLANNED: Final = ("max_steps", "total_steps")

type Records = Iterator[tuple[int, Mapping[str, object]]]


def open_json(file: LogFile) -> RawLog:
    """Open a JSON log.

    Parameters
    ----------
    file
        The file.

    Returns
    -------
    RawLog
        With values as JSON has them.

    Raises
    ------
    LogError
        If the text is not JSON, or not a list of objects.
    """
    if _one_object_a_line(file):
        return _raw_log(file, lambda: _lines(file), "line", None)
    document = _Document(file)
    table = document.of_lists()
    if table is not None:
        return table
    # the text is read again with every pass, so that an opened log holds nothing
    return _raw_log(file, lambda: _Document(file).records(), "record", document.planned)


def has_json_in_lines(file: LogFile, lines: int) -> bool:
    """Return whether lines of text end with an object, as fairseq's log has it.

    Parameters
    ----------
    file
        The file.
    lines
        How many lines to look at.

    Returns
    -------
    bool
        True if one of them does.
    """
    for number, line, _ in file.lines():
        if number > lines:
            return False
        if len(object_in(line)) > 1:
            return True
    return False


def _one_object_a_line(file: LogFile) -> bool:
    """Return whether the first line is an object and not the whole document."""
    lines = (line for _, line, _ in file.lines() if line.strip())
    try:
        first = next(lines)
    except (StopIteration, LogError):
        return False  # blank, or one line longer than lines may be
    if len(first) >= MAX_LINE or first.lstrip().startswith("["):
        return False
    if not first.lstrip().startswith("{"):
        return True
    try:
        value, _ = decoded(first.strip())
    except ValueError:
        # cut off in its only line, or a document of several lines
        return False
    if isinstance(value, dict) and ("log_history" in value or any(isinstance(value.get(k), list) for k in HISTORIES)):
        return False
    alone = rows_in(value) or _lists_in(value) or _is_of_steps(value) or _rows_by_name(value)
    return next(lines, None) is not None or not alone


def _is_of_lists(value: object) -> bool:
    """Return whether an object has a list of several values a key."""
    return isinstance(value, dict) and sum(isinstance(v, list) and len(v) > 1 for v in value.values()) >= 2


def _lists_in(value: object) -> Mapping[str, object] | None:
    """Return the object of lists that an object is or holds (``{"history": {"loss": [...]}}``); None if there is none.

    Where it holds several, their keys are joined.
    """
    for _ in range(3):
        if not isinstance(value, dict):
            return None
        value = _of_index(value)
        if _is_of_lists(value):
            return value
        inner = [v for v in value.values() if isinstance(v, dict)]
        # histories by the names of their runs read like an export with a column a run
        runs = (
            len(inner) > 1
            and not all(map(split_of, value))
            and all(step_columns(list(d)) and loss_columns(list(d)) for d in inner)
        )
        mark = " - " if runs else "/"
        both = {f"{k}{mark}{key}": v for k, d in value.items() if isinstance(d, dict) for key, v in d.items()}
        value = inner[0] if len(inner) == 1 else both
    return None


def _of_index(value: dict[str, object]) -> dict[str, object]:
    """Return an object of columns, each an object of rows by their numbers (as pandas writes), as one of lists."""
    indices = [list(column) if isinstance(column, dict) else [] for column in value.values()]
    if len(indices) < 2 or len(indices[0]) < 2 or any(index != indices[0] for index in indices[1:]):
        return value
    if not all(key.isdigit() for key in indices[0]):
        return value
    return {name: list(column.values()) for name, column in value.items() if isinstance(column, dict)}


def _rows_by_name(value: object) -> list[dict[str, object]] | None:
    """Return the rows of an object that has a list of rows a run, or a split; None if it is something else."""
    if not isinstance(value, dict) or len(value) < 2 or not all(isinstance(v, list) and v for v in value.values()):
        return None
    if not all(isinstance(row, dict) for rows in value.values() for row in rows):
        return None
    column = "split" if all(map(split_of, value)) else "run"
    return [{column: name, **flattened(row)} for name, rows in value.items() for row in rows]


def _is_of_steps(value: object) -> bool:
    """Return whether an object has an object a step."""
    return (
        isinstance(value, dict)
        and len(value) > 1
        and all(key.isdigit() and len(key) < 16 and isinstance(item, dict) for key, item in value.items())
    )


def _lines(file: LogFile) -> Records:
    """Go through a file of one object per line; text before the object or between the lines is left out."""
    bad: list[tuple[int, str]] = []
    good, other, number = 0, 0, 0
    for number, raw, _ in file.lines():
        line = raw.strip()
        if not line:
            continue
        if line[0] not in "{[" and '{"' in line:
            line = line[line.find('{"') :]
        elif line[0] not in "{[" and not line[0].isdigit():
            line, other = "", other + 1
        try:
            values = _objects(line)
        except ValueError as trouble:
            values = _after_a_cut(line)
            if values:
                file.note(f"line {number} is damaged: what precedes its last object is left out")
            else:
                bad.append((number, trouble.msg if isinstance(trouble, json.JSONDecodeError) else str(trouble)))
                if len(bad) > 20 + 0.05 * good:
                    break
        for value in values:
            if not isinstance(value, dict):
                found = type(value).__name__
                raise LogError(f"{file.path}, line {number}: {found} found; allowed: an object with metrics")
            good += 1
            yield number, flattened(value)
    if bad and (not good or len(bad) > 1 + 0.05 * good):
        raise LogError(f"{file.path}, line {bad[0][0]}: not JSON ({bad[0][1]}); allowed: one object per line")
    for at, reason in bad:
        where = "the last line, is cut off" if at == number else "is damaged"
        file.note(
            f"line {at}, {where} ({reason}): left out" if at == number else f"line {at} {where} ({reason}): left out"
        )
    if other:
        file.note(f"{other} lines are no JSON: left out")


def _objects(line: str) -> list[object]:
    """Return the JSON values of a line: one, or several that were written without a line end between them."""
    values: list[object] = []
    at = 0
    while at < len(line):
        value, at = decoded(line, at)
        values.append(value)
        at = _SPACE.match(line, at).end()  # type: ignore[union-attr]
    return values


def _after_a_cut(line: str) -> list[object]:
    """Return the object that a writer began after one that was cut off on the same line."""
    at = line.find('{"', 1)
    for _ in range(8):
        if at < 0:
            break
        try:
            value, end = decoded(line, at)
        except ValueError:
            pass
        else:
            if not line[end:].strip() and isinstance(value, dict) and len(value) > 1:
                return [value]
        at = line.find('{"', at + 1)
    return []


class _Document:
    """JSON that is one value: a list of objects, or an object that holds one.

    Items are parsed one by one, so that only the text has to be in memory as a whole, and one that is cut off can be
    told from those before it.
    """

    def __init__(self, file: LogFile) -> None:
        self.file = file
        self.text = file.text()
        self.planned: int | None = None
        self._history: int | None = None
        self._start = len(self.text) - len(self.text.lstrip())
        if self.text[self._start] == "{":
            self._find_history()

    def of_lists(self) -> RawLog | None:
        """Return the table of an object of lists; None if the document is something else."""
        runs = None if self._history is None else runs_of_lines(self.text, self._start)
        if runs is not None:
            return _raw_log(self.file, lambda: iter(enumerate(runs, start=1)), "record", None)
        if self._history is not None or (self.text[self._start] == "[" and not self._begins_with_a_run()):
            return None
        try:
            value, _ = decoded(self.text, self._start)
        except ValueError:
            return None
        given = rows_in(value)
        if given is not None:
            return _raw_log(self.file, lambda: iter(enumerate(given, start=1)), "record", None)
        if not isinstance(value, dict):
            return None
        if _is_of_steps(value):
            records = list(enumerate(({"step": int(key), **flattened(item)} for key, item in value.items()), start=1))
            return _raw_log(self.file, lambda: iter(records), "record", None)
        rows = _rows_by_name(value)
        if rows is not None:
            return _raw_log(self.file, lambda: iter(enumerate(rows, start=1)), "record", None)
        lists = _lists_in(value)
        return None if lists is None else _columns(self.file, lists)

    def _begins_with_a_run(self) -> bool:
        """Return whether the first item of a list is a run with its history, without holding the others."""
        try:
            first, _ = decoded(self.text, _SPACE.match(self.text, self._start + 1).end())  # type: ignore[union-attr]
        except ValueError:
            return False
        return rows_in([first]) is not None

    def records(self) -> Records:
        """Go through the objects."""
        text, at = self.text, self._start
        if text[at] == "{" and self._history is None:
            yield from self._sequence(at, "")
        else:
            yield from self._sequence((at if self._history is None else self._history) + 1, "]")

    def _find_history(self) -> None:
        """Find the list of records in an object, without holding what it contains."""
        text, at = self.text, self._start + 1
        while True:
            at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
            try:
                key, at = decoded(text, at)
                colon = re.compile(r"\s*:\s*").match(text, at)
                if not isinstance(key, str) or colon is None:
                    return
                at = colon.end()
                if key in HISTORIES and text[at : at + 1] == "[" and re.match(r"\[\s*[{\]]", text[at : at + 200]):
                    self._history = self._history or at
                value, at = decoded(text, at)
            except ValueError:
                return
            if key == "log_history" and not isinstance(value, list):
                found = type(value).__name__
                raise LogError(f"{self.file.path}: log_history is a {found}; allowed: a list of objects")
            if key in _PLANNED and isinstance(value, int) and not isinstance(value, bool) and value > 0:
                self.planned = value

    def _sequence(self, at: int, closing: str) -> Records:
        """Go through objects that follow each other."""
        text, number = self.text, 0
        while True:
            at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
            if at >= len(text):
                if closing:
                    self.file.note(f"the file is cut off after record {number}: read up to there")
                break
            if closing and text[at] == closing:
                break
            try:
                value, at = decoded(text, at)
            except ValueError as problem:
                reason = problem.msg if isinstance(problem, json.JSONDecodeError) else str(problem)
                if number == 0 or reason == "nested too deeply":
                    line = text.count("\n", 0, at) + 1
                    raise LogError(
                        f"{self.file.path}, line {line}: not JSON ({reason}); allowed: one object per line"
                    ) from None
                where = "cut off" if "\n{" not in text[at + 1 :] else "damaged"
                self.file.note(f"the file is {where} after record {number} ({reason}): read up to there")
                break
            number += 1
            if isinstance(value, list) and len(value) == 3 and closing:
                # TensorBoard's download of one scalar
                yield number, dict(zip(("wall_time", "step", "value"), value, strict=True))
                continue
            if not isinstance(value, dict):
                raise LogError(
                    f"{self.file.path}, record {number}: {type(value).__name__} found; allowed: an object with metrics"
                )
            yield number, flattened(value)
        if number == 0:
            raise LogError(f"{self.file.path}: there are no records; allowed: a log with at least one")


def _columns(file: LogFile, value: Mapping[str, object]) -> RawLog:
    """Return an object of lists as a table: lists of one length share their rows."""
    lists = {key: item for key, item in value.items() if isinstance(item, list) and item}
    lengths = sorted({len(item) for item in lists.values()}, reverse=True)

    def chunks(wanted: Sequence[str]) -> Iterator[Chunk]:
        for length in lengths:
            here = {name: lists[name] if len(lists[name]) == length else None for name in wanted}
            if not any(here.values()):
                continue
            for start in range(0, length, CHUNK):
                rows = range(start + 1, min(start + CHUNK, length) + 1)
                blank: list[object] = [None] * len(rows)
                yield rows, {name: blank if own is None else own[start : start + CHUNK] for name, own in here.items()}

    return RawLog(
        path=str(file.path), columns=tuple(lists), chunks=chunks, unit="entry", notes=file.notes, what="object of lists"
    )


def _raw_log(file: LogFile, records: Callable[[], Records], unit: str, planned: int | None) -> RawLog:
    """Make columns of the keys of all records."""
    keys: dict[str, None] = {}
    for _, record in records():
        if not record.keys() <= keys.keys():
            keys.update(dict.fromkeys(record))
            if len(keys) > MAX_COLUMNS:
                raise LogError(f"{file.path}: more than {MAX_COLUMNS} different keys; allowed: fewer")

    wrapper = wrapper_of(list(keys))
    names = tuple(key.removeprefix(wrapper) for key in keys)

    def chunks(wanted: Sequence[str]) -> Iterator[Chunk]:
        numbers: list[int] = []
        cells: dict[str, list[object]] = {name: [] for name in wanted}
        for number, record in records():
            numbers.append(number)
            for name, cell in cells.items():
                cell.append(record.get(f"{wrapper}{name}", record.get(name)))
            if len(numbers) == CHUNK:
                yield numbers, cells
                numbers, cells = [], {name: [] for name in wanted}
        if numbers:
            yield numbers, cells

    return RawLog(path=str(file.path), columns=names, chunks=chunks, unit=unit, notes=file.notes, total_steps=planned)
