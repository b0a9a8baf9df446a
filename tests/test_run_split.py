"""A run on a published split: only what is tested counts, nobody only tested is fitted on, and the overlap is said."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

import jaxresp.corpus
import jaxresp.tracking
from jaxresp.classifier import Classifier
from jaxresp.cli import main
from jaxresp.corpus import Corpus, recording_of
from jaxresp.display import print_results
from jaxresp.evaluate.held_out import evaluate_held_out
from jaxresp.evaluate.words import with_interval
from jaxresp.run import run
from jaxresp.run_config import RunConfig
from jaxresp.run_report import load_results
from jaxresp.splits import PatientLeak, SplitError, make_split
from jaxresp.taxonomy import BINARY, DIAGNOSIS
from jaxresp.train import TrainConfig

CONFIG = RunConfig(
    tasks=("binary",),
    features=("mfcc",),
    split="icbhi-official",
    n_trials=1,
    common_band=False,
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

    def log_trial(self, *_, **__) -> None:
        pass

    finish_study = fail_study = close = log_trial


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


@pytest.fixture(scope="module")
def of_cycles(overlapping: Corpus, tmp_path_factory) -> Path:
    """A run that answers cycles and recordings."""
    folder = tmp_path_factory.mktemp("cycles")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxresp.tracking, "Tracker", _NoTracker)
        run(overlapping, folder, dataclasses.replace(CONFIG, tasks=("cycles", "binary")))
    return folder


def test_cycles_are_answered_beside_recordings(overlapping, of_cycles, work):
    cycles, recordings = load_results(of_cycles)
    test = overlapping.official_split == "test"
    n_cycles = int(test[overlapping.annotated_recording].sum())
    assert (cycles.unit, cycles.metrics.n, sum(cycles.recordings.values())) == ("cycle", n_cycles, n_cycles)
    assert (recordings.unit, recordings.metrics.n) == ("recording", test.sum())
    assert recordings.to_json() == load_results(work)[0].to_json()  # nothing of the one leaks into the other
    answers = list(csv.DictReader(io.StringIO((of_cycles / "models" / "cycles-mfcc" / "out_of_fold.csv").read_text())))
    assert {recording_of(each["recording"]) for each in answers} == set(overlapping.recording[test].tolist())
    classifier = Classifier.load(of_cycles / "classifiers" / "cycles-mfcc")
    assert (classifier.window.length_s, classifier.task.unit) == (8.0, "cycle")
    train = set(overlapping.patient[overlapping.official_split == "train"].tolist())
    assert set(classifier.provenance["training_patients"]) == train


def test_a_report_of_cycles_counts_cycles_and_tells_their_score(overlapping, of_cycles):
    (result, _) = load_results(of_cycles)
    score, interval = result.scores["ICBHI Score"], result.score_intervals["ICBHI Score"]
    assert interval.low <= score <= interval.high
    card = (of_cycles / "classifiers" / "cycles-mfcc" / "card.md").read_text()
    for words in (
        "for one cycle",
        f"ICBHI Score {with_interval(score, interval)}",
        f"These {result.metrics.n} cycles are made up",
        f"of the {result.metrics.n} test cycles are theirs",
        f"/ {result.recordings['normal']} cycles",
        "| cycle |",
    ):
        assert words in card, words


def test_a_classifier_of_cycles_is_evaluated_on_the_cycles_of_whole_recordings(overlapping, of_cycles):
    classifier = Classifier.load(of_cycles / "classifiers" / "cycles-mfcc")
    unseen = overlapping.select((overlapping.official_split == "test") & (overlapping.patient != "156"))
    held_out = evaluate_held_out(classifier, unseen)
    assert held_out.metrics.n == len(unseen.annotations) and held_out.unit == "cycle"
    assert "ICBHI Score" in held_out.scores
    sound = io.BytesIO()
    soundfile.write(sound, unseen.waveform(0), unseen.rate_hz, format="WAV")
    assert any("answers about one cycle, and 1" in line for line in classifier.predict(sound.getvalue()).warnings)
