"""How numbers are written: three decimals, their interval in two, and "undefined" where nothing can be said."""

from __future__ import annotations

import math
from collections.abc import Mapping

from jaxresp.evaluate.bootstrap import Difference, Interval


def number(value: float) -> str:
    """Three decimals, or what cannot be said."""
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def with_interval(value: float, interval: Interval) -> str:
    """The number with its interval, whose ends are themselves uncertain: two decimals."""
    if math.isnan(value):
        return "undefined"
    ends = "undefined" if any(map(math.isnan, interval)) else f"{interval.low:.2f}–{interval.high:.2f}"
    return f"{number(value)} [{ends}]"


def with_sign(difference: Difference) -> str:
    """By how much one number exceeds another, with its interval."""
    if math.isnan(difference.value):
        return "undefined"
    ends = (
        "undefined"
        if math.isnan(difference.low) or math.isnan(difference.high)
        else f"{difference.low:+.2f} to {difference.high:+.2f}"
    )
    return f"{difference.value:+.3f} [{ends}]"


def left_out(labels: Mapping[str, int], unit: str) -> str:
    """Which rows a task has no class for."""
    n = sum(labels.values())
    each = ", ".join(f"{label} {count}" for label, count in labels.items())
    return f"Left out, as the task has no class for their label: {n} {unit}{'' if n == 1 else 's'} ({each})."


def in_words(name: str) -> str:
    """A headline metric's name as it is written."""
    return {"macro_f1": "macro F1", "macro_roc_auc": "ROC-AUC", "macro_pr_auc": "PR-AUC"}.get(
        name, name.replace("_", " ")
    )
