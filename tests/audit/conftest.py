"""Units with features planted directly, without sound: of the patient, of the disease, of the window alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from jaxresp.audit.faults import FAULTS
from jaxresp.audit.finding import Finding, finding
from jaxresp.audit.leaking_training import Audited, train_and_answer
from jaxresp.evaluate.answers import Answers
from jaxresp.features import FeatureBank
from jaxresp.models import NetworkConfig
from jaxresp.splits import cross_validation
from jaxresp.taxonomy import BINARY
from jaxresp.train import TrainConfig

N_PATIENTS, N_RECORDINGS, N_WINDOWS, N_FRAMES = 30, 4, 1, 8


def planted(
    *,
    voice: float = 0.0,
    own: float = 0.0,
    disease: float = 0.0,
    hum: bool = False,
    by_patient: bool = True,
    learning_rate: float = 0.02,
    patience: int = 8,
    seed: int = 1,
) -> Audited:
    """30 patients with four recordings of one window; a quarter of them are normal.

    Args:
        voice: how much the windows of a patient share.
        own: how much each window has that no other has.
        disease: how far the classes lie apart.
        hum: the patients tested in a fold share a coefficient that is all but silent in everybody else.
        by_patient: labels are the patient's; else they are dealt to recordings, and have nothing to do with anything.
        learning_rate, patience: of the training.
        seed: of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(N_PATIENTS), N_RECORDINGS)
    classes = np.resize([0, 1, 1, 1], N_PATIENTS)[patient]
    labels = (classes if by_patient else rng.permutation(classes)).astype(np.int32)
    recording = np.repeat(np.arange(patient.size, dtype=np.int32), N_WINDOWS)
    of_window = patient[recording]
    patients = np.array([f"p{i:02d}" for i in patient])
    split = cross_validation(patients, labels, BINARY.classes, seed=seed)
    x = 0.3 * rng.normal(size=(recording.size, 1, N_FRAMES, 12))
    x += own * rng.normal(size=(recording.size, 1, 1, 12))
    x += voice * rng.normal(size=(N_PATIENTS, 1, 1, 12))[of_window]
    x[..., 0] += disease * (2 * labels[recording] - 1)[:, None, None]
    if hum:
        x[..., 9:] *= 1e-3
        for k, fold in enumerate(split.folds):
            x[np.isin(recording, fold.test), ..., 9 + k] += 1.0
    copies = x + 0.2 * rng.normal(size=(len(x), 2, *x.shape[2:]))
    return Audited(
        bank=FeatureBank(x.astype(np.float32), recording, patient.size),
        copies=copies.astype(np.float32),
        labels=labels,
        recordings=np.array([f"{name}_{i}" for i, name in enumerate(patients)]),
        patients=patients,
        task=BINARY,
        network=NetworkConfig("cnn1d", filters=8, dense=16),
        training=TrainConfig(
            batch_size=16, max_epochs=30, patience=patience, learning_rate=learning_rate, dropout=0.1, seed=seed
        ),
        split=split,
        overlap_share=0.8,
    )


@dataclass
class Auditor:
    """Findings on one planted corpus; every protocol is trained once."""

    audited: Audited
    answers: dict[str, Answers] = field(default_factory=dict)

    def answered(self, protocol: str) -> Answers:
        if protocol not in self.answers:
            probabilities, _ = train_and_answer(self.audited, protocol)
            a = self.audited
            self.answers[protocol] = Answers(
                a.recordings, a.patients, a.labels.astype(np.int64), probabilities, a.task.classes
            )
        return self.answers[protocol]

    def found(self, name: str) -> Finding:
        fault = FAULTS[name]
        touched = self.audited.overlapping if name == "overlapping-patients" else None
        return finding(fault, self.answered(fault.against), self.answered(name), touched=touched)


@pytest.fixture(scope="package")
def voices() -> Auditor:
    """A patient's windows share his voice, and his label; the disease is faint beside it."""
    return Auditor(planted(voice=2.0, own=0.3, disease=0.5, patience=30, seed=4))


@pytest.fixture(scope="package")
def nothing() -> Auditor:
    """Labels that have nothing to do with sound or patient; patients have a voice, and windows differ."""
    return Auditor(planted(voice=1.0, own=2.0, by_patient=False, seed=3))


@pytest.fixture(scope="package")
def humming() -> Auditor:
    """A disease to hear, and in every fold a recorder that only the tested patients had."""
    return Auditor(planted(disease=1.0, own=0.3, hum=True))
