"""The scores that challenges on respiratory sound are ranked by, from a confusion matrix.

Each is sensitivity and specificity put together; what counts as a hit differs, and is the usual reason why two papers'
numbers do not compare. A score that needs an absent class is NaN.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, Shaped

from jaxresp.evaluate.bootstrap import SAMPLES, Interval, confusion_samples, interval_of, resample
from jaxresp.taxonomy import Task


def sensitivity_specificity(
    confusion: Int[np.ndarray, "classes classes"], normal: int, *, lenient: bool = False
) -> tuple[float, float]:
    """Pooled sensitivity over all classes but the normal one, and specificity.

    Officially an abnormal unit is a hit when it gets its own class. `lenient` takes any abnormal class for a hit: a
    wheeze called a crackle then counts. Papers that do so report higher numbers under the same name.
    """
    n_normal = int(confusion[normal].sum())
    abnormal = np.delete(confusion, normal, axis=0)
    hits = abnormal.sum() - abnormal[:, normal].sum() if lenient else np.trace(confusion) - confusion[normal, normal]
    n_abnormal = int(abnormal.sum())
    return (
        float(hits / n_abnormal) if n_abnormal else float("nan"),
        float(confusion[normal, normal] / n_normal) if n_normal else float("nan"),
    )


def icbhi_scores(confusion: Int[np.ndarray, "classes classes"], normal: int) -> dict[str, float]:
    """The challenge of 2017: sensitivity, specificity, and their mean.

    Rocha et al., "An open access database for the evaluation of respiratory sound classification algorithms",
    Physiological Measurement 40, 2019.
    """
    sensitivity, specificity = sensitivity_specificity(confusion, normal)
    lenient, _ = sensitivity_specificity(confusion, normal, lenient=True)
    return {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ICBHI Score": (sensitivity + specificity) / 2,
        "lenient sensitivity (any abnormal class is a hit)": lenient,
        "lenient score, not the ICBHI Score": (lenient + specificity) / 2,
    }


def sprsound_scores(confusion: Int[np.ndarray, "classes classes"], normal: int) -> dict[str, float]:
    """The BioCAS challenges of 2022 and 2023: average score, harmonic score, and the mean of the two.

    Zhang et al., "Grand challenge on respiratory sound classification", IEEE BioCAS, 2022.
    """
    sensitivity, specificity = sensitivity_specificity(confusion, normal)
    average, total = (sensitivity + specificity) / 2, sensitivity + specificity
    harmonic = 2 * sensitivity * specificity / total if total != 0 else 0.0
    return {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "average score": average,
        "harmonic score": harmonic,
        "SPRSound Score": (average + harmonic) / 2,
    }


def normal_class(task: Task) -> int | None:
    """Which class of a task means that nothing is wrong, if it has one."""
    return next((i for i, name in enumerate(task.classes) if name.lower() in ("normal", "healthy")), None)


def challenge_scores(task: Task, confusion: Int[np.ndarray, "classes classes"]) -> dict[str, float]:
    """What a task's own challenge is ranked by; empty for a task that belongs to none."""
    normal = normal_class(task)
    if normal is None:
        return {}
    if task.name.startswith("sprsound-"):
        return sprsound_scores(confusion, normal)
    if task.name.startswith("cycles"):
        return icbhi_scores(confusion, normal)
    return {}


def score_intervals(
    task: Task,
    labels: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n classes"],
    patients: Shaped[np.ndarray, " n"],
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """95 % patient-bootstrap intervals of `challenge_scores`, of the samples that the headline metrics have."""
    drawn = resample(labels, patients, samples=samples, seed=seed)
    confusions = confusion_samples(labels, probabilities, drawn).astype(np.int64)
    each = [challenge_scores(task, confusion) for confusion in confusions]
    return {name: interval_of(np.array([scores[name] for scores in each]), drawn) for name in each[0]}
