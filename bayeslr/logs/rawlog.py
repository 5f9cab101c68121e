"""A log as its file has it, before anything is understood: columns, and the cells of some of them.

A format is one function that opens a file and returns a :class:`RawLog`: the names of the columns and a way to go
through the rows. Rows come in chunks, so that a log of ten million rows does not have to be in memory as text.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bayeslr.errors import LogError
from bayeslr.logs.columns import step_columns
from bayeslr.logs.limits import MAX_COLUMNS, MAX_ROWS, listed, shown
from bayeslr.logs.numbers import all_numbers, first_number, number
from bayeslr.logs.texts import MOST_REMARKS, Words, is_remark, of_total

_THOUSANDS: Final = re.compile(r"\d{1,3}(,\d{3})+")
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")

__all__ = ["CHUNK", "Cells", "Chunk", "Column", "RawLog"]

CHUNK = 20_000
"""Rows that a format hands over at a time."""
_REMEMBERED = 500_000
"""Rows of a log that is kept in memory between two questions about the same columns."""
_LOOKED_AT = 100
"""Columns of a log that is looked through for texts."""
_NOT_LOGGED = frozenset({"", "null", "none", "na", "n/a", "-", "--", "#n/a", "?", "<na>", "missing", "nil"})
_NUMBERS = 10
"""A column has to have so many numbers before a text among them is a remark."""
_NAN = frozenset({"nan", "+nan", "-nan"})

type Chunk = tuple[Sequence[int] | NDArray[np.int64], Mapping[str, "Sequence[object] | Column"]]
"""Numbers by which messages name the rows, and the cells of each column that was asked for, all or those filled."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """The numbers of a column, where something was logged.

    Parameters
    ----------
    rows
        Positions of the rows that have a number (or NaN), shape ``[m]``, increasing.
    values
        The numbers, shape ``[m]``.
    wrong
        Position of the first cell that is no number, and the cell; None if there is none.
    several
        The same of a cell that is a list of different numbers, of which the first counts.
    remark
        The same of the first of a few texts among the numbers, such as ``OOM``, and how many there are.
    """

    rows: NDArray[np.int32]
    values: NDArray[np.float64]
    wrong: tuple[int, object] | None = None
    several: tuple[int, object] | None = None
    remark: tuple[int, object, int] | None = None

    def taken(self, keep: NDArray[np.bool_]) -> "Column":
        """Return the column at some of the rows; positions stay.

        Parameters
        ----------
        keep
            True for each row of the log to keep.

        Returns
        -------
        Column
            Without the others.
        """
        wrong = self.wrong if self.wrong is not None and keep[self.wrong[0]] else None
        several = self.several if self.several is not None and keep[self.several[0]] else None
        return replace(self.at(keep[self.rows]), wrong=wrong, several=several)

    def at(self, keep: NDArray[np.bool_]) -> "Column":
        """Return the column with some of its values, True for each to keep, shape ``[m]``."""
        return replace(self, rows=self.rows[keep], values=self.values[keep])

    @property
    def filled(self) -> bool:
        """True if there is a number other than NaN, or something that is no number."""
        return self.wrong is not None or bool(np.isfinite(self.values).any())

    @property
    def only_nan(self) -> bool:
        """True if something was logged, but no finite number."""
        return self.values.size > 0 and not self.filled


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """The cells of some columns.

    Parameters
    ----------
    numbers
        Number by which a message names each row, shape ``[n]``.
    columns
        The numeric columns.
    texts
        For each column of texts the code of each row, shape ``[n]``, -1 where there is none.
    labels
        For each column of texts what the codes stand for.
    notes
        What was damaged.
    """

    numbers: NDArray[np.int64]
    columns: Mapping[str, Column]
    texts: Mapping[str, NDArray[np.int16]]
    labels: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()

    def taken(self, keep: NDArray[np.bool_]) -> "Cells":
        """Return the cells of some rows; positions stay.

        Parameters
        ----------
        keep
            True for each row of the log to keep.

        Returns
        -------
        Cells
            Without the numbers of the others.
        """
        return replace(self, columns={name: column.taken(keep) for name, column in self.columns.items()})


@dataclass(frozen=True, kw_only=True, eq=False)
class RawLog:
    """The columns of a log, and a way to read some of them.

    Parameters
    ----------
    path
        The file or folder, as the user named it.
    columns
        Names of all columns, in the order of the file.
    chunks
        Goes through the rows, in the order in which they were written, with the cells of the columns asked for; None
        and empty text stand for a value that was not logged.
    unit
        What the numbers of the rows count, for messages. Default ``"line"``.
    notes
        What was found damaged; complete once the rows have been read.
    total_steps
        Number of updates that the log says the run was planned for; None where it does not.
    what
        What the file is, for messages. Default ``"log"``.
    """

    path: str
    columns: tuple[str, ...]
    chunks: Callable[[Sequence[str]], Iterator[Chunk]]
    unit: str = "line"
    notes: list[str] = field(default_factory=list)
    total_steps: int | None = None
    what: str = "log"
    known: dict[str, bool] = field(default_factory=dict, init=False, repr=False)
    _read: dict[tuple[tuple[str, ...], tuple[str, ...]], Cells] = field(default_factory=dict, init=False, repr=False)
    _words: dict[str, tuple[str, ...]] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.columns) > MAX_COLUMNS:
            raise LogError(f"{self.path}: {len(self.columns)} columns; allowed: at most {MAX_COLUMNS}")

    def read(self, numeric: Sequence[str], texts: Sequence[str] = ()) -> Cells:
        """Read some columns.

        Parameters
        ----------
        numeric
            Columns of numbers.
        texts
            Columns of texts with few different values.

        Returns
        -------
        Cells
            The cells.

        Raises
        ------
        LogError
            If there are too many rows.
        """
        # a table of many runs is read for each of them
        asked = (tuple(numeric), tuple(texts))
        if asked not in self._read:
            cells = self._cells(numeric, texts)
            if cells.numbers.size > _REMEMBERED:
                return cells
            while len(self._read) >= 4:
                self._read.pop(next(iter(self._read)))
            self._read[asked] = cells
        return self._read[asked]

    def _cells(self, numeric: Sequence[str], texts: Sequence[str]) -> Cells:
        """Read some columns from the file."""
        wanted = list(dict.fromkeys([*numeric, *texts]))
        numbers: list[NDArray[np.int64]] = []
        found = {name: _Numbers(steps=bool(step_columns([name]))) for name in numeric}
        words = {name: Words() for name in texts}
        count = 0
        for row_numbers, cells in self.chunks(wanted):
            numbers.append(np.asarray(row_numbers, dtype=np.int64))
            for name, column in found.items():
                column.add(cells[name], count)
            for name, text in words.items():
                given = cells[name]
                text.add([] if isinstance(given, Column) else given)
            count += len(row_numbers)
            if count > MAX_ROWS:
                raise LogError(f"{self.path}: more than {MAX_ROWS} rows; allowed: fewer")
        at = np.concatenate(numbers) if numbers else np.empty(0, dtype=np.int64)
        columns = {name: column.done() for name, column in found.items()}
        remarks = {name: column.remark for name, column in columns.items() if column.remark is not None}
        return Cells(
            numbers=at,
            columns=columns,
            texts={name: text.codes_of_rows() for name, text in words.items()},
            labels={name: tuple(text.codes) for name, text in words.items()},
            notes=(*self.notes, *(_of_remark(name, self.unit, at, *remark) for name, remark in remarks.items())),
        )

    def words(self) -> Mapping[str, tuple[str, ...]]:
        """Return the columns of a few different texts, as the first rows show them.

        Returns
        -------
        Mapping
            The texts by the name of the column; none of a log with many columns.
        """
        if self._words is None:
            found: dict[str, tuple[str, ...]] = {}
            if len(self.columns) <= _LOOKED_AT:
                _, cells = next(self.chunks(self.columns), ((), {}))
                found = {name: texts for name, given in cells.items() if (texts := _few_texts(given))}
            object.__setattr__(self, "_words", found)
        return self._words or {}

    def where(self, cells: Cells, row: int) -> str:
        """Return the name of a row in a message.

        Parameters
        ----------
        cells
            The cells that were read.
        row
            Position of the row.

        Returns
        -------
        str
            Path, unit and number.
        """
        return f"{self.path}, {self.unit} {cells.numbers[row]}"

    def require_numbers(self, cells: Cells, name: str, *, lists: bool = False) -> Column:
        """Return a column all of whose cells are numbers.

        Parameters
        ----------
        cells
            The cells that were read.
        name
            The column.
        lists
            Whether a cell may be a list of different numbers. Default False.

        Returns
        -------
        Column
            The column.

        Raises
        ------
        LogError
            If a cell is something else.
        """
        column = cells.columns[name]
        odd = column.wrong or (None if lists else column.several)
        if odd is not None:
            row, value = odd
            badly = " (the text is not UTF-8)" if isinstance(value, str) and "\ufffd" in value else ""
            text = value.strip() if isinstance(value, str) else ""
            thousands, comma = _THOUSANDS.fullmatch(text) is not None, _DECIMAL_COMMA.fullmatch(text) is not None
            if thousands or comma:
                kind = "a separator of thousands or a decimal comma" if thousands else "a decimal comma"
                raise LogError(
                    f"{self.where(cells, row)}: {shown_name(name)} is {shown(value)}, with {kind}; allowed: a decimal "
                    "point: write the file again with points, for example by "
                    f"pandas.read_csv(..., {'thousands' if thousands else 'decimal'}=',')"
                )
            raise LogError(
                f"{self.where(cells, row)}: {shown_name(name)} is {shown(value)}{badly}; allowed: a number, or nothing"
            )
        return column


def _few_texts(cells: Sequence[object] | Column) -> tuple[str, ...]:
    """Return the different texts of a column if there are 2 to 50 of them and none is a number; else nothing."""
    if isinstance(cells, Column):
        return ()
    given = dict.fromkeys(cell.strip()[:200] for cell in cells[:2_000] if isinstance(cell, str))
    for nothing in ("", "{}"):
        given.pop(nothing, None)
    return tuple(given) if 2 <= len(given) <= 50 and all(number(text) is None for text in given) else ()


def shown_name(name: str) -> str:
    """Return the name of a column for a message.

    Parameters
    ----------
    name
        The name.

    Returns
    -------
    str
        The name, cut if it is long.
    """
    return listed([name], width=60)


def _of_remark(name: str, unit: str, numbers: NDArray[np.int64], row: int, cell: object, count: int) -> str:
    """Return what to say of texts among the numbers of a column."""
    more = f", and {count - 1} more cells are no numbers" if count > 1 else ""
    return f"{shown_name(name)} is {shown(cell, 20)} in {unit} {numbers[row]}{more}: left out"


class _Numbers:
    """Collects the numbers of a column, chunk by chunk."""

    def __init__(self, *, steps: bool) -> None:
        self.steps = steps
        self.total = ""
        self.remarks: list[tuple[int, object]] = []
        self.rows: list[NDArray[np.int32]] = []
        self.values: list[NDArray[np.float64]] = []
        self.wrong: tuple[int, object] | None = None
        self.several: tuple[int, object] | None = None

    def add(self, cells: Sequence[object] | Column, start: int) -> None:
        """Add the cells of rows ``start, start + 1, ...``."""
        if isinstance(cells, Column):
            self.rows.append((cells.rows + start).astype(np.int32))
            self.values.append(cells.values)
            return
        values = all_numbers(cells)
        if values is not None:
            self.rows.append(np.arange(start, start + len(cells), dtype=np.int32))
            self.values.append(values)
            return
        rows, some = [], []
        for i, cell in enumerate(cells):
            if cell is None or cell == "":
                continue
            value = number(cell)
            if value is not None:
                rows.append(start + i)
                some.append(value)
            elif (first := first_number(cell)) is not None:
                rows.append(start + i)
                some.append(first)
                self.several = self.several or (start + i, cell)
            elif isinstance(cell, str) and cell.strip().lower() in _NOT_LOGGED:
                continue
            elif self.steps and (part := of_total(cell)) is not None and self.total in ("", part[1]):
                rows.append(start + i)
                some.append(part[0])
                self.total = part[1]
            elif is_remark(cell):
                self.remarks.append((start + i, cell))
            else:
                self.wrong = self.wrong or (start + i, cell)
        self.rows.append(np.array(rows, dtype=np.int32))
        self.values.append(np.array(some, dtype=np.float64))

    def done(self) -> Column:
        """Return the column."""
        rows = np.concatenate(self.rows) if self.rows else np.empty(0, dtype=np.int32)
        self.rows.clear()
        values = np.concatenate(self.values) if self.values else np.empty(0)
        few = 0 < len(self.remarks) <= max(1, MOST_REMARKS * values.size) and values.size >= _NUMBERS
        remark = (*self.remarks[0], len(self.remarks)) if few and self.wrong is None else None
        odd = [] if few else self.remarks[:1]
        wrong = min([*odd, *([self.wrong] if self.wrong else [])], key=lambda found: found[0], default=None)
        return Column(rows=rows, values=values, wrong=wrong, several=self.several, remark=remark)
