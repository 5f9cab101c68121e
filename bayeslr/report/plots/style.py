"""What all pictures share: a theme for light or dark pages, axes, and labels at the ends of lines.

The colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart; dark pages have lighter ones.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from io import BytesIO
from textwrap import fill
from typing import Any, Final, Literal

from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure, FigureBase
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bayeslr.curves.counts import count_label

__all__ = [
    "WIDTH",
    "Picture",
    "Theme",
    "colour",
    "current",
    "figure_of",
    "format_rate",
    "format_steps",
    "label_ends",
    "loss_axis",
    "new_figure",
    "note_health",
    "rate_axis",
    "set_figure_title",
    "set_title",
    "settings",
    "short_names",
    "step_axis",
    "theme",
    "tint",
]

WIDTH: Final = 5.6
"""Inches; text is 9 points, so that a picture can be set at the width of a column."""
_FILE_DPI: Final = 200
_SCREEN_DPI: Final = 110
_LONGEST_NAME: Final = 24
_NOTE_WIDTH: Final = 105
_MOVED: Final = 0.045
"""Share of the axis between the end of a line and its name, where that is moved."""
_LETTER: Final = 5.8
"""Points that a letter of a name beside a line is wide, on average."""


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Colours of a picture.

    Parameters
    ----------
    ink
        Colour of text and of what was measured.
    muted
        Colour of axes, ticks and legends.
    lines
        Colour of the grid.
    page
        Colour of the background.
    colours
        Colours of schedules, in order; after the last one they repeat.
    """

    ink: str
    muted: str
    lines: str
    page: str
    colours: tuple[str, ...]


_THEMES: Final = {
    "light": Theme(
        ink="#222222",
        muted="#6b6b6b",
        lines="#e6e6e6",
        page="#ffffff",
        # without the yellow, which is too light for a line
        colours=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b5b5b"),
    ),
    "dark": Theme(
        ink="#e8e8e8",
        muted="#a0a0a0",
        lines="#33363b",
        page="#16181c",
        colours=("#56b4e9", "#f0803c", "#2fc79a", "#e59cc5", "#f2c14e", "#9db4ff", "#bdbdbd"),
    ),
}
_THEME: ContextVar[Theme] = ContextVar("theme", default=_THEMES["light"])


@contextmanager
def theme(name: Literal["light", "dark"]) -> Iterator[None]:
    """Draw for light or for dark pages while the context lasts.

    Parameters
    ----------
    name
        ``"light"`` (what pictures are without this) or ``"dark"``.
    """
    if name not in _THEMES:
        raise ValueError(f"theme: found {name!r}; allowed: {', '.join(map(repr, _THEMES))}")
    token = _THEME.set(_THEMES[name])
    try:
        yield
    finally:
        _THEME.reset(token)


def current() -> Theme:
    """Return the theme that pictures are drawn in."""
    return _THEME.get()


def settings() -> dict[Any, Any]:
    """Return settings of matplotlib that hold while a picture is made, and not after it."""
    shown = current()
    return {
        "font.size": 9.0,
        "text.color": shown.ink,
        "figure.facecolor": shown.page,
        "savefig.facecolor": "auto",
        "axes.facecolor": shown.page,
        "axes.titlesize": 9.0,
        "axes.titlelocation": "left",
        "axes.titlecolor": shown.ink,
        "axes.labelcolor": shown.ink,
        "axes.edgecolor": shown.muted,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": shown.lines,
        "grid.linewidth": 0.6,
        "xtick.color": shown.muted,
        "ytick.color": shown.muted,
        "xtick.labelcolor": shown.ink,
        "ytick.labelcolor": shown.ink,
        "legend.frameon": False,
        "legend.fontsize": 8.0,
        "legend.labelcolor": shown.ink,
        "lines.solid_capstyle": "round",
        "svg.fonttype": "none",
        "pdf.fonttype": 42,
    }


class Picture(Figure):
    """A figure that notebooks show by itself: no ``%matplotlib``, and no state of pyplot."""

    def __repr__(self) -> str:
        width, height = self.get_size_inches()
        return f"<picture of {width:.3g} x {height:.3g} inches; write it with .savefig('name.png')>"

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        target = BytesIO()
        self.savefig(target, format="png")
        # twice the points of the screen, so that lines are sharp on displays that have them
        return target.getvalue(), {"width": round(_SCREEN_DPI * float(self.get_size_inches()[0]))}

    def savefig(self, fname: Any, **options: Any) -> None:
        """Write the picture, by default with 200 dots an inch."""
        super().savefig(fname, **({"dpi": _FILE_DPI} | options))


def colour(index: int) -> str:
    """Return the colour of the schedule at an index."""
    return current().colours[index % len(current().colours)]


def tint(shade: str, amount: float) -> str:
    """Return a colour laid thinly over the page, but opaque: where two bands overlap there is no third colour."""
    red, green, blue = (
        amount * over + (1.0 - amount) * under
        for over, under in zip(to_rgb(shade), to_rgb(current().page), strict=True)
    )
    return str(to_hex((red, green, blue)))


def new_figure(height: float, width: float = WIDTH) -> Picture:
    """Return an empty figure, sizes in inches."""
    return Picture(figsize=(width, height), dpi=100, layout="constrained", facecolor=current().page)


def figure_of(ax: Axes) -> Figure:
    """Return the figure that axes belong to."""
    figure = ax.get_figure(root=True)
    if not isinstance(figure, Figure):
        raise TypeError("the axes belong to no figure")
    return figure


def set_title(ax: Axes, title: str | None, *, legend: int = 0) -> None:
    """Write a title over axes, and over a legend of so many entries in two columns that lies above them."""
    if title is not None:
        ax.set_title(title, pad=6.0 + 15.0 * -(-legend // 2))


def set_figure_title(figure: Figure, title: str | None) -> None:
    """Write a title over a figure of several panels."""
    if title is not None:
        figure.suptitle(title, x=0.01, ha="left", size=9.0)


def note_health(figure: FigureBase, health: str) -> None:
    """Write below a figure what is wrong with the fit that it shows, if anything is."""
    if health:
        text = fill(f"health of the fit: {health}", _NOTE_WIDTH)
        figure.supxlabel(text, x=0.01, ha="left", fontsize=7.0, color=current().muted)


def format_steps(value: float, position: int | None = None) -> str:
    """Write a number of steps as on an axis: ``500``, ``24k``, ``1.5M``."""
    return count_label(value)


def format_rate(value: float, position: int | None = None) -> str:
    """Write a learning rate as on an axis: ``0``, ``3e-4``."""
    if value == 0.0:
        return "0"
    mantissa, _, exponent = f"{value:.3e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def step_axis(ax: Axes, last: float, *, label: bool = True, ticks: int = 6) -> None:
    """Set up the axis of steps, from 0 to the last one."""
    ax.set_xlim(0.0, last)
    ax.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 4, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(format_steps))
    if label:
        ax.set_xlabel("step")


def rate_axis(ax: Axes, peak: float) -> None:
    """Set up the axis of learning rates, from 0 to above the peak."""
    ax.set_ylim(0.0, 1.08 * peak)
    ax.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 4, 5, 10]))
    ax.yaxis.set_major_formatter(FuncFormatter(format_rate))
    ax.set_ylabel("learning rate")


def loss_axis(ax: Axes) -> None:
    """Set up the axis of losses."""
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    ax.set_ylabel("loss (nats per token)")


def short_names(names: Sequence[str]) -> list[str]:
    """Return names without the folder that all of them share, and long ones with their ends alone.

    A picture has room for about 24 letters beside its axes. Where ends do not tell names apart, what they begin with
    in common is left out instead.
    """
    folders = {name.rpartition("/")[0] for name in names}
    own = [name.rpartition("/")[2] for name in names] if len(folders) == 1 else list(names)
    half = _LONGEST_NAME // 2
    begin = next((k for k, letters in enumerate(zip(*own, strict=False)) if len(set(letters)) > 1), 0)
    ends = [name if len(name) <= _LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}" for name in own]
    rests = [name if len(name) <= _LONGEST_NAME else f"…{name[begin:][: 2 * half - 1]}" for name in own]
    return next((found for found in (ends, rests) if len(set(found)) == len(set(own))), own)


def label_ends(ax: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Write names beside the ends of lines, moved apart where they would overlap. Limits must be set before.

    Parameters
    ----------
    ax
        The axes.
    ends
        Of each line the last step, the last loss, the name and the colour.
    """
    low, high = ax.get_ylim()
    height = figure_of(ax).get_figheight() * 72.0 * ax.get_position().height
    gap = 11.5 * (high - low) / height
    last = ax.get_xlim()[1]
    letter = _LETTER * last / (figure_of(ax).get_figwidth() * 72.0 * ax.get_position().width)
    ordered = sorted(ends, key=lambda end: end[1])
    groups: list[list[int]] = []
    reached = float("-inf")
    # names that lie beside each other are no matter, those that share a column are
    for k in sorted(range(len(ordered)), key=lambda k: ordered[k][0]):
        step, _, name, _ = ordered[k]
        if step > reached:
            groups.append([])
        groups[-1].append(k)
        reached = max(reached, step + _MOVED * last + letter * len(name))
    for group in map(sorted, groups):
        places = _apart([ordered[k][1] for k in group], gap, low, high)
        moved = any(abs(place - ordered[k][1]) > 0.2 * gap for k, place in zip(group, places, strict=True))
        for k, place in zip(group, places, strict=True):
            step, loss, name, shade = ordered[k]
            ax.annotate(
                name,
                xy=(step, loss),
                xytext=(step + (_MOVED if moved else 0.015) * last, place),
                color=shade,
                va="center",
                fontweight="bold",
                fontsize=8.5,
                annotation_clip=False,
                path_effects=[withStroke(linewidth=2.5, foreground=current().page)],
                arrowprops={"arrowstyle": "-", "color": shade, "linewidth": 0.6, "shrinkA": 1.0, "shrinkB": 0.0}
                if moved
                else None,
                zorder=6,
            )


def _apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places near those wanted, in the same order, a gap apart and within the limits where there is room."""
    blocks: list[list[float]] = []  # of each block: centre, number of labels
    for value in wanted:
        blocks.append([value, 1.0])
        while len(blocks) > 1 and blocks[-1][0] - blocks[-2][0] < 0.5 * gap * (blocks[-1][1] + blocks[-2][1]):
            (upper, some), (lower, others) = blocks.pop(), blocks.pop()
            blocks.append([(upper * some + lower * others) / (some + others), some + others])
    places = [centre + gap * (k - 0.5 * (count - 1)) for centre, count in blocks for k in range(int(count))]
    lift = max(0.0, low + 0.5 * gap - places[0]) or min(0.0, high - places[-1])
    return [place + lift for place in places]
