"""Split: how a corpus is divided, with the proof of it. One that leaks cannot be made, unless it is published so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Int64, Shaped

from jaxresp.splits.fold import Fold, PatientLeak, SplitError, describe, shared_patients, tested_rows

Kind = Literal["patient_disjoint", "published_overlap"]


@dataclass(frozen=True)
class LeftOut:
    """Recordings on no side, and why."""

    rows: Int64[np.ndarray, " n_left_out"]
    reason: str


@dataclass(frozen=True, eq=False)
class Split:
    """How the recordings of a corpus are divided for one question.

    Every fold and what is left out hold each recording exactly once. No patient is on two sides of a fold; the one
    exception, `published_overlap`, is a test side that its publishers drew so, and names every patient on both.
    Whatever uses a split asks it for its proof again, with `assert_proven`.

    Attributes:
        name: as on the command line.
        kind: whether patients are on one side only.
        patients: the patient of every recording of the corpus.
        labels: the class of every recording; indices into `classes`.
        classes: class names.
        folds: the divisions; each recording is tested in one of them at most.
        left_out: recordings on no side.
        overlap: the patients who train or validate and are tested in the same fold; only of `published_overlap`.
        sentences: what must stand beside every number drawn from this split.
        row: what is divided: recordings, or cycles or events (see jaxresp.corpus.units).
    """

    name: str
    kind: Kind
    patients: Shaped[np.ndarray, " recordings"]
    labels: Shaped[np.ndarray, " recordings"]
    classes: tuple[str, ...]
    folds: tuple[Fold, ...]
    left_out: tuple[LeftOut, ...] = ()
    overlap: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    row: str = "recording"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise SplitError(f"split {self.name!r}: there is no kind {self.kind!r}; choose from {get_args(Kind)}")
        self.assert_proven(self.patients)

    def assert_proven(self, patients: Shaped[np.ndarray, " n"]) -> None:
        """Prove again that this split divides these recordings, and that nobody is where he must not be.

        Args:
            patients: the patient of every recording that is about to be used.

        Raises:
            PatientLeak: naming the patients and the sides.
            SplitError: the split was made for other recordings, or a recording is on no side, or on two.
        """
        if not np.array_equal(self.patients, patients):
            raise SplitError(
                f"split {self.name!r} was made for {len(self.patients)} other recordings than these {len(patients)}; "
                "make it again for this corpus"
            )
        if not self.folds:
            raise SplitError(f"split {self.name!r} has no fold")
        aside = [each.rows for each in self.left_out]
        for k, fold in enumerate(self.folds):
            if type(fold) is not Fold:
                raise SplitError(f"split {self.name!r}: a {type(fold).__name__} is no Fold, and proves nothing")
            placed = np.concatenate([*(rows for _, rows in fold.sides()), *aside])
            if not np.array_equal(np.sort(placed), np.arange(len(patients))):
                raise SplitError(
                    f"split {self.name!r}, fold {k}: {len(patients)} recordings, but {len(placed)} places on its sides "
                    f"and among those left out, for {len(set(placed.tolist()))} different ones"
                )
        tested = tested_rows(self.folds)
        if len(set(tested.tolist())) != len(tested):
            raise SplitError(f"split {self.name!r}: a recording is tested in two folds")
        self._assert_nobody_on_two_sides()

    def _assert_nobody_on_two_sides(self) -> None:
        allowed = set(self.overlap) if self.kind == "published_overlap" else set()
        met: set[str] = set()
        for k, fold in enumerate(self.folds):
            for (a, b), both in shared_patients(fold, self.patients).items():
                if b == "test":
                    met.update(both)
                strangers = sorted(set(both) - (allowed if b == "test" else set()))
                if strangers:
                    some = ", ".join(strangers[:10]) + (" …" if len(strangers) > 10 else "")
                    raise PatientLeak(
                        f"split {self.name!r}, fold {k}: patients {some} stand in {a} and in {b}; split by patient"
                    )
        if met != set(self.overlap):
            names = ", ".join(sorted(set(self.overlap) - met))
            raise SplitError(f"split {self.name!r} says that patients {names} are on both sides, but they are not")

    @property
    def proof(self) -> list[dict[str, int | str]]:
        """Patients, recordings and classes on every side, counted from the rows; see `describe`."""
        return describe(self.folds, self.patients, self.labels, self.classes)

    @property
    def tested(self) -> Int64[np.ndarray, " tested"]:
        """The rows that are tested, ascending."""
        return tested_rows(self.folds)

    @property
    def fitted(self) -> Int64[np.ndarray, " fitted"]:
        """The rows that a final network may be fitted on: those that train or validate in some fold, ascending.

        With a single fold its test side stays unseen; with cross-validation every recording that is not left out is
        among them.
        """
        return np.unique(np.concatenate([rows for fold in self.folds for rows in (fold.train, fold.validation)]))

    @property
    def evidence(self) -> str:
        """What an answer for a tested recording is evidence of."""
        if self.kind == "published_overlap":
            own = int(np.isin(self.patients[self.tested].astype(str), self.overlap).sum())
            return (
                f"Numbers are of the test side of the published split {self.name!r}, which is not disjoint by patient: "
                f"{own} of its {len(self.tested)} {self.row}s are of patients ({_some(self.overlap)}) who also stand "
                "on the training side."
                if own
                else f"Numbers are of the test side of the published split {self.name!r}. It is known to overlap with "
                f"the training side, but not in the {self.row}s that are here."
            )
        if len(self.folds) > 1:
            return (
                f"Numbers are out-of-fold: each {self.row} was answered by a network whose weights, epoch and settings "
                "were chosen without its patient."
            )
        return (
            f"Numbers are of the held-out test side of the split {self.name!r}: {len(self.tested)} {self.row}s of "
            f"{len(set(self.patients[self.tested].tolist()))} patients, none of whom had a part in weights, epoch or "
            "settings."
        )

    def to_json(self) -> dict[str, Any]:
        """The split without its rows: what a reader of its numbers must know."""
        return {
            "name": self.name,
            "kind": self.kind,
            "folds": len(self.folds),
            "overlap": list(self.overlap),
            "evidence": self.evidence,
            "sentences": list(self.sentences),
            "left_out": [
                {
                    "reason": each.reason,
                    "recordings": len(each.rows),
                    "patients": len(set(self.patients[each.rows].tolist())),
                }
                for each in self.left_out
            ],
        }


def left_out(*groups: tuple[Shaped[np.ndarray, " n"], str]) -> tuple[LeftOut, ...]:
    """Groups of recordings given by masks, each with its reason; a recording counts in the first that holds it."""
    found: list[LeftOut] = []
    for mask, reason in groups:
        before = np.concatenate([each.rows for each in found]) if found else np.zeros(0, np.int64)
        rows = np.setdiff1d(np.flatnonzero(mask), before)
        if rows.size:
            found.append(LeftOut(rows, reason))
    return tuple(found)


def gaps(
    folds: Iterable[Fold], labels: Shaped[np.ndarray, " n"], classes: Sequence[str], row: str = "recording"
) -> tuple[str, ...]:
    """Sentences on classes that a validation or test side lacks, for splits whose sides are not ours to draw.

    Raises:
        SplitError: a training side lacks a class, which then cannot be learnt, or a side is empty.
    """
    told = []
    for k, fold in enumerate(folds):
        for side, rows in fold.sides():
            missing = [name for i, name in enumerate(classes) if not np.any(labels[rows] == i)]
            if len(missing) == len(classes):
                raise SplitError(f"fold {k}: the {side} side has no {row}")
            if missing and side == "train":
                raise SplitError(
                    f"fold {k}: the training side has no {row} of {', '.join(missing)}, which can then not be "
                    "learnt; use more data, another split, or a task that merges the rare classes"
                )
            if missing:
                told.append(f"Fold {k}: the {side} side has no {row} of {', '.join(missing)}.")
    return tuple(told)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 5 else f"{len(names)} of them"
