"""What to say of a log without a column of steps."""

from collections.abc import Sequence

from bayeslr.logs.columns import plain_name
from bayeslr.logs.layout import a_row_each
from bayeslr.logs.limits import listed
from bayeslr.logs.rawlog import RawLog

__all__ = ["no_step"]

_UNNAMED = frozenset({"", "unnamed_0"})
"""Names of a column without one, as tables are written with the numbers of their rows, or read and written again."""


def no_step(raw: RawLog, columns: Sequence[str]) -> str:
    """Return the message about a log without a column of steps.

    Parameters
    ----------
    raw
        The opened log.
    columns
        The columns that were considered.

    Returns
    -------
    str
        One line.
    """
    where = "" if raw.what == "log" else f" in this {raw.what}"
    plain = {name: plain_name(name) for name in columns}
    counted = [name for name in columns if set(plain[name].split("_")) & {"epoch", "epochs", "tokens", "samples"}]
    unnamed = [name for name in columns if plain[name] in _UNNAMED]
    instead = f" ({listed(counted, 2)} counts something else than updates)" if counted else ""
    if not counted and unnamed:
        at = list(raw.columns).index(unnamed[0]) + 1
        named = [name for name in columns if name not in unnamed]
        return (
            f"{raw.path}: no column for the step{where}, but column {at} has no name: if it counts updates and not "
            f"rows, call it step in the header; other columns: {listed(named, 12)}"
        )
    if not counted and (names := a_row_each(raw)):
        instead = f" (each row has another {names!r}: a table of runs has no histories, which have to be exported)"
    return f"{raw.path}: no column for the step{where}{instead}; name one with `step` (--step): {listed(columns, 12)}"
