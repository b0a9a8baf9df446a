"""Where figures become plates of the report: drawn once, kept as PNGs, with their numbers as tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jaxresp.pages.page import Plate, Table
from jaxresp.pages.style import drawing, png_of, svg_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Album:
    """Where plates are made: it keeps the PNG of every figure.

    Attributes:
        with_pngs: make them; they take as long as the page's own figures.
        pngs: name → PNG.
    """

    with_pngs: bool = True
    pngs: dict[str, bytes] = field(default_factory=dict)

    def plate(
        self,
        name: str,
        title: str,
        draw: Callable[[], Figure],
        *,
        caption: str,
        alt: str = "",
        table: Table | None = None,
        wide: bool = False,
        sound: bytes | None = None,
    ) -> Plate:
        """Draw a figure once, for the page and as a PNG."""
        with drawing():
            figure = draw()
        svg = svg_of(figure, name, alt or f"{title}. {caption}")
        if self.with_pngs:
            figure.set_layout_engine("none")  # where everything lies is settled: not once more
            self.pngs[name] = png_of(figure)
        return Plate(name, title, caption, svg, table, wide, sound)
