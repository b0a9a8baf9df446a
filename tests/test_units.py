"""Cycles and events as rows: every sample is the recording's, every interval is there once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from jaxresp.corpus import Annotations, Corpus, CorpusError, interval_corpus, recording_of, units
from jaxresp.splits import make_split, sprsound_official
from jaxresp.splits.published import SPRSOUND_DUPLICATE
from jaxresp.taxonomy import BINARY, CYCLES, CYCLES_BINARY, SOUND, TASKS
from jaxresp.window import WINDOWS, WindowConfig


@pytest.fixture(scope="module")
def corpus(easy_corpus: Corpus) -> Corpus:
    return easy_corpus.select(np.arange(0, 48, 5))


@pytest.fixture(scope="module")
def cycles(corpus: Corpus) -> Corpus:
    return interval_corpus(corpus)


def test_every_interval_is_a_row_sample_for_sample(corpus, cycles):
    assert len(cycles) == len(corpus.annotations) == len(cycles.annotations) > 2 * len(corpus)
    row = 0
    for i in range(len(corpus)):
        own = corpus.annotations_of(i)
        sound = corpus.samples[corpus.offsets[i] : corpus.offsets[i + 1]]
        for k in range(len(own)):
            start, end = (round(float(edge[k]) * corpus.rate_hz) for edge in (own.start_s, own.end_s))
            here = cycles.samples[cycles.offsets[row] : cycles.offsets[row + 1]]
            np.testing.assert_array_equal(here, sound[start:end])
            assert cycles.recording[row] == f"{corpus.recording[i]}#{k:02d}"
            assert recording_of(cycles.recording[row]) == corpus.recording[i]
            assert cycles.annotations.label[row] == own.label[k]
            assert cycles.annotations.end_s[row] == pytest.approx(len(here) / corpus.rate_hz)
            for column in ("patient", "scale", "diagnosis", "stethoscope", "official_split", "age_years"):
                np.testing.assert_equal(getattr(cycles, column)[row], getattr(corpus, column)[i])
            row += 1
    assert row == len(cycles)


def test_a_task_of_intervals_has_one_label_per_row_and_counts_the_same_patients(corpus, cycles):
    for task in (CYCLES, CYCLES_BINARY):
        assert cycles.labels(task).tolist() == corpus.labels(task).tolist()
        assert cycles.patients_per_class(task) == corpus.patients_per_class(task)
    np.testing.assert_array_equal(cycles.sound, np.array(CYCLES.classes)[cycles.labels(CYCLES)])
    assert units(corpus, SOUND) is units(corpus, BINARY) is corpus
    assert units(corpus, CYCLES).fingerprint == cycles.fingerprint != corpus.fingerprint


def test_cutting_what_was_cut_changes_no_sound(cycles):
    np.testing.assert_array_equal(interval_corpus(cycles).samples, cycles.samples)


def test_selected_recordings_give_the_same_cycles(corpus, cycles):
    chosen = interval_corpus(corpus.select([6, 2]))
    rows = [int(np.flatnonzero(cycles.recording == name)[0]) for name in chosen.recording.tolist()]
    assert {recording_of(name) for name in chosen.recording.tolist()} == set(corpus.recording[[2, 6]].tolist())
    np.testing.assert_array_equal(chosen.samples, cycles.select(rows).samples)


def test_every_unit_is_cut_into_windows_that_hold_it_or_its_repetition(cycles):
    assert {task.unit for task in TASKS.values()} <= set(WINDOWS)
    assert WINDOWS["recording"] == WindowConfig()
    windows = cycles.windows(WINDOWS["cycle"])
    lengths = np.diff(cycles.offsets)
    assert len(windows) == len(cycles) and lengths.max() <= 8 * cycles.rate_hz  # one each: none lasts longer
    np.testing.assert_array_equal(windows.samples[0], np.resize(cycles.samples[: lengths[0]], 8 * cycles.rate_hz))
    of_two_seconds = cycles.windows(WINDOWS["event"])
    counts = np.bincount(of_two_seconds.recording)
    assert np.array_equal(counts > 1, lengths > 2 * cycles.rate_hz)  # nothing is cut off


def test_a_split_of_cycles_divides_patients_and_speaks_of_cycles(easy_corpus):
    cycles = interval_corpus(easy_corpus)
    split = make_split("folds", cycles, CYCLES)
    assert sum(len(fold.test) for fold in split.folds) == len(cycles)
    for fold in split.folds:
        assert not set(cycles.patient[fold.test].tolist()) & set(cycles.patient[fold.train].tolist())
    assert "each cycle was answered" in split.evidence
    official = make_split("icbhi-official", cycles, CYCLES)
    assert "in the cycles that are here, nobody is" in official.sentences[0]


def test_the_sound_under_two_names_is_told_of_events_too():
    patients = np.array(["1", "2", "3", "1", "4", "5", "6", "7"])
    official = np.array(["train"] * 4 + ["intra_test", "inter_test"] + ["train"] * 2)
    patients[4] = "1"
    names = [f"r{i}#00" for i in range(8)]
    names[0], names[4] = f"{SPRSOUND_DUPLICATE[0]}#00", f"{SPRSOUND_DUPLICATE[1]}#01"
    labels = np.array([0, 1, 0, 1, 0, 1, 1, 0])
    told = sprsound_official(patients, labels, ("Normal", "Other"), official, np.array(names), row="event").sentences
    assert any("the same sound under two names" in line for line in told)
    assert any("1 of the 2 test events" in line for line in told)


def test_what_has_no_interval_has_no_row(corpus):
    bare = dataclasses.replace(
        corpus,
        annotations=Annotations(*(column[:0] for column in vars(corpus.annotations).values())),
        annotation_offsets=np.zeros(len(corpus) + 1, np.int64),
    )
    with pytest.raises(CorpusError, match="no interval is annotated"):
        interval_corpus(bare)
    half = corpus.annotation_offsets.copy()
    half[1:] = half[1]  # only the first recording keeps its annotations
    first = Annotations(*(column[: half[1]] for column in vars(corpus.annotations).values()))
    some = interval_corpus(dataclasses.replace(corpus, annotations=first, annotation_offsets=half))
    assert set(map(recording_of, some.recording.tolist())) == {corpus.recording[0]}
