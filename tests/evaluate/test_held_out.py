"""A Classifier on a corpus that it was not trained on: everything that can be asked is, the rest is counted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from jaxresp.classifier import Classifier, untrained
from jaxresp.corpus import Corpus, CorpusError
from jaxresp.evaluate.held_out import HeldOut, evaluate_held_out, lines
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.evaluate.words import with_interval
from jaxresp.splits import cross_validation
from jaxresp.taxonomy import SOUND, UnknownLabel


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return untrained("sound-mfcc")


@pytest.fixture(scope="module")
def other(easy_corpus: Corpus) -> Corpus:
    """24 patients in KAUH's words, each of one sound but for two recordings that no task of sounds has a class for."""
    words = np.array(["N", "Crep", "E W", "I C E W"], "<U16")[
        np.unique(easy_corpus.patient, return_inverse=True)[1] % 4
    ]
    words[[5, 30]] = "Bronchial"
    return dataclasses.replace(easy_corpus, sound_label=words, name="kauh", made_up=False)


@pytest.fixture(scope="module")
def held_out(classifier: Classifier, other: Corpus) -> HeldOut:
    return evaluate_held_out(classifier, other)


def test_what_has_no_class_is_left_out_and_counted(classifier, other, held_out):
    assert held_out.metrics.n == len(other) - 2
    assert held_out.left_out == {"bronchial": 2}
    text = "\n".join(lines(classifier, other, held_out))
    assert "Left out, as the task has no class for their label: 2 recordings (bronchial 2)." in text
    assert f"46 recordings of {held_out.n_patients} patients of kauh" in text
    interval = held_out.intervals["balanced_accuracy"]
    assert f"balanced accuracy: {with_interval(held_out.metrics.balanced_accuracy, interval)}" in text


def test_the_answers_are_those_that_are_served(classifier, other, held_out):
    known = other.select(other.answerable(SOUND))
    served = []
    for i in range(len(known)):
        windows = known.select([i]).windows(classifier.window)
        served.append(classifier.logits(windows.samples, windows.scale).mean(0))
    probabilities = classifier.calibration.probabilities(np.array(served))
    told = classification_metrics(known.labels(SOUND), probabilities)
    assert told.confusion == held_out.metrics.confusion
    assert told.macro_roc_auc == pytest.approx(held_out.metrics.macro_roc_auc)


def test_what_the_metadata_reaches_stands_beside_learnt_from_other_patients(classifier, other, held_out):
    assert {"age", "stethoscope", "native rate"} <= set(held_out.shortcuts)
    known = other.select(other.answerable(SOUND))
    given_away = dataclasses.replace(other, location=other.sound)
    reached = evaluate_held_out(classifier, given_away).shortcuts["chest location"]
    assert reached.balanced_accuracy == 1.0 > held_out.shortcuts["chest location"].balanced_accuracy
    folds = cross_validation(known.patient, known.labels(SOUND), SOUND.classes).folds
    assert sum(len(fold.test) for fold in folds) == held_out.metrics.n
    assert "learnt from kauh's own other patients: " in "\n".join(lines(classifier, other, held_out))


def test_too_few_patients_for_shortcuts_are_said(classifier, other):
    few = other.select(np.isin(other.patient, np.unique(other.patient)[:4]))
    told = evaluate_held_out(classifier, few)
    assert told.shortcuts == {}
    assert "without listening: not known" in "\n".join(lines(classifier, few, told))


def test_a_corpus_without_labels_or_at_another_rate_is_refused(classifier, other):
    strange = dataclasses.replace(other, sound_label=np.full(len(other), "Bronchial"))
    with pytest.raises(UnknownLabel, match=r"no class for any recording of kauh \(bronchial 48\)"):
        evaluate_held_out(classifier, strange)
    with pytest.raises(CorpusError, match="prepared at 8000 Hz and sound-mfcc hears 16000 Hz"):
        evaluate_held_out(classifier, dataclasses.replace(other, rate_hz=8000))
