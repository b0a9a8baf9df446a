"""How well a network knows the stethoscope: a linear probe of its activations before the last layer.

A network that answers from the stethoscope must know it. The probe learns to name it, for tested patients, from the
recordings that the network was fitted on; beside it stand the same probe of the mean features (what anybody hears
without a network) and of the true class alone (what knowing the answer already tells of the stethoscope).

References:
    Alain & Bengio, "Understanding intermediate layers using linear classifier probes", ICLR workshop 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from jaxresp.evaluate.bootstrap import Interval, confusion_samples, interval_of, resample
from jaxresp.evaluate.metrics import confusion_matrix, rates
from jaxresp.evaluate.subgroups import MIN_PATIENTS
from jaxresp.splits import Fold, tested_rows

EMBEDDING, FEATURES, CLASS = "activations before the last layer", "mean of the features", "true class alone"
_RIDGE = 0.1  # of the variance of each input; fixed, so that nothing is tuned on whom it is judged by


@dataclass(frozen=True)
class Probe:
    """How well unseen patients' stethoscopes are named, by balanced accuracy.

    Attributes:
        stethoscopes: those named; chance is one of their number.
        n: recordings asked about.
        n_patients: patients they are of.
        reached: from what → balanced accuracy.
        intervals: their 95 % patient bootstrap.
        why_not: why nothing was measured; empty where it was.
    """

    stethoscopes: tuple[str, ...] = ()
    n: int = 0
    n_patients: int = 0
    reached: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    why_not: str = ""

    @property
    def chance(self) -> float:
        """What guessing reaches."""
        return 1 / len(self.stethoscopes) if self.stethoscopes else float("nan")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Probe:
        def known(value: float | None) -> float:
            return float("nan") if value is None else float(value)

        intervals = {name: Interval(*map(known, ends)) for name, ends in data["intervals"].items()}
        return cls(**{**data, "stethoscopes": tuple(data["stethoscopes"]), "intervals": intervals})


def probed_stethoscopes(
    stethoscope: Shaped[np.ndarray, " recordings"],
    patients: Shaped[np.ndarray, " recordings"],
    folds: Sequence[Fold],
) -> tuple[tuple[str, ...], str]:
    """The stethoscopes that enough patients were recorded with, and else why none can be probed.

    Returns:
        names, alphabetically; and "" or the reason.
    """
    tested = tested_rows(tuple(folds))
    named = [name for name in np.unique(stethoscope[tested]).tolist() if name]
    enough = [n for n in named if np.unique(patients[tested][stethoscope[tested] == n]).size >= MIN_PATIENTS]
    if len(named) < 2:
        return (), f"all tested recordings are of one stethoscope ({named[0]})" if named else "no stethoscope is named"
    if len(enough) < 2:
        return (), f"fewer than two stethoscopes have {MIN_PATIENTS} tested patients"
    for k, fold in enumerate(folds):
        absent = sorted(set(enough) - set(stethoscope[_fitted(fold)].tolist()))
        if absent:
            return (), f"fold {k + 1} has no recording of {', '.join(absent)} to learn from"
    return tuple(enough), ""


def probe_stethoscope(
    inputs: Mapping[str, Sequence[Float[np.ndarray, "recordings inputs"]]],
    stethoscope: Shaped[np.ndarray, " recordings"],
    patients: Shaped[np.ndarray, " recordings"],
    folds: Sequence[Fold],
    *,
    seed: int = 0,
) -> Probe:
    """A ridge classifier for each fold, all stethoscopes weighing the same, judged on the fold's tested patients.

    Args:
        inputs: from what → for each fold, a row for every recording.
        stethoscope: of each recording; "" where it is not known.
        patients: whose it is.
        folds: of the split.
        seed: of the intervals.
    """
    names, why_not = probed_stethoscopes(stethoscope, patients, folds)
    if why_not:
        return Probe(why_not=why_not)
    named = np.isin(stethoscope, names)
    index = np.searchsorted(names, np.where(named, stethoscope, names[0]))
    asked = tested_rows(tuple(folds))
    asked = asked[named[asked]]
    drawn = resample(index[asked], patients[asked], seed=seed)
    reached, intervals = {}, {}
    for of, rows in inputs.items():
        said = np.zeros((index.size, len(names)))
        for fold, x in zip(folds, rows, strict=True):
            test = fold.test[named[fold.test]]
            said[test] = _ridge(x, index, _fitted(fold)[named[_fitted(fold)]], test, len(names))
        counts = confusion_matrix(index[asked], said[asked].argmax(1), len(names))
        reached[of] = float(rates(counts).balanced_accuracy)
        samples = rates(confusion_samples(index[asked], said[asked], drawn)).balanced_accuracy
        intervals[of] = interval_of(samples, drawn)
    return Probe(names, int(asked.size), int(np.unique(patients[asked]).size), reached, intervals)


def _fitted(fold: Fold) -> Int[np.ndarray, " rows"]:
    return np.concatenate([fold.train, fold.validation])


def _ridge(
    x: Float[np.ndarray, "recordings inputs"],
    index: Int[np.ndarray, " recordings"],
    seen: Int[np.ndarray, " seen"],
    asked: Int[np.ndarray, " asked"],
    n_classes: int,
) -> Float[np.ndarray, "asked classes"]:
    """Scores of each class by regularised least squares; inputs that do not vary in what was seen say nothing."""
    x = x.astype(np.float64)
    weight = 1 / (np.bincount(index[seen], minlength=n_classes)[index[seen]] * n_classes)
    mean = weight @ x[seen]
    std = np.sqrt(weight @ np.square(x[seen] - mean))
    varies: Bool[np.ndarray, " inputs"] = std > 1e-6 * max(float(std.max(initial=0)), 1e-12)
    z = np.divide(x - mean, std, out=np.zeros_like(x), where=varies)
    target = np.eye(n_classes)[index[seen]] - 1 / n_classes
    gram = (z[seen] * weight[:, None]).T @ z[seen] + _RIDGE * np.eye(z.shape[1])
    return z[asked] @ np.linalg.solve(gram, (z[seen] * weight[:, None]).T @ target)
