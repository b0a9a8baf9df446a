"""Pictures of a training and of a study. They are made without pyplot, so that nothing global remembers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

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


def history_figure(numbers: Sequence[int], scores: Sequence[float], pruned: Sequence[bool]) -> Figure:
    """The score of every trial, and the best complete one so far.

    Args:
        numbers: of the trials, from 0.
        scores: mean validation loss.
        pruned: those stopped early, whose score is of the epochs they had.
    """
    from matplotlib.figure import Figure

    x, y, stopped = np.array(numbers) + 1, np.array(scores, float), np.array(pruned, bool)
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(x[~stopped], y[~stopped], "o", color="C0", label="complete")
    if stopped.any():
        axes.plot(x[stopped], y[stopped], "x", color="C7", label="pruned")
    axes.step(x[~stopped], np.minimum.accumulate(y[~stopped]), where="post", color="C1", label="best so far")
    axes.set(xlabel="trial", ylabel="validation loss, mean of folds", title="history")
    axes.legend(fontsize="x-small")
    return figure


def importance_figure(importance: Mapping[str, float]) -> Figure:
    """How much each setting's choice mattered to the score; the shares sum to one."""
    from matplotlib.figure import Figure

    names = sorted(importance, key=lambda name: importance[name])
    figure = Figure(figsize=(5.2, 1.2 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.barh(names, [importance[name] for name in names], color="C0")
    axes.set(xlabel="importance (PED-ANOVA)", title="what mattered", xlim=(0, 1))
    return figure
