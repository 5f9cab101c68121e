"""Choosing rows of a table by a query, with errors that say what could have been asked."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslr.curves.query import QueryError, evaluate
from bayeslr.errors import BayeslrError

__all__ = ["matching_rows"]

_SHOWN_VALUES = 8
"""How many values of a column an error lists."""
_SHOWN_QUERY = 150
"""How many characters of a query an error shows."""


def matching_rows(table: pd.DataFrame, query: str, *, error: type[BayeslrError], where: str) -> NDArray[np.bool_]:
    """Return which rows of a table a query selects.

    Parameters
    ----------
    table
        The table, one row per run.
    query
        A query over its columns, such as ``"split == 'train' and size == '25M'"``, see :mod:`bayeslr.curves.query`.
    error
        Class of the exception to raise.
    where
        What the table is, as the beginning of a message.

    Returns
    -------
    numpy.ndarray
        Bool, one value per row, True somewhere.

    Raises
    ------
    BayeslrError
        Of the class ``error``: if the query is not in the language, is no condition, or selects nothing.
    """
    columns = {str(name): table[name].tolist() for name in table.columns}
    shown = repr(query if len(str(query)) <= _SHOWN_QUERY else f"{str(query)[:_SHOWN_QUERY]}...")
    try:
        rows, named = evaluate(query, columns)
    except QueryError as problem:
        raise error(
            f"{where}: the query {shown} is not valid ({problem}); columns: {', '.join(map(str, table.columns))}"
        ) from None
    selected = np.array(rows, dtype=bool)
    if not selected.any():
        raise error(f"{where}: the query {shown} selects none of the {len(table)} runs; {_values(table, named)}")
    return selected


def _values(table: pd.DataFrame, columns: list[str]) -> str:
    """List the values of the columns that a query names."""
    parts = []
    for column in columns or list(table.columns):
        values = list(dict.fromkeys(table[column].tolist()))
        more = ", ..." if len(values) > _SHOWN_VALUES else ""
        parts.append(f"{column}: {', '.join(map(repr, values[:_SHOWN_VALUES]))}{more}")
    return "; ".join(parts)
