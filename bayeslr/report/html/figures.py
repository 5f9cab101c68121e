"""Pictures inside a page: matplotlib's figures as SVG, one for light pages and one for dark ones."""

import re
from collections.abc import Callable
from html import escape
from io import StringIO
from typing import Final, Literal

import matplotlib as mpl
from matplotlib.figure import Figure

from bayeslr.report.plots import theme

__all__ = ["inline_svg"]

_UNUSED: Final = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)
_SIZE: Final = re.compile(r'\s(width|height)="[\d.]+pt"')


def inline_svg(draw: Callable[[], Figure], name: str, description: str) -> str:
    """Return a picture as SVG elements for a page, of which the page shows the one of its theme.

    Parameters
    ----------
    draw
        Makes the figure.
    name
        Prefix of all ids in it, different for each picture of a page.
    description
        What it shows, for readers who cannot see it.

    Returns
    -------
    str
        Two elements of the classes ``light`` and ``dark``, each as wide as its container.
    """
    return "".join(_element(draw, which, name, description) for which in ("light", "dark"))


def _element(draw: Callable[[], Figure], which: Literal["light", "dark"], name: str, description: str) -> str:
    target, prefix = StringIO(), f"{name}-{which}"
    with theme(which), mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}):
        draw().savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = _UNUSED.sub("", target.getvalue()).strip()
    # ids are those of one picture: a page has several
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text).replace("url(#", f"url(#{prefix}-")
    head, mark, rest = text.partition(">")
    label = f' class="{which}" role="img" aria-label="{escape(description, quote=True)}"'
    return _SIZE.sub("", head) + label + mark + rest
