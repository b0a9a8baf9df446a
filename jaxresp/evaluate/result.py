"""What is known of one model: its answers for the tested recordings, and every number drawn from them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxresp.evaluate.bootstrap import Interval, patient_bootstrap
from jaxresp.evaluate.metrics import Metrics, classification_metrics
from jaxresp.evaluate.shortcuts import Shortcut
from jaxresp.splits import Fold, tested_rows
from jaxresp.taxonomy import Task

HEADLINES = ("balanced_accuracy", "macro_f1", "macro_roc_auc")


@dataclass(frozen=True)
class Result:
    """One row of the table.

    Attributes:
        name: of the model.
        task: its name.
        features: name of the front end.
        classes: in the order of every per-class number.
        metrics: of the tested recordings: of patients unseen in training, validation and tuning, unless the split is
            a published one that overlaps.
        intervals: 95 % patient bootstrap of the headline metrics.
        majority: the same metrics for always answering what training saw most.
        shortcuts: what each column of the metadata reaches on the same patients, without listening.
        patients: tested patients per class.
        recordings: tested recordings per class.
        settings: chosen hyper-parameters of the released network, and its epochs.
        validation_loss: mean over folds at those settings.
        corpus: name, version, whether it is partial, fingerprint.
        split: its name, kind, and what its numbers are evidence of; see Split.to_json.
    """

    name: str
    task: str
    features: str
    classes: tuple[str, ...]
    metrics: Metrics
    intervals: Mapping[str, Interval]
    majority: Metrics
    shortcuts: Mapping[str, Shortcut]
    patients: Mapping[str, int]
    recordings: Mapping[str, int]
    settings: Mapping[str, Any]
    validation_loss: float
    corpus: Mapping[str, Any]
    split: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain types; what is undefined is null."""
        return _plain(asdict(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        data = dict(data)
        for key in ("metrics", "majority"):
            data[key] = Metrics(**{name: _read(value) for name, value in data[key].items()})
        data["intervals"] = {name: Interval(*_read(value)) for name, value in data["intervals"].items()}
        data["shortcuts"] = {name: Shortcut(*_read(value)) for name, value in data["shortcuts"].items()}
        data["classes"] = tuple(data["classes"])
        return cls(**data)


def headline_intervals(
    labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n classes"], patients: np.ndarray, *, seed: int
) -> dict[str, Interval]:
    """95 % patient-bootstrap intervals of the headline metrics."""

    def headlines(y: np.ndarray, p: np.ndarray) -> tuple[float, ...]:
        metrics = classification_metrics(y, p)
        return tuple(getattr(metrics, name) for name in HEADLINES)

    return dict(zip(HEADLINES, patient_bootstrap(headlines, labels, probabilities, patients, seed=seed), strict=True))


def majority_probabilities(
    labels: Int[np.ndarray, " n"], folds: tuple[Fold, ...], task: Task
) -> Float[np.ndarray, "n classes"]:
    """What a predictor answers that knows only how frequent each class was in training; zeros where none is asked."""
    answers = np.zeros((labels.size, len(task.classes)))
    for fold in folds:
        answers[fold.test] = np.bincount(labels[fold.train], minlength=len(task.classes)) / fold.train.size
    return answers


def out_of_fold_csv(
    recordings: np.ndarray,
    patients: np.ndarray,
    labels: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n classes"],
    folds: tuple[Fold, ...],
    task: Task,
) -> str:
    """One line per tested recording: who, which fold tested it, what is true, what was answered."""
    fold_of = np.full(labels.size, -1)
    for k, fold in enumerate(folds):
        fold_of[fold.test] = k
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["recording", "patient", "fold", "class", *(f"p({c})" for c in task.classes)])
    for i in tested_rows(folds).tolist():
        shown = (f"{p:.9g}" for p in probabilities[i])
        writer.writerow([recordings[i], patients[i], fold_of[i], task.classes[labels[i]], *shown])
    return out.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_read(item) for item in value)
    return float("nan") if value is None else value
