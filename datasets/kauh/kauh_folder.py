"""A folder of the KAUH lung sounds (Fraiwan et al.) → what every recording is, or every fault it has.

All is in the file names, such as "EP1_Asthma,I E W,P L L,70,M.wav": filter and patient, diagnosis, sound, place, age,
sex, each spelt in several ways. Sound is left to whoever iterates. Knows nothing of TFDS.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from jaxresp.corpus.archive import ArchiveError
from jaxresp.corpus.folder import files_in, is_complete, nearest, one_of_each_name
from jaxresp.corpus.source import SOUND_REMEDY, DatasetError, Faults, Source, SourceFile, SourceRecording, files_sha256
from jaxresp.taxonomy import KAUH_SOUNDS

#: 112 adults, each in three filterings: bell (20–200 Hz), diaphragm (100–500 Hz), extended range (50–500 Hz).
PUBLISHED = {"recordings": 336, "adults": 112, "recordings of B": 112, "recordings of D": 112, "recordings of E": 112}

STETHOSCOPE = "Litt3200"  # all of them, by the publisher's text; in ICBHI's spelling

#: Published spelling, in lower case and with single spaces → jaxresp.taxonomy's.
DIAGNOSIS_OF = {
    "n": "Healthy",
    "asthma": "Asthma",
    "copd": "COPD",
    "bron": "Bronchitis",
    "pneumonia": "Pneumonia",
    "heart failure": "Heart failure",
    "lung fibrosis": "Lung fibrosis",
    "plueral effusion": "Pleural effusion",
    "pleural effusion": "Pleural effusion",
    "asthma and lung fibrosis": "Asthma and lung fibrosis",
    "heart failure + copd": "Heart failure and COPD",
    "heart failure + lung fibrosis": "Heart failure and lung fibrosis",
}

_NAME = re.compile(r"([BDE])P(\d+)_([^,]*),([^,]*),([^,]*),([^,]*),([^,]*)")
_WHICH = 'Give the folder that holds the recordings, named as "EP1_Asthma,I E W,P L L,70,M.wav"'
_RESTORE = 'restore the published name, such as "EP1_Asthma,I E W,P L L,70,M.wav", or move the file out of the folder'


def read_folder(folder: Path, *, partial: bool, check_sound: Callable[[SourceFile], str | None]) -> Source:
    """Read a folder, wherever in it the recordings lie.

    Args:
        folder: what was unpacked, or a zip file of it.
        partial: whether fewer recordings than were published will do, for example one filtering of each patient.
        check_sound: tells what is wrong with a sound file, or None. Asked only where the folder has other faults, so
            that one error names all; whoever builds decodes every file anyway and reports in the same way.

    Raises:
        DatasetError: no such folder, or the list of all its faults.
    """
    try:
        return _read_folder(folder, partial, check_sound)
    except OSError as error:  # no permission, a file that went away while we read, a disk that fails
        raise DatasetError(
            f"{folder}: {error.filename or 'a file'} cannot be read ({error.strerror}); make it readable and try again"
        ) from error


def _read_folder(folder: Path, partial: bool, check_sound: Callable[[SourceFile], str | None]) -> Source:
    wavs = [path for path in files_in(folder, "KAUH", _WHICH) if path.suffix.lower() == ".wav"]
    if not any(_NAME.fullmatch(path.stem) for path in wavs):  # else every one of them would be listed
        raise DatasetError(f"{folder} is no KAUH folder: none of its {len(wavs)} .wav files is named so. {_WHICH}")
    faults = Faults(folder)
    recordings = [
        recording
        for wav in one_of_each_name(folder, wavs).values()
        if (recording := _recording(wav, faults)) is not None
    ]
    recordings.sort(key=lambda each: each.name)
    findings = _disagreements(recordings, faults)
    if faults.found:
        for wav in wavs:
            trouble = check_sound(wav)
            if trouble is not None:
                faults.add(wav.name, trouble, SOUND_REMEDY)
    faults.raise_if_any()
    counts = Counter({"recordings": len(recordings), "adults": len({each.patient for each in recordings})})
    counts.update(f"recordings of {each.index}" for each in recordings)
    complete = is_complete(folder, "KAUH", counts, PUBLISHED, partial=partial)
    return Source(tuple(recordings), partial=not complete, findings=tuple(findings))


def _recording(wav: SourceFile, faults: Faults) -> SourceRecording | None:
    """What a file name says; None, with the faults noted, where it is not right."""
    match = _NAME.fullmatch(wav.stem)
    if match is None:
        faults.add(wav.name, "the name is not filter, patient, diagnosis, sound, place, age, sex", _RESTORE)
        return None
    before = len(faults.found)
    filtering, patient, diagnosis, sound, place, age, sex = (_tidy(part) for part in match.groups())
    if diagnosis.casefold() not in DIAGNOSIS_OF:
        faults.add(wav.name, f"unknown diagnosis {diagnosis!r}", nearest(diagnosis, DIAGNOSIS_OF))
    if sound not in KAUH_SOUNDS:
        faults.add(wav.name, f"unknown sound {sound!r}", nearest(sound, KAUH_SOUNDS))
    location = _location(place)
    if location is None:
        faults.add(
            wav.name,
            f"unknown place {place!r}",
            "it is A or P (anterior, posterior), L or R (left, right), and U, M or L (upper, middle, lower)",
        )
    if not age.isdigit() or not 0 < int(age) < 120:
        faults.add(wav.name, f"unknown age {age!r}", "it is a whole number of years")
    if sex not in ("F", "M"):
        faults.add(wav.name, f"unknown sex {sex!r}", "it is F or M")
    if len(faults.found) > before or location is None:
        return None
    try:
        sha256 = files_sha256(wav)
    except ArchiveError as error:
        faults.add(wav.name, str(error).removeprefix(f"{wav.name}: "), SOUND_REMEDY)
        return None
    return SourceRecording(
        name=wav.stem, patient=patient, wav=wav, sha256=sha256, index=filtering, location=location,
        stethoscope=STETHOSCOPE, sex=sex, age_years=float(age), sound_label=sound,
        diagnosis=DIAGNOSIS_OF[diagnosis.casefold()], diagnosis_published=diagnosis,
    )  # fmt: skip


def _tidy(text: str) -> str:
    return " ".join(text.split())


def _location(place: str) -> str | None:
    """A place → chest location in ICBHI's spelling, without the zone; "A" or "P" where the side is not clear.

    "P L R" and "P L L R" may mean left and right, or the lower zone of the right: that stays open.
    """
    chest, *rest = place.split() or [""]
    if chest not in ("A", "P"):
        return None
    sides = {
        ("L", "U"): "l", ("L", "M"): "l", ("L", "L"): "l", ("U", "L"): "l", ("M", "L"): "l",
        ("R", "U"): "r", ("R", "M"): "r", ("R", "L"): "r", ("U", "R"): "r", ("M", "R"): "r",
        ("L", "R"): "", ("L", "L", "R"): "", (): "",
    }  # fmt: skip
    side = sides.get(tuple(rest))
    return None if side is None else chest + side


def _disagreements(recordings: Iterable[SourceRecording], faults: Faults) -> list[str]:
    """A patient's filterings that say different things: of the diagnosis a fault, of anything else a finding."""
    findings = []
    by_patient: dict[str, list[SourceRecording]] = {}
    for each in recordings:
        by_patient.setdefault(each.patient, []).append(each)
    for patient, own in by_patient.items():
        diagnoses = sorted({each.diagnosis for each in own})
        if len(diagnoses) > 1:
            for each in own:
                faults.add(each.wav.name, f"patient {patient} has {' and '.join(diagnoses)}", "restore the right name")
        filters = Counter(each.index for each in own)
        for index, n in filters.items():
            if n > 1:
                faults.add(
                    f"{index}P{patient}_*.wav", f"{n} recordings of one patient and filtering", "keep the right one"
                )
        for what in ("sex", "age_years", "location", "sound_label"):
            values = sorted({str(getattr(each, what)) for each in own})
            if len(values) > 1:
                findings.append(f"patient {patient}: the filterings differ in {what}: {', '.join(values)}")
    return findings


def left_out(same: Sequence[SourceRecording]) -> dict[str, str]:
    """Which of some recordings of one sound not to use, and why.

    One sound under two diagnoses or sounds cannot be right twice, and nothing tells which is: all of them. Where the
    labels agree, all but the first, so that no sound is on two sides of a split by patient.
    """
    if len({(each.diagnosis, each.sound_label) for each in same}) > 1:
        return {each.name: "its sound stands under contradicting labels" for each in same}
    return {each.name: f"{same[0].name} is used" for each in same[1:]}
