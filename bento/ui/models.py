"""The Models tab: what each model reached on patients it had not heard, beside what needs no listening at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bento.ui.words import feature_name, task_name


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
    return "".join(_task(task, [row for row in results if row["task"] == task], quick) for task in tasks)


def _task(task: str, rows: Sequence[Mapping[str, Any]], quick: str | None) -> str:
    first = rows[0]
    patients = ", ".join(f"{n} {escape(name)}" for name, n in first["patients"].items())
    body = "".join(_row(row, row["name"] == quick) for row in rows)
    return (
        f'<section class="jr-card jr-results"><p class="jr-by">{escape(_corpus(first["corpus"]))}, '
        f"{sum(first['patients'].values())} patients tested: {patients}</p><h2>{escape(task_name(task))}</h2>"
        f"{_chart(rows, quick)}"
        '<div class="jr-scroll" tabindex="0" role="region" aria-label="Table of results"><table>'
        f"<caption class='jr-hidden'>Results: {escape(task_name(task))}</caption><thead><tr>"
        "<th scope='col'>Features</th><th scope='col'>Balanced accuracy</th><th scope='col'>Macro F1</th>"
        "<th scope='col'>Macro AUROC</th>"
        f"</tr></thead><tbody>{body}{_without(first)}</tbody></table></div>"
        '<p class="jr-note">In brackets: 95 % intervals over patients. Every tested recording was answered by a '
        "network whose training, stopping and settings had not seen its patient. A model that does not beat the rows "
        "below the line has not shown that it listens.</p></section>"
    )


def _corpus(corpus: Mapping[str, Any]) -> str:
    said = [word for word, is_so in (("made up", corpus.get("made_up")), ("partial", corpus.get("partial"))) if is_so]
    return f"{corpus['name']} {corpus['version']}" + (f" ({', '.join(said)})" if said else "")


def _row(row: Mapping[str, Any], is_quick: bool) -> str:
    mark = ' <span class="jr-tag">quick</span>' if is_quick else ""
    cells = "".join(
        f"<td>{number(row['metrics'].get(name))} <small>{interval(row['intervals'].get(name))}</small></td>"
        for name in ("balanced_accuracy", "macro_f1", "macro_roc_auc")
    )
    return f'<tr><th scope="row">{escape(feature_name(row["features"]))}{mark}</th>{cells}</tr>'


def _without(row: Mapping[str, Any]) -> str:
    """What the majority class reaches, and the column of the metadata that reaches most."""
    majority, best = row["majority"], _best_shortcut(row)
    cells = "".join(f"<td>{number(majority.get(m))}</td>" for m in ("balanced_accuracy", "macro_f1", "macro_roc_auc"))
    rows = f'<tr class="jr-without"><th scope="row">Always the majority class</th>{cells}</tr>'
    if best is not None:
        name, accuracy, auroc = best
        rows += (
            f'<tr><th scope="row">Without listening: {escape(name)}</th><td>{number(accuracy)}</td><td>–</td>'
            f"<td>{number(auroc)}</td></tr>"
        )
    return rows


def _chart(rows: Sequence[Mapping[str, Any]], quick: str | None) -> str:
    """Balanced accuracy on a line from 0 to 1: dot and interval of each model, ticks for what needs no listening."""
    majority, best = rows[0]["majority"].get("balanced_accuracy"), _best_shortcut(rows[0])
    ticks = _tick(majority, "jr-majority", "majority") + (
        _tick(best[1], "jr-shortcut", escape(best[0])) if best else ""
    )
    lines = []
    for row in rows:
        value, ends = row["metrics"].get("balanced_accuracy"), row["intervals"].get("balanced_accuracy")
        if value is None:
            continue
        bar = ""
        if ends is not None and None not in ends:
            low, high = ends
            bar = f'<i class="jr-interval" style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>'
        lines.append(
            f'<div class="jr-dots"><span>{escape(feature_name(row["features"]))}</span>'
            f'<span class="jr-scale">{ticks}{bar}<b style="left:{100 * value:.1f}%"></b></span></div>'
        )
    key = '<span><i class="jr-key-majority"></i>always the majority class</span>' + (
        f'<span><i class="jr-key-shortcut"></i>{escape(best[0])} alone, without listening</span>' if best else ""
    )
    axis = "".join(f'<span style="left:{100 * t:.0f}%">{t:g}</span>' for t in (0, 0.25, 0.5, 0.75, 1))
    return (
        f'<div class="jr-chart" aria-hidden="true"><h3>Balanced accuracy</h3>{"".join(lines)}'
        f'<div class="jr-dots"><span></span><span class="jr-dot-axis">{axis}</span></div>'
        f'<p class="jr-key">{key}</p></div>'
    )


def _tick(value: float | None, kind: str, words: str) -> str:
    return (
        "" if value is None else f'<u class="{kind}" style="left:{100 * value:.1f}%" title="{words}: {value:.3f}"></u>'
    )


def _best_shortcut(row: Mapping[str, Any]) -> tuple[str, float, float | None] | None:
    """The column of the metadata with the highest balanced accuracy, and its AUROC."""
    known = [(accuracy, name, auroc) for name, (accuracy, auroc) in row["shortcuts"].items() if accuracy is not None]
    if not known:
        return None
    accuracy, name, auroc = max(known, key=lambda each: each[0])
    return name, accuracy, auroc


def number(value: float | None) -> str:
    """A metric with three digits; a dash where it is not defined."""
    return "–" if value is None else f"{value:.3f}"


def interval(ends: Sequence[float | None] | None) -> str:
    """An interval in brackets; nothing where it is not defined."""
    if ends is None or None in ends:
        return ""
    return f"[{ends[0]:.3f}, {ends[1]:.3f}]"


def title(described: Mapping[str, Any]) -> str:
    """A model by its question and features."""
    mark = " (quick)" if described["quick"] else ""
    return f"{task_name(described['task'])}: {feature_name(described['features'])}{mark}"
