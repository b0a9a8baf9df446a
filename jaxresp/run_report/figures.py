"""The charts of a run's report; make them under `style.drawing()`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from jaxresp.evaluate.answers import Answers
from jaxresp.evaluate.metrics import threshold_counts
from jaxresp.evaluate.result import Result
from jaxresp.explore.figures import heat_map
from jaxresp.explore.statistics import Crossed
from jaxresp.pages.canvas import FRAME, ROW, WIDTH, canvas, legend, legend_height, line, marker
from jaxresp.pages.style import class_colours, light

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_POINTS = 200  # of a curve: more are not seen
_SQUARE = 236.0  # height of two square panels side by side


def headline(results: Sequence[Result]) -> Figure:
    """Balanced accuracy and ROC-AUC of every model of a task, with 95 % intervals.

    Beside them the best column of the metadata (hollow) and chance (dashed).
    """
    from matplotlib.figure import Figure

    n, of_task = len(results), results[0]
    figure = Figure(figsize=(WIDTH / 72, (FRAME + 34 + ROW * n) / 72))
    panels = figure.subplots(1, 2, sharey=True)
    chances = (1 / sum(support > 0 for support in of_task.metrics.support), 0.5)
    for axes, name, title, chance in zip(
        panels, ("balanced_accuracy", "macro_roc_auc"), ("balanced accuracy", "ROC-AUC"), chances, strict=True
    ):
        at = [getattr(result.metrics, name) for result in results]
        around = [result.intervals[name] for result in results]
        best = max((getattr(each, name) for each in of_task.shortcuts.values()), default=np.nan)
        axes.hlines(range(n), [i.low for i in around], [i.high for i in around], color=light("accent"), lw=5, alpha=0.3)
        axes.plot(at, range(n), "o", color=light("accent"), markersize=6.5)
        axes.axvline(chance, color=light("muted"), linewidth=1, linestyle=(0, (4, 3)))
        axes.plot([best] * n, range(n), "o", markerfacecolor="none", color=light("kind-crackle"), markersize=6.5)
        lowest = np.nanmin([chance, best, *(i.low for i in around)])
        axes.set_xlim(min(0.3, float(lowest) - 0.03), 1.02)
        axes.set_xticks([chance, 0.75, 1.0], [f"{chance:.2f}".lstrip("0"), ".75", "1"])
        axes.set_title(title, color=light("ink"))
        axes.grid(axis="x")
        axes.spines[["left"]].set_visible(False)
    panels[0].set_yticks(range(n), [result.features for result in results])
    panels[0].set_ylim(n - 0.4, -0.6)
    figure.legend(
        handles=[
            marker("model", light("accent"), light("accent")),
            marker("best column of the metadata", "none", light("kind-crackle")),
        ],
        loc="outside lower left",
        ncols=2,
    )
    return figure


def confusion(result: Result) -> Figure:
    """Counts, true classes down, shaded by the share of each true class."""
    figure = heat_map(Crossed(result.classes, result.classes, np.array(result.metrics.confusion)))
    (axes,) = figure.axes
    axes.set(xlabel="answered", ylabel="true")
    return figure


def operating_curves(answers: Answers) -> Figure:
    """ROC and precision–recall curves, a line for each class against the rest; absent classes have none."""
    colours = class_colours(answers.classes)
    figure, (roc, precision_recall) = _two_panels(answers.classes)
    roc.plot([0, 1], [0, 1], color=light("line"), linewidth=1)
    for i, name in enumerate(answers.classes):
        positive = answers.labels == i
        if positive.all() or not positive.any():
            continue
        hits, false_alarms, _ = threshold_counts(positive, answers.probabilities[:, i])
        shown = _thinned(hits.size)
        recall, fall_out = hits / hits[-1], false_alarms / false_alarms[-1]
        colour = light(colours[name])
        roc.plot(np.append(0, fall_out[shown]), np.append(0, recall[shown]), color=colour, linewidth=1.6)
        precision = hits / (hits + false_alarms)
        steps = (np.append(0, recall[shown]), np.append(precision[0], precision[shown]))
        precision_recall.step(*steps, where="pre", color=colour, linewidth=1.6)
    roc.set(xlabel="1 − specificity", ylabel="sensitivity")
    precision_recall.set(xlabel="recall", ylabel="precision")
    return figure


def reliability(result: Result) -> Figure:
    """Frequency seen against probability said, before and after calibration, a line for each class."""
    colours = class_colours(result.classes)
    figure, panels = _two_panels(result.classes)
    for axes, (name, told) in zip(panels, result.reliability.items(), strict=True):
        axes.plot([0, 1], [0, 1], color=light("line"), linewidth=1)
        for of, points in zip(result.classes, told.curves, strict=True):
            said, seen, share = np.array(points).T
            axes.plot(said, seen, color=light(colours[of]), linewidth=1.2)
            axes.scatter(said, seen, 130 * share, color=light(colours[of]), linewidths=0)
        axes.set_xlabel(f"probability said, {name}")
    panels[0].set_ylabel("frequency seen")
    return figure


def risk_coverage(curve: Sequence[tuple[float, float]]) -> Figure:
    """Error among the answered against the share answered, the surest first."""
    figure, axes = canvas(200.0)
    covered, error = np.array(curve).T
    axes.plot(covered, error, color=light("accent"), linewidth=1.8)
    axes.set(xlabel="share answered, surest first", ylabel="error among them", xlim=(0, 1.02))
    axes.set_ylim(0, max(0.1, float(error.max()) * 1.15))
    axes.grid(axis="y")
    return figure


def _two_panels(classes: Sequence[str]) -> tuple[Figure, Sequence[Axes]]:
    """Two unit squares, with a legend of the classes above."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 72, (_SQUARE + legend_height(classes)) / 72))
    panels = figure.subplots(1, 2)
    colours = class_colours(classes)
    for axes in panels:
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], aspect="equal")
    legend(panels[0], [line(name, light(colours[name])) for name in classes])
    return figure, panels


def _thinned(n: int) -> Int[np.ndarray, " points"]:
    """At most about `_MAX_POINTS` of n points, the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, _MAX_POINTS)).astype(int))
