"""An ICBHI 2017 folder as its publishers, or Kaggle, lay it out → what every recording is, or every fault it has.

Reads text only; sound is left to whoever iterates. Knows nothing of TFDS.
"""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from jaxresp.corpus.source import SOUND_REMEDY, Annotations, DatasetError, Faults, Source, SourceRecording, files_sha256
from jaxresp.taxonomy import DIAGNOSES

COMPLETE_RECORDINGS, COMPLETE_PATIENTS = 920, 126

DIAGNOSIS_FILES = ("ICBHI_Challenge_diagnosis.txt", "patient_diagnosis.csv")
DEMOGRAPHIC_FILES = ("ICBHI_Challenge_demographic_information.txt", "demographic_info.txt")
SPLIT_FILES = ("ICBHI_challenge_train_test.txt",)
MADE_UP_FILE = "MADE_UP.txt"

_RECORDING_NAME = re.compile(r"(\d{3})_(\w+?)_(Tc|[APL][lr])_(sc|mc)_([A-Za-z0-9]+)")
_MOST_FILES = 20_000  # Kaggle's folder, which holds everything twice, has 3,700; a home folder has more than these


LABELS = ("normal", "crackle", "wheeze", "both")
"""What a cycle's two flags say."""


@dataclass(frozen=True)
class Demographics:
    """What is known of a patient; NaN and "" where it is not.

    ICBHI gives the BMI of adults, weight and height of children.
    """

    age_years: float = math.nan
    sex: str = ""
    bmi: float = math.nan
    weight_kg: float = math.nan
    height_cm: float = math.nan


def read_folder(folder: Path, *, partial: bool, check_sound: Callable[[Path], str | None]) -> Source:
    """Read a folder, wherever in it the recordings lie.

    Args:
        folder: the publisher's folder (ICBHI_final_database and the metadata beside it) or Kaggle's.
        partial: whether fewer recordings than were published will do.
        check_sound: tells what is wrong with a sound file, or None. Asked only where the folder has other faults, so
            that one error names all; whoever builds decodes every file anyway and reports in the same way.

    Raises:
        DatasetError: no ICBHI folder, or the list of all its faults.
    """
    try:
        return _read_folder(folder, partial, check_sound)
    except OSError as error:  # no permission, a file that went away while we read, a disk that fails
        raise DatasetError(
            f"{folder}: {error.filename or 'a file'} cannot be read ({error.strerror}); make it readable and try again"
        ) from error


def _read_folder(folder: Path, partial: bool, check_sound: Callable[[Path], str | None]) -> Source:
    faults = Faults(folder)
    files = _files(folder)
    wavs, texts = _sounds_and_annotations(folder, files)
    _pair(wavs, texts, faults)
    diagnosis = _read_diagnoses(files, faults)
    demographics = _read_demographics(files, faults)
    splits = _read_splits(files, faults)
    recordings = []
    for name, wav in wavs.items():
        match = _RECORDING_NAME.fullmatch(name)
        if match is None:
            faults.add(
                wav.name,
                "the name is not patient_index_location_mode_stethoscope",
                'restore the published name, such as "101_1b1_Al_sc_Meditron.wav", or move the file out of the folder',
            )
            continue
        patient, index, location, mode, stethoscope = match.groups()
        if diagnosis is not None and patient not in diagnosis:
            faults.add(wav.name, f"patient {patient} has no diagnosis", "add the patient's line to the diagnosis file")
        if splits is not None and (patient, index, location, mode) not in splits:
            faults.add(wav.name, f"not in {SPLIT_FILES[0]}", "add its line, or remove that file: it is not needed")
        if name not in texts:
            continue
        cycles = _read_cycles(texts[name], faults)
        if cycles is None:
            continue
        person = (demographics or {}).get(patient, Demographics())
        recordings.append(
            SourceRecording(
                name=name, patient=patient, wav=wav, sha256=files_sha256(wav, texts[name]),
                annotations=cycles, annotation_file=texts[name].name,
                index=index, location=location, mode=mode, stethoscope=stethoscope,
                diagnosis=(diagnosis or {}).get(patient, ""),
                diagnosis_published=(diagnosis or {}).get(patient, ""),
                official_split=(splits or {}).get((patient, index, location, mode), ""),
                **asdict(person),
            )
        )  # fmt: skip
    n_patients = len({each.patient for each in recordings})
    complete = len(recordings) == COMPLETE_RECORDINGS and n_patients == COMPLETE_PATIENTS
    if complete and splits is not None and len(splits) != COMPLETE_RECORDINGS:
        faults.add(SPLIT_FILES[0], f"{len(splits)} rows for {len(recordings)} recordings", "restore the published file")
    if faults.found:
        for wav in wavs.values():
            trouble = check_sound(wav)
            if trouble is not None:
                faults.add(wav.name, trouble, SOUND_REMEDY)
    faults.raise_if_any()
    if not complete and not partial:
        raise DatasetError(
            f"{folder} holds {len(recordings)} recordings of {n_patients} patients; "
            f"ICBHI 2017 has {COMPLETE_RECORDINGS} of {COMPLETE_PATIENTS}. Complete the folder, "
            "or say that a part is meant with --partial (partial=True)"
        )
    made_up = any(path.name == MADE_UP_FILE for path in files)
    return Source(tuple(recordings), partial=not complete, made_up=made_up)


def _files(folder: Path) -> list[Path]:
    """Every file in the folder, at any depth, in order. Folders that vanish while we look are passed over."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; give the folder that ICBHI 2017 was unpacked into")
    files: list[Path] = []
    for parent, folders, names in os.walk(folder):
        # Archives made on a Mac carry "._name.wav" and __MACOSX; neither is a recording.
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        files += (Path(parent, name) for name in names if not name.startswith("."))
        if len(files) > _MOST_FILES:
            raise DatasetError(
                f"{folder} holds more than {_MOST_FILES:,} files: it is no ICBHI folder, or much more than one. "
                f"{_WHICH_FOLDER}"
            )
    return sorted(files)


_WHICH_FOLDER = "Give the folder that holds ICBHI_final_database, or Kaggle's Respiratory_Sound_Database, unpacked"


def _sounds_and_annotations(folder: Path, files: list[Path]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Both by recording name."""
    wavs = [path for path in files if path.suffix.lower() == ".wav" and path.is_file()]
    if not wavs:
        raise DatasetError(f"{folder} is no ICBHI folder: there is no .wav file in it. {_WHICH_FOLDER}")
    if not any(_RECORDING_NAME.fullmatch(path.stem) for path in wavs):  # else every one of them would be listed
        raise DatasetError(
            f"{folder} is no ICBHI folder: none of its {len(wavs)} .wav files is named as ICBHI names them "
            f'("101_1b1_Al_sc_Meditron.wav"). {_WHICH_FOLDER}'
        )
    in_audio_folder = {path.parent for path in wavs}
    texts = [
        path
        for path in files
        if path.suffix.lower() == ".txt" and path.parent in in_audio_folder and re.match(r"\d+_", path.name)
    ]
    return _unique(folder, wavs), _unique(folder, texts)


def _unique(folder: Path, paths: Iterable[Path]) -> dict[str, Path]:
    """Files by name. Kaggle's archive holds everything twice; identical copies count once, others are an error."""
    faults = Faults(folder)
    by_name: dict[str, Path] = {}
    for path in paths:
        first = by_name.setdefault(path.stem, path)
        if first != path and first.read_bytes() != path.read_bytes():
            where = f"{first.relative_to(folder)} and {path.relative_to(folder)} differ"
            faults.add(path.name, f"two files of this name: {where}", "remove the wrong one")
    faults.raise_if_any()
    return dict(sorted(by_name.items()))


def _pair(wavs: dict[str, Path], texts: dict[str, Path], faults: Faults) -> None:
    for name in wavs.keys() - texts.keys():
        if _RECORDING_NAME.fullmatch(name):
            faults.add(wavs[name].name, f"no annotation {name}.txt beside it", "restore it, or remove the sound")
    for name in texts.keys() - wavs.keys():
        faults.add(texts[name].name, f"no sound {name}.wav beside it", "restore it, or remove the annotation")


def _metadata_file(files: list[Path], names: tuple[str, ...]) -> Path | None:
    return next((path for path in files if path.name in names), None)


def _text(path: Path) -> str:
    """Bytes that are no UTF-8 become �, which the line that holds them is then refused for."""
    return path.read_text(encoding="utf-8-sig", errors="replace")


def _read_diagnoses(files: list[Path], faults: Faults) -> dict[str, str] | None:
    """Patient → diagnosis, from the official file (tabs, no header) or Kaggle's (commas, with or without one)."""
    path = _metadata_file(files, DIAGNOSIS_FILES)
    if path is None:
        faults.add(DIAGNOSIS_FILES[0], "missing", f"put it, or Kaggle's {DIAGNOSIS_FILES[1]}, into the folder")
        return None
    text = _text(path)
    diagnosis: dict[str, str] = {}
    for number, row in enumerate(csv.reader(text.replace("\t", ",").splitlines()), start=1):
        fields = [value.strip() for value in row]
        if not any(fields) or fields == ["ID", "CLASS"]:
            continue
        where = f"{path.name}, line {number}"
        if len(fields) != 2 or not fields[0].isdigit():
            faults.add(where, f"{','.join(row)!r} is not a patient and a diagnosis", "restore the published line")
        elif fields[1] not in DIAGNOSES:
            faults.add(where, f"unknown diagnosis {fields[1]!r}", f"use one of {', '.join(DIAGNOSES)}")
        elif diagnosis.setdefault(fields[0], fields[1]) != fields[1]:
            faults.add(where, f"a second diagnosis for patient {fields[0]}", "keep the right one")
    return diagnosis


def _read_demographics(files: list[Path], faults: Faults) -> dict[str, Demographics] | None:
    """Patient → demographics; None where the folder has no such file (Kaggle's inner folder has none)."""
    path = _metadata_file(files, DEMOGRAPHIC_FILES)
    if path is None:
        return None
    known = {}
    for number, line in enumerate(_text(path).splitlines(), start=1):
        fields = line.split()
        if not fields:  # the published file begins with an empty line
            continue
        try:
            patient, age, sex, *body = fields
            bmi, weight, height = (_number(value) for value in body)
            if sex not in ("F", "M", "NA"):
                raise ValueError(sex)
            known[patient] = Demographics(_number(age), "" if sex == "NA" else sex, bmi, weight, height)
        except ValueError:
            faults.add(
                f"{path.name}, line {number}",
                f"{line!r} is not patient, age, sex, BMI, weight, height",
                "restore the published line; missing values are NA",
            )
    return known


def _number(value: str) -> float:
    return math.nan if value == "NA" else float(value)


def _read_splits(files: list[Path], faults: Faults) -> dict[tuple[str, str, str, str], str] | None:
    """Name without its stethoscope → side.

    The published file names another stethoscope than the sound file in one row (226_1b1_Pl_sc): that tag is left out.
    """
    path = _metadata_file(files, SPLIT_FILES)
    if path is None:
        return None
    splits = {}
    for number, line in enumerate(_text(path).splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        match = _RECORDING_NAME.fullmatch(fields[0])
        if match is None or len(fields) != 2 or fields[1] not in ("train", "test"):
            faults.add(f"{path.name}, line {number}", f"{line!r} is not a recording and a side", "restore the line")
            continue
        splits[match.group(1), match.group(2), match.group(3), match.group(4)] = fields[1]
    return splits


def _read_cycles(path: Path, faults: Faults) -> Annotations | None:
    rows = []
    before = len(faults.found)
    for number, line in enumerate(_text(path).splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            start, end = float(fields[0]), float(fields[1])
            sound = len(fields) == 4 and all(flag in ("0", "1") for flag in fields[2:]) and 0 <= start < end < math.inf
        except (ValueError, IndexError):
            sound = False
        if not sound:
            faults.add(
                f"{path.name}, line {number}",
                f"{line!r} is not start, end (seconds, start before end), crackle, wheeze (0 or 1)",
                "restore the published line",
            )
            continue
        rows.append((start, end, fields[2] == "1", fields[3] == "1"))
    if len(faults.found) > before:
        return None
    if not rows:
        faults.add(path.name, "no cycle is annotated", "restore the published file")
        return None
    start_s, end_s, crackle, wheeze = map(np.array, zip(*rows, strict=True))
    label = np.array(LABELS, np.str_)[crackle + 2 * wheeze]
    return Annotations(start_s.astype(np.float32), end_s.astype(np.float32), label, crackle, wheeze)
