"""Recordings: what is known of all recordings of one or several prepared datasets, without their sound."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32, Int64, Shaped

from jaxresp.corpus.source import Annotations, CorpusError
from jaxresp.taxonomy import SOUND_OF, SOUNDS, Task


@dataclass(frozen=True, kw_only=True)
class Recordings:
    """The columns of a prepared dataset, in order of the recordings' names; or of several, one after another.

    Columns of texts are "" and columns of numbers NaN where nothing is known.

    Attributes:
        name: the dataset, such as "icbhi"; of several, their names joined by "+".
        version: version of its builder.
        partial: fewer recordings than were published.
        fingerprint: SHA-256 of everything in it (of a selection: of that and of what was selected).
        rate_hz: of all recordings.
        offsets: recording i has samples offsets[i] to offsets[i + 1] of all recordings end to end.
        scale: what one step of a recording's samples is worth.
        annotations: cycles or events of all recordings end to end.
        annotation_offsets: those of recording i are annotations offsets[i] to offsets[i + 1].
        corpus: the dataset each recording is of.
        recording: its name, unique in the corpus.
        patient: whose lungs; what splits are made by. Unique across datasets in a combined corpus.
        diagnosis: of the patient, in jaxresp.taxonomy's spelling; diagnosis_published in the publisher's.
        sound_label: of the whole recording, in the publisher's words.
        stethoscope: what recorded it; stethoscope_disputed is another tag the publisher gives elsewhere.
        index, location, mode: as published.
        sex: "F", "M" or "".
        official_split: "train", "test", "inter_test", "intra_test" or "".
        age_years, bmi, weight_kg, height_cm: of the patient.
        bandwidth_hz: highest frequency with sound in the published file; see AudioFacts.
        native_rate_hz, bits, channels: of the published file.
        made_up: written by jaxresp.synthetic; nothing measured on it says anything about patients.
        findings: what the builder found and could not mend, such as duplicates.
    """

    name: str
    version: str
    partial: bool
    fingerprint: str
    rate_hz: int
    offsets: Int64[np.ndarray, " recordings_plus_1"]
    scale: Float32[np.ndarray, " recordings"]
    annotations: Annotations
    annotation_offsets: Int64[np.ndarray, " annotated_plus_1"]
    corpus: Shaped[np.ndarray, " recordings"]
    recording: Shaped[np.ndarray, " recordings"]
    patient: Shaped[np.ndarray, " recordings"]
    diagnosis: Shaped[np.ndarray, " recordings"]
    diagnosis_published: Shaped[np.ndarray, " recordings"]
    sound_label: Shaped[np.ndarray, " recordings"]
    stethoscope: Shaped[np.ndarray, " recordings"]
    stethoscope_disputed: Shaped[np.ndarray, " recordings"]
    index: Shaped[np.ndarray, " recordings"]
    location: Shaped[np.ndarray, " recordings"]
    mode: Shaped[np.ndarray, " recordings"]
    sex: Shaped[np.ndarray, " recordings"]
    official_split: Shaped[np.ndarray, " recordings"]
    age_years: Float32[np.ndarray, " recordings"]
    bmi: Float32[np.ndarray, " recordings"]
    weight_kg: Float32[np.ndarray, " recordings"]
    height_cm: Float32[np.ndarray, " recordings"]
    bandwidth_hz: Float32[np.ndarray, " recordings"]
    native_rate_hz: Int32[np.ndarray, " recordings"]
    bits: Int32[np.ndarray, " recordings"]
    channels: Int32[np.ndarray, " recordings"]
    made_up: bool = False
    findings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.recording)
        lengths = {f.name: len(getattr(self, f.name)) for f in per_recording()}
        for wrong, what in (
            (n == 0, "it holds no recording"),
            (any(length != n for length in lengths.values()), f"its columns differ in length ({lengths})"),
            (len(self.offsets) != n + 1, f"it has {len(self.offsets)} offsets for {n} recordings"),
            (
                len(self.annotation_offsets) != n + 1 or self.annotation_offsets[-1] != len(self.annotations),
                "its annotations are not those of its recordings",
            ),
            (len(np.unique(self.recording)) != n, "a recording is in it twice"),
        ):
            if wrong:
                raise CorpusError(f"corpus {self.name}: {what}; prepare it again")
        if self.offsets[0] != 0 or np.any(np.diff(self.offsets) <= 0):
            raise CorpusError(f"corpus {self.name}: the recordings do not lie end to end; prepare it again")
        owners = set(zip(self.patient.tolist(), self.diagnosis.tolist(), strict=True))
        if len(owners) != len(set(self.patient.tolist())):
            raise CorpusError(f"corpus {self.name}: a patient has two diagnoses; prepare it again")

    def __len__(self) -> int:
        return len(self.recording)

    @property
    def sound(self) -> Shaped[np.ndarray, " recordings"]:
        """What is heard in every recording, in the words of jaxresp.taxonomy.SOUNDS, "poor quality" or "bronchial".

        From the recording's own label where it has one, else from all its annotations together; "" where it has
        neither. (SPRSound has both, and they agree on all of its recordings.)
        """
        n, of = len(self), self.annotated_recording
        crackle, wheeze, count = (
            np.bincount(of, weights=weights, minlength=n)
            for weights in (self.annotations.crackle, self.annotations.wheeze, None)
        )
        heard = np.array(SOUNDS)[(crackle > 0) + 2 * (wheeze > 0)]
        labelled = [SOUND_OF.get(label, label) for label in self.sound_label.tolist()]
        return np.where(self.sound_label != "", labelled, np.where(count > 0, heard, ""))

    @property
    def annotated_recording(self) -> Int64[np.ndarray, " annotated"]:
        """The row of the recording that each annotation is of."""
        return np.repeat(np.arange(len(self)), np.diff(self.annotation_offsets))

    def annotations_of(self, i: int) -> Annotations:
        """The cycles or events of recording i."""
        here = slice(self.annotation_offsets[i], self.annotation_offsets[i + 1])
        return _each(self.annotations, lambda column: column[here])

    @property
    def durations_s(self) -> Float32[np.ndarray, " units"]:
        """How long every row sounds, seconds."""
        return (np.diff(self.offsets) / self.rate_hz).astype(np.float32)

    def published(self, task: Task) -> Shaped[np.ndarray, " units"]:
        """What a task reads: a text for every recording or, for a task of cycles or events, for every annotation."""
        if task.reads == "annotations":
            return self.annotations.label
        return {"diagnosis": self.diagnosis, "sound_label": self.sound_label, "sound": self.sound}[task.reads]

    def answerable(self, task: Task) -> Bool[np.ndarray, " units"]:
        """Which recordings (or annotations) have a label that the task has a class for; `select` takes it."""
        return task.knows(self.published(task).tolist())

    def labels(self, task: Task) -> Int32[np.ndarray, " units"]:
        """The class index of every recording; of every annotation, where the task's unit is a cycle or an event.

        Raises:
            UnknownLabel: a label that the task has no class for, such as a diagnosis that is not known.
        """
        return task.encode(self.published(task).tolist())

    def patients_per_class(self, task: Task) -> dict[str, int]:
        """Number of patients of every class of a task; a patient with cycles of several classes counts in each."""
        return self._per_class(task, self.patient)

    def recordings_per_class(self, task: Task) -> dict[str, int]:
        """Number of recordings of every class of a task; one with cycles of several classes counts in each."""
        return self._per_class(task, self.recording)

    def _per_class(self, task: Task, names: Shaped[np.ndarray, " recordings"]) -> dict[str, int]:
        labels = self.labels(task)
        of_unit = names[self.annotated_recording] if task.labels_intervals else names
        return {name: len(set(of_unit[labels == i].tolist())) for i, name in enumerate(task.classes)}

    def select(self, rows: Shaped[np.ndarray, " given"] | Sequence[int]) -> Recordings:
        """The recordings of some rows, in the order given."""
        return dataclasses.replace(self, **self._selected(row_numbers(rows)))

    def _selected(self, rows: Int[np.ndarray, " selected"]) -> dict[str, Any]:
        """The fields of a selection."""
        names = "\n".join(self.recording[rows].tolist())
        intervals, annotation_offsets = _ragged(self.annotation_offsets, rows)
        return {
            "fingerprint": hashlib.sha256(f"{self.fingerprint}\n{names}".encode()).hexdigest(),
            "offsets": np.concatenate([[0], np.cumsum(np.diff(self.offsets)[rows])]).astype(np.int64),
            "annotations": _each(self.annotations, lambda column: column[intervals]),
            "annotation_offsets": annotation_offsets,
            **{f.name: getattr(self, f.name)[rows] for f in per_recording()},
        }


def corpus_identity(corpus: Recordings) -> dict[str, Any]:
    """Which corpus it was, for everything that is written about it."""
    return {
        "name": corpus.name,
        "version": corpus.version,
        "partial": corpus.partial,
        "made_up": corpus.made_up,
        "fingerprint": corpus.fingerprint,
    }


def row_numbers(rows: Shaped[np.ndarray, " given"] | Sequence[int]) -> Int[np.ndarray, " selected"]:
    """Row numbers from row numbers or from a mask."""
    given = np.asarray(rows)
    return np.flatnonzero(given) if given.dtype == bool else given.astype(np.int64)


def per_recording() -> list[dataclasses.Field[Any]]:
    """The fields of Recordings with one entry per recording."""
    whole = {
        "name", "version", "partial", "fingerprint", "rate_hz", "offsets", "annotations", "annotation_offsets",
        "made_up", "findings",
    }  # fmt: skip
    return [f for f in dataclasses.fields(Recordings) if f.name not in whole]


def _each(annotations: Annotations, change: Callable[[np.ndarray], np.ndarray]) -> Annotations:
    return Annotations(*(change(getattr(annotations, f.name)) for f in dataclasses.fields(Annotations)))


def _ragged(offsets: Int64[np.ndarray, " rows_plus_1"], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which elements some rows of a ragged array hold, in their order, and the offsets of what they make."""
    lengths = np.diff(offsets)[rows]
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return np.arange(ends[-1]) + np.repeat(offsets[:-1][rows] - ends[:-1], lengths), ends
