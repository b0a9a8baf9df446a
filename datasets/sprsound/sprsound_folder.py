"""A folder of SPRSound's 2022/2023 release → what every recording is, or every fault it has.

Reads annotations only; sound is left to whoever iterates. Knows nothing of TFDS.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxresp.corpus.archive import ArchiveError
from jaxresp.corpus.folder import files_in, is_complete, nearest, one_of_each_name
from jaxresp.corpus.source import (
    SOUND_REMEDY,
    Annotations,
    DatasetError,
    Faults,
    Source,
    SourceFile,
    SourceRecording,
    files_sha256,
)
from jaxresp.taxonomy import SOUND_OF, SPRSOUND_EVENTS, SPRSOUND_RECORD_LABELS

#: Counted in the release (2,683 files); the first seven are also what the paper's and the challenge's texts say.
PUBLISHED = {
    "recordings": 2683,
    "children": 292,
    "recordings of train": 1949,
    "recordings of inter_test": 355,
    "recordings of intra_test": 379,
    "Normal": 1785,
    "CAS": 233,
    "DAS": 347,
    "CAS & DAS": 131,
    "Poor Quality": 187,
    "events": 9089,
}

STETHOSCOPE = "Yunting II"  # all of them, by the publisher's text

# The release as it was first published, and as it now lies in the publisher's repository (BioCAS2022/).
_SIDE_OF_FOLDER = {
    "train_json": "train",
    "train2022_json": "train",
    "inter_test_json": "inter_test",
    "intra_test_json": "intra_test",
}
_SOUND_FOLDERS = ("train_wav", "train2022_wav", "test_wav", "test2022_wav")

_RECORDING_NAME = re.compile(r"(\d+)_(\d+(?:\.\d+)?)_([01])_(p[1-4])_(\d+)")
_SEX = {"0": "M", "1": "F"}
_LOCATION = {"p1": "Pl", "p2": "Ll", "p3": "Pr", "p4": "Lr"}  # posterior and lateral, in ICBHI's spelling
_WHICH = "Give the folder that holds train_json, train_wav, test_json and test_wav (or train2022_json and so on)"


def read_folder(folder: Path, *, partial: bool, check_sound: Callable[[SourceFile], str | None]) -> Source:
    """Read a folder, wherever in it the four of the release lie. Its example/, test_clip/ and later years are not read.

    Args:
        folder: what was unpacked or cloned, or a zip file of it.
        partial: whether fewer recordings than were published will do.
        check_sound: tells what is wrong with a sound file, or None. Asked only where the folder has other faults, so
            that one error names all; whoever builds decodes every file anyway and reports in the same way.

    Raises:
        DatasetError: no SPRSound folder, or the list of all its faults.
    """
    try:
        return _read_folder(folder, partial, check_sound)
    except OSError as error:  # no permission, a file that went away while we read, a disk that fails
        raise DatasetError(
            f"{folder}: {error.filename or 'a file'} cannot be read ({error.strerror}); make it readable and try again"
        ) from error


def _read_folder(folder: Path, partial: bool, check_sound: Callable[[SourceFile], str | None]) -> Source:
    files = files_in(folder, "SPRSound", _WHICH)
    wavs = one_of_each_name(
        folder, (f for f in files if f.suffix.lower() == ".wav" and f.parent.name in _SOUND_FOLDERS)
    )
    annotations = [f for f in files if f.suffix.lower() == ".json" and f.parent.name in _SIDE_OF_FOLDER]
    if not wavs or not annotations:
        kind = "sound (.wav in train_wav or test_wav)" if not wavs else "annotation (.json in train_json or test_json)"
        raise DatasetError(f"{folder} is no SPRSound folder: there is no {kind} in it. {_WHICH}")
    faults = Faults(folder)
    _one_side_each(annotations, faults)
    texts = one_of_each_name(folder, annotations)
    for name in wavs.keys() - texts.keys():
        faults.add(wavs[name].name, f"no annotation {name}.json", "restore it, or remove the sound")
    for name in texts.keys() - wavs.keys():
        faults.add(texts[name].name, f"no sound {name}.wav", "restore it, or remove the annotation")
    recordings = [
        recording
        for name in sorted(wavs.keys() & texts.keys())
        if (recording := _recording(wavs[name], texts[name], faults)) is not None
    ]
    if faults.found:
        for wav in wavs.values():
            trouble = check_sound(wav)
            if trouble is not None:
                faults.add(wav.name, trouble, SOUND_REMEDY)
    faults.raise_if_any()
    complete = is_complete(folder, "SPRSound (2022/2023 release)", _counts(recordings), PUBLISHED, partial=partial)
    return Source(tuple(recordings), partial=not complete, findings=tuple(_contradictions(recordings)))


def _one_side_each(annotations: Iterable[SourceFile], faults: Faults) -> None:
    sides: dict[str, set[str]] = {}
    for path in annotations:
        sides.setdefault(path.name, set()).add(_SIDE_OF_FOLDER[path.parent.name])
    for name, found in sides.items():
        if len(found) > 1:
            faults.add(name, f"on several sides: {', '.join(sorted(found))}", "keep it on the published one")


def _recording(wav: SourceFile, text: SourceFile, faults: Faults) -> SourceRecording | None:
    match = _RECORDING_NAME.fullmatch(wav.stem)
    if match is None:
        faults.add(
            wav.name,
            "the name is not patient_age_sex_place_number",
            'restore the published name, such as "65101170_0.4_0_p3_3246.wav", or move the file out of the folder',
        )
    annotated = _read_annotation(text, faults)
    if match is None or annotated is None:
        return None
    try:
        sha256 = files_sha256(wav, text)
    except ArchiveError as error:
        faults.add(wav.name, str(error).removeprefix(f"{wav.name}: "), SOUND_REMEDY)
        return None
    label, events = annotated
    patient, age, sex, place, number = match.groups()
    return SourceRecording(
        name=wav.stem, patient=patient, wav=wav, sha256=sha256,
        annotations=events, annotation_file=text.name, index=number, location=_LOCATION[place],
        stethoscope=STETHOSCOPE, sex=_SEX[sex], age_years=float(age),
        sound_label=label, official_split=_SIDE_OF_FOLDER[text.parent.name],
    )  # fmt: skip


def _read_annotation(path: SourceFile, faults: Faults) -> tuple[str, Annotations] | None:
    """The record label and the events in order of time; None, with the faults noted, where the file is not right."""
    before = len(faults.found)
    try:
        content = json.loads(path.read_bytes())
        label, events = content["record_annotation"], list(content["event_annotation"])
    except ArchiveError as error:
        faults.add(path.name, str(error).removeprefix(f"{path.name}: "), SOUND_REMEDY)
        return None
    except (ValueError, KeyError, TypeError) as error:
        faults.add(
            path.name,
            f"not a JSON object with record_annotation and event_annotation ({type(error).__name__}: {error})",
            "restore the published file",
        )
        return None
    if label not in SPRSOUND_RECORD_LABELS:
        faults.add(path.name, f"unknown record label {label!r}", nearest(str(label), SPRSOUND_RECORD_LABELS))
    read = [_event(event, f"{path.name}, event {number}", faults) for number, event in enumerate(events, start=1)]
    if len(faults.found) > before:
        return None
    rows = sorted(row for row in read if row is not None)  # 1,124 of the published files are not in order of time
    sounds = [SOUND_OF[kind] for *_, kind in rows]
    return label, Annotations(
        start_s=np.array([start for start, *_ in rows], np.float32),
        end_s=np.array([end for _, end, _ in rows], np.float32),
        label=np.array([kind for *_, kind in rows], np.str_),
        crackle=np.array([sound in ("crackle", "both") for sound in sounds], np.bool_),
        wheeze=np.array([sound in ("wheeze", "both") for sound in sounds], np.bool_),
    )


def _event(event: Any, where: str, faults: Faults) -> tuple[float, float, str] | None:
    """Start and end in seconds (published: milliseconds, as texts), and the type."""
    try:
        start_ms, end_ms, kind = float(event["start"]), float(event["end"]), event["type"]
        sound = 0 <= start_ms < end_ms < math.inf
    except (ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        faults.add(where, f"{event!r} is not start, end (ms, start before end) and type", "restore the published event")
        return None
    if kind not in SPRSOUND_EVENTS:
        faults.add(where, f"unknown type {kind!r}", nearest(str(kind), SPRSOUND_EVENTS))
        return None
    return start_ms / 1000, end_ms / 1000, kind


def _counts(recordings: list[SourceRecording]) -> Counter[str]:
    counts = Counter({"recordings": len(recordings), "children": len({each.patient for each in recordings})})
    counts.update(f"recordings of {each.official_split}" for each in recordings)
    counts.update(each.sound_label for each in recordings)
    counts["events"] = sum(len(each.annotations) for each in recordings)
    return counts


def left_out(same: Sequence[SourceRecording]) -> dict[str, str]:
    """Which of some recordings of one sound not to use, and why: all but one, and the one that stays is tested.

    So published test results stay comparable, and training does not hear what is tested.
    """
    kept = min(same, key=lambda each: each.official_split == "train")
    return {each.name: f"{kept.name} ({kept.official_split}) is used" for each in same if each is not kept}


def _contradictions(recordings: list[SourceRecording]) -> list[str]:
    """Recordings whose record label is not what their events add up to. In the published release there are none."""
    findings = []
    for each in recordings:
        sound = SOUND_OF[each.sound_label]
        crackle, wheeze = bool(each.annotations.crackle.any()), bool(each.annotations.wheeze.any())
        labelled = (sound in ("crackle", "both"), sound in ("wheeze", "both"))
        empty_as_it_should = (len(each.annotations) == 0) == (sound == "poor quality")
        if (crackle, wheeze) != labelled or not empty_as_it_should:
            heard = ", ".join(sorted(set(each.annotations.label.tolist()))) or "none"
            findings.append(f"{each.name}: labelled {each.sound_label}, but its events are: {heard}")
    return findings
