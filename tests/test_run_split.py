"""A run on a published split: only what is tested counts, nobody only tested is fitted on, and the overlap is said."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import jaxresp.corpus
import jaxresp.tracking
from jaxresp.classifier import Classifier
from jaxresp.cli import main
from jaxresp.corpus import Corpus
from jaxresp.display import print_results
from jaxresp.evaluate.held_out import evaluate_held_out
from jaxresp.run import RunConfig, load_results, run
from jaxresp.splits import PatientLeak, SplitError, make_split
from jaxresp.taxonomy import BINARY, DIAGNOSIS
from jaxresp.train import TrainConfig

CONFIG = RunConfig(
    tasks=("binary",),
    features=("mfcc",),
    split="icbhi-official",
    n_trials=1,
    filters=2,
    dense=4,
    training=TrainConfig(max_epochs=1, batch_size=16),
)


class _NoTracker:
    """Stands where MLflow would: these tests are not about it."""

    def __init__(self, *_):
        pass

    def start_study(self, *_) -> str:
        return "untracked"

    def log_trial(self, *_) -> None:
        pass

    finish_study = fail_study = log_trial


@pytest.fixture(scope="module")
def overlapping(easy_corpus: Corpus) -> Corpus:
    """The made-up corpus with one patient of ICBHI's overlap in it, a recording in each half."""
    somebody = easy_corpus.patient == easy_corpus.patient[0]
    official = easy_corpus.official_split.copy()
    official[np.flatnonzero(somebody)] = ["train", "test"]
    return dataclasses.replace(
        easy_corpus, patient=np.where(somebody, "156", easy_corpus.patient), official_split=official
    )


@pytest.fixture(scope="module")
def work(overlapping: Corpus, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("official")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxresp.tracking, "Tracker", _NoTracker)
        run(overlapping, folder, CONFIG)
    return folder


def test_numbers_are_of_the_published_test_half_alone(overlapping, work):
    (result,) = load_results(work)
    test = overlapping.official_split == "test"
    assert result.metrics.n == test.sum() == sum(result.recordings.values()) == result.majority.n
    assert sum(result.patients.values()) == len(set(overlapping.patient[test].tolist()))
    answers = list(csv.DictReader(io.StringIO((work / "models" / result.name / "out_of_fold.csv").read_text())))
    assert [each["recording"] for each in answers] == overlapping.recording[test].tolist()
    sides = json.loads((work / "models" / result.name / "folds.json").read_text())
    assert [side["shared patients"] for side in sides if side["side"] == "test"] == [1]


def test_nobody_who_is_only_tested_is_fitted_on(overlapping, work):
    classifier = Classifier.load(work / "classifiers" / "binary-mfcc")
    train, test = overlapping.official_split == "train", overlapping.official_split == "test"
    assert classifier.provenance["training_patients"] == sorted(set(overlapping.patient[train].tolist()))
    assert classifier.provenance["split"]["overlap"] == ["156"]
    with pytest.raises(PatientLeak, match="156"):
        evaluate_held_out(classifier, overlapping.select(test))
    unseen = overlapping.select(test & (overlapping.patient != "156"))
    assert evaluate_held_out(classifier, unseen).metrics.n == test.sum() - 1


def test_the_tested_half_calibrates_nothing(overlapping, work):
    (result,) = load_results(work)
    released = Classifier.load(work / "classifiers" / "binary-mfcc").calibration
    fold = make_split("icbhi-official", overlapping, BINARY, seed=CONFIG.seed).folds[0]
    n_patients = len(set(overlapping.patient[fold.validation].tolist()))
    assert f"validation answers of {n_patients} patients" in released.method
    labels, patients = overlapping.labels(BINARY)[fold.validation], overlapping.patient[fold.validation]
    share = [len(set(patients[labels == c].tolist())) + 0.5 for c in (0, 1)]
    assert released.fitted_prevalence == pytest.approx(np.divide(share, sum(share)))
    assert result.reliability["calibrated"].n == (overlapping.official_split == "test").sum()


def test_the_overlap_stands_wherever_the_numbers_do(work):
    results = load_results(work)
    shown = io.StringIO()
    print_results(Console(file=shown, width=200), results)
    card = (work / "classifiers" / "binary-mfcc" / "card.md").read_text()
    for text in (shown.getvalue(), (work / "report.md").read_text(), card):
        assert "Patient 156 stands on both sides" in text and "not disjoint by patient" in text
        for untrue in ("out-of-fold", "unseen patients", "Unseen patients"):
            assert untrue not in text


def test_a_split_that_a_corpus_does_not_allow_stops_a_run_before_it_trains(easy_corpus, tmp_path):
    with pytest.raises(SplitError, match="sprsound's own split, and this corpus is icbhi"):
        run(easy_corpus, tmp_path, dataclasses.replace(CONFIG, split="sprsound-inter"))
    assert not (tmp_path / "models").exists()
    with pytest.raises(SplitError, match="Did you mean 'icbhi-official'"):
        dataclasses.replace(CONFIG, split="icbhi-oficial")
    with pytest.raises(SplitError, match="Asthma"):
        make_split("folds", easy_corpus, DIAGNOSIS)


def test_the_command_line_prints_every_proof_and_why_not(easy_corpus, overlapping, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(jaxresp.corpus, "load", lambda folder: overlapping)
    monkeypatch.setenv("COLUMNS", "160")
    with pytest.raises(SystemExit) as end:
        main(["splits", str(tmp_path)])
    assert end.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "icbhi-official, published overlap" in out and "icbhi-official-corrected-train, patient disjoint" in out
    assert "Patient 156 stands on both sides" in out
    assert "sprsound-inter: it is sprsound's own split" in out
    assert "leave-one-corpus-out: leaving one corpus out takes two corpora; this is icbhi alone" in out
    for row in make_split("icbhi-official", overlapping, BINARY).proof:
        assert f"{row['fold']} {row['side']} {row['patients']} {row['recordings']} " in out
