"""An ICBHI 2017 folder or archive, as its publishers or Kaggle lay it out → its recordings, or every fault it has.

Reads text only (icbhi_tables.py); sound is left to whoever builds. Knows nothing of TFDS.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from jaxresp.corpus.archive import ArchiveError
from jaxresp.corpus.folder import files_in, one_of_each_name
from jaxresp.corpus.source import (
    SOUND_REMEDY,
    DatasetError,
    Faults,
    Source,
    SourceFile,
    SourceRecording,
    files_sha256,
)
from jaxresp.shipped import load_module

published = load_module("datasets/icbhi/icbhi_published.py", "jaxresp._shipped_icbhi_published")
tables = load_module("datasets/icbhi/icbhi_tables.py", "jaxresp._shipped_icbhi_tables")

DIAGNOSIS_FILES = ("ICBHI_Challenge_diagnosis.txt", "patient_diagnosis.csv")
DEMOGRAPHIC_FILES = ("ICBHI_Challenge_demographic_information.txt", "demographic_info.txt")
SPLIT_FILES = ("ICBHI_challenge_train_test.txt",)
DIFFERENCE_FILES = ("filename_differences.txt",)
MADE_UP_FILE = "MADE_UP.txt"

_MOST_NAMES = 40  # of missing recordings, in a message
_WHOLE = "(the whole folder)"

_WHICH_FOLDER = (
    "Give the folder that holds ICBHI_final_database, or Kaggle's Respiratory_Sound_Database, or the zip file of either"
)


def read_folder(folder: Path, *, partial: bool, check_sound: Callable[[SourceFile], str | None]) -> Source:
    """Read a folder, wherever in it the recordings lie.

    Args:
        folder: the publisher's folder (ICBHI_final_database and the metadata beside it) or Kaggle's; or the zip file of
            either, with the publisher's metadata beside it.
        partial: whether fewer recordings than were published will do.
        check_sound: tells what is wrong with a sound file, or None. Asked only where the folder has other faults, so
            that one error names all; whoever builds decodes every file anyway and reports in the same way.

    Raises:
        DatasetError: no ICBHI folder, or the list of all its faults.
    """
    try:
        return _read_folder(folder, partial, check_sound)
    except ArchiveError as error:
        raise DatasetError(str(error)) from error
    except OSError as error:  # no permission, a file that went away while we read, a disk that fails
        raise DatasetError(
            f"{folder}: {error.filename or 'a file'} cannot be read ({error.strerror}); make it readable and try again"
        ) from error


def _read_folder(folder: Path, partial: bool, check_sound: Callable[[SourceFile], str | None]) -> Source:
    faults = Faults(folder)
    files = files_in(folder, "ICBHI", _WHICH_FOLDER, beside=_METADATA_FILES)
    wavs, texts = _sounds_and_annotations(folder, files)
    _pair(wavs, texts, faults)
    said = _read_tables(files, faults)
    recordings = []
    for name, wav in wavs.items():
        parsed = tables.parse_name(name)
        if parsed is None:
            faults.add(
                wav.name,
                "the name is not patient_index_location_mode_stethoscope",
                'restore the published name, such as "101_1b1_Al_sc_Meditron.wav", or move the file out of the folder',
            )
        elif name in texts:
            key, stethoscope = parsed
            recordings.append(_recording(wav, texts[name], key, stethoscope, said, faults))
    _refuse_namesakes(recordings, faults)
    found = [each for each in recordings if each is not None]
    complete = _complete(found, said, faults, told=not partial)
    found = _with_sha256(found, texts, faults)
    if faults.found:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for wav, trouble in zip(wavs.values(), pool.map(check_sound, wavs.values()), strict=True):
                if trouble is not None:
                    faults.add(wav.name, trouble, SOUND_REMEDY)
    faults.raise_if_any()
    made_up = any(path.name == MADE_UP_FILE for path in files)
    return Source(tuple(found), partial=not complete, made_up=made_up)


# Which files there are


_METADATA_FILES = (*DIAGNOSIS_FILES, *DEMOGRAPHIC_FILES, *SPLIT_FILES, *DIFFERENCE_FILES, MADE_UP_FILE)


def _sounds_and_annotations(
    folder: Path, files: Sequence[SourceFile]
) -> tuple[dict[str, SourceFile], dict[str, SourceFile]]:
    """Both by recording name."""
    wavs = [path for path in files if path.suffix.lower() == ".wav" and path.is_file()]
    if not wavs:
        raise DatasetError(f"{folder} is no ICBHI folder: there is no .wav file in it. {_WHICH_FOLDER}")
    if not any(tables.parse_name(path.stem) for path in wavs):  # else every one of them would be listed
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
    return one_of_each_name(folder, wavs), one_of_each_name(folder, texts)


def _pair(wavs: dict[str, SourceFile], texts: dict[str, SourceFile], faults: Faults) -> None:
    for name in wavs.keys() - texts.keys():
        if tables.parse_name(name):
            faults.add(wavs[name].name, f"no annotation {name}.txt beside it", "restore it, or remove the sound")
    for name in texts.keys() - wavs.keys():
        faults.add(texts[name].name, f"no sound {name}.wav beside it", "restore it, or remove the annotation")


# What the tables say


@dataclass(frozen=True)
class _Tables:
    """What the files say, by patient or by icbhi_tables.Key; None where the folder has no such file."""

    diagnosis: dict[str, str] | None
    demographics: dict[str, Any] | None
    splits: dict[Any, str] | None
    differences: dict[Any, str] | None


def _read_tables(files: Sequence[SourceFile], faults: Faults) -> _Tables:
    def read(names: tuple[str, ...], reader: Callable[[SourceFile, Faults], Any]) -> Any:
        file = next((path for path in files if path.name in names), None)
        return None if file is None else reader(file, faults)

    diagnosis = read(DIAGNOSIS_FILES, tables.read_diagnoses)
    if diagnosis is None:
        faults.add(DIAGNOSIS_FILES[0], "missing", f"put it, or Kaggle's {DIAGNOSIS_FILES[1]}, into the folder")
    return _Tables(
        diagnosis,
        read(DEMOGRAPHIC_FILES, tables.read_demographics),
        read(SPLIT_FILES, tables.read_splits),
        read(DIFFERENCE_FILES, tables.read_differences),
    )


def _recording(
    wav: SourceFile,
    text: SourceFile,
    key: Any,
    stethoscope: str,
    said: _Tables,
    faults: Faults,
) -> SourceRecording | None:
    """One recording with all that is said about it. Its files' hash is left for later."""
    patient = key.patient
    if said.diagnosis is not None and patient not in said.diagnosis:
        faults.add(wav.name, f"patient {patient} has no diagnosis", "add the patient's line to the diagnosis file")
    if said.demographics is not None and patient not in said.demographics:
        remedy = f"add the patient's line ({patient} NA NA NA NA NA), or remove that file: it is not needed"
        faults.add(wav.name, f"patient {patient} is not in the file of demographics", remedy)
    if said.splits is not None and key not in said.splits:
        faults.add(wav.name, f"not in {SPLIT_FILES[0]}", "add its line, or remove that file: it is not needed")
    cycles = tables.read_cycles(text, faults)
    if cycles is None:
        return None
    person = (said.demographics or {}).get(patient, tables.Demographics())
    other = (said.differences or {}).get(key, "")
    diagnosis = (said.diagnosis or {}).get(patient, "")
    return SourceRecording(
        name=wav.stem, patient=patient, wav=wav, sha256="", annotations=cycles, annotation_file=text.name,
        index=key.index, location=key.location, mode=key.mode, stethoscope=stethoscope,
        stethoscope_disputed="" if other == stethoscope else other,
        diagnosis=diagnosis, diagnosis_published=diagnosis,
        official_split=(said.splits or {}).get(key, ""), **asdict(person),
    )  # fmt: skip


def _refuse_namesakes(recordings: Iterable[SourceRecording | None], faults: Faults) -> None:
    """The tables cannot tell recordings apart whose names differ in the stethoscope only."""
    by_key: dict[Any, str] = {}
    for each in recordings:
        if each is None:
            continue
        first = by_key.setdefault(_key(each), each.name)
        if first != each.name:
            faults.add(f"{each.name}.wav", f"differs from {first}.wav in the stethoscope only", "remove the wrong one")


def _key(recording: SourceRecording) -> Any:
    return tables.Key(recording.patient, recording.index, recording.location, recording.mode)


def _with_sha256(
    recordings: Sequence[SourceRecording], texts: dict[str, SourceFile], faults: Faults
) -> list[SourceRecording]:
    """Hash every file, several at once: hashing and unpacking leave the other threads alone."""

    def hashed(recording: SourceRecording) -> SourceRecording | ArchiveError:
        try:
            return replace(recording, sha256=files_sha256(recording.wav, texts[recording.name]))
        except ArchiveError as error:
            return error

    done = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(hashed, recordings):
            if isinstance(result, ArchiveError):
                file, _, what = str(result).partition(": ")
                faults.add(file, what, "download the archive again")
            else:
                done.append(result)
    return done


# Whether that is all


def _complete(recordings: Sequence[SourceRecording], said: _Tables, faults: Faults, *, told: bool) -> bool:
    """Whether everything that was published is there; where it is `told`, what differs is a fault."""
    patients = {each.patient: each.diagnosis for each in recordings}
    counts = (
        ("recordings", published.RECORDINGS_BY_DIAGNOSIS, Counter(each.diagnosis for each in recordings)),
        ("patients", published.PATIENTS_BY_DIAGNOSIS, Counter(patients.values())),
        (
            "cycles",
            published.CYCLES_BY_LABEL,
            Counter(label for each in recordings for label in each.annotations.label.tolist()),
        ),
    )
    differing = [
        f"{what}: " + ", ".join(f"{name} {found[name]} instead of {n}" for name, n in wrong.items())
        for what, expected, found in counts
        if (wrong := {name: n for name, n in expected.items() if found[name] != n})
    ]
    if not differing:
        _refuse_leftovers(recordings, said, faults)
        return True
    if told:
        n_cycles = sum(len(each.annotations) for each in recordings)
        faults.add(
            _WHOLE,
            f"holds {len(recordings)} recordings of {len(patients)} patients with {n_cycles} cycles; ICBHI 2017 has "
            f"{published.RECORDINGS} of {published.PATIENTS} with {published.CYCLES}",
            "complete the folder, or say that a part is meant with --partial (partial=True)",
        )
        for what in differing:
            faults.add(_WHOLE, what, "restore the published files")
        missing = sorted(map(str, set(said.splits or ()) - {_key(each) for each in recordings}))
        if missing:
            more = f" and {len(missing) - _MOST_NAMES} more" if len(missing) > _MOST_NAMES else ""
            names = ", ".join(missing[:_MOST_NAMES]) + more
            faults.add(_WHOLE, f"missing of those in {SPLIT_FILES[0]}: {names}", "unpack the archive again")
    return False


def _refuse_leftovers(recordings: Sequence[SourceRecording], said: _Tables, faults: Faults) -> None:
    """In a complete folder every line of every table belongs to a recording."""
    keys = {str(_key(each)) for each in recordings}
    patients = {each.patient for each in recordings}

    def refuse(file: str, table: dict[Any, Any] | None, known: set[str]) -> None:
        for left in sorted({str(key) for key in table or ()} - known):
            faults.add(file, f"{left} is in no sound file's name", "restore the published file")

    refuse(DIAGNOSIS_FILES[0], said.diagnosis, patients)
    refuse(DEMOGRAPHIC_FILES[0], said.demographics, patients)
    refuse(SPLIT_FILES[0], said.splits, keys)
    refuse(DIFFERENCE_FILES[0], said.differences, keys)
