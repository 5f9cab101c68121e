"""The text of a console log before its lines are understood: colours, blocks of several lines, lists of rates."""

import re
from collections.abc import Iterator
from typing import Final

from bayeslr.logs.formats.files import Line
from bayeslr.logs.formats.patterns import DECIMAL, NUMBER

__all__ = ["cleaned", "rank_of", "with_losses_named", "with_rates_apart", "with_whole_blocks", "with_whole_dicts"]

_MOST: Final = 100
"""Lines of a dict or of a block, at most."""
_SHORT: Final = 200
"""Characters of a line of a block, at most."""
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CONSTRUCTED: Final = re.compile(r"(?:ensor|rray|t\d*)\(\s*\[?\s*[-+\dni]")
_WRAPPED: Final = re.compile(
    r"(?<![\w.])(?:\w+\.)*(?:[Tt]ensor|[Aa]rray|DeviceArray|b?float\d*|u?int\d+)"
    rf"\(\s*\[?\s*(?P<value>{NUMBER})\s*\]?\s*(?:,\s*\w+=[^()]*)?\)"
)
"""A scalar of torch, JAX or NumPy that was printed without being converted."""
_RANK: Final = re.compile(
    r"^(?:[^A-Za-z]{0,80}\[ ?(?:rank|gpu) ?[:=]? ?(\d+) ?\]|\(\w+ pid=(\d+)|\s*(\d{1,4}): (?=\D)"
    r"|\[default(\d+)\]|[^>]{0,80}\bmpirank:(\d+)|(?:train\w*|worker|node|gpu|host)-(\d+)\s+\| |\[pod/([\w.-]+))",
    re.IGNORECASE,
)
_BLANKS: Final = re.compile(r" {3,}")
_RATES: Final = re.compile(
    rf"(?i)(?P<key>(?<![A-Za-z0-9])(?:lrs?|l_?rate|learning[ _]?rates?))(?P<mark>\s*[:=]\s*|\s+)"
    rf"\[\s*(?P<values>{DECIMAL}(?:\s*,\s*{DECIMAL})*)\s*,?\s*\]"
)
_UNIT_BEHIND: Final = re.compile(
    rf"(?i)(?<![A-Za-z])loss(?P<value>\s*[:=]?\s*{DECIMAL})\s*\(?(?P<unit>bits?(?:/[a-z]+| per [a-z]+)?|bpb|bpc|bpt)\b"
)
_ARROW: Final = re.compile(rf"(?i)(?P<loss>\bloss\s*[:=]?\s*){DECIMAL}\s*(?:->|→)\s*(?={DECIMAL})")

_STEP_ALONE: Final = re.compile(
    r"(?i)[\W_]*(?P<about>(?:evaluation|validation|eval|val)(?: (?:results|loss|metrics))?(?: (?:at|after|for))? )?"
    r"(?<!\[)(?P<step>(?:global[_ ]?)?(?:step|iter|iteration)\s*[:=#]?\s*\d+(?:\s*/\s*\d+)?)[\W_]*"
)
"""A line that says at which step the next ones are, such as ``--- Step 20 ---``; OLMo's, in brackets, is another."""
_PAIR_ALONE: Final = re.compile(
    rf"[\s*|-]*(?P<pair>[A-Za-z][\w /.()-]{{0,60}}?\s*[:=]\s*(?:{DECIMAL}|nan|inf))(?P<unit>.*)"
)
_UNIT: Final = re.compile(r"\s*[A-Za-z/%]{0,10}[\s|]*")


def cleaned(line: str) -> str:
    """Return a line without colours, its numbers without the constructors of arrays around them.

    Parameters
    ----------
    line
        The line.

    Returns
    -------
    str
        ``loss 3.57`` of ``loss tensor(3.57, device='cuda:0')``.
    """
    line = _COLOURS.sub("", line) if "\x1b" in line else line
    line = _BLANKS.sub("  ", line).replace("\u2212", "-") if "   " in line or "\u2212" in line else line
    if "(" not in line or _CONSTRUCTED.search(line) is None or len(line) > 10_000:
        return line
    return _WRAPPED.sub(r"\g<value>", line)


def rank_of(line: str) -> str | None:
    """Return the rank of the process that wrote a line.

    Parameters
    ----------
    line
        The line.

    Returns
    -------
    str or None
        ``3`` of a line that begins with ``[rank3]``, ``[GPU3]`` or (srun) ``3:``, the process of Ray's
        ``(train_fn pid=4242)``; None where nothing such is in front.
    """
    match = _RANK.match(line)
    return match[match.lastindex or 1] if match else None


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


def with_whole_blocks(lines: Iterator[Line]) -> Iterator[Line]:
    """Put together a line with a step alone and the lines below it that have one pair each.

    Parameters
    ----------
    lines
        The lines.

    Yields
    ------
    Line
        ``Step: 20 | loss: 3.69 | lr: 1e-3`` of three lines, with the number of the last of them; others as they were.
    """
    held: list[Line] = []
    parts: list[str] = []
    for line in lines:
        short = len(line[1]) < _SHORT
        step = _STEP_ALONE.fullmatch(line[1]) if short and line[1].strip()[:1] != "[" else None
        pair = _pair_alone(line[1]) if short and step is None and 0 < len(held) < _MOST else None
        if pair is not None:
            held.append(line)
            parts.append(pair)
            continue
        if held:
            yield from _block(held, parts)
        held, parts = ([], []) if step is None else ([line], [step["about"] or "", step["step"]])
        if step is None:
            yield line
    yield from _block(held, parts)


def _block(held: list[Line], parts: list[str]) -> list[Line]:
    """Return the lines of a block as one where it has a loss or a rate, else as they were."""
    if not any(re.search(r"(?i)loss|\blr\b|learning.rate", part) for part in parts):
        return held
    number, _, ended = held[-1]
    return [(number, " | ".join(filter(None, parts)), ended)]


def _pair_alone(text: str) -> str | None:
    """Return the pair of a line that has one and nothing else but its unit; None of any other line."""
    match = _PAIR_ALONE.fullmatch(text)
    return match["pair"] if match is not None and _UNIT.fullmatch(match["unit"]) else None


def with_losses_named(text: str) -> str:
    """Write the unit of a loss into its name, and of two losses with an arrow between them the second.

    Parameters
    ----------
    text
        A line.

    Returns
    -------
    str
        ``bits_byte_loss 1.05`` of ``loss 1.05 bits/byte``; ``loss 3.2`` of ``loss 3.4 -> 3.2``.
    """
    lower = text.lower()
    if "loss" not in lower or len(text) > 10_000:
        return text
    if "bit" in lower or "bp" in lower:
        text = _UNIT_BEHIND.sub(lambda m: f"{re.sub(r'(?: per )|/', '_', m['unit'])}_loss{m['value']}", text)
    return _ARROW.sub(r"\g<loss>", text) if "val" not in lower and ("->" in text or "→" in text) else text


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
