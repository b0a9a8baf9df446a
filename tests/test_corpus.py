"""A prepared dataset opened as arrays: nothing lost, nothing shared, nothing imported that is not needed."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxresp.audio import RATE_HZ, read_audio
from jaxresp.corpus import Corpus, CorpusError, combine, example_sha256, load, prepare
from jaxresp.corpus.source import NO_ANNOTATIONS
from jaxresp.synthetic import SyntheticConfig, write_corpus
from jaxresp.taxonomy import BINARY, CYCLES, DIAGNOSIS, MULTICLASS, SOUND, SOUNDS, TASKS, UnknownLabel
from jaxresp.window import WindowConfig, cut_windows, window_starts

CONFIG = SyntheticConfig(patients_per_group=3, recordings_per_patient=(1, 2), duration_s=(3.0, 9.0))


@pytest.fixture(scope="module")
def made_up(tmp_path_factory) -> tuple[Path, Path]:
    """A made-up folder and the directory prepared from it."""
    root = tmp_path_factory.mktemp("corpus")
    source = write_corpus(root / "source", CONFIG)
    return source, prepare(source, root / "data", partial=True)


@pytest.fixture(scope="module")
def corpus(made_up) -> Corpus:
    return load(made_up[1])


def test_every_recording_is_what_read_audio_gives(made_up, corpus):
    wavs = sorted(made_up[0].rglob("*.wav"))
    assert corpus.recording.tolist() == [path.stem for path in wavs]
    assert corpus.rate_hz == RATE_HZ
    for i, path in enumerate(wavs):
        recording = read_audio(path)
        np.testing.assert_array_equal(corpus.samples[corpus.offsets[i] : corpus.offsets[i + 1]], recording.samples)
        assert float(corpus.scale[i]) == recording.scale
        np.testing.assert_array_equal(corpus.waveform(i), recording.waveform)
        assert corpus.waveform(i).dtype == np.float32
        assert corpus.native_rate_hz[i] == recording.facts.native_rate_hz
        assert f"PCM_{corpus.bits[i]}" == recording.facts.subtype
        parts = (corpus.patient[i], corpus.location[i], corpus.mode[i], corpus.stethoscope[i])
        number, _, *rest = path.stem.split("_")
        assert parts == (number, *rest)


def test_the_corpus_says_that_it_is_a_part_and_made_up(corpus):
    assert (corpus.name, corpus.version, corpus.partial, corpus.made_up) == ("icbhi", "2.0.0+partial", True, True)
    assert set(corpus.official_split.tolist()) <= {"train", "test"}
    assert corpus.samples.dtype == np.int16
    assert corpus.samples.base is None  # its own memory, no view into files
    assert set(corpus.corpus.tolist()) == {"icbhi"}


@settings(deadline=None, max_examples=20)
@given(length_s=st.sampled_from([1.0, 2.5, 5.0, 12.0]), step_s=st.sampled_from([0.7, 2.0, 5.0]))
def test_windows_are_those_of_the_recordings_one_by_one(corpus, length_s, step_s):
    config = WindowConfig(length_s=length_s, step_s=step_s)
    windows = corpus.windows(config)
    at = 0
    for i in range(len(corpus)):
        samples = corpus.samples[corpus.offsets[i] : corpus.offsets[i + 1]]
        own = cut_windows(samples, corpus.rate_hz, config)
        here = slice(at, at + len(own))
        np.testing.assert_array_equal(windows.samples[here], own)
        np.testing.assert_array_equal(windows.recording[here], i)
        np.testing.assert_array_equal(windows.scale[here], corpus.scale[i])
        starts = window_starts(len(samples), corpus.rate_hz, config) / corpus.rate_hz
        np.testing.assert_allclose(windows.start_s[here], starts, atol=1e-6)
        at += len(own)
    assert at == len(windows)


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_a_selection_keeps_every_recording_whole(corpus, data):
    rows = data.draw(st.lists(st.integers(0, len(corpus) - 1), unique=True, min_size=1))
    part = corpus.select(np.array(rows))
    assert len(part) == len(rows)
    for k, row in enumerate(rows):
        np.testing.assert_array_equal(part.waveform(k), corpus.waveform(row))
        for column in ("recording", "patient", "diagnosis", "stethoscope", "sex", "official_split", "bits"):
            assert getattr(part, column)[k] == getattr(corpus, column)[row]
    assert part.fingerprint == corpus.select(rows).fingerprint
    assert part.fingerprint != corpus.fingerprint
    mask = np.isin(np.arange(len(corpus)), rows)
    assert corpus.select(mask).recording.tolist() == corpus.select(sorted(rows)).recording.tolist()


def test_annotations_are_those_of_the_files_and_follow_their_recordings(made_up, corpus):
    for c in (corpus, corpus.select(np.arange(len(corpus))[::-2])):
        for i, name in enumerate(c.recording.tolist()):
            rows = np.loadtxt(next(made_up[0].rglob(f"{name}.txt")), ndmin=2)
            own = c.annotations_of(i)
            np.testing.assert_array_equal(own.start_s, rows[:, 0].astype(np.float32))
            np.testing.assert_array_equal(own.crackle, rows[:, 2] == 1)
            names = np.array([["normal", "wheeze"], ["crackle", "both"]])
            np.testing.assert_array_equal(own.label, names[own.crackle.astype(int), own.wheeze.astype(int)])


def test_combined_corpora_lie_end_to_end_and_no_patient_meets_a_namesake(corpus):
    other = dataclasses.replace(corpus, name="twin", corpus=np.full(len(corpus), "twin"))
    both = combine([corpus, other])
    n = len(corpus)
    assert (both.name, len(both), len(set(both.patient.tolist()))) == ("icbhi+twin", 2 * n, 18)
    assert both.patient[n] == f"twin:{corpus.patient[0]}"
    for i in range(n):
        for k in (i, n + i):
            np.testing.assert_array_equal(both.waveform(k), corpus.waveform(i))
            np.testing.assert_array_equal(both.annotations_of(k).start_s, corpus.annotations_of(i).start_s)
    half = both.select(both.corpus == "twin")
    np.testing.assert_array_equal(half.samples, corpus.samples)
    for wrong, what in (([], "nothing"), ([corpus, corpus], "each once")):
        with pytest.raises(CorpusError, match=what):
            combine(wrong)
    with pytest.raises(CorpusError, match="rates are"):
        combine([corpus, dataclasses.replace(other, rate_hz=8000)])


def test_counts_add_up(corpus):
    for task in TASKS.values():
        if task.reads in ("diagnosis", "sound"):
            assert sum(corpus.recordings_per_class(task).values()) == len(corpus)
        if task.reads == "diagnosis":
            assert sum(corpus.patients_per_class(task).values()) == len(set(corpus.patient.tolist()))
    assert corpus.patients_per_class(MULTICLASS) == {"Normal": 3, "Chronic": 3, "Infection": 3}
    assert corpus.patients_per_class(BINARY) == {"Normal": 3, "Abnormal": 6}
    of, labels = corpus.annotated_recording, corpus.labels(CYCLES)
    for k, name in enumerate(CYCLES.classes):
        has = [k in labels[of == i] for i in range(len(corpus))]
        assert corpus.recordings_per_class(CYCLES)[name] == sum(has)
        assert corpus.patients_per_class(CYCLES)[name] == len(set(corpus.patient[has].tolist()))
    encoded = corpus.labels(DIAGNOSIS)
    assert [DIAGNOSIS.classes[i] for i in encoded] == corpus.diagnosis.tolist()


def test_cycles_are_labelled_in_order_and_recordings_by_all_their_cycles_together(corpus):
    """For every recording: the labels of its cycles are those of its file, and its sound is their union."""
    labels, of = corpus.labels(CYCLES), corpus.annotated_recording
    names = np.array(CYCLES.classes)
    assert len(labels) == len(corpus.annotations)
    for i in range(len(corpus)):
        own = corpus.annotations_of(i)
        assert names[labels[of == i]].tolist() == own.label.tolist()
        assert corpus.sound[i] == SOUNDS[int(own.crackle.any()) + 2 * int(own.wheeze.any())]
    np.testing.assert_array_equal(SOUND.encode(corpus.sound.tolist()), corpus.labels(SOUND))
    one = corpus.select([0])
    bare = dataclasses.replace(one, annotations=NO_ANNOTATIONS, annotation_offsets=np.zeros(2, np.int64))
    assert bare.sound.tolist() == [""]
    with pytest.raises(UnknownLabel, match="task 'sound' has no class for ''"):
        bare.labels(SOUND)
    assert not bare.answerable(SOUND).any()
    for label, sound in (("CAS & DAS", "both"), ("Poor Quality", "poor quality"), ("unheard of", "unheard of")):
        assert dataclasses.replace(one, sound_label=np.array([label])).sound.tolist() == [sound]  # its own label first


def test_opening_needs_neither_builder_nor_tensorflow_nor_source(made_up, tmp_path):
    """A moved copy opens in a process of its own; importing the module does not even import TFDS."""
    moved = shutil.copytree(made_up[1], tmp_path / "elsewhere")
    code = (
        "import sys, jaxresp.corpus as c\n"
        "assert not any(m.startswith('tensorflow') for m in sys.modules), 'imported too early'\n"
        f"print(c.load({str(moved)!r}).fingerprint)\n"
        "print([m for m in sys.modules if m == 'tensorflow' or 'icbhi' in m])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [load(made_up[1]).fingerprint, "[]"]


def test_what_is_no_prepared_dataset_is_refused(tmp_path, made_up):
    with pytest.raises(CorpusError, match="jaxresp prepare"):
        load(tmp_path / "nothing")
    with pytest.raises(CorpusError, match="jaxresp prepare"):
        load(made_up[0])
    with pytest.raises(CorpusError, match="no dataset 'icbi'"):
        prepare(made_up[0], tmp_path, dataset="icbi", partial=True)


def _flip_bit(path: Path, at: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 0x10
    path.write_bytes(data)


def _halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: _flip_bit(next(d.glob("*.array_record*")), 0.5),
        lambda d: _halve(next(d.glob("*.array_record*"))),
        lambda d: next(d.glob("*.array_record*")).unlink(),
        lambda d: (d / "features.json").unlink(),
        lambda d: (d / "metadata.json").write_text('{"rate_hz":'),
        lambda d: (d / "dataset_info.json").write_text("{}"),
    ],
    ids=["bit", "half", "gone", "features", "metadata", "info"],
)
def test_a_damaged_dataset_is_refused_with_the_remedy(made_up, tmp_path, damage):
    copy = shutil.copytree(made_up[1], tmp_path / "copy")
    damage(copy)
    with pytest.raises(CorpusError, match="prepare it again"):
        load(copy)


def test_another_fingerprint_in_the_metadata_is_refused(made_up, tmp_path):
    copy = shutil.copytree(made_up[1], tmp_path / "copy")
    metadata = json.loads((copy / "metadata.json").read_text())
    for key, value in (("content_sha256", "0" * 64), ("total_samples", 17), ("rate_hz", 8_000)):
        (copy / "metadata.json").write_text(json.dumps(metadata | {key: value}))
        with pytest.raises(CorpusError, match="fingerprint"):
            load(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: {"recording": np.array(["x"] * len(c))}, "twice"),
        (lambda c: {"offsets": c.offsets[:-1]}, "offsets"),
        (lambda c: {"offsets": c.offsets + 1}, "end to end"),
        (lambda c: {"samples": c.samples[:-1]}, "end to end"),
        (
            lambda c: {"diagnosis": np.array(["COPD", *c.diagnosis[1:]]), "patient": np.array(["1"] * len(c))},
            "two diagn",
        ),
    ],
)
def test_a_corpus_asserts_its_facts(corpus, change, message):
    with pytest.raises(CorpusError, match=message):
        dataclasses.replace(corpus, **change(corpus))


def test_example_fingerprint_sees_every_value_and_no_container(corpus):
    example = {
        "a": np.arange(5, dtype=np.int16),
        "t": "x",
        "f": np.float32(0.1),
        "n": np.int32(3),
        "d": {"b": np.array([True])},
        "l": [0, 2],
    }
    read = example | {
        "t": b"x",
        "f": float(np.float32(0.1)),
        "n": 3,
        "l": [np.int64(0), np.int64(2)],
    }  # as TFDS returns them
    assert example_sha256(example) == example_sha256(read)
    for key, other in (
        ("a", np.arange(6, dtype=np.int16)),
        ("t", "y"),
        ("f", 0.2),
        ("n", 4),
        ("d", {"b": np.array([False])}),
        ("l", [0, 1]),
    ):
        assert example_sha256(example | {key: other}) != example_sha256(example)
