"""The Models tab: what each model reached on patients it had not heard, beside what needs no listening at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bento.ui.words import feature_name, headline, headline_cells, headline_columns, number, task_name
from jaxresp.bands import BANDS

_COMMON_BAND = "{:g}–{:g} Hz".format(*BANDS["common"])


def performance(results: Sequence[Mapping[str, Any]], described: Sequence[Mapping[str, Any]]) -> str:
    """A chart and a table per question.

    Args:
        results: rows of the run's results.json; may be empty.
        described: the models that answer here, as `Engine.describe` says.
    """
    if not results:
        return (
            '<section class="jr-card jr-empty"><p><strong>No results were exported with these models</strong></p>'
            "<p>Their cards below say what is known of them. <code>jaxresp export</code> of a whole run brings its "
            "results along.</p></section>"
        )
    quick = next((each["name"] for each in described if each["quick"]), None)
    tasks = dict.fromkeys(row["task"] for row in results)
    shown = "".join(_task(task, [row for row in results if row["task"] == task], quick) for task in tasks)
    return shown + _how_to_read(results)


def reached(row: Mapping[str, Any] | None) -> str:
    """One sentence to read with an answer: how good its model is, and what is as good without it. "" if not known."""
    if row is None:
        return ""
    best, corpus = _best_shortcut(row), row["corpus"]
    made_up = "made-up " if corpus["made_up"] else ""
    of = f", part of {escape(corpus['name'])}" if corpus["partial"] and not corpus["made_up"] else ""
    clue = f"; “{escape(best[0])}” alone, without listening, {number(best[1])}" if best else ""
    return (
        f"Tested on {row['n_patients']} {made_up}patients whom it had not heard{of}: balanced accuracy "
        f"{headline(row, 'balanced_accuracy')}. Always answering what training saw most "
        f"reaches {number(row['majority']['balanced_accuracy'])}{clue}."
    )


def _task(task: str, rows: Sequence[Mapping[str, Any]], quick: str | None) -> str:
    first = rows[0]
    patients = ", ".join(f"{n} {escape(name)}" for name, n in first["patients"].items())
    body = "".join(_row(row, row["name"] == quick) + _in_common_band(row) for row in rows)
    return (
        f'<section class="jr-card jr-results"><p class="jr-by">{escape(_corpus(first["corpus"]))}, '
        f"{first['n_patients']} patients tested: {patients}</p><h2>{escape(task_name(task))}</h2>"
        f"{_chart(rows)}"
        '<div class="jr-scroll" tabindex="0" role="region" aria-label="Table of results"><table>'
        f"<caption class='jr-hidden'>Results: {escape(task_name(task))}</caption><thead><tr>"
        f"<th scope='col'>Features</th>{headline_columns()}"
        f"</tr></thead><tbody>{body}{_without(first)}</tbody></table></div>"
        '<p class="jr-note">In brackets: 95 % intervals over patients.</p></section>'
    )


def _corpus(corpus: Mapping[str, Any]) -> str:
    said = [word for word, is_so in (("made up", corpus.get("made_up")), ("partial", corpus.get("partial"))) if is_so]
    return f"{corpus['name']} {corpus['version'].removesuffix('+partial')}" + (f" ({', '.join(said)})" if said else "")


def _how_to_read(rows: Sequence[Mapping[str, Any]]) -> str:
    notes = [
        "Every tested recording was answered by a network whose training, stopping and settings had not seen its "
        "patient. A model that does not beat the rows below the line has not shown that it listens.",
        "Balanced accuracy is the mean, over the classes, of the share of a class that was recognised. Macro F1, "
        "ROC-AUC and PR-AUC are means over the classes as well, each against the rest.",
    ]
    if any(row.get("common_band") for row in rows):
        notes.append(
            f"The common band, {_COMMON_BAND}, is what every stethoscope of the corpus records: the same networks, "
            "trained anew on that alone, answer for the same patients. What only a wider band reaches may be owed to "
            "the stethoscope."
        )
    said = "".join(f'<p class="jr-note">{note}</p>' for note in notes)
    return f'<section class="jr-card jr-results"><h3>How to read these numbers</h3>{said}</section>'


def _row(row: Mapping[str, Any], is_quick: bool) -> str:
    mark = ' <span class="jr-tag">quick</span>' if is_quick else ""
    return f'<tr><th scope="row">{escape(feature_name(row["features"]))}{mark}</th>{headline_cells(row)}</tr>'


def _in_common_band(row: Mapping[str, Any]) -> str:
    told = row.get("common_band")
    name = f'<span class="jr-hidden">{escape(feature_name(row["features"]))}</span> common band'
    return "" if told is None else f'<tr class="jr-narrow"><th scope="row">{name}</th>{headline_cells(told)}</tr>'


def _without(row: Mapping[str, Any]) -> str:
    """What the majority class reaches, and the column of the metadata that reaches most."""
    majority = headline_cells({"metrics": row["majority"]})
    rows = f'<tr class="jr-without"><th scope="row">Always the majority class</th>{majority}</tr>'
    best = _best_shortcut(row)
    if best is not None:
        name, accuracy, area = best
        cells = headline_cells({"metrics": {"balanced_accuracy": accuracy, "macro_roc_auc": area}})
        rows += f'<tr><th scope="row">Without listening: “{escape(name)}”</th>{cells}</tr>'
    return rows


def _chart(rows: Sequence[Mapping[str, Any]]) -> str:
    """Balanced accuracy on a line from 0 to 1: dots and intervals of each model, ticks for what needs no listening."""
    majority, best = rows[0]["majority"].get("balanced_accuracy"), _best_shortcut(rows[0])
    ticks = _tick(majority, "jr-majority", "majority") + (
        _tick(best[1], "jr-shortcut", escape(best[0])) if best else ""
    )
    lines, narrow = [], False
    for row in rows:
        marks = _mark(row, "jr-own")
        if row.get("common_band") is not None:
            marks, narrow = marks + _mark(row["common_band"], "jr-common"), True
        lines.append(
            f'<div class="jr-dots"><span>{escape(feature_name(row["features"]))}</span>'
            f'<span class="jr-scale">{ticks}{marks}</span></div>'
        )
    key = '<span><i class="jr-key-own"></i>on unheard patients</span>' + (
        f'<span><i class="jr-key-common"></i>the same in the common band, {_COMMON_BAND}</span>' if narrow else ""
    )
    key += '<span><i class="jr-key-majority"></i>always the majority class</span>' + (
        f'<span><i class="jr-key-shortcut"></i>“{escape(best[0])}” alone, without listening</span>' if best else ""
    )
    axis = "".join(f'<span style="left:{100 * t:.0f}%">{t:g}</span>' for t in (0, 0.25, 0.5, 0.75, 1))
    return (
        f'<div class="jr-chart" aria-hidden="true"><h3>Balanced accuracy</h3>{"".join(lines)}'
        f'<div class="jr-dots"><span></span><span class="jr-dot-axis">{axis}</span></div>'
        f'<p class="jr-key">{key}</p></div>'
    )


def _mark(of: Mapping[str, Any], kind: str) -> str:
    """A dot, and a bar for its interval; nothing where the metric is undefined."""
    value, ends = of["metrics"]["balanced_accuracy"], of["intervals"]["balanced_accuracy"]
    if value is None:
        return ""
    low, high = ends
    bar = (
        ""
        if low is None or high is None
        else f'<i class="{kind}" style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>'
    )
    return f'{bar}<b class="{kind}" style="left:{100 * value:.1f}%"></b>'


def _tick(value: float | None, kind: str, words: str) -> str:
    return (
        "" if value is None else f'<u class="{kind}" style="left:{100 * value:.1f}%" title="{words}: {value:.3f}"></u>'
    )


def _best_shortcut(row: Mapping[str, Any]) -> tuple[str, float, float | None] | None:
    """The column of the metadata with the highest balanced accuracy, and its ROC-AUC."""
    known = [(accuracy, name, area) for name, (accuracy, area) in row["shortcuts"].items() if accuracy is not None]
    if not known:
        return None
    accuracy, name, area = max(known, key=lambda each: each[0])
    return name, accuracy, area


def title(described: Mapping[str, Any]) -> str:
    """A model by its question and features."""
    mark = " (quick)" if described["quick"] else ""
    return f"{task_name(described['task'])}: {feature_name(described['features'])}{mark}"
