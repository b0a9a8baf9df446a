"""Every fault of an ICBHI folder is told by file name with its remedy, all at once, and nothing is built."""

from __future__ import annotations

import shutil
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from jaxresp.corpus import DatasetError, load, prepare
from jaxresp.corpus.source import Faults


def _targets(data_dir: Path) -> list[str]:
    """What lies where prepared versions lie, the lock apart."""
    return sorted(p.name for p in data_dir.glob("icbhi/*/*") if p.name != ".lock")


def _wav(folder: Path, i: int) -> Path:
    return sorted(folder.rglob("*.wav"))[i]


def _no_diagnosis(folder: Path) -> str:
    file = folder / "ICBHI_Challenge_diagnosis.txt"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[1:]) + "\n")
    return f"patient {lines[0].split()[0]} has no diagnosis"


def _renamed(folder: Path) -> str:
    wav = _wav(folder, 0)
    wav.with_suffix(".txt").rename(wav.with_name("101_left_lung.txt"))
    wav.rename(wav.with_name("101_left_lung.wav"))
    return "101_left_lung.wav: the name is not patient_index_location_mode_stethoscope"


def _replace_row(row: str) -> Any:
    def spoil(folder: Path) -> str:
        text = _wav(folder, 1).with_suffix(".txt")
        text.write_text(row + "\n" + text.read_text())
        return f"{text.name}, line 1: "

    return spoil


def _write(name: str, content: bytes, told: str) -> Any:
    def spoil(folder: Path) -> str:
        path = (
            _wav(folder, 2)
            if name == "wav"
            else _wav(folder, 2).with_suffix(".txt")
            if name == "txt"
            else folder / name
        )
        path.write_bytes(content)
        return f"{path.name}{told}"

    return spoil


def _remove(what: str) -> Any:
    def spoil(folder: Path) -> str:
        wav = _wav(folder, 3)
        if what == "txt":
            wav.with_suffix(".txt").unlink()
            return f"{wav.name}: no annotation {wav.stem}.txt beside it"
        if what == "wav":
            wav.unlink()
            return f"{wav.stem}.txt: no sound {wav.stem}.wav beside it"
        (folder / what).unlink()
        return f"{what}: missing; put it, or Kaggle's patient_diagnosis.csv"

    return spoil


def _half(folder: Path) -> str:
    wav = _wav(folder, 2)
    wav.write_bytes(wav.read_bytes()[: wav.stat().st_size // 2])
    return f"{wav.name}: "


def _silent(folder: Path) -> str:
    wav = _wav(folder, 2)
    soundfile.write(wav, np.zeros(32_000), 8_000)
    return f"{wav.name}: "


def _too_late(folder: Path) -> str:
    text = _wav(folder, 4).with_suffix(".txt")
    text.write_text("0.1\t99\t0\t0\n")
    return f"{text.name}: annotated to 99.000 s"


def _split_row_missing(folder: Path) -> str:
    file = folder / "ICBHI_challenge_train_test.txt"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-1]) + "\n")
    return f"{lines[-1].split()[0]}.wav: not in ICBHI_challenge_train_test.txt"


def _two_of_one_name(folder: Path) -> str:
    wav = _wav(folder, 0)
    (folder / "copy").mkdir()
    shutil.copy(_wav(folder, 1), folder / "copy" / wav.name)
    return f"{wav.name}: two files of this name"


def _overlap(folder: Path) -> str:
    text = _wav(folder, 1).with_suffix(".txt")
    text.write_text("0.1\t0.9\t0\t0\n0.8\t1.5\t0\t0\n")
    return f"{text.name}, line 2: a cycle begins at 0.8 s, before the one above it ends (0.9 s)"


def _begins_after_the_end(folder: Path) -> str:
    wav = _wav(folder, 4)
    end_s = soundfile.info(wav).duration
    wav.with_suffix(".txt").write_text(f"{end_s + 0.01:.4f}\t{end_s + 0.04:.4f}\t0\t0\n")
    return f"{wav.stem}.txt: annotated from "


def _namesake(folder: Path) -> str:
    wav = _wav(folder, 0)
    other = wav.with_name(f"{wav.stem.rpartition('_')[0]}_Zoom.wav")
    shutil.copy(wav, other)
    shutil.copy(wav.with_suffix(".txt"), other.with_suffix(".txt"))
    return f"{other.name}: differs from {wav.name} in the stethoscope only"


def _no_demographics(folder: Path) -> str:
    file = folder / "ICBHI_Challenge_demographic_information.txt"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-1]) + "\n")
    patient = lines[-1].split()[0]
    return f": patient {patient} is not in the file of demographics"


def _second(name: str, change: Any, told: str) -> Any:
    """A line of a table again, changed."""

    def spoil(folder: Path) -> str:
        file = folder / name
        lines = file.read_text().splitlines()
        file.write_text("\n".join([*lines, change(lines[-1])]) + "\n")
        return f"{name}, line {len(lines) + 1}: {told}"

    return spoil


FAULTS = {
    "overlapping cycles": _overlap,
    "a cycle that begins after the end": _begins_after_the_end,
    "two stethoscopes for one recording": _namesake,
    "patient without demographics": _no_demographics,
    "two diagnoses": _second(
        "ICBHI_Challenge_diagnosis.txt", lambda line: f"{line.split()[0]}\tLRTI", "a second diagnosis for patient"
    ),
    "two lines of demographics": _second(
        "ICBHI_Challenge_demographic_information.txt",
        lambda line: f"{line.split()[0]} 44 F 30 NA NA",
        "a second, different line for patient",
    ),
    "a negative age": _write("ICBHI_Challenge_demographic_information.txt", b"101 -4 F NA 19 99\n", ", line 1: "),
    "two sides": _second(
        "ICBHI_challenge_train_test.txt",
        lambda line: f"{line.split()[0]}\t{'test' if 'train' in line else 'train'}",
        "a second side for",
    ),
    "bad differences": _write("filename_differences.txt", b"'LittC2SE'\n", ", line 1: "),
    "two disputes": _write(
        "filename_differences.txt",
        b"'101_1b1_Al_sc_Litt3200'\n'101_1b1_Al_sc_AKGC417L'\n",
        ", line 2: a second stethoscope for 101_1b1_Al_sc",
    ),
    "patient without diagnosis": _no_diagnosis,
    "unparsable name": _renamed,
    "words for numbers": _replace_row("start end crackle wheeze"),
    "three columns": _replace_row("0.1\t0.2\t1"),
    "backwards": _replace_row("0.9\t0.2\t1\t0"),
    "flag of two": _replace_row("0.1\t0.2\t2\t0"),
    "not a number": _replace_row("nan\t0.2\t0\t0"),
    "text as sound": _write("wav", b"I am no sound", ": "),
    "empty sound": _write("wav", b"", ": "),
    "half a sound": _half,
    "silent sound": _silent,
    "empty annotation": _write("txt", b"", ": no cycle is annotated"),
    "annotated beyond the end": _too_late,
    "no annotation": _remove("txt"),
    "no sound": _remove("wav"),
    "no diagnosis file": _remove("ICBHI_Challenge_diagnosis.txt"),
    "unknown diagnosis": _write(
        "ICBHI_Challenge_diagnosis.txt", b"101\tPlague\n", ", line 1: unknown diagnosis 'Plague'"
    ),
    "bad demographics": _write("ICBHI_Challenge_demographic_information.txt", b"101 old F NA 19 99\n", ", line 1: "),
    "bad split": _write("ICBHI_challenge_train_test.txt", b"101_1b1_Al_sc_Meditron\tboth\n", ", line 1: "),
    "recording not in the split": _split_row_missing,
    "two files of one name": _two_of_one_name,
}


@pytest.mark.parametrize("spoil", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named_by_file_with_its_remedy_and_nothing_is_left(folder, tmp_path, spoil):
    told = spoil(folder)
    with pytest.raises(DatasetError) as caught:
        prepare(folder, tmp_path / "data", partial=True)
    line = next((line for line in str(caught.value).splitlines() if told in line), None)
    assert line is not None, str(caught.value)
    assert "; " in line.split(told, maxsplit=1)[1] + told, "a remedy follows"
    assert _targets(tmp_path / "data") == []


def test_all_faults_are_told_at_once(folder, tmp_path):
    told = [
        FAULTS[name](folder)
        for name in (
            "text as sound",
            "three columns",
            "recording not in the split",
            "bad demographics",
            "no annotation",
        )
    ]
    with pytest.raises(DatasetError) as caught:
        prepare(folder, tmp_path / "data", partial=True)
    for part in told:
        assert part in str(caught.value)


def test_many_faults_are_counted_and_not_all_listed(folder):
    faults = Faults(folder)
    for i in range(100):
        faults.add(f"{i:03d}.wav", "broken", "copy it again")
    with pytest.raises(DatasetError, match="100 faults") as caught:
        faults.raise_if_any()
    assert len(str(caught.value).splitlines()) == 42
    assert "60 more" in str(caught.value)


@pytest.mark.parametrize("what", ["absent", "file", "empty", "other"])
def test_what_is_no_icbhi_folder_is_said_so(tmp_path, what):
    path = tmp_path / "given"
    if what == "file":
        path.write_text("x")
    elif what != "absent":
        path.mkdir()
    if what == "other":
        (path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"given is (not a folder|no ICBHI folder).*Give the folder"):
        prepare(path, tmp_path / "data", partial=True)


def _publish(monkeypatch: pytest.MonkeyPatch, folder: Path, folder_module: Any) -> None:
    """Let what a folder holds be what was published."""
    diagnosis = dict(map(str.split, (folder / "ICBHI_Challenge_diagnosis.txt").read_text().splitlines()))
    wavs = sorted(folder.rglob("*.wav"))
    flags = [tuple(row) for wav in wavs for row in np.loadtxt(wav.with_suffix(".txt"), ndmin=2)[:, 2:].tolist()]
    label = {(0.0, 0.0): "normal", (1.0, 0.0): "crackle", (0.0, 1.0): "wheeze", (1.0, 1.0): "both"}
    for name, counts in (
        ("RECORDINGS_BY_DIAGNOSIS", Counter(diagnosis[wav.stem[:3]] for wav in wavs)),
        ("PATIENTS_BY_DIAGNOSIS", Counter(diagnosis[patient] for patient in {wav.stem[:3] for wav in wavs})),
        ("CYCLES_BY_LABEL", {each: Counter(label[row] for row in flags)[each] for each in label.values()}),
    ):
        monkeypatch.setattr(folder_module.published, name, counts)


def test_a_part_is_built_only_when_a_part_is_meant(folder, made_up, tmp_path, monkeypatch, folder_module):
    n, patients = len(list(folder.rglob("*.wav"))), 3 * made_up.patients_per_group
    with pytest.raises(DatasetError, match=rf"holds {n} recordings of {patients} patients.*920 of 126.*--partial"):
        prepare(folder, tmp_path / "data")
    assert _targets(tmp_path / "data") == []
    part = load(prepare(folder, tmp_path / "part", partial=True))
    assert part.partial and "partial" in part.version
    _publish(monkeypatch, folder, folder_module)
    for partial in (False, True):  # what is complete is not a part because a part would have done
        whole = load(prepare(folder, tmp_path / "data", partial=partial))
        assert not whole.partial and "partial" not in whole.version


def test_every_published_count_is_held_to(folder, tmp_path, monkeypatch, folder_module):
    _publish(monkeypatch, folder, folder_module)
    missing = _wav(folder, 0)
    row = missing.with_suffix(".txt").read_text().splitlines()[0].split()
    other = _wav(folder, 1).with_suffix(".txt")
    first, *rest = other.read_text().splitlines()
    start, end, crackle, wheeze = first.split()
    other.write_text("\n".join([f"{start}\t{end}\t{1 - int(crackle)}\t{wheeze}", *rest]) + "\n")
    missing.with_suffix(".txt").unlink()
    missing.unlink()
    with pytest.raises(DatasetError) as caught:
        prepare(folder, tmp_path / "data")
    text = str(caught.value)
    assert len(row) == 4
    for what in ("recordings: ", "cycles: ", f"train_test.txt: {missing.stem.rpartition('_')[0]};"):
        assert what in text
    assert _targets(tmp_path / "data") == []


LEFT_OVER = {
    "ICBHI_challenge_train_test.txt": ("226_1b1_Al_sc_Meditron\ttest", "226_1b1_Al_sc"),
    "ICBHI_Challenge_diagnosis.txt": ("226\tURTI", "226"),
    "ICBHI_Challenge_demographic_information.txt": ("226 4 M NA 16.7 103", "226"),
    "filename_differences.txt": ("'226_1b1_Al_sc_LittC2SE'", "226_1b1_Al_sc"),
}


@pytest.mark.parametrize("name", LEFT_OVER)
def test_a_row_left_over_is_refused_where_all_is_there(folder, tmp_path, monkeypatch, folder_module, name):
    row, what = LEFT_OVER[name]
    with (folder / name).open("a") as file:
        file.write(row + "\n")
    assert load(prepare(folder, tmp_path / "data", partial=True)).partial
    _publish(monkeypatch, folder, folder_module)
    with pytest.raises(DatasetError, match=rf"{name}: {what} is in no sound file's name; restore"):
        prepare(folder, tmp_path / "whole")


def test_a_damaged_file_in_an_archive_is_told_with_the_others(folder, tmp_path):
    told = FAULTS["text as sound"](folder)
    wav, text = _wav(folder, 0), _wav(folder, 1).with_suffix(".txt")
    archive = tmp_path / "ICBHI_final_database.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in (folder / "ICBHI_final_database").iterdir():
            file.write(path, path.name)
    content = bytearray(archive.read_bytes())
    for path in (wav, text):  # stored as it is: one byte of its own changes its checksum
        content[content.find(path.read_bytes()) + 5] ^= 0x10
    archive.write_bytes(content)
    for file in folder.glob("*.txt"):
        shutil.copy(file, tmp_path)
    with pytest.raises(DatasetError) as caught:
        prepare(archive, tmp_path / "data", partial=True)
    for part in (told, f"{wav.name}: cannot be read from", f"{text.name}: cannot be read from"):
        assert part in str(caught.value)
