"""CSV and its relatives: metrics files, exports of W&B and TensorBoard, tables separated by tabs or semicolons.

Sparse columns are fine: a row without a loss is a row about something else. A header that occurs again in the middle
(a logger that was started twice) is skipped.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bayeslr.errors import BayeslrError, LogError
from bayeslr.logs.rawlog import RawLog

__all__ = ["open_delimited", "table_rows"]


def table_rows(
    text: str, path: Path, *, error: type[BayeslrError] = LogError
) -> tuple[tuple[str, ...], list[tuple[int, list[str]]]]:
    """Split a delimited text into its header and its rows.

    Parameters
    ----------
    text
        The text, with a header line; separated by commas, semicolons or tabs, whichever the header has most of.
    path
        Where it comes from, for messages.
    error
        Class of the exception to raise. Default: LogError.

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
    header = next(line for line in text.split("\n") if line.strip())
    separator = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    columns: tuple[str, ...] = ()
    rows: list[tuple[int, list[str]]] = []
    try:
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if not columns:
                columns = tuple(value.strip() for value in values)
                continue
            if len(values) > len(columns) and any(value.strip() for value in values[len(columns) :]):
                raise error(
                    f"{path}, line {reader.line_num}: {len(values)} values, but {len(columns)} columns in the header; "
                    "allowed: one value a column, quoted where it contains a separator"
                )
            rows.append((reader.line_num, values + [""] * (len(columns) - len(values))))
    except csv.Error as problem:
        raise error(f"{path}, line {reader.line_num}: not a table ({problem}); allowed: CSV") from None
    return columns, rows


def open_delimited(path: Path, text: str) -> RawLog:
    """Open a table of metrics.

    Parameters
    ----------
    path
        The file.
    text
        Its text.

    Returns
    -------
    RawLog
        With all values as text.

    Raises
    ------
    LogError
        If the text is not a table.
    """
    columns, rows = table_rows(text, path)
    if not rows:
        raise LogError(f"{path}: only a header ({', '.join(columns)}); allowed: a log with at least one row")

    def read(wanted: Sequence[str]) -> pd.DataFrame:
        where = [columns.index(column) for column in wanted]
        picked = [(line, [values[i] for i in where]) for line, values in rows]
        picked = [(line, values) for line, values in picked if values != list(wanted)]
        return pd.DataFrame(
            [values for _, values in picked], index=[line for line, _ in picked], columns=list(wanted), dtype=object
        )

    return RawLog(path=str(path), columns=columns, rows=read)
