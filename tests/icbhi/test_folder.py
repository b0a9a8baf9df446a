"""Folders that are not ICBHI's, or that change while they are read: refused at once, and in words."""

import os
import shutil
from pathlib import Path

import pytest

from jaxresp.corpus import DatasetError
from jaxresp.corpus import folder as folder_module
from jaxresp.shipped import load_module
from jaxresp.synthetic import SyntheticConfig, write_corpus

icbhi_folder = load_module("datasets/icbhi/icbhi_dataset_builder.py", "jaxresp._shipped_icbhi").icbhi_folder


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    config = SyntheticConfig(patients_per_group=1, recordings_per_patient=(1, 1), duration_s=(2.0, 2.5))
    return write_corpus(tmp_path_factory.mktemp("pristine") / "corpus", config)


@pytest.fixture
def folder(pristine, tmp_path) -> Path:
    return shutil.copytree(pristine, tmp_path / "corpus")


def read(folder: Path, check_sound=lambda wav: None):
    return icbhi_folder.read_folder(folder, partial=True, check_sound=check_sound)


def test_a_folder_of_very_many_files_is_refused_before_all_are_listed(folder, monkeypatch):
    monkeypatch.setattr(folder_module, "_MOST_FILES", 5)
    for i in range(3):
        (folder / f"zz{i}").mkdir()  # visited after the recordings
    seen = []
    real_walk = os.walk

    def walk(top):
        for step in real_walk(top):
            seen.append(Path(step[0]).name)
            yield step

    monkeypatch.setattr(icbhi_folder.os, "walk", walk)
    with pytest.raises(DatasetError, match=r"corpus holds more than 5 files.*Give the folder that holds ICBHI_final"):
        read(folder)
    assert not {"zz0", "zz1", "zz2"} & set(seen)


def test_sounds_that_are_not_icbhis_are_not_even_opened(tmp_path):
    for name in ("kick.wav", "snare.wav"):
        (tmp_path / name).write_bytes(b"RIFF")
    opened = []
    with pytest.raises(DatasetError, match=r"is no ICBHI folder: none of its 2 \.wav files.*Give the folder"):
        read(tmp_path, check_sound=opened.append)
    assert opened == []


def test_a_folder_that_vanishes_while_we_look_is_passed_over(folder, monkeypatch):
    expected = [entry.name for entry in read(folder).recordings]
    fleeting = folder / "fleeting"
    fleeting.mkdir()
    real_walk = os.walk

    def walk(top):
        for step in real_walk(top):
            if fleeting.exists():
                fleeting.rmdir()  # listed by now, and gone before it is entered
            yield step

    monkeypatch.setattr(icbhi_folder.os, "walk", walk)
    assert [entry.name for entry in read(folder).recordings] == expected


def test_a_file_that_vanishes_while_we_read_is_named(folder, monkeypatch):
    gone = next(folder.rglob("*.wav"))
    real_pair = icbhi_folder._pair

    def pair(wavs, texts, faults):
        real_pair(wavs, texts, faults)
        gone.unlink()

    monkeypatch.setattr(icbhi_folder, "_pair", pair)
    with pytest.raises(DatasetError, match=rf"{gone.name} cannot be read \(No such file or directory\)"):
        read(folder)


def test_a_link_to_nowhere_is_a_missing_sound(folder):
    wav = next(folder.rglob("*.wav"))
    wav.unlink()
    wav.symlink_to(folder / "nowhere.wav")
    with pytest.raises(DatasetError, match=rf"{wav.stem}\.txt: no sound {wav.name} beside it"):
        read(folder)


@pytest.mark.parametrize("name", ["ICBHI_Challenge_diagnosis.txt", "ICBHI_challenge_train_test.txt"])
@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_table_in_another_encoding_is_refused_by_its_lines(folder, name, encoding):
    file = folder / name
    file.write_bytes((file.read_text() + "Ärzte\n").encode(encoding))
    with pytest.raises(DatasetError, match=rf"{name}, line \d+: .* is not a"):
        read(folder)


def test_hidden_files_and_mac_shadows_are_no_recordings(folder):
    expected = [entry.name for entry in read(folder).recordings]
    for hidden in (".cache", "__MACOSX"):
        shutil.copytree(next(folder.rglob("*.wav")).parent, folder / hidden)
        for wav in (folder / hidden).glob("*.wav"):
            wav.write_bytes(b"another content")
    assert [entry.name for entry in read(folder).recordings] == expected
