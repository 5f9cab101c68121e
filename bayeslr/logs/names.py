"""The words of a column's name, as names are compared."""

import re
from functools import lru_cache

__all__ = ["SPLITS", "TEST", "TRAINING", "VALIDATION", "plain_name", "words_of"]

VALIDATION = frozenset(
    {"val", "valid", "validation", "validate", "eval", "evaluation", "evaluate", "dev", "heldout", "holdout"}
)
TEST = frozenset({"test", "testing"})
TRAINING = frozenset({"train", "training", "trn"})
SPLITS = VALIDATION | TEST | TRAINING

_SHORT = 200
"""Characters of a name that is remembered as it is compared: the same ones are asked for again and again."""


def words_of(column: str) -> list[str]:
    """Return the words of a name.

    Parameters
    ----------
    column
        The name.

    Returns
    -------
    list of str
        In lower case.
    """
    return plain_name(column).strip("_").split("_")


def plain_name(column: str) -> str:
    """Return a name for comparison.

    Parameters
    ----------
    column
        The name.

    Returns
    -------
    str
        In lower case, words separated by one underscore.
    """
    return _plain(column) if len(column) <= _SHORT else _plain.__wrapped__(column)


@lru_cache(maxsize=8192)
def _plain(column: str) -> str:
    before, _, metric = column.rpartition(" - ")
    # a run may be called `eval`, too
    own = SPLITS & set(re.split(r"[^a-z]+", metric.lower()))
    metric = f"{before} {metric}" if before.lower() in SPLITS and not own else metric.strip()
    metric = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", metric).lower()
    words = re.sub(r"[/.:\-\s_()\[\]|@]+", "_", metric)
    return words.rstrip("_") if metric.startswith("_") else words.strip("_")
