"""Tables whose columns are separated by bars: Markdown, and what programs draw on a terminal."""

import itertools
import re
from collections.abc import Iterator
from typing import Final

from bayeslr.logs.columns import loss_columns, step_columns
from bayeslr.logs.formats.files import Line, LogFile
from bayeslr.logs.limits import counted

__all__ = ["lines_of"]

_BARS: Final = str.maketrans("│┃║¦", "||||")
_RULE: Final = re.compile(r"[\s|+:=_\-─━═┄┈╌╍\u2500-\u257f]+")
_ABOVE: Final = 3
"""Lines in which the header has to be."""


def lines_of(file: LogFile) -> Iterator[Line]:
    """Go through the lines of a file; those of a table with bars become values with tabs between them.

    Parameters
    ----------
    file
        The file.

    Yields
    ------
    Line
        The lines as they are where the first ones are no header with bars. Rules of a table are left out.
    """
    lines = file.lines()
    first = list(itertools.islice(lines, _ABOVE))
    lines = itertools.chain(first, lines)
    if not any(_is_header(line) for _, line, _ in first):
        yield from lines
        return
    begun = framed = closed = False
    other = 0
    for number, line, ended in lines:
        if not line.strip() or _RULE.fullmatch(line) or not (begun or _is_header(line)):
            continue
        text = line.translate(_BARS).strip()
        if not begun:
            begun, framed, closed = True, text.startswith("|"), text.endswith("|")
        if "|" not in text:
            other += 1
            continue
        yield number, "\t".join(_cells(text, framed=framed, closed=closed)), ended or (closed and text.endswith("|"))
    if other:
        file.note(f"{counted(other, 'line')} without bars in a table that has them: left out")


def _cells(text: str, *, framed: bool, closed: bool) -> list[str]:
    """Return the values between the bars, without the bar in front and the one behind where the header has them."""
    text = text.removeprefix("|") if framed else text
    return [cell.strip() for cell in (text.removesuffix("|") if closed else text).split("|")]


def _is_header(line: str) -> bool:
    """Return whether a line has the names of a step and a loss between bars, and no numbers beside them."""
    cells = _cells(line.translate(_BARS).strip(), framed=True, closed=True)
    names = len(cells) > 1 and not any(re.search(r"(?:^|\s)[-+.]?\d", cell) for cell in cells)
    return names and bool(step_columns(cells) and loss_columns(cells))
