"""The answers of all models to one sound, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bento.ui.answer import facts, warnings, withheld
from bento.ui.words import feature_name, percent, task_name


def comparison(predictions: Mapping[str, Mapping[str, Any]], classes: Mapping[str, Sequence[str]], quick: str) -> str:
    """A table per question, one row per model.

    Args:
        predictions: by the name of the model.
        classes: of each model, in order.
        quick: the name of the model that answers quick questions.
    """
    tasks = dict.fromkeys(prediction["model"]["task"] for prediction in predictions.values())
    tables, said = [], []
    for task in tasks:
        rows = {name: each for name, each in predictions.items() if each["model"]["task"] == task}
        verdict = _verdict([each["label"] for each in rows.values()])
        said.append(f"{task_name(task)}: {verdict}")
        tables.append(_table(task, rows, classes, quick, verdict))
    first = next(iter(predictions.values()))
    noted = list(dict.fromkeys(warning for each in predictions.values() for warning in each["warnings"]))
    return (
        f'<section class="jr-card jr-comparison" aria-label="Comparison" data-say="{escape(" ".join(said))}">'
        f"{''.join(tables)}{warnings(noted)}{facts(first['audio'])}</section>"
    )


def _verdict(labels: Sequence[str | None]) -> str:
    label, n = Counter(labels).most_common(1)[0]
    what = "give no answer" if label is None else f"say {label}"
    if n == len(labels):
        return f"All {n} models {what}." if n > 1 else f"One model: {label or 'no answer'}."
    if n == 1:
        return "The models disagree."
    return f"{n} of {len(labels)} models {what}."


def _table(
    task: str,
    rows: Mapping[str, Mapping[str, Any]],
    classes: Mapping[str, Sequence[str]],
    quick: str,
    verdict: str,
) -> str:
    names = classes[next(iter(rows))]
    key = "".join(
        f'<span><i style="background:var(--jr-class-{k})"></i>{escape(n)}</span>' for k, n in enumerate(names)
    )
    body = "".join(_row(name, prediction, classes[name], name == quick) for name, prediction in rows.items())
    return (
        f'<div class="jr-versus"><p class="jr-by">{escape(task_name(task))}</p><h2>{escape(verdict)}</h2>'
        f"{_why_not(rows)}"
        f'<p class="jr-key" aria-hidden="true">{key}</p>'
        f"<table><caption class='jr-hidden'>{escape(task_name(task))}</caption><thead><tr>"
        '<th scope="col">Features</th><th scope="col">Answer</th><th scope="col">Probabilities</th></tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _why_not(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Why models give no answer, each reason once."""
    reasons = dict.fromkeys(withheld(each) for each in rows.values() if each["label"] is None)
    return "".join(f'<p class="jr-reason">{reason}</p>' for reason in reasons)


def _row(name: str, prediction: Mapping[str, Any], classes: Sequence[str], is_quick: bool) -> str:
    label, p = prediction["label"], prediction["probabilities"]
    parts = "".join(
        f'<i style="width:{100 * p[c]:.2f}%;background:var(--jr-class-{k})"></i>' for k, c in enumerate(classes)
    )
    spelt = ", ".join(f"{c} {percent(p[c], 0)}" for c in classes)
    answered = "No answer" if label is None else f"{escape(label)} <b>{percent(p[label], 0)}</b>"
    mark = ' <span class="jr-tag">quick</span>' if is_quick else ""
    features = escape(feature_name(prediction["model"]["features"]))
    return (
        f'<tr data-model="{escape(name)}"><th scope="row">{features}{mark}</th><td>{answered}</td>'
        f'<td><span class="jr-stack" role="img" aria-label="{escape(spelt)}" title="{escape(spelt)}">'
        f"{parts}</span></td></tr>"
    )
