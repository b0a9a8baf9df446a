"""What a publisher's folder says about its recordings, before any sound is decoded, and what is wrong with it.

The readers of the folders (datasets/<name>/<name>_folder.py) make these; datasets/recording_builder.py turns them into
examples. Knows nothing of TFDS.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from jaxresp.corpus.archive import ZipMember
from jaxresp.errors import JaxrespError

SourceFile = Path | ZipMember
"""A publisher's file, on disk or in an archive that was not unpacked."""

SOUND_REMEDY = "copy the file again from the published archive"

_LISTED_FAULTS = 40
_END_TOLERANCE_S = 0.05  # annotations are rounded to a millisecond; one that ends later than this is another file's


class CorpusError(JaxrespError):
    """A prepared dataset that is missing, damaged or not what it should be."""


class DatasetError(CorpusError):
    """A publisher's folder that a dataset cannot be built from; the message lists every fault by file."""


@dataclass(frozen=True)
class Annotations:
    """Annotated intervals of a recording: ICBHI's respiratory cycles, SPRSound's events.

    Attributes:
        start_s, end_s: seconds from the start of the recording.
        label: in the publisher's words; ICBHI gives flags only, from which "normal", "crackle", "wheeze", "both".
        crackle: crackles are heard (fine or coarse; discontinuous adventitious sounds).
        wheeze: wheezes are heard (rhonchi and stridor too; continuous adventitious sounds).
    """

    start_s: Float32[np.ndarray, " intervals"]
    end_s: Float32[np.ndarray, " intervals"]
    label: Shaped[np.ndarray, " intervals"]
    crackle: Bool[np.ndarray, " intervals"]
    wheeze: Bool[np.ndarray, " intervals"]

    def __len__(self) -> int:
        return len(self.start_s)

    def fault(self, duration_s: float) -> str | None:
        """What is wrong with an annotation once the length of the sound is known."""
        if len(self) and self.end_s.max() > duration_s + _END_TOLERANCE_S:
            return f"annotated to {self.end_s.max():.3f} s, but the sound ends at {duration_s:.3f} s"
        if len(self) and self.start_s.max() >= duration_s:
            return f"annotated from {self.start_s.max():.3f} s on, but the sound ends at {duration_s:.3f} s"
        return None


NO_ANNOTATIONS = Annotations(
    np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros(0, np.str_), np.zeros(0, bool), np.zeros(0, bool)
)


@dataclass(frozen=True)
class SourceRecording:
    """One recording: its sound file and everything the folder says about it. "" and NaN are what it does not say.

    Attributes:
        name: unique in a folder, and in the prepared dataset.
        patient: whose lungs; what splits are made by.
        wav: the sound.
        sha256: of the bytes of sound and annotation.
        annotations: intervals.
        annotation_file: what they were read from; for messages.
        index: of the patient's recordings.
        location: chest location.
        mode: "sc" or "mc", one channel or several at once.
        stethoscope: what recorded it; of ICBHI, the tag in the file name.
        stethoscope_disputed: another tag that the publisher gives elsewhere for the same recording, or "".
        sex: "F", "M" or "".
        diagnosis: of the patient, in jaxresp.taxonomy's spelling.
        diagnosis_published: of the patient, as written by the publisher.
        sound_label: of the whole recording, as written by the publisher (SPRSound's record label, KAUH's sound type).
        official_split: the publisher's side: "train", "test", "inter_test", "intra_test".
        age_years, bmi, weight_kg, height_cm: of the patient.
    """

    name: str
    patient: str
    wav: SourceFile
    sha256: str
    annotations: Annotations = NO_ANNOTATIONS
    annotation_file: str = ""
    index: str = ""
    location: str = ""
    mode: str = ""
    stethoscope: str = ""
    stethoscope_disputed: str = ""
    sex: str = ""
    diagnosis: str = ""
    diagnosis_published: str = ""
    sound_label: str = ""
    official_split: str = ""
    age_years: float = math.nan
    bmi: float = math.nan
    weight_kg: float = math.nan
    height_cm: float = math.nan


@dataclass(frozen=True)
class Source:
    """A folder without faults, recordings in order of their names.

    Attributes:
        recordings: what it holds.
        partial: less than was published.
        made_up: written by jaxresp.synthetic.
        findings: what a user of the data should know and nothing can mend, such as duplicates; kept with the dataset.
    """

    recordings: tuple[SourceRecording, ...]
    partial: bool
    made_up: bool = False
    findings: tuple[str, ...] = ()


@dataclass
class Faults:
    """Everything wrong with a folder, to be told at once."""

    folder: Path
    found: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, file: str, what: str, remedy: str) -> None:
        """Note a fault of a file."""
        self.found.append((file, what, remedy))

    def raise_if_any(self) -> None:
        """Raise one DatasetError that lists the faults by file name, each with its remedy."""
        if not self.found:
            return
        lines = [f"  {file}: {what}; {remedy}" for file, what, remedy in sorted(self.found)]
        if len(lines) > _LISTED_FAULTS:
            lines = [*lines[:_LISTED_FAULTS], f"  … and {len(lines) - _LISTED_FAULTS} more"]
        count = "1 fault" if len(self.found) == 1 else f"{len(self.found)} faults"
        raise DatasetError("\n".join([f"{self.folder}: {count}, nothing was built:", *lines]))


def files_sha256(*files: SourceFile) -> str:
    """SHA-256 over the contents of some files, in this order.

    Raises:
        ArchiveError: a file cannot be read from its archive.
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for each in files:
        if isinstance(each, ZipMember):
            digest.update(hashlib.sha256(each.read_bytes()).digest())
            continue
        with each.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
