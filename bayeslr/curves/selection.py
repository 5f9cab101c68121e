"""Choosing rows of a table by a query, with errors that say what could have been asked."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslr.curves.query import QueryError, evaluate
from bayeslr.errors import BayeslrError

__all__ = ["chosen_rows", "matching_rows"]

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
    shown = _shown(query)
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


def chosen_rows(
    table: pd.DataFrame, query: str | None, either: Sequence[str] | None, *, error: type[BayeslrError], place: str
) -> NDArray[np.bool_]:
    """Return which rows a query and at least one of some others select; an error names the one that it is about.

    Parameters
    ----------
    table
        The table, one row per run.
    query
        A query that all rows have to fit. Default: none.
    either
        Queries of which they have to fit one. Default: none.
    error, place
        As `error` and `where` of :func:`matching_rows`.

    Returns
    -------
    numpy.ndarray
        Bool, one value per row, True somewhere.

    Raises
    ------
    BayeslrError
        As by :func:`matching_rows`, and if no row fits both.
    """
    kept = np.ones(len(table), dtype=bool)
    if query is not None:
        kept = matching_rows(table, query, error=error, where=place)
    if not either:
        return kept
    fitting = np.any([matching_rows(table, other, error=error, where=place) for other in either], axis=0)
    if not (kept & fitting).any():
        others = " or ".join(map(_shown, either))
        raise error(
            f"{place}: no run that {_shown(query)} selects is selected by {others}; allowed: queries that agree"
        )
    return kept & fitting


def _shown(query: object) -> str:
    text = str(query)
    return repr(query if len(text) <= _SHOWN_QUERY else f"{text[:_SHOWN_QUERY]}...")


def _values(table: pd.DataFrame, columns: list[str]) -> str:
    """List the values of the columns that a query names."""
    parts = []
    for column in columns or list(table.columns):
        values = list(dict.fromkeys(table[column].tolist()))
        more = ", ..." if len(values) > _SHOWN_VALUES else ""
        parts.append(f"{column}: {', '.join(map(repr, values[:_SHOWN_VALUES]))}{more}")
    return "; ".join(parts)
