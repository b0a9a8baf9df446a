"""The charts of an exploration report, drawn without pyplot so that nothing global remembers them.

Each takes numbers and returns a Figure; make them under `style.drawing()`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped

from jaxresp.explore.statistics import KINDS, NOT_GIVEN, ClassCount, Classes, Crossed, Levels, Missing, Patients
from jaxresp.explore.without_listening import Question
from jaxresp.pages.canvas import (
    FRAME,
    ROW,
    WIDTH,
    canvas,
    cell,
    label_ends,
    legend,
    legend_height,
    line,
    marker,
    patch,
    rows,
    whole_ticks,
)
from jaxresp.pages.style import class_colours, light

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAR = 0.62
_ROUND_HZ = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
_SEXES = (("F", "female"), ("M", "male"), ("", NOT_GIVEN))


def kind_colour(kind: int) -> str:
    """Name of the colour of what an annotation says is heard."""
    return f"kind-{KINDS[kind]}"


def class_bars(counts: Sequence[ClassCount], of: str, total: int) -> Figure:
    """A bar for each class: its patients or its recordings (`of`), with the number and its share of the total."""
    names = [each.name for each in counts]
    values = [getattr(each, of) for each in counts]
    colours = class_colours(names)
    figure, axes = rows(names)
    axes.barh(range(len(names)), values, _BAR, color=[light(colours[name]) for name in names])
    label_ends(axes, values, [f"{n}  ({100 * n / total:.0f} %)" for n in values], room=0.34)
    axes.set_xlabel(of)
    return figure


def missing_bars(variables: Sequence[Missing]) -> Figure:
    """How often each variable is not known."""
    figure, axes = rows([each.variable for each in variables])
    shares = [100 * each.share for each in variables]
    axes.barh(range(len(variables)), shares, _BAR, color=light("accent"))
    labels = [f"{each.missing} of {each.total} {each.unit}" for each in variables]
    label_ends(axes, shares, labels, room=0.75)
    axes.set_xticks([0, 50, 100], ["0", "50", "100 %"])
    axes.set_xlabel("not known")
    return figure


def ages(patients: Patients, classes: Classes) -> Figure:
    """The age of every patient by class, a dot each, and the median of each class."""
    colours = class_colours(classes.names)
    figure, axes = rows(list(classes.names))
    rng = np.random.default_rng(0)  # where a dot lies within its row says nothing
    for i, name in enumerate(classes.names):
        here = (patients.class_index == i) & np.isfinite(patients.age_years)
        age, colour = patients.age_years[here], light(colours[name])
        height = i + rng.uniform(-0.24, 0.24, here.sum())
        face = [colour if sex == "M" else light("paper") if sex == "F" else "none" for sex in patients.sex[here]]
        axes.scatter(age, height, 26, facecolors=face, edgecolors=colour, linewidths=1.1)
        if here.any():
            axes.plot([np.median(age)] * 2, [i - 0.4, i + 0.4], color=light("ink"), linewidth=1.6)
    axes.set_xlabel("age, years")
    axes.set_xlim(-2, max(float(np.nanmax(patients.age_years)) * 1.06, 10))
    axes.grid(axis="x")
    legend(
        axes,
        [
            marker("female", light("paper"), light("muted")),
            marker("male", light("muted"), light("muted")),
            line("median", light("ink")),
        ],
    )
    return figure


def sexes(patients: Patients, classes: Classes) -> Figure:
    """Female and male patients by class, as shares of the class."""
    figure, axes = rows(list(classes.names))
    counts = np.array(
        [[np.sum((patients.class_index == i) & (patients.sex == sex)) for sex, _ in _SEXES] for i in range(_n(classes))]
    )
    fills = ((light("accent"), 1.0), (light("accent"), 0.35), (light("class-none"), 0.5))
    _stack(axes, counts, fills, (light("on-accent"), light("ink"), light("ink")))
    shown = [k for k in range(len(_SEXES)) if counts[:, k].any()]
    legend(axes, [patch(_SEXES[k][1], *fills[k]) for k in shown])
    axes.set_xlabel("share of the patients; numbers are patients")
    return figure


def duration_histogram(seconds: Float32[np.ndarray, " recordings"]) -> Figure:
    """How long the recordings are."""
    return _histogram(seconds, "length of a recording, seconds", "recordings")


def rates(rates_by_class: Crossed) -> Figure:
    """Recordings at each native sampling rate, by class."""
    colours = class_colours(rates_by_class.rows)
    names = [f"{float(rate) / 1000:g} kHz" for rate in rates_by_class.columns]
    figure, axes = rows(names, extra=legend_height(rates_by_class.rows))
    left = np.zeros(len(names))
    for name, counts in zip(rates_by_class.rows, rates_by_class.counts, strict=True):
        axes.barh(range(len(names)), counts, _BAR, left=left, color=light(colours[name]))
        left += counts
    label_ends(axes, left.tolist(), [f"{n:.0f}" for n in left], room=0.16)
    axes.set_xlabel("recordings")
    legend(axes, [patch(name, light(colours[name]), 1.0) for name in rates_by_class.rows])
    return figure


def bandwidths(bandwidth_hz: Float32[np.ndarray, " recordings"], classes: Classes) -> Figure:
    """The highest frequency with sound in every recording, by class."""
    figure, axes = _strips(bandwidth_hz, classes.of_recording, classes.names)
    axes.set_xscale("log")
    known = bandwidth_hz[np.isfinite(bandwidth_hz) & (bandwidth_hz > 0)]
    low, high = float(known.min()) * 0.85, float(known.max()) * 1.2
    ticks = [hz for hz in _ROUND_HZ if low <= hz <= high]
    if len(ticks) < 3:  # a narrow range
        ticks = [hz for hz in range(0, 20_000, 200 if high - low < 2000 else 1000) if low <= hz <= high]
    axes.set_xlim(low, high)
    axes.set_xticks(ticks, [f"{hz / 1000:g}k" if hz >= 1000 else f"{hz}" for hz in ticks])
    axes.minorticks_off()
    axes.set_xlabel("highest frequency with sound, Hz")
    return figure


def loudness(levels: Levels, classes: Classes) -> Figure:
    """The level of every recording, by class; those that seem clipped are ringed."""
    figure, axes = _strips(levels.rms_dbfs, classes.of_recording, classes.names, levels.clipped)
    whole_ticks(axes.xaxis, 7)
    axes.set_xlabel("level (RMS), dB re full scale")
    if levels.clipped.any():
        legend(axes, [marker("seems clipped", "none", light("ink"))])
    return figure


def recordings_per_patient(patients: Patients, classes: Classes) -> Figure:
    """How many recordings each patient has, by class."""
    figure, axes = _strips(patients.recordings.astype(np.float32), patients.class_index, classes.names, size=26.0)
    axes.set_xlim(0, float(patients.recordings.max()) * 1.06 + 0.5)
    whole_ticks(axes.xaxis, 8)
    axes.set_xlabel("recordings of a patient")
    return figure


def heat_map(table: Crossed) -> Figure:
    """Recordings by class and a property: the number, shaded by its share of the class."""
    n_rows, n_columns = table.counts.shape
    share = table.counts / np.maximum(table.counts.sum(1, keepdims=True), 1)
    figure, axes = rows(list(table.rows), grid=False)
    for i, j in np.ndindex(n_rows, n_columns):
        dark = share[i, j] > 0.55
        cell(axes, i, j, float(share[i, j]))
        text = str(table.counts[i, j]) if table.counts[i, j] else "·"
        colour = light("on-accent") if dark else light("ink" if table.counts[i, j] else "muted")
        axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=11)
    axes.set_xlim(-0.5, n_columns - 0.5)
    axes.set_xticks(range(n_columns), list(table.columns))
    longest = max(len(name) for name in table.columns)
    if longest * n_columns > 44:
        for label in axes.get_xticklabels():
            label.set(rotation=35, ha="right", rotation_mode="anchor")
        figure.set_figheight(figure.get_figheight() + min(longest, 24) * 3.6 / 72)
    axes.spines[["bottom", "left"]].set_visible(False)
    return figure


def annotation_bars(labels: Sequence[tuple[str, int, int]]) -> Figure:
    """Annotated intervals by the publisher's names."""
    figure, axes = rows([name for name, _, _ in labels])
    values = [n for _, _, n in labels]
    axes.barh(range(len(labels)), values, _BAR, color=[light(kind_colour(kind)) for _, kind, _ in labels])
    label_ends(axes, values, [f"{n}  ({100 * n / sum(values):.0f} %)" for n in values], room=0.34)
    return figure


def annotation_shares(table: Crossed) -> Figure:
    """What is heard in the annotated intervals of each row, a class or a chest location."""
    figure, axes = rows(list(table.rows))
    fills = [(light(kind_colour(k)), 1.0) for k in range(len(KINDS))]
    _stack(axes, table.counts, fills, [light("on-accent")] * len(KINDS))
    legend(axes, [patch(KINDS[k], *fills[k]) for k in range(len(KINDS)) if table.counts[:, k].any()])
    axes.set_xlabel("share of the row's intervals; numbers are intervals")
    return figure


def interval_lengths(seconds: Float32[np.ndarray, " intervals"], kind: Int64[np.ndarray, " intervals"]) -> Figure:
    """How long the annotated intervals are, by what is heard in them."""
    figure, axes = canvas(190.0)
    top = float(np.percentile(seconds, 99.5))
    edges = np.linspace(0, max(top, 0.1), 31)
    shown = [k for k in range(len(KINDS)) if np.any(kind == k)]
    axes.hist(
        [np.minimum(seconds[kind == k], edges[-1]) for k in shown],
        edges.tolist(),
        stacked=True,
        color=[light(kind_colour(k)) for k in shown],
    )
    axes.grid(axis="y")
    axes.set(xlabel="length of an interval, seconds", ylabel="intervals")
    legend(axes, [patch(KINDS[k], light(kind_colour(k)), 1.0) for k in shown])
    return figure


def clues(question: Question) -> Figure:
    """How far each column of the metadata gets alone, with 95 % intervals; the dashed line is a guess."""
    from matplotlib.figure import Figure

    n = len(question.clues)
    figure = Figure(figsize=(WIDTH / 72, (FRAME + 14 + ROW * n) / 72))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, value, title, chance in (
        (panels[0], "balanced_accuracy", "balanced accuracy", 1 / len(question.classes)),
        (panels[1], "macro_roc_auc", "AUROC", 0.5),
    ):
        at = [getattr(clue, value) for clue in question.clues]
        around = [getattr(clue, f"{value}_interval") for clue in question.clues]
        axes.hlines(range(n), [i.low for i in around], [i.high for i in around], color=light("accent"), lw=5, alpha=0.3)
        axes.plot(at, range(n), "o", color=light("accent"), markersize=6.5)
        axes.axvline(chance, color=light("muted"), linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlim(min(0.3, *(i.low - 0.03 for i in around)), 1.02)
        axes.set_xticks([chance, 0.75, 1.0], [f"{chance:.2f}".lstrip("0"), ".75", "1"])
        axes.set_title(title, color=light("ink"))
        axes.grid(axis="x")
        axes.spines[["left"]].set_visible(False)
    panels[0].set_yticks(range(n), [clue.name for clue in question.clues])
    panels[0].set_ylim(n - 0.4, -0.6)
    return figure


def _strips(
    values: Float32[np.ndarray, " n"],
    row: Int64[np.ndarray, " n"],
    names: Sequence[str],
    ringed: Bool[np.ndarray, " n"] | None = None,
    size: float = 15.0,
) -> tuple[Figure, Axes]:
    """A dot for every value, in the row of its class."""
    colours = class_colours(names)
    figure, axes = rows(names)
    rng = np.random.default_rng(0)
    height = row + rng.uniform(-0.28, 0.28, len(values))
    known = np.isfinite(values)
    for i, name in enumerate(names):
        here = known & (row == i)
        axes.scatter(values[here], height[here], size, color=light(colours[name]), alpha=0.65, linewidths=0)
    if ringed is not None and ringed.any():
        axes.scatter(values[ringed], height[ringed], 42, facecolors="none", edgecolors=light("ink"), linewidths=1)
    return figure, axes


def _histogram(values: Float32[np.ndarray, " n"], xlabel: str, ylabel: str) -> Figure:
    figure, axes = canvas(190.0)
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high, 31) if high - low > 0.5 else np.linspace(low - 0.5, high + 0.5, 22)
    axes.hist(values, edges.tolist(), color=light("accent"), rwidth=0.9)
    axes.grid(axis="y")
    whole_ticks(axes.yaxis, 6)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    return figure


def _stack(
    axes: Axes,
    counts: Shaped[np.ndarray, "rows parts"],
    fills: Sequence[tuple[str, float]],
    inks: Sequence[str],
) -> None:
    """Bars from 0 to 100 %, cut into parts with their numbers where there is room."""
    total = np.maximum(counts.sum(1), 1)
    left = np.zeros(len(counts))
    for k, (colour, alpha) in enumerate(fills):
        width = 100 * counts[:, k] / total
        axes.barh(range(len(counts)), width, _BAR, left=left, color=colour, alpha=alpha)
        for i in np.flatnonzero(width > 7).tolist():
            axes.text(
                left[i] + width[i] / 2, i, str(counts[i, k]), ha="center", va="center", color=inks[k], fontsize=10.5
            )
        left += width
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 50, 100], ["0", "50", "100 %"])


def _n(classes: Classes) -> int:
    return len(classes.names)
