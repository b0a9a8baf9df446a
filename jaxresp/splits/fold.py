"""One division of a corpus into training, validation and test, and how it is counted and proved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Shaped

from jaxresp.errors import JaxrespError

SIDES = ("train", "validation", "test")


class SplitError(JaxrespError):
    """The recordings cannot be split as asked."""


class PatientLeak(SplitError):
    """A patient stands on two sides of a split."""


@dataclass(frozen=True)
class Fold:
    """One division of the corpus.

    Attributes:
        train: rows (recordings of the corpus) that weights and statistics are fitted on, ascending.
        validation: rows that stop the training and choose settings.
        test: rows that are read once, after every choice.
    """

    train: Int64[np.ndarray, " n_train"]
    validation: Int64[np.ndarray, " n_validation"]
    test: Int64[np.ndarray, " n_test"]

    def sides(self) -> tuple[tuple[str, Int64[np.ndarray, " _"]], ...]:
        """The three sides with their names."""
        return tuple((name, getattr(self, name)) for name in SIDES)

    def within(self, rows: Int64[np.ndarray, " chosen"]) -> Fold:
        """The same division, told in the rows of the corpus that these recordings were chosen from."""
        return Fold(*(rows[side] for _, side in self.sides()))


def tested_rows(folds: Iterable[Fold]) -> Int64[np.ndarray, " tested"]:
    """The rows that some fold tests, ascending."""
    return np.sort(np.concatenate([fold.test for fold in folds]))


def shared_patients(fold: Fold, patients: Shaped[np.ndarray, " n"]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The patients who stand on two sides of a fold, for every pair of sides."""
    on = {name: {str(patient) for patient in patients[rows]} for name, rows in fold.sides()}
    pairs = (("train", "validation"), ("train", "test"), ("validation", "test"))
    return {(a, b): tuple(sorted(on[a] & on[b])) for a, b in pairs}


def assert_disjoint(fold: Fold, patients: Shaped[np.ndarray, " n"]) -> None:
    """Prove that no patient stands on two sides of a fold.

    Raises:
        PatientLeak: naming the patients and the sides.
    """
    for (a, b), both in shared_patients(fold, np.asarray(patients)).items():
        if both:
            raise PatientLeak(
                f"patients {', '.join(both[:10])}{' …' if len(both) > 10 else ''} stand in {a} and in {b}; "
                "split by patient, for example with grouped_stratified_folds"
            )


def describe(
    folds: Iterable[Fold], patients: Shaped[np.ndarray, " n"], labels: Shaped[np.ndarray, " n"], classes: Sequence[str]
) -> list[dict[str, int | str]]:
    """What lies on every side of every fold, counted from the rows: one table row per fold and side.

    Args:
        folds: the folds.
        patients: the patient of each recording.
        labels: indices into `classes`.
        classes: class names.

    Returns:
        rows with the keys fold, side, patients, recordings, then "<class> patients" and "<class> recordings" for
        every class, and "shared patients": how many of the side's patients stand on another side of the same fold
        (0, or the split is wrong).
    """
    patients, labels = np.asarray(patients), np.asarray(labels)
    rows = []
    for k, fold in enumerate(folds):
        for side, index in fold.sides():
            here = set(patients[index])
            elsewhere = {patient for other, them in fold.sides() if other != side for patient in patients[them]}
            row: dict[str, int | str] = {"fold": k, "side": side, "patients": len(here), "recordings": len(index)}
            for i, name in enumerate(classes):
                of_class = index[labels[index] == i]
                row[f"{name} patients"] = len(set(patients[of_class]))
                row[f"{name} recordings"] = len(of_class)
            row["shared patients"] = len(here & elsewhere)
            rows.append(row)
    return rows
