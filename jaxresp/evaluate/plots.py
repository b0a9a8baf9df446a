"""Pictures of a result. Figures are made without pyplot, so that nothing global remembers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxresp.evaluate.metrics import Metrics
from jaxresp.evaluate.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion_figure(metrics: Metrics, classes: Sequence[str], title: str) -> Figure:
    """Counts, shaded by the share of each true class."""
    from matplotlib.figure import Figure

    counts = np.array(metrics.confusion)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(4.2, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(*counts.shape):
        axes.text(j, i, str(counts[i, j]), ha="center", va="center", color="white" if share[i, j] > 0.6 else "black")
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="answered", ylabel="true", title=title)
    return figure


def reliability_figure(result: Result) -> Figure:
    """Frequency seen against probability said, a line per class; on the diagonal, probabilities mean what they say."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for name, points in zip(result.classes, result.reliability["calibrated"].curves, strict=True):
        said, seen, share = np.array(points).T
        (line,) = left.plot(said, seen, linewidth=1, label=name)
        left.scatter(said, seen, s=200 * share, color=line.get_color())
    left.set(xlabel="probability said", ylabel="frequency seen", xlim=(0, 1), ylim=(0, 1), title=result.name)
    left.legend(fontsize="x-small")
    if result.selective is not None:
        covered, error = np.array(result.selective.curve).T
        right.plot(covered, error)
    right.set(xlabel="share answered, surest first", ylabel="error among them", xlim=(0, 1), title="risk and coverage")
    right.set_ylim(bottom=0)
    return figure


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
