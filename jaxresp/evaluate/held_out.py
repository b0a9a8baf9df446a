"""A finished Classifier on a corpus it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxresp.classifier import Classifier
from jaxresp.corpus import Corpus
from jaxresp.evaluate.bootstrap import Interval, headline_intervals
from jaxresp.evaluate.metrics import Metrics, classification_metrics
from jaxresp.pooling import pool
from jaxresp.splits import PatientLeak


@dataclass(frozen=True)
class HeldOut:
    """Metrics of a Classifier on a corpus, their intervals, and how many patients they rest on."""

    metrics: Metrics
    intervals: dict[str, Interval]
    n_patients: int


def evaluate_held_out(classifier: Classifier, corpus: Corpus, *, seed: int = 0) -> HeldOut:
    """Answer every recording as the service would, and compare.

    Raises:
        PatientLeak: the Classifier was trained on patients of this corpus; names them.
        UnknownLabel: a diagnosis that the Classifier's task has no class for.
    """
    trained_on = classifier.provenance.get("corpus", {})
    shared = set(classifier.provenance.get("training_patients", ())) & set(corpus.patient.tolist())
    if shared and (trained_on.get("name"), trained_on.get("made_up")) == (corpus.name, corpus.made_up):
        some = ", ".join(sorted(shared)[:5])
        raise PatientLeak(
            f"{classifier.name} was trained on {len(shared)} patients of this corpus "
            f"({some}{' …' if len(shared) > 5 else ''}); "
            "what it says of them is no evidence. Evaluate on other patients, or read the out-of-fold table of its run"
        )
    windows = corpus.windows(classifier.window)
    logits = pool(classifier.logits(windows.samples, windows.scale), windows.recording, len(corpus))
    probabilities = classifier.calibration.probabilities(logits)
    labels = corpus.labels(classifier.task)
    return HeldOut(
        metrics=classification_metrics(labels, probabilities),
        intervals=headline_intervals(labels, probabilities, corpus.patient, seed=seed),
        n_patients=int(np.unique(corpus.patient).size),
    )
