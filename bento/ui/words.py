"""How models, questions and numbers are called on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

FEATURE_NAMES = {"mfcc": "MFCC", "logmel": "Log-mel", "augmented": "Augmented MFCC"}
TASK_NAMES = {"binary": "Normal or abnormal", "multiclass": "Normal, chronic or infection"}
#: The headline metrics of a result, by their names on the page. Every result has an interval for each.
HEADLINES = {
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "macro_roc_auc": "ROC-AUC",
    "macro_pr_auc": "PR-AUC",
}


def feature_name(features: str) -> str:
    """A front end by its name on the page."""
    return FEATURE_NAMES.get(features, features)


def task_name(task: str) -> str:
    """A question by its name on the page."""
    return TASK_NAMES.get(task, task)


def sentence(text: str) -> str:
    """Escaped, with a capital at its beginning and a full stop at its end."""
    text = text.strip()
    return escape(text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else "."))


def percent(share: float, digits: int = 1) -> str:
    """A share as "12.3 %"; never 0 or 100 where it is not quite."""
    least = 10.0**-digits
    if 0 < share * 100 < least / 2:
        return f"< {least:.{digits}f} %"
    if 100 - least / 2 <= share * 100 < 100:
        return f"> {100 - least:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"


def number(value: float | None) -> str:
    """A metric with three digits, or that it cannot be said."""
    return "undefined" if value is None else f"{value:.3f}"


def interval(ends: Sequence[float | None]) -> str:
    """Both ends in brackets, with two digits since they are uncertain themselves."""
    low, high = ends
    return "[undefined]" if low is None or high is None else f"[{low:.2f}–{high:.2f}]"


def difference(told: Sequence[float | None]) -> str:
    """By how much one metric exceeds another, and the interval of that."""
    value, low, high = told
    if value is None:
        return "undefined"
    ends = "undefined" if low is None or high is None else f"{low:+.2f} to {high:+.2f}"
    return f"{value:+.3f} <small>[{ends}]</small>".replace("-", "−")


def headline(of: Mapping[str, Any], name: str) -> str:
    """A headline metric with its interval; a dash for one that was not asked for.

    Args:
        of: what has "metrics" and, where they were drawn, "intervals", both by name.
        name: of the metric.
    """
    if name not in of["metrics"]:
        return "–"
    value, ends = of["metrics"][name], of.get("intervals", {}).get(name)
    return number(value) + (f" <small>{interval(ends)}</small>" if value is not None and ends is not None else "")


def headline_cells(of: Mapping[str, Any]) -> str:
    """All of them as cells of a table."""
    return "".join(f"<td>{headline(of, name)}</td>" for name in HEADLINES)


def headline_columns() -> str:
    """The heads of those cells."""
    return "".join(f"<th scope='col'>{words}</th>" for words in HEADLINES.values())


def seconds(value: float | None) -> str:
    """A response time in the unit it is read best in."""
    if value is None:
        return "–"
    return f"{value:.1f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def span(value_s: float) -> str:
    """A long time in two units: "3 h 12 min"."""
    minutes, hours = divmod(round(value_s), 60)[0], round(value_s) // 3600
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {round(value_s) % 60} s" if minutes else f"{value_s:.0f} s"
