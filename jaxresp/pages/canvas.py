"""What the charts of every report are made of: a canvas, rows with names, legends.

Sizes are in the page's units, 72 to the inch; a chart is `WIDTH` wide, so that two stand side by side on a desk and one
fills a phone. Figures are drawn without pyplot, so that nothing global remembers them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxresp.pages.style import light

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH = 440.0
ROW = 26.0  # height of a bar and the space around it
FRAME = 58.0  # height of what is above and below the bars


def canvas(height: float) -> tuple[Figure, Axes]:
    """A figure of one chart."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 72, height / 72))
    return figure, figure.subplots()


def rows(names: Sequence[str], extra: float = 0.0, grid: bool = True) -> tuple[Figure, Axes]:
    """A canvas with a row for each name, the first on top."""
    figure, axes = canvas(FRAME + extra + ROW * max(len(names), 2))
    axes.set_yticks(range(len(names)), [_shortened(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    if grid:
        axes.grid(axis="x")
        axes.spines["bottom"].set_visible(False)
    return figure, axes


def label_ends(axes: Axes, values: Sequence[int | float], labels: Sequence[str], room: float) -> None:
    """The number behind each bar, and room for it."""
    most = max([*values, 1e-9])
    for i, (value, label) in enumerate(zip(values, labels, strict=True)):
        axes.text(value + most * 0.02, i, label, va="center", color=light("ink"), fontsize=11)
    axes.set_xlim(0, most * (1 + room))
    whole_ticks(axes.xaxis, 4)


def whole_ticks(axis: Axis, most: int) -> None:
    """Ticks at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(most, integer=True))


def _legend_columns(names: Sequence[str]) -> int:
    """As many as stand side by side in a chart."""
    return max(1, min(4, 52 // (max(map(len, names)) + 5)))


def legend_height(names: Sequence[str]) -> float:
    """What a legend of these names takes of a chart."""
    return 18.0 * -(-len(names) // _legend_columns(names))


def legend(axes: Axes, handles: Sequence[Any]) -> None:
    """Above the chart, side by side."""
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=_legend_columns([handle.get_label() for handle in handles]),
        borderaxespad=0.2,
        columnspacing=1.2,
        handletextpad=0.5,
        labelcolor=light("ink"),
    )


def patch(name: str, colour: str, alpha: float) -> object:
    """A legend's entry: an area."""
    from matplotlib.patches import Patch

    return Patch(facecolor=colour, alpha=alpha, linewidth=0, label=name)


def marker(name: str, face: str, edge: str) -> object:
    """A legend's entry: a dot."""
    from matplotlib.lines import Line2D

    return Line2D([], [], marker="o", linestyle="", markerfacecolor=face, markeredgecolor=edge, label=name)


def line(name: str, colour: str) -> object:
    """A legend's entry: a line."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, linewidth=1.6, label=name)


def _shortened(name: str) -> str:
    return name if len(name) <= 26 else f"{name[:25]}…"


def cell(axes: Axes, i: int, j: int, share: float) -> None:
    """A field of a heat map in row i and column j, the stronger the larger the share."""
    from matplotlib.patches import Rectangle

    place = (j - 0.48, i - 0.46)
    axes.add_patch(Rectangle(place, 0.96, 0.92, facecolor=light("accent"), alpha=0.04 + 0.96 * share, linewidth=0))
