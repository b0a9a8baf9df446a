"""SPRSound: faithful to the publisher's folder in each layout, strict about its faults and its published counts."""

from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from jaxresp.audio import read_audio
from jaxresp.corpus import Corpus, DatasetError, combine, guess_dataset, load, prepare
from jaxresp.corpus.source import Source
from jaxresp.shipped import load_module
from jaxresp.taxonomy import SOUND_OF, SPRSOUND_EVENTS, SPRSOUND_RECORD_LABELS, task_named

RATE_HZ = 8_000
FOLDERS = {"train": "train_json", "inter_test": "test_json/inter_test_json", "intra_test": "test_json/intra_test_json"}


def _module() -> Any:
    return load_module("datasets/sprsound/sprsound_dataset_builder.py", "jaxresp._shipped_sprsound")


def _read(folder: Path, *, partial: bool = True) -> Source:
    return _module().Builder.read_source(folder, partial=partial)


@dataclasses.dataclass(frozen=True)
class Made:
    """One recording as it is put into a made-up folder: events in ms."""

    name: str
    side: str
    label: str
    events: tuple[tuple[int, int, str], ...]
    seconds: float = 1.5


RECORDINGS = (
    Made("100_0.4_0_p1_1", "train", "Normal", ((200, 700, "Normal"), (900, 1400, "Normal"))),
    Made("100_0.4_0_p2_2", "intra_test", "DAS", ((800, 1200, "Fine Crackle"), (0, 700, "Coarse Crackle"))),
    Made("101_12.0_1_p3_3", "train", "CAS", ((500, 900, "Stridor"), (100, 400, "Rhonchi"), (1000, 1300, "Wheeze"))),
    Made("101_12.0_1_p4_4", "train", "Poor Quality", (), 0.304),
    Made("102_7.5_1_p1_5", "inter_test", "CAS & DAS", ((100, 600, "Wheeze+Crackle"), (700, 900, "Normal"))),
)


def _write(folder: Path, recordings: tuple[Made, ...] = RECORDINGS) -> Path:
    rng = np.random.default_rng(3)
    for made in recordings:
        wav = folder / ("train_wav" if made.side == "train" else "test_wav") / f"{made.name}.wav"
        text = folder / FOLDERS[made.side] / f"{made.name}.json"
        for path in (wav, text):
            path.parent.mkdir(parents=True, exist_ok=True)
        t = np.arange(round(made.seconds * RATE_HZ)) / RATE_HZ
        sound = 0.3 * np.sin(2 * np.pi * rng.uniform(100, 800) * t) + 0.02 * rng.standard_normal(t.size)
        soundfile.write(wav, sound, RATE_HZ, subtype="PCM_16")
        events = [{"start": str(start), "end": str(end), "type": kind} for start, end, kind in made.events]
        text.write_text(json.dumps({"record_annotation": made.label, "event_annotation": events}))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return _write(tmp_path / "SPRSound")


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Corpus]:
    root = tmp_path_factory.mktemp("sprsound")
    folder = _write(root / "SPRSound")
    return {
        config: load(prepare(folder, root / "data", dataset="sprsound", config=config, partial=True))
        for config in ("recordings_16k", "recordings_8k")
    }


def test_the_corpus_holds_what_the_folder_says(corpora, tmp_path):
    folder = _write(tmp_path)
    for config, rate_hz in (("recordings_16k", 16_000), ("recordings_8k", 8_000)):
        corpus = corpora[config]
        assert (corpus.name, corpus.rate_hz, corpus.partial, corpus.made_up) == ("sprsound", rate_hz, True, False)
        assert corpus.recording.tolist() == [made.name for made in RECORDINGS]
        for i, made in enumerate(RECORDINGS):
            (wav,) = folder.rglob(f"{made.name}.wav")
            sound = read_audio(wav, rate_hz=rate_hz, limits=_module().Builder.LIMITS)
            np.testing.assert_array_equal(corpus.waveform(i), sound.waveform)
            patient, age, sex, place, number = made.name.split("_")
            assert (corpus.patient[i], corpus.index[i]) == (patient, number)
            assert corpus.age_years[i] == np.float32(age)
            assert corpus.sex[i] == {"0": "M", "1": "F"}[sex]
            assert corpus.location[i] == {"p1": "Pl", "p2": "Ll", "p3": "Pr", "p4": "Lr"}[place]
            assert (corpus.sound_label[i], corpus.official_split[i]) == (made.label, made.side)
            assert (corpus.diagnosis[i], corpus.native_rate_hz[i]) == ("", 8_000)
            own = corpus.annotations_of(i)
            events = sorted(made.events)  # in order of time, whatever the order in the file
            np.testing.assert_array_equal(own.start_s, np.array([e[0] for e in events], np.float32) / np.float32(1000))
            np.testing.assert_array_equal(own.end_s, np.array([e[1] for e in events], np.float32) / np.float32(1000))
            assert own.label.tolist() == [e[2] for e in events]
            sounds = [SOUND_OF[label] for label in own.label.tolist()]
            assert own.crackle.tolist() == [sound in ("crackle", "both") for sound in sounds]
            assert own.wheeze.tolist() == [sound in ("wheeze", "both") for sound in sounds]


def test_the_native_rate_keeps_every_sample(corpora, tmp_path):
    folder = _write(tmp_path)
    corpus = corpora["recordings_8k"]
    for i, name in enumerate(corpus.recording.tolist()):
        published, _ = soundfile.read(next(folder.rglob(f"{name}.wav")), dtype="int16")
        half_step = 0.5 * float(corpus.scale[i]) * (1 + 1e-3)
        np.testing.assert_allclose(corpus.waveform(i), published / 32768, atol=half_step)


def test_the_tasks_read_records_and_events(corpora):
    corpus = corpora["recordings_16k"]
    for name, task in ((n, task_named(n)) for n in ("sprsound-2-1", "sprsound-2-2", "sprsound-1-1", "sprsound-1-2")):
        of_unit = corpus.annotations.label if task.labels_intervals else corpus.sound_label
        assert [task.classes[k] for k in corpus.labels(task)] == [task.label_of[label] for label in of_unit.tolist()]
        assert corpus.answerable(task).all(), name
    usable = corpus.select(corpus.answerable(task_named("sound")))
    assert set(usable.sound_label.tolist()) == {label for label in SPRSOUND_RECORD_LABELS if label != "Poor Quality"}


@pytest.mark.parametrize(
    "names",
    [{}, {"train_wav": "train2022_wav", "train_json": "train2022_json", "test_wav": "test2022_wav"}],
    ids=["2022 release", "the publisher's repository"],
)
def test_either_layout_reads_the_same_and_extras_are_not_read(folder, names):
    assert guess_dataset(folder) == "sprsound"
    before = _read(folder)
    for old, new in names.items():
        (folder / old).rename(folder / new)
    shutil.copytree(next(folder.glob("train*_wav")), folder / "example")
    shutil.copytree(next(folder.glob("test*_wav")), folder / "test_clip")
    (folder / "BioCAS2023" / "test2023_json").mkdir(parents=True)
    (folder / "BioCAS2023" / "test2023_json" / "9_1_0_p1_1.json").write_text("{")
    shutil.copytree(next(folder.glob("train*_wav")), folder / "a copy" / "train_wav")  # identical: counts once
    (folder / "train_wav_of_mine").mkdir()
    after = _read(folder)
    told = [{**dataclasses.asdict(r), "wav": "", "annotations": ""} for r in before.recordings]
    assert [{**dataclasses.asdict(r), "wav": "", "annotations": ""} for r in after.recordings] == told
    for a, b in zip(before.recordings, after.recordings, strict=True):
        assert a.annotations.label.tolist() == b.annotations.label.tolist()


def _text(folder: Path, name: str) -> Path:
    (path,) = folder.rglob(f"{name}.json")
    return path


def _edit(folder: Path, name: str, change: Any) -> None:
    path = _text(folder, name)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


FAULTS = {
    "a sound without annotation": (
        lambda f: _text(f, "100_0.4_0_p1_1").unlink(),
        r"100_0.4_0_p1_1.wav: no annotation 100_0.4_0_p1_1.json; restore it",
    ),
    "an annotation without sound": (
        lambda f: (f / "train_wav" / "100_0.4_0_p1_1.wav").unlink(),
        r"100_0.4_0_p1_1.json: no sound 100_0.4_0_p1_1.wav",
    ),
    "a strange name": (
        lambda f: [next(f.rglob(f"100_0.4_0_p1_1.{s}")).rename(f / d / f"x.{s}") for s, d in
                   (("wav", "train_wav"), ("json", "train_json"))],
        r"x.wav: the name is not patient_age_sex_place_number",
    ),
    "no JSON": (lambda f: _text(f, "100_0.4_0_p1_1").write_text("{"), r"100_0.4_0_p1_1.json: not a JSON object"),
    "JSON of another kind": (lambda f: _text(f, "100_0.4_0_p1_1").write_text("[1]"), r"p1_1.json: not a JSON object"),
    "no record label": (
        lambda f: _edit(f, "100_0.4_0_p1_1", lambda c: c.pop("record_annotation")),
        r"100_0.4_0_p1_1.json: not a JSON object with record_annotation.*KeyError",
    ),
    "an unknown record label": (
        lambda f: _edit(f, "100_0.4_0_p1_1", lambda c: c.update(record_annotation="CAS&DAS")),
        r"100_0.4_0_p1_1.json: unknown record label 'CAS&DAS'; perhaps 'CAS & DAS' is meant",
    ),
    "an unknown type": (
        lambda f: _edit(f, "100_0.4_0_p1_1", lambda c: c["event_annotation"][1].update(type="rhonchus")),
        r"100_0.4_0_p1_1.json, event 2: unknown type 'rhonchus'; perhaps 'Rhonchi' is meant",
    ),
    "no type": (
        lambda f: _edit(f, "100_0.4_0_p1_1", lambda c: c["event_annotation"][0].pop("type")),
        r"100_0.4_0_p1_1.json, event 1: .* is not start, end",
    ),
    "an event that ends before it starts": (
        lambda f: _edit(f, "100_0.4_0_p1_1", lambda c: c["event_annotation"][0].update(start="800")),
        r"100_0.4_0_p1_1.json, event 1: .* is not start, end",
    ),
    "a time that is no number": (
        lambda f: _edit(f, "100_0.4_0_p1_1", lambda c: c["event_annotation"][0].update(end="nan")),
        r"100_0.4_0_p1_1.json, event 1: .* is not start, end",
    ),
    "one recording on two sides": (
        lambda f: shutil.copy(_text(f, "100_0.4_0_p1_1"), f / "test_json" / "inter_test_json"),
        r"100_0.4_0_p1_1.json: on several sides: inter_test, train",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_named_with_its_file_and_a_remedy(folder, fault):
    spoil, message = FAULTS[fault]
    spoil(folder)
    with pytest.raises(DatasetError, match=message):
        _read(folder)


def test_all_faults_are_told_at_once_and_the_shortest_published_sound_is_none(folder):
    for name in ("100_0.4_0_p1_1", "101_12.0_1_p3_3"):
        _text(folder, name).write_text("{")
    (folder / "test_wav" / "102_7.5_1_p1_5.wav").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match="3 faults, nothing was built") as error:
        _read(folder)
    for name in ("100_0.4_0_p1_1.json", "101_12.0_1_p3_3.json", "102_7.5_1_p1_5.wav: not a sound file"):
        assert name in str(error.value)
    assert "101_12.0_1_p4_4" not in str(error.value)  # 0.3 s


def test_two_different_files_of_one_name_are_refused(folder):
    other = folder / "more" / "train_wav" / "100_0.4_0_p1_1.wav"
    other.parent.mkdir(parents=True)
    shutil.copy(folder / "train_wav" / "101_12.0_1_p3_3.wav", other)
    with pytest.raises(DatasetError, match=r"100_0.4_0_p1_1.wav: two files of this name: .* differ"):
        _read(folder)


def test_an_event_beyond_the_sound_is_a_fault_of_the_build(folder, tmp_path):
    _edit(folder, "100_0.4_0_p1_1", lambda c: c["event_annotation"][1].update(end="1600"))
    with pytest.raises(DatasetError, match=r"100_0.4_0_p1_1.json: annotated to 1.600 s, but the sound ends at 1.500 s"):
        prepare(folder, tmp_path / "data", dataset="sprsound", partial=True)
    assert not list((tmp_path / "data").rglob("metadata.json"))


@pytest.mark.parametrize("empty", ["nothing", "wavs", "jsons"])
def test_what_is_no_sprsound_folder_is_refused_with_the_folder_to_give(folder, empty, tmp_path):
    if empty == "nothing":
        folder = tmp_path / "nowhere"
    for file in list(folder.rglob("*.wav" if empty == "wavs" else "*.json")):
        file.unlink()
    with pytest.raises(DatasetError, match="Give the folder that holds train_json"):
        _read(folder)


def test_less_than_was_published_is_refused_and_counted_unless_a_part_will_do(folder):
    with pytest.raises(DatasetError, match=r"5 of 2,683 recordings; 3 of 292 children; 3 of 1,949 recordings of train"):
        _read(folder, partial=False)
    assert _read(folder).partial


def test_a_complete_folder_is_whole_and_one_recording_less_is_not(folder, monkeypatch):
    counts = {
        "recordings": 5, "children": 3, "recordings of train": 3, "recordings of inter_test": 1,
        "recordings of intra_test": 1, "events": 9, **Counter(made.label for made in RECORDINGS),
    }  # fmt: skip
    monkeypatch.setattr(_module().sprsound_folder, "PUBLISHED", counts)
    assert not _read(folder, partial=False).partial
    for key in counts:
        monkeypatch.setattr(_module().sprsound_folder, "PUBLISHED", counts | {key: counts[key] + 1})
        with pytest.raises(DatasetError, match=rf"{counts[key]} of {counts[key] + 1} {key}"):
            _read(folder, partial=False)


def test_a_copy_in_train_of_a_tested_recording_is_told_and_left_out(folder, tmp_path):
    shutil.copy(folder / "test_wav" / "100_0.4_0_p2_2.wav", folder / "train_wav" / "100_0.4_0_p1_1.wav")
    prepared = prepare(folder, tmp_path / "data", dataset="sprsound", partial=True)
    used, everything = load(prepared), load(prepared, everything=True)
    assert set(everything.recording.tolist()) - set(used.recording.tolist()) == {"100_0.4_0_p1_1"}
    assert used.fingerprint != everything.fingerprint
    same, out = used.findings
    assert same.startswith(
        "the same sound in 100_0.4_0_p1_1, 100_0.4_0_p2_2 of patient 100; labels differ (DAS, Normal)"
    )
    assert out == ("100_0.4_0_p1_1 is left out unless everything is asked for: 100_0.4_0_p2_2 (intra_test) is used")
    assert everything.findings == used.findings
    again = everything.select(np.isin(everything.recording, used.recording))
    np.testing.assert_array_equal(used.samples, again.samples)
    np.testing.assert_array_equal(used.annotations.start_s, again.annotations.start_s)


def test_a_record_label_that_its_events_contradict_is_told(folder):
    assert _read(folder).findings == ()
    _edit(folder, "100_0.4_0_p1_1", lambda c: c.update(record_annotation="DAS"))
    _edit(folder, "101_12.0_1_p3_3", lambda c: c.update(record_annotation="Normal", event_annotation=[]))
    _edit(folder, "101_12.0_1_p4_4", lambda c: c["event_annotation"].append({"start": 0, "end": 9, "type": "Normal"}))
    assert _read(folder).findings == (
        "100_0.4_0_p1_1: labelled DAS, but its events are: Normal",
        "101_12.0_1_p3_3: labelled Normal, but its events are: none",
        "101_12.0_1_p4_4: labelled Poor Quality, but its events are: Normal",
    )


def test_with_another_corpus_words_are_shared_and_patients_are_not(corpora, easy_corpus):
    own = corpora["recordings_16k"]
    both = combine([easy_corpus, own])
    assert {name.partition(":")[0] for name in both.patient.tolist()} == {"icbhi", "sprsound"}
    assert len(set(both.patient.tolist())) == len(set(easy_corpus.patient.tolist())) + len(set(own.patient.tolist()))
    cycles = task_named("cycles")
    labels = np.concatenate([easy_corpus.labels(cycles), own.labels(cycles)])
    np.testing.assert_array_equal(both.labels(cycles), labels)
    assert both.sound.tolist() == [*easy_corpus.sound.tolist(), *own.sound.tolist()]


def test_an_archive_that_was_not_unpacked_reads_as_its_folder_does(folder, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "download"), "zip", folder.parent, folder.name)
    told = [{**dataclasses.asdict(r), "wav": "", "annotations": ""} for r in _read(folder).recordings]
    assert [{**vars(r), "wav": "", "annotations": ""} for r in _read(Path(archive)).recordings] == told
    inside = tmp_path / "downloads"
    inside.mkdir()
    shutil.move(archive, inside)
    corpus = load(prepare(inside, tmp_path / "data", dataset="sprsound", partial=True))
    assert corpus.recording.tolist() == [each["name"] for each in told]


def test_a_damaged_archive_is_told_by_the_file_in_it(folder, tmp_path):
    archive = Path(shutil.make_archive(str(tmp_path / "download"), "zip", folder.parent, folder.name))
    with zipfile.ZipFile(archive) as opened:
        info = next(each for each in opened.infolist() if each.filename.endswith(".wav"))
    data = bytearray(archive.read_bytes())
    data[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 0x55
    archive.write_bytes(data)
    with pytest.raises(DatasetError, match=f"{Path(info.filename).name}: cannot be read from download.zip"):
        _read(archive)


@pytest.mark.real_data
def test_the_real_subset(real_data, tmp_path):
    """257 of the published recordings, 32 children, as they were counted by hand when the subset was made."""
    corpus = load(prepare(real_data / "sprsound", tmp_path, dataset="sprsound", config="recordings_8k", partial=True))
    assert (len(corpus), len(set(corpus.patient.tolist())), len(corpus.annotations)) == (257, 32, 806)
    assert Counter(corpus.official_split.tolist()) == {"train": 184, "inter_test": 38, "intra_test": 35}
    assert Counter(corpus.sound.tolist()) == {
        "normal": 188, "crackle": 30, "wheeze": 10, "both": 6, "poor quality": 23,
    }  # fmt: skip
    assert corpus.findings == ()  # so: every record label is what its events add up to
    assert set(corpus.native_rate_hz.tolist()) == {8_000}
    train = set(corpus.patient[corpus.official_split == "train"].tolist())
    assert train.isdisjoint(corpus.patient[corpus.official_split == "inter_test"].tolist())
    assert len(train & set(corpus.patient[corpus.official_split == "intra_test"].tolist())) == 19
    assert set(corpus.annotations.label.tolist()) == set(SPRSOUND_EVENTS)
