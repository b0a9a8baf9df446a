"""What is known of ICBHI 2017 without listening, recomputed from the complete metadata of its 920 recordings.

The recordings themselves are stood in for by a second of noise each: the metadata is what is read here.
"""

from __future__ import annotations

import shutil
import wave
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from jaxresp.corpus.building import builder_module
from jaxresp.evaluate.metrics import classification_metrics, roc_auc
from jaxresp.evaluate.shortcuts import answers_of, roc_auc_in_order, shortcuts
from jaxresp.splits import (
    PatientLeak,
    Split,
    SplitError,
    assert_disjoint,
    children_single_channel,
    cross_validation,
    icbhi_official,
)
from jaxresp.taxonomy import BINARY, DIAGNOSIS, MULTICLASS, MULTICLASS_LITERATURE, Task

pytestmark = pytest.mark.real_data

RECORDINGS = {
    "COPD": 793, "Pneumonia": 37, "Healthy": 35, "URTI": 23, "Bronchiectasis": 16, "Bronchiolitis": 13, "LRTI": 2,
    "Asthma": 1,
}  # fmt: skip
PATIENTS = {
    "COPD": 64, "Healthy": 26, "URTI": 14, "Bronchiectasis": 7, "Pneumonia": 6, "Bronchiolitis": 6, "LRTI": 2,
    "Asthma": 1,
}  # fmt: skip
#: The one row of the published split that names another stethoscope than the sound file does.
MISNAMED = ("226_1b1_Pl_sc_Meditron", "226_1b1_Pl_sc_LittC2SE")


@dataclass(frozen=True)
class Metadata:
    """Columns of all 920 recordings."""

    name: np.ndarray
    patient: np.ndarray
    diagnosis: np.ndarray
    official: np.ndarray
    mode: np.ndarray
    stethoscope: np.ndarray
    age_years: np.ndarray

    def labels(self, task: Task) -> np.ndarray:
        return task.encode(self.diagnosis.tolist())

    def who(self, task: Task) -> tuple:
        return self.patient, self.labels(task), task.classes

    @property
    def recordings_per_patient(self) -> np.ndarray:
        count = Counter(self.patient.tolist())
        return np.array([count[patient] for patient in self.patient.tolist()], np.float32)


@pytest.fixture(scope="module")
def complete(real_data: Path, tmp_path_factory) -> Path:
    """A folder with the published metadata, and something in the place of every recording."""
    folder = tmp_path_factory.mktemp("metadata") / "icbhi"
    sounds = folder / "ICBHI_final_database"
    sounds.mkdir(parents=True)
    for file in (real_data / "icbhi").glob("ICBHI_*.txt"):
        shutil.copy(file, folder)
    noise = np.random.default_rng(0).integers(-99, 99, (920, 4000)).astype("<i2")
    rows = (folder / "ICBHI_challenge_train_test.txt").read_text().split()[::2]
    assert len(rows) == 920 and MISNAMED[0] in rows
    for row, samples in zip(rows, noise, strict=True):
        name = MISNAMED[1] if row == MISNAMED[0] else row
        with wave.open(str(sounds / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, 4000, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
        (sounds / f"{name}.txt").write_text("0.1\t0.9\t0\t0\n")
    return folder


@pytest.fixture(scope="module")
def data(complete: Path) -> Metadata:
    source = builder_module("icbhi").Builder.read_source(complete, partial=True)

    def column(name: str, dtype: type = str) -> np.ndarray:
        return np.array([getattr(each, name) for each in source.recordings], dtype)

    return Metadata(
        column("name"),
        column("patient"),
        column("diagnosis"),
        column("official_split"),
        column("mode"),
        column("stethoscope"),
        column("age_years", np.float32),
    )


@pytest.fixture(scope="module")
def disputed(data: Metadata, real_data_kaggle: Path) -> np.ndarray:
    """The stethoscopes with the tags that filename_differences.txt gives instead: 91, Healthy ones all among them."""
    (file,) = (real_data_kaggle / "icbhi").rglob("filename_differences.txt")
    other = dict(line.strip("'").rsplit("_", 1) for line in file.read_text().split())
    places = [name.rsplit("_", 1)[0] for name in data.name.tolist()]
    assert len(other) == 91 and set(other) <= set(places)
    assert {p for p, d in zip(places, data.diagnosis.tolist(), strict=True) if d == "Healthy"} <= set(other)
    tags = np.array([other.get(p, tag) for p, tag in zip(places, data.stethoscope.tolist(), strict=True)])
    assert np.sum(tags != data.stethoscope) == 91
    return tags


@pytest.fixture(scope="module")
def official(data: Metadata) -> Split:
    return icbhi_official(*data.who(BINARY), data.official)


def on_test(split: Split, column: np.ndarray, data: Metadata) -> float:
    """ROC-AUC of abnormal against normal on the test half, of what the training half says of a column's values."""
    return shortcuts({"it": column}, data.labels(BINARY), split.folds, BINARY)["it"].macro_roc_auc


def test_counts_by_recording_and_by_patient(data):
    assert len(data.name) == 920 and len(set(data.patient.tolist())) == 126
    assert Counter(data.diagnosis.tolist()) == RECORDINGS
    assert Counter(dict(zip(data.patient.tolist(), data.diagnosis.tolist(), strict=True)).values()) == PATIENTS
    for task, groups in (
        (BINARY, (35, 885)),
        (MULTICLASS, (35, 794, 91)),
        (MULTICLASS_LITERATURE, (35, 810, 75)),
    ):
        assert tuple(np.bincount(data.labels(task))) == groups


def test_the_published_split(data, official):
    train, test = data.official == "train", data.official == "test"
    assert (train.sum(), test.sum()) == (539, 381)
    assert (len(set(data.patient[train])), len(set(data.patient[test]))) == (79, 49)
    assert official.kind == "published_overlap" and official.overlap == ("156", "218")
    assert len(official.tested) == 381 and len(official.fitted) == 539
    assert not {"Pneumonia", "LRTI", "Asthma"} & set(data.diagnosis[test])
    misnamed = data.name.tolist().index(MISNAMED[1])  # joined without its stethoscope
    assert data.official[misnamed] == "train"
    theirs = {
        half: int(np.sum(np.isin(data.patient[data.official == half], ["156", "218"]))) for half in ("train", "test")
    }
    assert theirs["train"] and theirs["test"]
    said = f"{theirs['train']} of the 539 training and {theirs['test']} of the 381 test recordings are theirs"
    assert any("156 and 218" in each and said in each for each in official.sentences)
    with pytest.raises(PatientLeak, match=r"156|218"):
        assert_disjoint(official.folds[0], data.patient)


@pytest.mark.parametrize("half", ["train", "test"])
def test_the_corrected_split(data, official, half):
    split = icbhi_official(*data.who(BINARY), data.official, removed_from=half)
    assert split.kind == "patient_disjoint" and split.overlap == ()
    assert_disjoint(split.folds[0], data.patient)
    (aside,) = split.left_out
    assert set(data.patient[aside.rows]) == {"156", "218"} and set(data.official[aside.rows]) == {half}
    patients = {"train": (77, 49), "test": (79, 47)}[half]
    assert (len(set(data.patient[split.fitted])), len(set(data.patient[split.tested]))) == patients


def test_eight_diagnoses_lack_a_class_and_are_told_so(data):
    """The test half has no Pneumonia, LRTI or Asthma; and no cross-validation can hold one patient with Asthma."""
    said = " ".join(icbhi_official(*data.who(DIAGNOSIS), data.official).sentences)
    assert "the test side has no recording of Asthma, LRTI, Pneumonia" in said
    with pytest.raises(SplitError, match="Asthma has 1"):
        cross_validation(*data.who(DIAGNOSIS))


def test_shortcuts_on_the_published_test_half(data, official, disputed):
    y = data.labels(BINARY)
    assert on_test(official, data.stethoscope, data) == pytest.approx(0.967, abs=5e-4)
    assert on_test(official, disputed, data) == pytest.approx(0.608, abs=5e-4)
    assert on_test(official, np.char.add(disputed, data.mode), data) == pytest.approx(0.982, abs=5e-4)
    assert roc_auc_in_order(data.age_years, y, official.folds) == pytest.approx(0.975, abs=5e-4)
    many = roc_auc_in_order(data.recordings_per_patient, y, official.folds)
    assert many == pytest.approx(0.99, abs=5e-3)


def test_being_a_child_is_the_diagnosis(data, official):
    child = np.where(data.age_years <= 16, "child", "adult, or age not known")
    two = shortcuts({"it": child}, data.labels(BINARY), official.folds, BINARY)["it"]
    assert two.balanced_accuracy == pytest.approx(0.982, abs=5e-4)  # ICBHI's Score: (sensitivity + specificity) / 2
    y = data.labels(MULTICLASS)
    answers = answers_of(child, y, official.folds, 3)
    test = official.tested
    np.testing.assert_array_equal(answers[test].argmax(1), np.where(child[test] == "child", 0, 1))
    three = classification_metrics(y[test], answers[test])
    assert three.accuracy == pytest.approx(0.961, abs=5e-4) and three.balanced_accuracy == pytest.approx(2 / 3)
    assert np.mean(y[test] == 1) == pytest.approx(0.916, abs=5e-4)


def test_everybody_healthy_is_a_child_with_one_channel(data):
    healthy = data.diagnosis == "Healthy"
    assert data.age_years[healthy].max() <= 16
    assert set(data.mode[healthy]) == {"sc"} and set(data.stethoscope[healthy]) == {"Meditron"}
    assert np.nanmin(data.age_years[data.diagnosis == "COPD"]) == 45


def test_the_least_confounded_cohort(data):
    split = children_single_channel(*data.who(BINARY), data.age_years, data.mode)
    rows, y = split.tested, data.labels(BINARY)
    first = [int(np.flatnonzero(data.patient == who)[0]) for who in np.unique(data.patient[rows])]
    assert tuple(np.bincount(y[first])) == (26, 23)
    assert split.sentences == (
        "Only children (≤ 16 years) recorded with a single channel: 26 Normal, 23 Abnormal patients.",
    )
    assert set(data.diagnosis[rows]) == {"Healthy", "URTI", "Bronchiolitis", "LRTI", "Pneumonia"}
    assert roc_auc(y[first], -data.age_years[first]) == pytest.approx(0.628, abs=5e-4)
    assert roc_auc(y[first], data.recordings_per_patient[first]) == pytest.approx(0.642, abs=5e-4)
