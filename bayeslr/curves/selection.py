"""Choosing rows of a table by a pandas query, with errors that say what could have been asked."""

import tokenize

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslr.errors import BayeslrError

__all__ = ["matching_rows"]

_QUERY_ERRORS = (
    *(SyntaxError, NameError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(NotImplementedError, RecursionError, MemoryError, tokenize.TokenError),
)
"""What pandas raises for a query that cannot be evaluated."""
_SHOWN_VALUES = 8
"""How many values of a column an error lists."""


def matching_rows(table: pd.DataFrame, query: str, *, error: type[BayeslrError], where: str) -> NDArray[np.bool_]:
    """Return which rows of a table a query selects.

    Parameters
    ----------
    table
        The table, one row a run.
    query
        A pandas query over its columns, such as ``"split == 'train' and size == '25M'"``.
    error
        Class of the exception to raise.
    where
        What the table is, as the beginning of a message.

    Returns
    -------
    numpy.ndarray
        Bool, one value a row, True somewhere.

    Raises
    ------
    BayeslrError
        Of the class ``error``: if the query cannot be evaluated, is no condition, or selects nothing.
    """
    columns = ", ".join(map(str, table.columns))
    try:
        # Empty scopes: a query speaks of the columns alone, never of the variables of this program.
        answer = table.eval(query, engine="python", local_dict={}, global_dict={})
    except _QUERY_ERRORS as problem:
        reason = " ".join(str(problem).split()) or type(problem).__name__
        raise error(f"{where}: the query {query!r} is not valid ({reason}); columns: {columns}") from None
    selected = np.asarray(answer)
    if selected.dtype != bool or selected.shape != (len(table),):
        raise error(f"{where}: the query {query!r} is not a condition on the runs; columns: {columns}")
    if not selected.any():
        named = [c for c in table.columns if str(c) in query]
        raise error(f"{where}: the query {query!r} selects none of the {len(table)} runs; {_values(table, named)}")
    return selected


def _values(table: pd.DataFrame, columns: list[str]) -> str:
    """List the values of the columns that a query names."""
    parts = []
    for column in columns or list(table.columns):
        values = list(dict.fromkeys(table[column].tolist()))
        more = ", ..." if len(values) > _SHOWN_VALUES else ""
        parts.append(f"{column}: {', '.join(map(repr, values[:_SHOWN_VALUES]))}{more}")
    return "; ".join(parts)
