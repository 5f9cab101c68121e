"""CSV and its relatives: metrics files, exports of W&B and TensorBoard, tables with tabs, semicolons, bars or spaces.

Sparse columns are fine: a row without a loss is a row about something else. A header that occurs again in the middle (a
logger that was started twice) is skipped, and its columns count from there on; so are lines that begin with ``#`` or
``%``.
"""

import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bayeslr.errors import BayeslrError, LogError
from bayeslr.logs.columns import loss_columns, step_columns
from bayeslr.logs.formats.barred import lines_of
from bayeslr.logs.formats.files import LogFile
from bayeslr.logs.formats.patterns import DECIMAL
from bayeslr.logs.limits import MAX_ROWS, counted, listed, shown
from bayeslr.logs.rawlog import CHUNK, Chunk, RawLog

__all__ = ["header_of", "is_separated", "open_delimited", "table_rows"]

_NUMBER = re.compile(DECIMAL)

_COMMENTS = ("#", "%")
_PROSE = 20
"""Lines of text that may precede a header."""

type Row = tuple[int, list[str], bool]
"""Number of the line in which a row ends, its values, and whether that line has an end."""


def table_rows(
    file: LogFile, *, error: type[BayeslrError] = LogError, most: int = MAX_ROWS
) -> tuple[tuple[str, ...], list[tuple[int, list[str]]]]:
    """Return the header and all rows of a table that has to be right throughout, such as a manifest.

    Parameters
    ----------
    file
        The file, with a header line; separated by commas, semicolons or tabs, whichever the header has most of.
    error
        Class of the exception to raise. Default: LogError.
    most
        Number of rows that are allowed.

    Returns
    -------
    columns : tuple of str
        The header.
    rows : list of tuple
        Line number and values of each row that is not blank; as many values as columns.

    Raises
    ------
    BayeslrError
        Of the class ``error``: if a row has more values than there are columns, or the text is not a table.
    """
    columns, _, rows = _table(file, error)
    complete: list[tuple[int, list[str]]] = []
    for number, values, _ in rows:
        if len(values) > len(columns):
            raise error(_too_long(file.path, number, values, columns))
        if len(complete) >= most:
            raise error(f"{file.path}, line {number}: more than {most} rows; allowed: fewer")
        complete.append((number, values + [""] * (len(columns) - len(values))))
    return columns, complete


def header_of(file: LogFile) -> tuple[str, ...]:
    """Return the names in the first line of a table.

    Parameters
    ----------
    file
        The file.

    Returns
    -------
    tuple of str
        The columns.

    Raises
    ------
    LogError
        If the file is no text.
    """
    return _table(file, LogError)[0]


def is_separated(file: LogFile) -> bool:
    """Return whether the columns of a table are separated by more than spaces.

    Parameters
    ----------
    file
        The file.

    Returns
    -------
    bool
        True if its header has commas, semicolons or tabs.

    Raises
    ------
    LogError
        If the file is no text.
    """
    return _table(file, LogError)[1] != " "


def open_delimited(file: LogFile) -> RawLog:
    """Open a table of metrics.

    Parameters
    ----------
    file
        The file.

    Returns
    -------
    RawLog
        With all values as text.

    Raises
    ------
    LogError
        If the text is not a table.
    """
    columns, _, rows = _table(file, LogError)
    if next(rows, None) is None:
        raise LogError(f"{file.path}: only a header ({listed(columns)}); allowed: a log with at least one row")
    return RawLog(path=str(file.path), columns=columns, chunks=lambda wanted: _chunks(file, wanted), notes=file.notes)


def _table(file: LogFile, error: type[BayeslrError]) -> tuple[tuple[str, ...], str, Iterator[Row]]:
    """Return the header, the separator and the rows that follow."""
    lines: Iterator[tuple[int, str, bool]] = (each for each in lines_of(file) if each[1].strip())
    before: list[str] = []
    first: tuple[int, str, bool] | None = None
    for number, line, ended in lines:
        if not line.lstrip().startswith(_COMMENTS):
            first = (number, line, ended)
            break
        before = [*before[-1:], line.lstrip().lstrip("#%").strip()]
    header = before[-1] if before and (first is None or _is_header_for(before[-1], first[1])) else None
    if first is not None and header is None:
        header, first = first[1], None
    if not header:
        raise error(f"{file.path}: only comments; allowed: a table with a header")
    told = re.fullmatch(r"\s*sep=(.)\s*", header) if first is None and len(header) < 8 else None
    if first is None and told is None:
        header, lines = _without_prose(file, header, lines)
    separator = _separator(header)
    if told is not None:
        separator, (_, header, _) = told[1], next(lines, (0, "", True))
    try:
        values, *_ = (
            csv.reader([header], delimiter=separator, skipinitialspace=True) if separator != " " else [header.split()]
        )
    except csv.Error:
        # longer than any name: a line of something else
        values = [header]
    columns = tuple(value.strip() for value in values)
    if len(columns) > 1 and all(_NUMBER.fullmatch(name) for name in columns):
        raise error(f"{file.path}: the first line has numbers only ({listed(columns)}); allowed: a header with names")
    rest = itertools.chain([first] if first else [], lines)
    return columns, separator, _rows(file.path, rest, separator, error)


def _without_prose(
    file: LogFile, header: str, lines: Iterator[tuple[int, str, bool]]
) -> tuple[str, Iterator[tuple[int, str, bool]]]:
    """Return the first line that names a step and a loss over numbers, where some lines of text precede it."""
    ahead = list(itertools.islice(lines, _PROSE))
    rest = itertools.chain(ahead, lines)
    if _is_header_for(header, "0"):
        return header, rest
    for k, (_, line, _) in enumerate(ahead[:-1]):
        if line.lstrip()[:1].isdigit():
            break
        if _separator(line) != " " and _is_header_for(line, ahead[k + 1][1]):
            file.note(f"{counted(k + 1, 'line')} of text above the header: left out")
            return line, itertools.chain(ahead[k + 1 :], lines)
    return header, rest


def _is_header_for(comment: str, line: str) -> bool:
    """Return whether a comment names the columns of the numbers that follow (``# step loss lr``)."""
    separator = _separator(comment)
    names = [name.strip() for name in (comment.split() if separator == " " else comment.split(separator))]
    return bool(step_columns(names) and loss_columns(names)) and line.lstrip()[:1] in "0123456789.+-"


def _separator(header: str) -> str:
    """Return what separates the columns."""
    best = max(",;\t", key=header.count)
    return best if header.count(best) or len(header.split()) < 2 else " "


def _rows(
    path: Path, lines: Iterator[tuple[int, str, bool]], separator: str, error: type[BayeslrError]
) -> Iterator[Row]:
    """Split lines into values; blank rows and lines that begin with # or % are left out."""
    at = (0, True)

    def texts() -> Iterator[str]:
        nonlocal at
        for number, line, ended in lines:
            if line[:1] in _COMMENTS or (line[:1] == " " and line.lstrip()[:1] in _COMMENTS):
                continue
            if line.lstrip()[:2] in ("--", "==") and not line.strip(" \t-="):
                continue  # drawn below a header
            at = (number, ended)
            yield line + "\n"

    if separator == " ":
        split: Iterator[list[str]] = (line.split() for line in texts())
    else:
        split = csv.reader(texts(), delimiter=separator)
    try:
        for values in split:
            if values and (values[0] or any(value.strip() for value in values)):
                yield at[0], values, at[1]
    except csv.Error as problem:
        raise error(f"{path}, line {at[0]}: not a table ({problem}); allowed: CSV") from None


def _chunks(file: LogFile, wanted: Sequence[str]) -> Iterator[Chunk]:
    """Go through the rows of some columns."""
    columns, _, rows = _table(file, LogError)
    places = [columns.index(name) for name in wanted]
    width, count, damaged, first_damaged = len(columns), 0, 0, ""
    numbers: list[int] = []
    cells: list[list[str]] = [[] for _ in wanted]
    digits, blanks, shorts = _Endings(), 0, 0
    pending: Row | None = None
    known = set(columns)
    for row in itertools.chain(rows, [None]):
        if pending is not None:
            number, values, ended = pending
            if row is None and not ended and _is_cut(values, width, digits, blanks, shorts):
                file.note(f"line {number}, the last line, has no line end and is cut off: left out")
            elif len(values) > width and any(value.strip() for value in values[width:]):
                damaged += 1
                first_damaged = first_damaged or _too_long(file.path, number, values, columns)
                file.note(f"line {number} has {len(values)} values, not {width}: damaged, left out")
            elif any("\ufffd" in values[at] and any(map(str.isdigit, values[at])) for at in places if at < len(values)):
                damaged += 1
                first_damaged = first_damaged or (
                    f"{file.path}, line {number}: {shown(values[0], 30)}... is no UTF-8 text; allowed: undamaged rows"
                )
                file.note(f"line {number} has bytes that are no text: damaged, left out")
            elif values[0][:1] not in "0123456789" and _is_header(values, known):
                places = [_place(values, name) for name in wanted]
                width, digits = len(values), _Endings()
            else:
                if row is None and not ended and len(values) == width and digits.may_lack(values[-1].strip()):
                    file.note(f"line {number}, the last line, has no line end: {shown(values[-1], 20)} may be cut off")
                count += 1
                numbers.append(number)
                for cell, place in zip(cells, places, strict=True):
                    cell.append(values[place] if place < len(values) else "")
                shorts += len(values) < width
                blanks += not values[-1]
                if count < 1_000 and len(values) == width and values[-1]:
                    digits.add(values[-1].strip())
        if numbers and (row is None or len(numbers) == CHUNK):
            yield numbers, dict(zip(wanted, cells, strict=True))
            numbers, cells = [], [[] for _ in wanted]
        pending = row
    if damaged > max(1, 0.02 * count) or (damaged and damaged >= 0.1 * count):
        raise LogError(first_damaged)


def _place(values: Sequence[str], name: str) -> int:
    """Return where a column is under a header that was repeated; beyond the end where it is no more."""
    names = [value.strip() for value in values]
    return names.index(name) if name in names else len(values)


def _is_header(values: Sequence[str], known: set[str]) -> bool:
    """Return whether a row in the middle names columns."""
    names = [value.strip() for value in values if value.strip()]
    return len(names) >= 1 and 2 * sum(name in known for name in names) > len(names)


class _Endings:
    """How the last values of the rows end, which shows whether one more has been cut off."""

    def __init__(self) -> None:
        self.decimals: set[int] = set()
        self.lengths: set[int] = set()
        self.exponents = 0
        self.count = 0
        self.rises = True
        self.latest = -1

    def add(self, last: str) -> None:
        """Add the last value of a row."""
        self.count += 1
        self.decimals.add(_decimals(last))
        self.lengths.add(len(last))
        self.exponents += "e" in last.lower()
        self.rises &= last.isdecimal() and int(last[:18]) > self.latest
        self.latest = int(last[:18]) if self.rises else 0

    def lack(self, last: str) -> bool:
        """Return whether a value must be the beginning of a longer one.

        It is if all others have one length, or an exponent, and it is shorter; if they all have the same number of
        decimals and it has fewer, or it has two fewer than any other; if it is the only one without decimals or no
        number; or if all others are whole numbers that rise, and it has fewer digits. Where zeros at the end of a
        number are not written nothing else can be told.
        """
        if not self.count:
            return False
        if self.count >= 3 and len(self.lengths) == 1 and len(last) < min(self.lengths) and min(self.lengths) > 3:
            return True
        if self.count >= 3 and self.rises:
            return last.isdecimal() and len(last) < len(str(self.latest))
        if self.exponents:
            tail = last.lower().rpartition("e")[2].lstrip("+-")
            return self.exponents == self.count and ("e" not in last.lower() or not tail)
        if last in ("-", "+", ".", "-."):
            return True
        if 0 in self.decimals or "e" in last.lower() or last.rstrip("0") in ("", "0."):
            return False
        found = _decimals(last)
        fewest = min(self.decimals)
        return found == 0 or found < fewest - 1 or (len(self.decimals) == 1 and found < fewest)

    def may_lack(self, last: str) -> bool:
        """Return whether a value has fewer decimals than all others, as a number may that ends with zeros."""
        return self.count >= 3 and 0 not in self.decimals and _decimals(last) < min(self.decimals)


def _is_cut(values: Sequence[str], width: int, endings: _Endings, blanks: int, shorts: int) -> bool:
    """Return whether a last line without a line end was cut off: a value is missing, or the last one has no end."""
    if len(values) < width:
        return not shorts
    last = values[-1].strip()
    return endings.lack(last) if last else not blanks


def _decimals(value: str) -> int:
    """Return how many digits follow the point; 0 where there is an exponent."""
    return 0 if "e" in value.lower() else len(value.strip().partition(".")[2])


def _too_long(path: Path, number: int, values: Sequence[str], columns: Sequence[str]) -> str:
    """Return the message about a row that is longer than the header."""
    # 0,00100 without quotes becomes two values, the second of them digits alone
    if len(values) <= 2 * len(columns) and all(value.strip().lstrip("+-").isdigit() for value in values):
        return (
            f"{path}, line {number}: {len(values)} values, but {len(columns)} columns in the header, as if numbers had "
            f"decimal commas (found {shown(','.join(values), 40)}); allowed: a decimal point"
        )
    return (
        f"{path}, line {number}: {len(values)} values, but {len(columns)} columns in the header; "
        f"allowed: one value per column, quoted where it contains a separator (found {shown(values[-1], 30)})"
    )
