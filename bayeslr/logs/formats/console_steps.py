"""Steps of a console log that are not written as whole numbers: ``1.02k`` and ``1_020``, also in bars of tqdm."""

import re
from typing import Final

from bayeslr.logs.formats.patterns import COUNTER

__all__ = ["with_whole_steps"]

_COUNT: Final = r"(?:\d+(?:\.\d+)?[kKM](?![A-Za-z])|\d{1,3}(?:[_'\u2019\u00a0\u202f]\d{3})+(?!\d)|\d+)"
_SHOWN: Final = r"\d+(?:\.\d+)?[kM]?"
_AFTER: Final = r"(?![\w.]|[:-]\d)"
_SPACED: Final = r"\d{1,3}(?: \d{3})+(?=\s*[|/,:;])"
_STEP: Final = re.compile(
    rf"(?P<before>(?<![\w./])(?i:{COUNTER})\s*[:=]?\s*[\[(]?\s*)"
    rf"(?P<step>{_SPACED}|{_COUNT})(?:(?P<of>\s*/\s*)(?P<total>{_COUNT}))?{_AFTER}"
)
_BAR: Final = re.compile(
    rf"(?P<before>%\|[^|]*\|\s*)(?P<step>{_SHOWN})(?P<of>/)(?P<total>{_SHOWN}) (?=\[)"
    rf"|(?P<about>\bProgress on:train\s+)(?P<step2>{_SHOWN})it/(?P<total2>{_SHOWN})it\s"
)
"""Bars of tqdm with ``unit_scale``, and those of Levanter."""
_MAY_BE: Final = re.compile(r"\d[kKM_'\u2019\u00a0\u202f]|\d \d{3}|\dit/")
_SUFFIXES: Final = {"k": 1_000, "K": 1_000, "M": 1_000_000}


def with_whole_steps(text: str) -> tuple[str, str]:
    """Write the steps of a line as whole numbers.

    Parameters
    ----------
    text
        A line.

    Returns
    -------
    text : str
        ``step 1020 | loss 3.2`` of ``step 1.02k | loss 3.2``, and of ``step 1_020 | loss 3.2``.
    note : str
        What has to be said of a step that was rounded; nothing where none was.
    """
    if len(text) > 10_000 or _MAY_BE.search(text) is None:
        return text, ""
    said: list[str] = []

    def bar(match: re.Match[str]) -> str:
        step, total = match["step"] or match["step2"], match["total"] or match["total2"]
        if match["about"] is None and step.isdigit() and total.isdigit():
            return match[0]
        said.append(step)
        return f"{match['before'] or 'step '}{_whole(step)}/{_whole(total)} {'| ' if match['about'] else ''}"

    def pair(match: re.Match[str]) -> str:
        said.append(match["step"])
        total = match["total"] or ""
        # a total that is rounded is no length of the run
        of = "" if not total or _rounded_to(total) > 1 else f"{match['of']}{_whole(total)}"
        return f"{match['before']}{_whole(match['step'])}{of}"

    text = _BAR.sub(bar, text) if "%|" in text or "Progress on:" in text else text
    text = _STEP.sub(pair, text)
    step = next((step for step in said if _rounded_to(step) > 1), "")
    if not step:
        return text, ""
    return text, f"steps such as {step!r} may be rounded to {_rounded_to(step)} updates: print them in full"


def _whole(count: str) -> int:
    """Return the number that a text stands for."""
    factor = _SUFFIXES.get(count[-1], 1)
    return round(float(re.sub(r"[kKM_'\u2019\u00a0\u202f ]", "", count)) * factor)


def _rounded_to(count: str) -> int:
    """Return the last digit that a text with a suffix shows, as a number of updates."""
    factor = _SUFFIXES.get(count[-1], 1)
    return max(1, factor // int(10 ** len(count[:-1].partition(".")[2])))
