"""KAUH: what the file names say in all their spellings, their faults, and sounds that stand under two labels."""

from __future__ import annotations

import dataclasses
import re
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
from jaxresp.taxonomy import BINARY, DIAGNOSIS_GROUP, OBSTRUCTIVE

RATE_HZ = 4_000

#: File name without its filter letter → diagnosis, location, sound in shared words.
NAMES = {
    "P1_Asthma,I E W,P L L,70,M": ("Asthma", "Pl", "wheeze"),
    "P2_asthma,E W,P L L R,52,F": ("Asthma", "P", "wheeze"),
    "P3_heart failure,Crep,P R L ,76,F": ("Heart failure", "Pr", "crackle"),
    "P4_Heart Failure + Lung Fibrosis ,I C,P L R,72,F": ("Heart failure and lung fibrosis", "P", "crackle"),
    "P5_N,N,A R U,18,F": ("Healthy", "Ar", "normal"),
    "P6_Lung Fibrosis,Crep,A U R,44,M": ("Lung fibrosis", "Ar", "crackle"),
    "P7_Plueral Effusion,I C B,P L R,81,M": ("Pleural effusion", "P", "crackle"),
    "P8_BRON,Crep,P,68,F": ("Bronchitis", "P", "crackle"),
    "P9_pneumonia,Bronchial,P R L ,64,M": ("Pneumonia", "Pr", "bronchial"),
    "P10_Heart Failure + COPD,I C E W,P L R ,71,M": ("Heart failure and COPD", "P", "both"),
}


def _module() -> Any:
    return load_module("datasets/kauh/kauh_dataset_builder.py", "jaxresp._shipped_kauh")


def _read(folder: Path, *, partial: bool = True) -> Source:
    return _module().Builder.read_source(folder, partial=partial)


def _write(folder: Path, names: tuple[str, ...] = tuple(NAMES), filters: str = "BDE") -> Path:
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(0.6 * RATE_HZ)) / RATE_HZ
    for name in names:
        for letter in filters:
            sound = 0.3 * np.sin(2 * np.pi * rng.uniform(80, 500) * t) + 0.02 * rng.standard_normal(t.size)
            soundfile.write(folder / f"{letter}{name}.wav", sound, RATE_HZ, subtype="PCM_16")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return _write(tmp_path / "kauh")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("kauh")
    return load(prepare(_write(root / "kauh"), root / "data", dataset="kauh", partial=True))


def test_the_corpus_holds_what_the_names_say_in_shared_spelling(corpus, tmp_path):
    folder = _write(tmp_path)
    assert guess_dataset(folder) == "kauh"
    assert (corpus.name, corpus.rate_hz, len(corpus)) == ("kauh", 16_000, 3 * len(NAMES))
    assert corpus.recording.tolist() == sorted(path.stem for path in folder.iterdir())
    for i, name in enumerate(corpus.recording.tolist()):
        letter, rest = name[0], name[1:]
        diagnosis, location, sound = NAMES[rest]
        number, _, told = rest.removeprefix("P").partition("_")
        published, label, _, age, sex = told.split(",")
        assert (corpus.index[i], corpus.patient[i]) == (letter, number)
        assert (corpus.diagnosis[i], corpus.location[i], corpus.sound[i]) == (diagnosis, location, sound)
        assert (corpus.diagnosis_published[i], corpus.sound_label[i]) == (published.strip(), label)
        assert (corpus.age_years[i], corpus.sex[i], corpus.stethoscope[i]) == (float(age), sex, "Litt3200")
        np.testing.assert_array_equal(corpus.waveform(i), read_audio(folder / f"{name}.wav").waveform)
    assert len(corpus.annotations) == 0
    for patient in set(corpus.patient.tolist()):
        assert sorted(corpus.index[corpus.patient == patient].tolist()) == ["B", "D", "E"]


def test_diagnoses_of_adults_and_of_icbhi_answer_the_same_questions(corpus, easy_corpus):
    both = combine([easy_corpus, corpus])
    for task in (BINARY, OBSTRUCTIVE):
        expected = np.concatenate([easy_corpus.labels(task), corpus.labels(task)])
        np.testing.assert_array_equal(both.labels(task), expected)
        assert both.answerable(task).all()
    assert sum(both.patients_per_class(OBSTRUCTIVE).values()) == len(set(both.patient.tolist()))


def test_every_known_diagnosis_has_a_group():
    assert set(_module().kauh_folder.DIAGNOSIS_OF.values()) <= set(DIAGNOSIS_GROUP)


def _rename(folder: Path, old: str, new: str) -> None:
    next(folder.glob(f"E{old}*")).rename(folder / f"E{new}.wav")


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("P5_Nn,N,A R U,18,F", r"unknown diagnosis 'Nn'; perhaps 'n' is meant"),
        ("P5_astma,N,A R U,18,F", r"unknown diagnosis 'astma'; perhaps 'asthma' is meant"),
        ("P5_N,crep.,A R U,18,F", r"unknown sound 'crep.'; perhaps 'Crep' is meant"),
        ("P5_N,N,X R U,18,F", r"unknown place 'X R U'; it is A or P"),
        ("P5_N,N,A R U U,18,F", r"unknown place 'A R U U'"),
        ("P5_N,N,,18,F", r"unknown place ''"),
        ("P5_N,N,A R U,180,F", r"unknown age '180'"),
        ("P5_N,N,A R U,1.5,F", r"unknown age '1.5'"),
        ("P5_N,N,A R U,18,W", r"unknown sex 'W'; it is F or M"),
        ("P5_N,N,A R U,18", r"the name is not filter, patient, diagnosis, sound, place, age, sex; restore"),
        ("P5_Asthma,N,A R U,18,F", r"patient 5 has Asthma and Healthy; restore the right name"),
        ("P4_N,N,A R U,18,F", r"EP4_\*.wav: 2 recordings of one patient and filtering; keep the right one"),
    ],
)
def test_every_fault_is_named_with_its_file_and_the_nearest_known_word(folder, new, message):
    _rename(folder, "P5_", new)
    with pytest.raises(DatasetError, match=message) as error:
        _read(folder)
    assert f"E{new}.wav" in str(error.value)


def test_all_faults_are_told_at_once(folder):
    _rename(folder, "P5_", "P5_M,M,M,0,M")
    (folder / "DP1_Asthma,I E W,P L L,70,M.wav").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"\d+ faults, nothing was built") as error:
        _read(folder)
    for what in (
        "unknown diagnosis 'M'",
        "unknown sound 'M'",
        "unknown place 'M'",
        "unknown age '0'",
        "not a sound file",
    ):
        assert what in str(error.value)


def test_a_folder_of_other_sounds_is_refused_without_listing_them(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.wav").write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"none of its 2 .wav files is named so. Give the folder"):
        _read(tmp_path)
    with pytest.raises(DatasetError, match="is not a folder"):
        _read(tmp_path / "nowhere")


def test_one_filtering_is_a_part_and_three_of_all_are_the_whole(folder, monkeypatch):
    with pytest.raises(DatasetError, match=r"30 of 336 recordings; 10 of 112 adults; 10 of 112 recordings of B"):
        _read(folder, partial=False)
    counts = {"recordings": 30, "adults": 10} | {f"recordings of {letter}": 10 for letter in "BDE"}
    monkeypatch.setattr(_module().kauh_folder, "PUBLISHED", counts)
    assert not _read(folder, partial=False).partial
    next(folder.glob("B*")).unlink()
    with pytest.raises(DatasetError, match=r"29 of 30 recordings; 9 of 10 recordings of B\. Complete"):
        _read(folder, partial=False)
    assert _read(folder).partial


def test_what_the_filterings_of_a_patient_disagree_in_is_told(folder):
    assert _read(folder).findings == ()
    _rename(folder, "P5_", "P5_N,Crep,A L U,19,M")
    assert _read(folder).findings == (
        "patient 5: the filterings differ in sex: F, M",
        "patient 5: the filterings differ in age_years: 18.0, 19.0",
        "patient 5: the filterings differ in location: Al, Ar",
        "patient 5: the filterings differ in sound_label: Crep, N",
    )


def test_one_sound_under_two_labels_is_told_and_left_out_unless_asked_for(folder, tmp_path):
    healthy, asthma = "EP5_N,N,A R U,18,F", "EP1_Asthma,I E W,P L L,70,M"
    shutil.copy(folder / f"{healthy}.wav", folder / f"{asthma}.wav")
    prepared = prepare(folder, tmp_path / "data", dataset="kauh", partial=True)
    used, everything = load(prepared), load(prepared, everything=True)
    assert set(everything.recording.tolist()) - set(used.recording.tolist()) == {healthy, asthma}
    told = f"the same sound in {asthma}, {healthy} of different patients (1, 5); diagnoses differ (Asthma, N); labels"
    assert used.findings[0].startswith(told)
    assert all("left out unless everything is asked for: its sound stands under contr" in f for f in used.findings[1:])
    assert len(used.findings) == 3
    assert {"BP5_N,N,A R U,18,F", "DP5_N,N,A R U,18,F"} <= set(
        used.recording.tolist()
    )  # other sounds: nothing is known


def test_one_sound_of_two_patients_with_one_label_is_used_once(folder, tmp_path):
    first, second = "EP3000_heart failure,Crep,P R L ,76,F", "EP3_heart failure,Crep,P R L ,76,F"
    shutil.copy(folder / f"{second}.wav", folder / f"{first}.wav")
    used = load(prepare(folder, tmp_path / "data", dataset="kauh", partial=True))
    assert first in used.recording  # the first in order of the names
    assert second not in used.recording


def test_an_archive_that_was_not_unpacked_reads_as_its_folder_does(folder, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "download"), "zip", folder.parent, folder.name)
    told = [{**dataclasses.asdict(r), "wav": "", "annotations": ""} for r in _read(folder).recordings]
    assert [{**vars(r), "wav": "", "annotations": ""} for r in _read(Path(archive)).recordings] == told
    inside = tmp_path / "downloads"
    inside.mkdir()
    shutil.move(archive, inside)
    corpus = load(prepare(inside, tmp_path / "data", dataset="kauh", partial=True))
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
def test_the_real_recordings(real_data, tmp_path):
    """One filtering of all 112 adults: every published spelling is known, and counts are those of the file names."""
    folder = real_data / "kauh"
    prepared = prepare(folder, tmp_path, dataset="kauh", config="recordings_4k", partial=True)
    corpus, used = load(prepared, everything=True), load(prepared)
    assert (len(corpus), len(set(corpus.patient.tolist())), corpus.partial) == (112, 112, True)
    stems = [path.stem for path in folder.glob("*.wav")]
    words = {"Healthy": "_N,", "COPD": "copd", "Asthma": "asthma", "Pneumonia": "pneumonia", "Bronchitis": "_BRON,"}
    diagnoses = Counter(corpus.diagnosis.tolist())
    for diagnosis, word in words.items():
        told = sum(re.search(word, stem, re.IGNORECASE) is not None for stem in stems)
        assert sum(n for name, n in diagnoses.items() if diagnosis.casefold() in name.casefold()) == told
    assert Counter(corpus.sound.tolist())["normal"] == sum(",N," in stem for stem in stems) == 35
    assert set(corpus.native_rate_hz.tolist()) == {4_000}
    same, *out = corpus.findings
    assert re.match(r"the same sound in EP76_.*, EP77_.* of different patients \(76, 77\); diagnoses differ", same)
    assert [finding.partition("_")[0] for finding in out] == ["EP76", "EP77"]
    assert set(corpus.patient.tolist()) - set(used.patient.tolist()) == {"76", "77"}
