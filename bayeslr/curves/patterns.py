"""Regular expressions in a query, as far as their answer is certain to come.

Python's matcher tries every way in which a pattern could match, and a short pattern can have more ways than there are
seconds. So the ways are counted first, from above, and a pattern that could have too many is refused: every open repeat
may end at any character, every optional part is there or not, and any branch of an alternative may be taken.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["matcher"]

_MAX_PATTERN: Final = 10_000
_MAX_WAYS: Final = 200_000_000
"""A few seconds of matching."""
_TOKEN: Final = re.compile(
    r"\\(?P<escape>.)|\[\^?\]?(?:\\.|[^\]\\])*\]|(?P<open>\((?:\?:|(?P<extension>\?))?)|(?P<close>\))|(?P<bar>\|)"
    r"|(?P<repeat>[*+?]|\{\d*,?\d*\})[?+]?|.",
    re.DOTALL,
)


def matcher(pattern: str, *, how: str, ignore_case: bool, texts: Sequence[str]) -> Callable[[str], bool]:
    """Return a test of texts by a regular expression.

    Parameters
    ----------
    pattern
        The expression: literals, classes, anchors, groups, alternatives, and repeats of single characters.
    how
        ``"search"``, ``"match"`` or ``"fullmatch"``.
    ignore_case
        Whether upper and lower case are the same.
    texts
        The texts that will be tested; they say how long the test can take.

    Returns
    -------
    callable
        From a text to whether it matches.

    Raises
    ------
    ValueError
        If the text is no regular expression, or has what takes too long.
    """
    if len(pattern) > _MAX_PATTERN:
        raise ValueError(f"a pattern of {len(pattern)} characters; allowed: {_MAX_PATTERN}")
    _require_few_ways(pattern, texts)
    try:
        # brackets in brackets: what they may mean in a later Python is no matter of the user's
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            compiled = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except (re.error, OverflowError, RecursionError) as problem:
        raise ValueError(f"{pattern[:60]!r} is no regular expression: {problem}") from None
    test = {"search": compiled.search, "match": compiled.match, "fullmatch": compiled.fullmatch}[how]
    return lambda text: test(text) is not None


def _require_few_ways(pattern: str, texts: Sequence[str]) -> None:
    """Refuse a pattern that could keep the matcher busy."""
    length = max(map(len, texts), default=0) + 1
    # of every open group: the ways of its branches so far, and of the branch that is being read
    groups = [[0, 1]]
    previous: str | None = None
    for token in _TOKEN.finditer(pattern):
        if token["extension"] or (token["escape"] or "x") in "123456789":
            raise ValueError(f"{token[0]!r} in the pattern {pattern[:60]!r}; allowed: groups without extensions")
        if token["open"]:
            groups.append([0, 1])
        elif token["bar"]:
            groups[-1] = [sum(groups[-1]), 1]
        elif token["close"] and len(groups) > 1:
            inside = sum(groups.pop())
            groups[-1][1] *= inside
        elif token["repeat"] == "?":
            groups[-1][1] *= 2
        elif token["repeat"]:
            if previous == "close":
                raise ValueError(f"a repeated group in the pattern {pattern[:60]!r}; allowed: repeats of one character")
            groups[-1][1] *= length
        # a match may begin at any character
        if sum(groups[-1]) * length * len(texts) > _MAX_WAYS:
            raise ValueError(f"the pattern {pattern[:60]!r} may take too long; allowed: fewer repeats and alternatives")
        previous = token.lastgroup
