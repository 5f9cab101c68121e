"""What all pictures share: colours that colour-blind readers can tell apart, axes, and labels at the ends of lines."""

from collections.abc import Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

__all__ = [
    "GREY",
    "INK",
    "STYLE",
    "WIDTH",
    "colour",
    "figure_of",
    "format_rate",
    "format_steps",
    "label_ends",
    "loss_axis",
    "new_figure",
    "rate_axis",
    "step_axis",
]

WIDTH: Final = 5.6
"""Inches; text is 9 points, so that a picture can be set at the width of a column."""
INK: Final = "#222222"
GREY: Final = "#767676"
# Okabe and Ito 2008, without yellow, which is too light for a line
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")

STYLE: Any = {
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}
"""Settings of matplotlib that hold while a picture is made, and not after it."""


def colour(index: int) -> str:
    """Return the colour of the schedule at an index; after seven they repeat."""
    return _COLOURS[index % len(_COLOURS)]


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure, sizes in inches."""
    return Figure(figsize=(width, height), dpi=200, layout="constrained")


def figure_of(ax: Axes) -> Figure:
    """Return the figure that axes belong to."""
    figure = ax.get_figure(root=True)
    if not isinstance(figure, Figure):
        raise TypeError("the axes belong to no figure")
    return figure


def format_steps(value: float, position: int | None = None) -> str:
    """Write a number of steps as on an axis: ``500``, ``24k``, ``1.5M``."""
    for factor, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.4g}{suffix}"
    return f"{value:.4g}"


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
    ax.yaxis.set_major_locator(MaxNLocator(3))
    ax.yaxis.set_major_formatter(FuncFormatter(format_rate))
    ax.set_ylabel("learning rate")


def loss_axis(ax: Axes) -> None:
    """Set up the axis of losses."""
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    ax.set_ylabel("loss (nats per token)")


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
    gap = 10.5 * (high - low) / height
    last = ax.get_xlim()[1]
    placed: list[tuple[float, float]] = []
    for step, loss, name, shade in sorted(ends, key=lambda end: end[1]):
        near = [y for x, y in placed if abs(x - step) < 0.2 * last]
        y = max([loss, *(other + gap for other in near)])
        placed.append((step, y))
        ax.annotate(
            name,
            xy=(step, loss),
            xytext=(step + 0.015 * last, y),
            color=shade,
            va="center",
            fontweight="bold",
            fontsize=8.5,
            annotation_clip=False,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
            zorder=6,
        )
