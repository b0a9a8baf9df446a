"""The numbers behind the charts, as tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jaxresp.explore.statistics import Classes, Crossed
from jaxresp.pages.page import Table


def crossed_table(rows_are: str, table: Crossed, name: Callable[[str], str]) -> Table:
    """A table crossed in `statistics`, with its sums. `name` writes the head of a column."""
    rows = (
        (row, *map(str, counts), str(sum(counts)))
        for row, counts in zip(table.rows, table.counts.tolist(), strict=True)
    )
    return Table((rows_are, *(name(column) for column in table.columns), "all"), tuple(rows))


def spread_table(classes: Classes, values: np.ndarray, unit: str, digits: int) -> Table:
    """Lowest, median and highest value of each class."""
    rows = []
    for i, name in enumerate(classes.names):
        here = values[(classes.of_recording == i) & np.isfinite(values)]
        spread = np.percentile(here, [0, 50, 100]) if here.size else []
        rows.append((name, str(here.size), *(f"{v:.{digits}f}" for v in spread), *(["–"] * (3 - len(spread)))))
    return Table((classes.what, "recordings", f"lowest, {unit}", f"median, {unit}", f"highest, {unit}"), tuple(rows))


def sole_column(table: Crossed) -> str:
    """Names the classes that lie in one column altogether, where that column does not hold everything."""
    sole = [
        f"{row} ({table.columns[int(counts.argmax())]})"
        for row, counts in zip(table.rows, table.counts, strict=True)
        if counts.sum() > 1 and counts.max() == counts.sum() and counts.sum() < table.counts.sum()
    ]
    if not sole or len(table.columns) < 2:
        return ""
    return f" All recordings in one column: {', '.join(sole)}."
