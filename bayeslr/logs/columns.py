"""Which columns of a log hold the step, the loss and the rate.

Names are compared in lower case with ``/ . : -`` and spaces as ``_`` (``Val/Loss`` and ``valLoss`` are ``val_loss``);
of the ``run - metric`` names in W&B's exports the metric counts. Where several names fit:

- *step*: ``step``, then names of global steps, iterations and updates, and ``_step`` last, because a trainer that logs
  to W&B often has a global step beside W&B's own counter. A column counts only if it is filled wherever the loss is.
- *loss*: a validation loss (``val_loss, valid_loss, eval_loss, ...``), then one with more words in its name
  (``eval/c4_en-validation/CrossEntropyLoss``), then ``loss``, then a training loss, then any other.
- *rate*: ``lr, learning_rate``, then names with a group or an optimiser (``optim/learning_rate_group0, lr-AdamW``).
"""

import re
from collections.abc import Sequence

from bayeslr.errors import LogError

__all__ = ["loss_columns", "named_column", "rate_columns", "run_columns", "step_columns", "time_columns"]

_STEPS = (
    *("step", "steps", "global_step", "trainer_global_step", "train_global_step", "iter", "iteration", "iterations"),
    *("update", "updates", "num_updates", "train_step", "training_step", "train_steps", "_step"),
)
_TIMES = ("_timestamp", "timestamp", "wall_time")
_VALIDATION = frozenset({"val", "valid", "validation", "eval", "evaluation", "test", "dev", "heldout"})
_TRAINING = frozenset({"train", "training", "batch"})
_PLAIN_LOSSES = frozenset({"loss", "lm_loss", "ce_loss", "nll_loss", "cross_entropy", "cross_entropy_loss"})
_NOT_THE_LOSS = frozenset({"aux", "auxiliary", "z", "router", "balance", "std", "var", "min", "max", "scale", "scaled"})
_NOT_THE_RATE = frozenset({"peak", "max", "min", "init", "initial", "base", "final", "target", "end", "start"})
_RATE = re.compile(r"(?:\w+_)?(?:lr|learning_rate)(?:_(?:group_?\d+|pg\d+|\d+|adam\w*|sgd|lion|muon)(?:_pg\d+)?)?")


def step_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns that may count steps, best first.

    Parameters
    ----------
    columns
        Names of all columns.

    Returns
    -------
    list of str
        Some of them.
    """
    return _by_rank(columns, _STEPS)


def time_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns that hold the time at which a row was written, best first.

    Parameters
    ----------
    columns
        Names of all columns.

    Returns
    -------
    list of str
        Some of them.
    """
    return _by_rank(columns, _TIMES)


def run_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns that tell runs apart in a table of several.

    Parameters
    ----------
    columns
        Names of all columns.

    Returns
    -------
    list of str
        Some of them.
    """
    return _by_rank(columns, ("run", "run_name", "run_id"))


def loss_columns(columns: Sequence[str]) -> list[list[str]]:
    """Return the columns that may be the loss.

    Parameters
    ----------
    columns
        Names of all columns.

    Returns
    -------
    list of list of str
        Groups of columns that fit equally well, best group first.
    """
    groups: dict[int, list[str]] = {}
    for column in columns:
        words = _plain(column).split("_")
        about_split = (_VALIDATION | _TRAINING) & set(words)
        rest = [word for word in words if word not in about_split]
        if not (rest[-1:] == ["loss"] or rest[-2:] == ["cross", "entropy"]) or _NOT_THE_LOSS & set(rest):
            continue
        named = "_".join(rest) not in _PLAIN_LOSSES
        if _VALIDATION & about_split:
            rank = 1 if named else 0
        elif named:
            rank = 4
        else:
            rank = 3 if about_split else 2
        groups.setdefault(rank, []).append(column)
    # TensorBoard's own exports have one metric a file and call it so.
    if not groups and {_plain(column) for column in columns} == {"wall_time", "step", "value"}:
        return [[column for column in columns if _plain(column) == "value"]]
    return [groups[rank] for rank in sorted(groups)]


def rate_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns that may be the learning rate, best first.

    Parameters
    ----------
    columns
        Names of all columns.

    Returns
    -------
    list of str
        Some of them.
    """
    exact = _by_rank(columns, ("lr", "learning_rate"))
    others = [c for c in columns if _RATE.fullmatch(_plain(c)) and not _NOT_THE_RATE & set(_plain(c).split("_"))]
    return list(dict.fromkeys([*exact, *others]))


def named_column(columns: Sequence[str], name: str, *, what: str, path: str) -> str:
    """Return a column that the user named.

    Parameters
    ----------
    columns
        Names of all columns.
    name
        The name: exact, or up to case.
    what
        The option that named it, for messages.
    path
        The log, for messages.

    Returns
    -------
    str
        The column.

    Raises
    ------
    LogError
        If there is no such column, or several.
    """
    found = [c for c in columns if c == name] or [c for c in columns if c.lower() == name.lower()]
    if len(found) == 1:
        return found[0]
    trouble = "occurs more than once" if found else "does not exist"
    raise LogError(f"{path}: the column {name!r}, named by `{what}`, {trouble}; columns: {', '.join(columns)}")


def _by_rank(columns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the columns with one of some names, in the order of the names."""
    return [column for name in names for column in columns if _plain(column) == name]


def _plain(column: str) -> str:
    """Return a name for comparison: lower case, words separated by one underscore."""
    metric = column.rsplit(" - ", 1)[-1].strip()
    metric = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", metric).lower()
    words = re.sub(r"[/.:\-\s_]+", "_", metric)
    return words if metric.startswith("_") else words.strip("_")
