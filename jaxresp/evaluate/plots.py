"""A picture of a training. It is made without pyplot, so that nothing global remembers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves_figure(histories: Sequence[Sequence[Mapping[str, float]]], title: str) -> Figure:
    """Training and validation loss by epoch, a line per fold."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.subplots()
    for k, history in enumerate(histories):
        epochs = range(1, len(history) + 1)
        for name, style in (("train_loss", "--"), ("validation_loss", "-")):
            label = f"fold {k + 1}, {name.replace('_', ' ')}"
            axes.plot(epochs, [losses[name] for losses in history], style, color=f"C{k}", label=label)
    axes.set(xlabel="epoch", ylabel="log loss", title=title)
    axes.legend(fontsize="x-small")
    return figure
