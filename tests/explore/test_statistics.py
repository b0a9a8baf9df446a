"""What is counted equals a recount, recording by recording, and does not depend on their order."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict

import numpy as np
import pytest

from jaxresp.audio import read_audio
from jaxresp.corpus import load, prepare
from jaxresp.explore import statistics as stats
from jaxresp.explore.statistics import NOT_GIVEN

from .conftest import little_corpus


def test_classes_are_the_diagnoses_most_recordings_first(uneven_corpus):
    classes = stats.classes_of(uneven_corpus)
    count = Counter(uneven_corpus.diagnosis.tolist())
    assert classes.what == "diagnosis" and set(classes.names) == set(count)
    assert [count[name] for name in classes.names] == sorted(count.values(), reverse=True)
    assert [classes.names[i] for i in classes.of_recording] == uneven_corpus.diagnosis.tolist()


def test_without_diagnoses_the_labels_of_recordings_are_the_classes():
    labels = np.array(["CAS", "Normal", "Normal", "", "CAS", "Normal"])
    classes = stats.classes_of(little_corpus(sound_label=labels))
    assert (classes.what, classes.names) == ("sound label", ("Normal", "CAS", NOT_GIVEN))
    assert classes.known == ("Normal", "CAS")
    assert [classes.names[i] for i in classes.of_recording] == [label or NOT_GIVEN for label in labels.tolist()]


def test_a_corpus_that_says_nothing_is_one_class_of_unknown():
    classes = stats.classes_of(little_corpus())
    assert (classes.names, classes.known) == ((NOT_GIVEN,), ())


def test_counts_by_class_are_recounts(uneven_corpus):
    patients, recordings, seconds = defaultdict(set), Counter(), Counter()
    for i in range(len(uneven_corpus)):
        name = str(uneven_corpus.diagnosis[i])
        patients[name].add(uneven_corpus.patient[i])
        recordings[name] += 1
        seconds[name] += len(uneven_corpus.waveform(i)) / uneven_corpus.rate_hz
    counts = stats.class_counts(uneven_corpus, stats.classes_of(uneven_corpus))
    assert {c.name: c.patients for c in counts} == {name: len(them) for name, them in patients.items()}
    assert {c.name: c.recordings for c in counts} == recordings
    assert {c.name: c.seconds for c in counts} == pytest.approx(seconds, rel=1e-5)


def test_missing_is_counted_by_patient_and_by_recording():
    age = np.array([5, np.nan, np.nan, np.nan, 7, 8], np.float32)  # the second patient's age is known of one recording
    corpus = little_corpus(
        patient=np.array(["a", "b", "b", "c", "b", "d"]), age_years=age, location=np.array(["Tc", "", "", "", "Al", ""])
    )
    found = {each.variable: each for each in stats.missing_variables(corpus)}
    assert found["age"][1:] == ("patients", 1, 4)
    assert found["chest location"][1:] == ("recordings", 4, 6)
    assert found["sex"].share == found["annotated intervals"].share == 1


def test_a_patient_is_described_by_the_first_recording_that_says_it():
    corpus = little_corpus(
        patient=np.array(["b", "b", "a", "a", "a", "c"]),
        age_years=np.array([np.nan, 40, 3, np.nan, np.nan, np.nan], np.float32),
        sex=np.array(["", "F", "M", "", "", ""]),
        sound_label=np.array(["x", "x", "y", "y", "x", "y"]),
    )
    patients = stats.patients_of(corpus, stats.classes_of(corpus))
    assert patients.patient.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(patients.age_years, [3, 40, np.nan])
    assert patients.sex.tolist() == ["M", "F", ""]
    assert patients.recordings.tolist() == [3, 2, 1]
    names = stats.classes_of(corpus).names
    assert [names[i] for i in patients.class_index] == ["y", "x", "y"]


@pytest.mark.parametrize("column", ["stethoscope", "location", "mode", "native_rate_hz"])
def test_a_crossed_table_holds_every_recording_once(uneven_corpus, column):
    classes, values = stats.classes_of(uneven_corpus), getattr(uneven_corpus, column)
    table = stats.crossed(classes, values)
    said = Counter(zip(uneven_corpus.diagnosis.tolist(), [str(v) or NOT_GIVEN for v in values.tolist()], strict=True))
    counted = {
        (row, name): int(table.counts[i, j])
        for i, row in enumerate(table.rows)
        for j, name in enumerate(table.columns)
        if table.counts[i, j]
    }
    assert counted == said


def test_a_column_that_says_nothing_makes_no_table():
    corpus = little_corpus()
    assert stats.crossed(stats.classes_of(corpus), corpus.mode) is None
    assert stats.crossed(stats.classes_of(corpus), corpus.bandwidth_hz) is None
    assert stats.annotations_by(corpus, corpus.location) is None


def test_annotations_are_counted_where_they_belong(uneven_corpus):
    by_class, by_place, labels = Counter(), Counter(), Counter()
    for i in range(len(uneven_corpus)):
        own = uneven_corpus.annotations_of(i)
        for crackle, wheeze, label in zip(own.crackle, own.wheeze, own.label.tolist(), strict=True):
            kind = {(0, 0): "neither", (1, 0): "crackle", (0, 1): "wheeze", (1, 1): "both"}[int(crackle), int(wheeze)]
            by_class[str(uneven_corpus.diagnosis[i]), kind] += 1
            by_place[str(uneven_corpus.location[i]), kind] += 1
            labels[label, kind] += 1
    for table, said in (
        (stats.annotations_by_class(uneven_corpus, stats.classes_of(uneven_corpus)), by_class),
        (stats.annotations_by(uneven_corpus, uneven_corpus.location), by_place),
    ):
        counted = {(r, c): n for r, row in zip(table.rows, table.counts.tolist(), strict=True)
                   for c, n in zip(table.columns, row, strict=True) if n}  # fmt: skip
        assert counted == said
    assert {(name, stats.KINDS[k]): n for name, k, n in stats.annotation_labels(uneven_corpus)} == labels


def test_levels_are_those_of_the_waveforms(uneven_corpus):
    levels = stats.levels(uneven_corpus)
    for i in range(0, len(uneven_corpus), 7):
        sound = uneven_corpus.waveform(i).astype(np.float64)
        assert levels.rms_dbfs[i] == pytest.approx(10 * np.log10(np.mean(sound**2)), abs=1e-3)
        assert levels.peak_dbfs[i] == pytest.approx(20 * np.log10(np.abs(sound).max()), abs=1e-3)
    assert not levels.clipped.any()


def test_a_flattened_sound_seems_clipped_and_one_normalised_to_its_peak_does_not():
    noise = np.random.default_rng(0).normal(size=80_000)
    sounds = np.stack([noise / np.abs(noise).max(), np.clip(noise / 3, -1, 1), np.clip(noise / 3, -1, 1) / 2])
    peak = np.abs(sounds).max(1)
    steps = np.rint(sounds / peak[:, None] * 32767).astype(np.int16)
    levels = stats.levels(
        little_corpus(3, samples=steps.ravel(), offsets=np.arange(4) * 80_000, scale=(peak / 32767).astype(np.float32))
    )
    assert levels.clipped.tolist() == [False, True, False]
    assert levels.full_scale[0] == pytest.approx(np.mean(np.abs(sounds[0]) >= 0.99), rel=1e-3)
    assert levels.full_scale[1] == pytest.approx(np.mean(np.abs(sounds[1]) >= 0.99), rel=1e-3)
    assert levels.full_scale[2] == 0


@pytest.mark.real_data
def test_real_recordings_seem_clipped_if_their_files_have_flat_tops(real_data, tmp_path):
    corpus = load(prepare(real_data / "icbhi", tmp_path, partial=True))
    files = {path.stem: path for path in (real_data / "icbhi").rglob("*.wav")}
    flat = [read_audio(files[name]).facts.clipped_fraction > 0 for name in corpus.recording.tolist()]
    assert 0 < sum(flat) < len(flat)
    assert stats.levels(corpus).clipped.tolist() == flat


def test_samples_are_of_every_class_and_of_different_patients(uneven_corpus):
    classes = stats.classes_of(uneven_corpus)
    rows = stats.sample_recordings(uneven_corpus, classes, per_class=2, seed=1)
    assert rows == stats.sample_recordings(uneven_corpus, classes, per_class=2, seed=1)
    assert any(rows != stats.sample_recordings(uneven_corpus, classes, per_class=2, seed=s) for s in range(2, 6))
    assert len(set(rows)) == len(rows)
    for count in stats.class_counts(uneven_corpus, classes):
        shown = [row for row in rows if uneven_corpus.diagnosis[row] == count.name]
        assert len(shown) == min(2, count.recordings)
        assert len(set(uneven_corpus.patient[shown].tolist())) == min(len(shown), count.patients)


def test_annotated_recordings_are_shown_before_others(uneven_corpus):
    silent = np.flatnonzero(uneven_corpus.diagnosis == "Healthy")[1:]
    keep = ~np.isin(np.repeat(np.arange(len(uneven_corpus)), np.diff(uneven_corpus.annotation_offsets)), silent)
    lengths = np.diff(uneven_corpus.annotation_offsets)
    lengths[silent] = 0
    annotations = dataclasses.replace(
        uneven_corpus.annotations,
        **{
            f.name: getattr(uneven_corpus.annotations, f.name)[keep]
            for f in dataclasses.fields(uneven_corpus.annotations)
        },
    )
    corpus = dataclasses.replace(
        uneven_corpus, annotations=annotations, annotation_offsets=np.concatenate([[0], np.cumsum(lengths)])
    )
    rows = stats.sample_recordings(corpus, stats.classes_of(corpus), per_class=2, seed=0)
    healthy = [row for row in rows if corpus.diagnosis[row] == "Healthy"]
    assert healthy == [np.flatnonzero(uneven_corpus.diagnosis == "Healthy")[0]]


def test_the_order_of_the_recordings_changes_no_number(uneven_corpus):
    other = uneven_corpus.select(np.random.default_rng(0).permutation(len(uneven_corpus)))
    a, b = stats.classes_of(uneven_corpus), stats.classes_of(other)
    assert a.names == b.names
    assert stats.missing_variables(uneven_corpus) == stats.missing_variables(other)
    for one, two in zip(stats.class_counts(uneven_corpus, a), stats.class_counts(other, b), strict=True):
        assert one[:3] == two[:3]
    np.testing.assert_array_equal(
        stats.annotations_by_class(uneven_corpus, a).counts, stats.annotations_by_class(other, b).counts
    )
    assert stats.patients_of(uneven_corpus, a).sex.tolist() == stats.patients_of(other, b).sex.tolist()
