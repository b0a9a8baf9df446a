"""The numbers of an exploration report: a Corpus counted. Pure; nothing is drawn or written here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped

from jaxresp.corpus import Annotations, Corpus
from jaxresp.pages.style import NOT_GIVEN
from jaxresp.taxonomy import DIAGNOSES

KINDS = ("neither", "crackle", "wheeze", "both")
"""What an annotation says is heard, from its two flags."""

_FULL_SCALE = 0.99  # of ±1
_CLIPPED = 3e-4  # of the samples; see Levels


@dataclass(frozen=True)
class Classes:
    """The classes that a corpus is shown by: its diagnoses or, where it gives none, its labels of recordings.

    Attributes:
        what: "diagnosis" or "sound label".
        names: those that occur, most recordings first; `NOT_GIVEN` last where some recordings have none.
        of_recording: index into names.
    """

    what: str
    names: tuple[str, ...]
    of_recording: Int64[np.ndarray, " recordings"]

    @property
    def known(self) -> tuple[str, ...]:
        """The names without `NOT_GIVEN`."""
        return tuple(name for name in self.names if name != NOT_GIVEN)


class ClassCount(NamedTuple):
    """How much of a corpus is of one class."""

    name: str
    patients: int
    recordings: int
    seconds: float


class Missing(NamedTuple):
    """How often a descriptive variable is not known."""

    variable: str
    unit: str  # what it describes: "patients" or "recordings"
    missing: int
    total: int

    @property
    def share(self) -> float:
        """Of patients or recordings, 0 to 1."""
        return self.missing / self.total


class Crossed(NamedTuple):
    """Recordings by class (rows) and by a property of theirs (columns)."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: Int64[np.ndarray, "rows columns"]


class Levels(NamedTuple):
    """How loud each recording is, from its samples on the grid of the prepared dataset.

    Attributes:
        rms_dbfs: root mean square, dB re a full-scale of 1.
        peak_dbfs: largest absolute sample, likewise.
        full_scale: share of the samples within 1 % of full scale or above.
        clipped: more than three samples in ten thousand are. Clipping leaves such samples behind also after resampling;
            a file normalised to its peak has fewer. (Of 67 real recordings of ICBHI those whose published files have
            flat tops at full scale lie above 4.9e-4, all others below 1.4e-4.)
    """

    rms_dbfs: Float32[np.ndarray, " recordings"]
    peak_dbfs: Float32[np.ndarray, " recordings"]
    full_scale: Float32[np.ndarray, " recordings"]
    clipped: Bool[np.ndarray, " recordings"]


class Patients(NamedTuple):
    """One row per patient, in order of their names, from the first of their recordings that says it."""

    patient: Shaped[np.ndarray, " patients"]
    class_index: Int64[np.ndarray, " patients"]
    age_years: Float32[np.ndarray, " patients"]
    sex: Shaped[np.ndarray, " patients"]
    recordings: Int64[np.ndarray, " patients"]


def classes_of(corpus: Corpus) -> Classes:
    """By what a corpus is shown; one class named `NOT_GIVEN` where it says neither."""
    what, column = "diagnosis", corpus.diagnosis
    if not np.any(column != "") and np.any(corpus.sound_label != ""):
        what, column = "sound label", corpus.sound_label
    count = Counter(name for name in column.tolist() if name)
    order = {name: i for i, name in enumerate(DIAGNOSES)}
    names = sorted(count, key=lambda name: (-count[name], order.get(name, len(order)), name))
    if np.any(column == ""):
        names.append(NOT_GIVEN)
    index = {name: i for i, name in enumerate(names)}
    rows = np.array([index[name or NOT_GIVEN] for name in column.tolist()], np.int64)
    return Classes(what, tuple(names), rows)


def class_counts(corpus: Corpus, classes: Classes) -> list[ClassCount]:
    """Patients, recordings and seconds of every class. A patient counts once in each class that they have."""
    seconds = corpus.durations_s
    found = []
    for i, name in enumerate(classes.names):
        here = classes.of_recording == i
        patients = len(set(corpus.patient[here].tolist()))
        found.append(ClassCount(name, patients, int(here.sum()), float(seconds[here].sum(dtype=np.float64))))
    return found


def missing_variables(corpus: Corpus) -> list[Missing]:
    """Every descriptive variable that is known of some and not of others, or of nobody; most often missing first."""
    of_patients = {
        "diagnosis": corpus.diagnosis,
        "age": corpus.age_years,
        "sex": corpus.sex,
        "body mass index": corpus.bmi,
        "weight": corpus.weight_kg,
        "height": corpus.height_cm,
    }
    of_recordings = {
        "sound label": corpus.sound_label,
        "chest location": corpus.location,
        "acquisition mode": corpus.mode,
        "stethoscope": corpus.stethoscope,
        "official split": corpus.official_split,
    }
    names, of_row = np.unique(corpus.patient, return_inverse=True)
    n_patients = len(names)
    found = []
    for variable, column in of_patients.items():
        known = np.bincount(of_row, weights=_known(column), minlength=n_patients) > 0
        found.append(Missing(variable, "patients", int((~known).sum()), n_patients))
    for variable, column in of_recordings.items():
        found.append(Missing(variable, "recordings", int((~_known(column)).sum()), len(corpus)))
    unannotated = int((np.diff(corpus.annotation_offsets) == 0).sum())
    found.append(Missing("annotated intervals", "recordings", unannotated, len(corpus)))
    return sorted(found, key=lambda each: -each.share)


def patients_of(corpus: Corpus, classes: Classes) -> Patients:
    """Age, sex and class by patient. Of a patient of several classes, that of most of their recordings."""
    names, of_row = np.unique(corpus.patient, return_inverse=True)
    age, sex = np.full(len(names), np.nan, np.float32), np.full(len(names), "", corpus.sex.dtype)
    for i in reversed(range(len(corpus))):  # so that the first recording that knows has the last word
        if np.isfinite(corpus.age_years[i]):
            age[of_row[i]] = corpus.age_years[i]
        if corpus.sex[i]:
            sex[of_row[i]] = corpus.sex[i]
    votes = np.zeros((len(names), len(classes.names)), np.int64)
    np.add.at(votes, (of_row, classes.of_recording), 1)
    return Patients(names, votes.argmax(1), age, sex, votes.sum(1))


def crossed(classes: Classes, column: Shaped[np.ndarray, " recordings"]) -> Crossed | None:
    """Recordings by class and by the values of a column, most frequent first; None where it says nothing.

    Of numbers the values are in ascending order.
    """
    known = _known(column)
    if not known.any():
        return None
    values, count = np.unique(column[known], return_counts=True)
    order = np.arange(len(values)) if column.dtype.kind in "if" else np.argsort(-count, kind="stable")
    labels = [str(v) for v in values[order].tolist()]
    rank = {value: i for i, value in enumerate(values[order].tolist())}
    at = np.array([rank.get(value, len(rank)) for value in column.tolist()])
    if not known.all():
        labels.append(NOT_GIVEN)
    counts = np.zeros((len(classes.names), len(labels)), np.int64)
    np.add.at(counts, (classes.of_recording, at), 1)
    return Crossed(classes.names, tuple(labels), counts)


def kinds(annotations: Annotations) -> Int64[np.ndarray, " intervals"]:
    """What every annotation says is heard: index into `KINDS`."""
    return annotations.crackle.astype(np.int64) + 2 * annotations.wheeze.astype(np.int64)


def annotations_by_class(corpus: Corpus, classes: Classes) -> Crossed:
    """Annotations by class of their recording and by kind; classes without any are left out."""
    return _annotations_by(corpus, classes.of_recording, classes.names)


def annotations_by(corpus: Corpus, column: Shaped[np.ndarray, " recordings"]) -> Crossed | None:
    """Annotations by the value of a column of their recording, in alphabetical order; None where it says nothing."""
    if not np.any(column != ""):
        return None
    values, of_recording = np.unique(column, return_inverse=True)
    return _annotations_by(corpus, of_recording, tuple(value or NOT_GIVEN for value in values.tolist()))


def _annotations_by(corpus: Corpus, of_recording: Int64[np.ndarray, " recordings"], rows: tuple[str, ...]) -> Crossed:
    owner = np.repeat(of_recording, np.diff(corpus.annotation_offsets))
    counts = np.zeros((len(rows), len(KINDS)), np.int64)
    np.add.at(counts, (owner, kinds(corpus.annotations)), 1)
    some = np.flatnonzero(counts.sum(1))
    return Crossed(tuple(rows[i] for i in some.tolist()), KINDS, counts[some])


def annotation_labels(corpus: Corpus) -> list[tuple[str, int, int]]:
    """The publisher's names of annotations: name, kind (index into `KINDS`), how many; the most frequent first."""
    pairs = zip(corpus.annotations.label.tolist(), kinds(corpus.annotations).tolist(), strict=True)
    return sorted(((name, kind, n) for (name, kind), n in Counter(pairs).items()), key=lambda each: (-each[2], each))


def levels(corpus: Corpus) -> Levels:
    """Loudness of every recording. One pass over the samples, one recording in memory at a time."""
    rms, peak, full = (np.empty(len(corpus)) for _ in range(3))
    for i, scale in enumerate(corpus.scale.tolist()):
        steps = corpus.samples[corpus.offsets[i] : corpus.offsets[i + 1]]
        sound = steps.astype(np.float32)
        rms[i] = scale * np.sqrt(np.dot(sound, sound) / len(sound))
        peak[i] = scale * max(-int(steps.min()), int(steps.max()))
        full[i] = np.mean(np.abs(sound) >= _FULL_SCALE / scale) if peak[i] >= _FULL_SCALE else 0.0
    return Levels(_dbfs(rms), _dbfs(peak), full.astype(np.float32), full > _CLIPPED)


def sample_recordings(corpus: Corpus, classes: Classes, *, per_class: int, seed: int) -> list[int]:
    """Rows to show: of every class as many as asked for, drawn among its annotated recordings where it has some.

    Each is of another patient as long as the class has another one.
    """
    rows = []
    annotated = np.diff(corpus.annotation_offsets) > 0
    for i in range(len(classes.names)):
        rng = np.random.default_rng([seed, i])
        members = np.flatnonzero(classes.of_recording == i)
        drawn = rng.permutation(members[annotated[members]] if annotated[members].any() else members)
        seen: set[str] = set()
        again = []
        for row in drawn.tolist():
            again.append((corpus.patient[row] in seen, row))
            seen.add(corpus.patient[row])
        rows += [row for _, row in sorted(again, key=lambda pair: pair[0])[:per_class]]
    return rows


def _known(column: Shaped[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    return np.isfinite(column) if column.dtype.kind == "f" else column.astype(np.str_) != ""


def _dbfs(amplitude: Shaped[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
    return (20 * np.log10(np.maximum(amplitude, 1e-10))).astype(np.float32)
