"""What is known of one model: its answers for the tested recordings, and every number drawn from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxresp.evaluate.bands import InBand, in_band_from_json
from jaxresp.evaluate.bootstrap import Difference, Interval
from jaxresp.evaluate.levels import Level
from jaxresp.evaluate.metrics import Metrics
from jaxresp.evaluate.probing import Probe
from jaxresp.evaluate.reliability import Reliability
from jaxresp.evaluate.selective import Selective
from jaxresp.evaluate.shortcuts import Shortcut
from jaxresp.evaluate.sides import Side, side_from_json
from jaxresp.evaluate.subgroups import Subgroup
from jaxresp.splits import Fold
from jaxresp.taxonomy import Task


@dataclass(frozen=True)
class Result:
    """One row of the table.

    Attributes:
        name: of the model.
        task: its name.
        features: name of the front end.
        classes: in the order of every per-class number.
        metrics: of the calibrated answers for the tested recordings: of patients unseen in training, validation,
            tuning and calibration, unless the split is a published one that overlaps.
        intervals: 95 % patient bootstrap of the headline metrics.
        majority: the same metrics for always answering what training saw most.
        shortcuts: what each column of the metadata reaches on the same patients, without listening.
        patients: tested patients per class; one who has units of several classes counts in each.
        n_patients: tested patients, each counted once.
        recordings: tested recordings per class; of a task of cycles or events, those.
        settings: chosen hyper-parameters of the released network, and its epochs.
        validation_loss: mean over folds at those settings.
        corpus: name, version, whether it is partial, fingerprint.
        split: its name, kind, and what its numbers are evidence of; see Split.to_json.
        levels: the same for single windows and, where every patient has one class, for whole patients.
        scores: of the task's own challenge, by name; score_intervals: their 95 % patient bootstrap.
        alarm: what any abnormal answer is worth, by name; of tasks that have a normal class.
        calibration: that of the released Classifier, as in its calibration.json.
        gate: that of the released Classifier, and the share of tested recordings that their folds' gates refuse.
        subgroups: column → group → its metrics; see Subgroup.
        reliability: "uncalibrated" and "calibrated": how far probabilities are from frequencies.
        unit: what is answered and counted: recordings, cycles or events.
        probe: how well the network knows the stethoscope; None where it cannot be asked.
        sides: the same by the publisher's test sides, where several are tested.
        selective: what not answering gains, and sets of classes.
        left_out: labels that the task has no class for, and how many units have them; nothing here is of those.
        common_band: the same of networks that hear only what every stethoscope records; of a diagnosis by a wider band.
        beyond: by how much the headline metrics exceed those of each column of the metadata, on the same patients.
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
    n_patients: int
    recordings: Mapping[str, int]
    settings: Mapping[str, Any]
    validation_loss: float
    corpus: Mapping[str, Any]
    split: Mapping[str, Any]
    levels: Mapping[str, Level] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    score_intervals: Mapping[str, Interval] = field(default_factory=dict)
    alarm: Mapping[str, float] = field(default_factory=dict)
    beyond: Mapping[str, Mapping[str, Difference]] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)
    gate: Mapping[str, Any] = field(default_factory=dict)
    subgroups: Mapping[str, Mapping[str, Subgroup]] = field(default_factory=dict)
    reliability: Mapping[str, Reliability] = field(default_factory=dict)
    selective: Selective | None = None
    unit: str = "recording"
    probe: Probe | None = None
    sides: Mapping[str, Side] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    common_band: InBand | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain types; what is undefined is null."""
        return plain(asdict(self) | {"levels": {name: each._asdict() for name, each in self.levels.items()}})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        data = dict(data)
        for key in ("metrics", "majority"):
            data[key] = _metrics(data[key])
        data["intervals"] = _intervals(data["intervals"])
        data["score_intervals"] = _intervals(data["score_intervals"])
        data["sides"] = {name: side_from_json(each, read) for name, each in data["sides"].items()}
        data["shortcuts"] = {name: Shortcut(*read(value)) for name, value in data["shortcuts"].items()}
        data["classes"] = tuple(data["classes"])
        data["levels"] = {
            name: Level(_metrics(each["metrics"]), _intervals(each["intervals"]))
            for name, each in data["levels"].items()
        }
        for key in ("scores", "alarm"):
            data[key] = {name: read(value) for name, value in data[key].items()}
        for key in ("calibration", "gate"):
            data[key] = _tuples(data[key])
        data["beyond"] = {
            column: {name: Difference(*read(value)) for name, value in each.items()}
            for column, each in data["beyond"].items()
        }
        data["subgroups"] = {
            column: {name: Subgroup.from_json(each) for name, each in groups.items()}
            for column, groups in data["subgroups"].items()
        }
        data["reliability"] = {name: Reliability.from_json(each) for name, each in data["reliability"].items()}
        narrow = data["common_band"]
        data["common_band"] = None if narrow is None else in_band_from_json(narrow, read)
        data["probe"] = None if data["probe"] is None else Probe.from_json(data["probe"])
        data["selective"] = None if data["selective"] is None else Selective.from_json(data["selective"])
        return cls(**data)


def majority_probabilities(
    labels: Int[np.ndarray, " n"], folds: tuple[Fold, ...], task: Task
) -> Float[np.ndarray, "n classes"]:
    """What a predictor answers that knows only how frequent each class was in training; zeros where none is asked."""
    answers = np.zeros((labels.size, len(task.classes)))
    for fold in folds:
        answers[fold.test] = np.bincount(labels[fold.train], minlength=len(task.classes)) / fold.train.size
    return answers


def _metrics(data: Mapping[str, Any]) -> Metrics:
    return Metrics(**{name: read(value) for name, value in data.items()})


def _intervals(data: Mapping[str, Any]) -> dict[str, Interval]:
    return {name: Interval(*read(value)) for name, value in data.items()}


def plain(value: Any) -> Any:
    """What JSON can hold; what is undefined is null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _tuples(value: Any) -> Any:
    """Lists are tuples again; null stays: a limit that is not set is no undefined number."""
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def read(value: Any) -> Any:
    """Inverse of `plain` for numbers and lists of them: null is undefined, lists are tuples."""
    if isinstance(value, list):
        return tuple(read(item) for item in value)
    return float("nan") if value is None else value
