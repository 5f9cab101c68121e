"""Which columns of a log hold the rate, or what it is multiplied by.

``lr, learning_rate`` come first, then ``current_lr`` and the like, then names with a group or an optimiser
(``optim/learning_rate_group0, lr-DecoupledAdamW/group0``).
"""

import re
from collections.abc import Sequence

from bayeslr.logs.columns import by_rank, words_of

__all__ = ["multiplier_columns", "rate_columns"]

_NOT_THE_RATE = frozenset(
    {"peak", "max", "min", "init", "initial", "base", "final", "target", "end", "start", "scale", "vs", "momentum"}
    | {"wd", "ratio", "mult", "multiplier", "log", "norm", "best", "default", "configured"}
)
_SPELLED = ("learningrate", "lrate", "l_rate", "lrs", "learning_rates")
"""Further spellings of both."""
_AFTER_RATE = re.compile(
    r"group|group\d+|pg\d+|\d+|adam\w*|adamw|w|decoupled|sgd|lion|muon|lamb|adafactor|sophia|shampoo|soap|fused|"
    r"distributed|optimizer|current|value|step|param|params|low|bit|8bit|paged|schedule|free|now|actual|effective|"
    r"sched|scheduled|scheduler|t|decayed|"
    r"embed\w*|embd|wte|wpe|unembed\w*|head|lm|hidden|matrix|matrices|scalars?|vectors?|bias(?:es)?|body|backbone|"
    r"encoder|decoder|main|other|others|rest|all|experts?|router|attn|attention|mlp|no|decay"
)
_OF_PART = re.compile(r"(?i)(?:lr|learning[_ ]?rate)[/.:_ -]+decay(?![A-Za-z])")
"""What would be the rate of a part by its words, and is a setting."""


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
    exact = by_rank(columns, ("lr", "learning_rate", *_SPELLED))
    current = [c for c in columns if _is_rate(c) and {"current", "cur", "last", "actual"} & set(words_of(c))]
    return list(dict.fromkeys([*exact, *current, *(c for c in columns if _is_rate(c))]))


def _is_rate(column: str) -> bool:
    """Return whether a name is one of a rate: any words, ``lr``, then words about the optimiser or its groups."""
    words = words_of(column)
    if _NOT_THE_RATE & set(words) or _OF_PART.search(column):
        return False
    for i in range(len(words) - 1, -1, -1):
        if words[i] in ("lr", *_SPELLED) or words[i : i + 2] == ["learning", "rate"]:
            after = words[i + (2 if words[i] == "learning" else 1) :]
            return all(_AFTER_RATE.fullmatch(word) for word in after)
    return False


def multiplier_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns that may hold what the rate is multiplied by, such as ``lr_scale``.

    Parameters
    ----------
    columns
        Names of all columns.

    Returns
    -------
    list of str
        Some of them.
    """
    of, factor = {"lr", "learning", "rate"}, {"scale", "mult", "multiplier", "factor", "ratio", "scaling"}
    said = {column: set(words_of(column)) for column in columns}
    return [column for column, words in said.items() if words & factor and words & of and words <= of | factor]
