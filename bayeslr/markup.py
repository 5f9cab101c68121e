"""HTML for notebooks: tables, lines and bands as text, so that every object can show itself without a plotting library.

Text and axes take the colour of the page around them, so that light and dark notebooks both work.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

__all__ = ["COLOURS", "badge", "bands", "box", "line", "paragraph", "table"]

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
"""Colours of schedules, in the order of the pictures (Okabe and Ito 2008)."""

_STATUS: Final = {"PASS": "#00805e", "REVIEW": "#b06a00", "FAIL": "#c0392b"}
_MAX_POINTS: Final = 120


def box(*parts: str) -> str:
    """Put fragments below each other."""
    return f'<div style="font-size:0.92em;line-height:1.4">{"".join(parts)}</div>'


def paragraph(text: str, *, strong: bool = False) -> str:
    """Write a line of text."""
    weight = ";font-weight:600" if strong else ""
    return f'<div style="margin:0.3em 0{weight}">{escape(text)}</div>'


def badge(status: str) -> str:
    """Write PASS, REVIEW or FAIL in its colour."""
    shade = _STATUS.get(status, "#555555")
    style = f"background:{shade};color:white;border-radius:3px;padding:0.05em 0.5em;font-weight:600"
    return f'<span style="{style}">{escape(status)}</span>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1, marked: Sequence[str] = ()) -> str:
    """Write a table.

    Parameters
    ----------
    head
        Headings.
    rows
        Cells. A cell that is exactly a status gets its badge.
    texts
        How many columns from the left are text; the others are numbers.
    marked
        A colour for the first cell of each row.
    """

    def cell(tag: str, text: str, place: int, mark: str = "") -> str:
        align = "left" if place < texts else "right"
        content = badge(text) if text in _STATUS else escape(text)
        if mark:
            content = f'<span style="color:{mark}">&#9632;</span> {content}'
        return f'<{tag} style="text-align:{align};vertical-align:top;padding:0.15em 0.7em 0.15em 0">{content}</{tag}>'

    lines = ["<tr>" + "".join(cell("th", text, k) for k, text in enumerate(head)) + "</tr>"]
    for index, row in enumerate(rows):
        mark = marked[index % len(marked)] if marked else ""
        cells = [cell("td", text, k, mark if k == 0 else "") for k, text in enumerate(row)]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f'<table style="border-collapse:collapse;margin:0.3em 0">{"".join(lines)}</table>'


def line(x: Sequence[float], y: Sequence[float], *, label: str, width: int = 260, height: int = 56) -> str:
    """Draw a line from zero up, as of the rates of a schedule."""
    keep = _thinned(len(x))
    top = max(y) or 1.0
    points = [(width * x[k] / max(x[-1], 1e-300), height - 2 - (height - 4) * y[k] / top) for k in keep]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    return _svg(
        f'<polyline points="{path}" fill="none" stroke="{COLOURS[0]}" stroke-width="1.6"/>', label, width, height
    )


def bands(
    series: Sequence[tuple[Sequence[float], Sequence[float], Sequence[float], Sequence[float]]],
    *,
    label: str,
    width: int = 460,
    height: int = 170,
) -> str:
    """Draw lower, middle and upper values of several curves over their steps; the steep first quarter is cut."""
    last = max(steps[-1] for steps, *_ in series)
    late = [
        (low, high)
        for steps, lower, _, upper in series
        for step, low, high in zip(steps, lower, upper, strict=True)
        if step >= min(0.25 * last, steps[len(steps) // 2])
    ]
    bottom, top = min(low for low, _ in late), max(high for _, high in late)
    bottom, top = bottom - 0.04 * (top - bottom or 1.0), top + 0.04 * (top - bottom or 1.0)
    left, right, foot = 46, 6, 18

    def place(step: float, loss: float) -> str:
        x = left + (width - left - right) * step / last
        y = (height - foot) * (1.0 - (loss - bottom) / (top - bottom))
        return f"{x:.1f},{min(max(y, -height), 2 * height):.1f}"

    parts = []
    for index, (steps, lower, middle, upper) in enumerate(series):
        shade, keep = COLOURS[index % len(COLOURS)], _thinned(len(steps))
        edge = [place(steps[k], upper[k]) for k in keep] + [place(steps[k], lower[k]) for k in reversed(keep)]
        centre = " ".join(place(steps[k], middle[k]) for k in keep)
        parts.append(f'<polygon points="{" ".join(edge)}" fill="{shade}" fill-opacity="0.22"/>')
        parts.append(f'<polyline points="{centre}" fill="none" stroke="{shade}" stroke-width="1.5"/>')
    clip = f'<clipPath id="area"><rect x="{left}" y="0" width="{width - left}" height="{height - foot}"/></clipPath>'
    text = 'font-size="10" fill="currentColor" opacity="0.75"'
    ticks = [bottom + share * (top - bottom) for share in (0.1, 0.5, 0.9)]
    marks = [
        f'<text x="{left - 5}" y="{(height - foot) * (1 - (tick - bottom) / (top - bottom)) + 3:.0f}" '
        f'text-anchor="end" {text}>{tick:.3g}</text>'
        for tick in ticks
    ]
    ends = (
        f'<text x="{left}" y="{height - 4}" {text}>0</text><text x="{width - right}" y="{height - 4}" '
        f'text-anchor="end" {text}>step {last:,.0f}</text>'
    )
    axes = f'<path d="M{left},0 V{height - foot} H{width - right}" fill="none" stroke="currentColor" opacity="0.4"/>'
    inner = f'<defs>{clip}</defs><g clip-path="url(#area)">{"".join(parts)}</g>{axes}{"".join(marks)}{ends}'
    return _svg(inner, label, width, height)


def _svg(inner: str, label: str, width: int, height: int) -> str:
    head = f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" style="max-width:100%"'
    return f'{head} xmlns="http://www.w3.org/2000/svg"><title>{escape(label)}</title>{inner}</svg>'


def _thinned(count: int) -> list[int]:
    """Return at most so many places, evenly spread, with both ends."""
    if count <= _MAX_POINTS:
        return list(range(count))
    return [round(k * (count - 1) / (_MAX_POINTS - 1)) for k in range(_MAX_POINTS)]
