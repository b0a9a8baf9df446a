"""Corpus: all recordings of one or several prepared datasets as arrays."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int16, Int32, Int64, Shaped

from jaxresp.corpus.source import Annotations, CorpusError
from jaxresp.taxonomy import Task
from jaxresp.window import WindowConfig, cut_windows, window_starts


@dataclass(frozen=True)
class Windows:
    """Windows cut from the recordings of a corpus.

    Attributes:
        samples: int16, one row per window.
        scale: what one step of a window's samples is worth.
        recording: the row in the corpus that a window comes from.
        start_s: where in the recording it begins, seconds.
    """

    samples: Int16[np.ndarray, "windows length"]
    scale: Float32[np.ndarray, " windows"]
    recording: Int32[np.ndarray, " windows"]
    start_s: Float32[np.ndarray, " windows"]

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True)
class Corpus:
    """All recordings of a prepared dataset, in order of their names; or of several, one after another (`combine`).

    Columns of texts are "" and columns of numbers NaN where nothing is known.

    Attributes:
        name: the dataset, such as "icbhi"; of several, their names joined by "+".
        version: version of its builder.
        partial: fewer recordings than were published.
        fingerprint: SHA-256 of everything in it (of a selection: of that and of what was selected).
        rate_hz: of all recordings.
        samples: all recordings end to end.
        offsets: recording i is samples[offsets[i]:offsets[i + 1]].
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
    samples: Int16[np.ndarray, " total"]
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
        lengths = {f.name: len(getattr(self, f.name)) for f in _per_recording()}
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
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.samples) or np.any(np.diff(self.offsets) <= 0):
            raise CorpusError(f"corpus {self.name}: the recordings do not lie end to end; prepare it again")
        owners = set(zip(self.patient.tolist(), self.diagnosis.tolist(), strict=True))
        if len(owners) != len(set(self.patient.tolist())):
            raise CorpusError(f"corpus {self.name}: a patient has two diagnoses; prepare it again")

    def __len__(self) -> int:
        return len(self.recording)

    def waveform(self, i: int) -> Float32[np.ndarray, " time"]:
        """Recording i at its own level: samples times scale, in float32 arithmetic."""
        return self._samples(i).astype(np.float32) * self.scale[i]

    def labels(self, task: Task) -> Int32[np.ndarray, " recordings"]:
        """The class index of every recording.

        Raises:
            UnknownLabel: a diagnosis that the task has no class for.
        """
        return task.encode(self.diagnosis.tolist())

    def select(self, rows: Shaped[np.ndarray, " selected"] | Sequence[int]) -> Corpus:
        """The corpus of some rows, in the order given."""
        rows = np.asarray(rows)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        names = "\n".join(self.recording[rows].tolist())
        intervals, annotation_offsets = _ragged(self.annotation_offsets, rows)
        return dataclasses.replace(
            self,
            fingerprint=hashlib.sha256(f"{self.fingerprint}\n{names}".encode()).hexdigest(),
            samples=np.concatenate([self._samples(i) for i in rows.tolist()]) if len(rows) else self.samples[:0],
            offsets=np.concatenate([[0], np.cumsum(np.diff(self.offsets)[rows])]).astype(np.int64),
            annotations=_each(self.annotations, lambda column: column[intervals]),
            annotation_offsets=annotation_offsets,
            **{f.name: getattr(self, f.name)[rows] for f in _per_recording()},
        )

    def annotations_of(self, i: int) -> Annotations:
        """The cycles or events of recording i."""
        here = slice(self.annotation_offsets[i], self.annotation_offsets[i + 1])
        return _each(self.annotations, lambda column: column[here])

    def windows(self, config: WindowConfig) -> Windows:
        """Cut every recording as a served one is cut."""
        starts = [window_starts(int(n), self.rate_hz, config) for n in np.diff(self.offsets)]
        count = np.array([len(s) for s in starts])
        out = np.empty((int(count.sum()), config.length_samples(self.rate_hz)), np.int16)
        at = 0
        for i, n in enumerate(count):
            out[at : at + n] = cut_windows(self._samples(i), self.rate_hz, config)
            at += n
        recording = np.repeat(np.arange(len(self), dtype=np.int32), count)
        start_s = (np.concatenate(starts) / self.rate_hz).astype(np.float32)
        return Windows(out, self.scale[recording], recording, start_s)

    def patients_per_class(self, task: Task) -> dict[str, int]:
        """Number of patients of every class of a task."""
        labels = self.labels(task)
        return {name: len(set(self.patient[labels == i].tolist())) for i, name in enumerate(task.classes)}

    def recordings_per_class(self, task: Task) -> dict[str, int]:
        """Number of recordings of every class of a task."""
        counts = np.bincount(self.labels(task), minlength=len(task.classes))
        return dict(zip(task.classes, counts.tolist(), strict=True))

    def _samples(self, i: int) -> Int16[np.ndarray, " time"]:
        return self.samples[self.offsets[i] : self.offsets[i + 1]]


def combine(corpora: Sequence[Corpus]) -> Corpus:
    """Several corpora as one. Patients and recordings are named "dataset:name", so that none meets a namesake.

    Raises:
        CorpusError: none given, a dataset twice, or sampling rates that differ.
    """
    names = [each.name for each in corpora]
    rates = sorted({each.rate_hz for each in corpora})
    if not corpora or len(set(names)) != len(names):
        raise CorpusError(f"cannot combine {names or 'nothing'}: name at least one corpus, and each once")
    if len(rates) > 1:
        raise CorpusError(f"cannot combine {', '.join(names)}: their rates are {rates} Hz; prepare them at one rate")

    def joined(name: str) -> np.ndarray:
        columns = [getattr(each, name) for each in corpora]
        if name in ("recording", "patient"):
            columns = [np.char.add(np.char.add(each.corpus, ":"), getattr(each, name)) for each in corpora]
        return np.concatenate(columns)

    def end_to_end(name: str) -> np.ndarray:
        lengths = [np.diff(getattr(each, name)) for each in corpora]
        return np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)

    return Corpus(
        name="+".join(names),
        version="+".join(each.version for each in corpora),
        partial=any(each.partial for each in corpora),
        made_up=any(each.made_up for each in corpora),
        findings=tuple(f"{each.name}: {finding}" for each in corpora for finding in each.findings),
        fingerprint=hashlib.sha256("\n".join(each.fingerprint for each in corpora).encode()).hexdigest(),
        rate_hz=rates[0],
        samples=np.concatenate([each.samples for each in corpora]),
        offsets=end_to_end("offsets"),
        annotations=Annotations(
            *(
                np.concatenate([getattr(each.annotations, f.name) for each in corpora])
                for f in dataclasses.fields(Annotations)
            )
        ),
        annotation_offsets=end_to_end("annotation_offsets"),
        **{f.name: joined(f.name) for f in _per_recording()},
    )


def _each(annotations: Annotations, change: Callable[[np.ndarray], np.ndarray]) -> Annotations:
    return Annotations(*(change(getattr(annotations, f.name)) for f in dataclasses.fields(Annotations)))


def _ragged(offsets: Int64[np.ndarray, " rows_plus_1"], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which elements some rows of a ragged array hold, in their order, and the offsets of what they make."""
    lengths = np.diff(offsets)[rows]
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return np.arange(ends[-1]) + np.repeat(offsets[:-1][rows] - ends[:-1], lengths), ends


def _per_recording() -> list[dataclasses.Field[Any]]:
    """The fields of a Corpus with one entry per recording."""
    whole = {
        "name", "version", "partial", "fingerprint", "rate_hz", "samples", "offsets", "annotations",
        "annotation_offsets", "made_up", "findings",
    }  # fmt: skip
    return [f for f in dataclasses.fields(Corpus) if f.name not in whole]
