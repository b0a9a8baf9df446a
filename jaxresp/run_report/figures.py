"""The charts of a run's report; make them under `style.drawing()`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from jaxresp.evaluate.answers import Answers
from jaxresp.evaluate.bands import InBand
from jaxresp.evaluate.metrics import threshold_counts
from jaxresp.evaluate.result import Result
from jaxresp.evaluate.words import in_words
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
    """The headline metrics but F1 of every model of a task, with 95 % intervals; under each, those in the common band.

    Beside them the best column of the metadata, which has no PR-AUC, and chance (dashed).
    """
    from matplotlib.figure import Figure

    n, of_task = len(results), results[0]
    narrow = [result.common_band for result in results]
    asked_twice = any(each is not None for each in narrow)
    figure = Figure(figsize=(WIDTH / 72, (FRAME + 34 + (ROW + 8 * asked_twice) * n) / 72))
    panels = figure.subplots(1, 3, sharey=True)
    shares = [support / of_task.metrics.n for support in of_task.metrics.support if support > 0]
    chances = {"balanced_accuracy": 1 / len(shares), "macro_roc_auc": 0.5, "macro_pr_auc": float(np.mean(shares))}
    for axes, (name, chance) in zip(panels, chances.items(), strict=True):
        known = [getattr(each, name) for each in of_task.shortcuts.values() if hasattr(each, name)]
        best = max(known, default=np.nan)
        _with_intervals(axes, results, name, -0.14 * asked_twice, light("accent"), 5.0)
        _with_intervals(axes, narrow, name, 0.24, "none", 2.5)
        axes.axvline(chance, color=light("muted"), linewidth=1, linestyle=(0, (4, 3)))
        axes.plot([best] * n, range(n), "|", color=light("kind-crackle"), markersize=17, markeredgewidth=2)
        lows = [each.intervals[name].low for each in (*results, *narrow) if each is not None]
        axes.set_xlim(min(0.3, float(np.nanmin([chance, best, *lows])) - 0.03), 1.02)
        axes.set_xticks([chance, 1.0], [f"{chance:.2f}".lstrip("0"), "1"])
        axes.set_title(in_words(name), color=light("ink"))
        axes.grid(axis="x")
        axes.spines[["left"]].set_visible(False)
    panels[0].set_yticks(range(n), [result.features for result in results])
    panels[0].set_ylim(n - 0.4, -0.6)
    handles = [marker("model", light("accent"), light("accent"))]
    handles += [marker("in the common band", "none", light("accent"))] * asked_twice
    handles += [line("best of the metadata", light("kind-crackle"))] * bool(of_task.shortcuts)
    figure.legend(handles=handles, loc="outside lower left", ncols=3, columnspacing=1.2, handletextpad=0.4)
    return figure


def _with_intervals(
    axes: Axes, told: Sequence[Result | InBand | None], name: str, lower: float, face: str, width: float
) -> None:
    """A dot and its interval in every row, `lower` rows below its middle; none where there is nothing to tell."""
    for row, each in enumerate(told):
        if each is None:
            continue
        low, high = each.intervals[name]
        axes.hlines(row + lower, low, high, color=light("accent"), lw=width, alpha=0.3)
        edge, at = light("accent"), getattr(each.metrics, name)
        axes.plot(at, row + lower, "o", markerfacecolor=face, markeredgecolor=edge, markersize=6.0)


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
