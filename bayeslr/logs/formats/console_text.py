"""The text of a console log before its lines are understood: dicts over several lines, and lists of rates."""

import re
from collections.abc import Iterator
from typing import Final

from bayeslr.logs.formats.files import Line

__all__ = ["with_rates_apart", "with_whole_dicts"]

_MOST: Final = 100
"""Lines of a dict, at most."""
_NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RATES: Final = re.compile(
    rf"(?i)(?P<key>(?<![A-Za-z0-9])(?:lrs?|l_?rate|learning[ _]?rates?))(?P<mark>\s*[:=]\s*|\s+)"
    rf"\[\s*(?P<values>{_NUMBER}(?:\s*,\s*{_NUMBER})*)\s*,?\s*\]"
)


def with_whole_dicts(lines: Iterator[Line]) -> Iterator[Line]:
    """Put together the lines of a Python dict that was printed one pair a line (``pprint``).

    Parameters
    ----------
    lines
        The lines.

    Yields
    ------
    Line
        A dict has the number of its last line; other lines are as they were.
    """
    held: list[Line] = []
    for line in lines:
        text = line[1]
        if held and (not text.lstrip().startswith("'") or len(held) >= _MOST):
            yield from held
            held = []
        at = text.find("{'")
        if held or (at >= 0 and "}" not in text[at:]):
            held.append(line)
            if "}" in text and len(held) > 1:
                yield line[0], " ".join(part.strip() for _, part, _ in held), line[2]
                held = []
        else:
            yield line
    yield from held


def with_rates_apart(text: str) -> str:
    """Write a list of the rates of several groups of parameters as one pair a group.

    Parameters
    ----------
    text
        A line.

    Returns
    -------
    str
        ``lr 3e-4`` of ``lr [3e-4, 3e-4]``; ``lr 3e-4, lr_group1 1e-4`` where they differ.
    """
    return _RATES.sub(_apart, text) if "[" in text else text


def _apart(match: re.Match[str]) -> str:
    key, mark = match["key"], match["mark"]
    values = [value.strip() for value in match["values"].split(",")]
    others = enumerate(values[1:], start=1)
    named = (f", {key}_group{k}{mark}{value}" for k, value in others if value != values[0])
    return f"{key}{mark}{values[0]}{''.join(named)}"
