"""How models, questions and numbers are called on the page."""

from __future__ import annotations

from html import escape

FEATURE_NAMES = {"mfcc": "MFCC", "logmel": "Log-mel", "augmented": "Augmented MFCC"}
TASK_NAMES = {"binary": "Normal or abnormal", "multiclass": "Normal, chronic or infection"}


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
