"""Whole patients dealt out over folds, every class on every side.

Recordings of one patient sound alike, so a patient who stands on two sides is an answer told beforehand: in the
published baselines up to 94 % of the test recordings had their own patient in training. Everything here therefore
deals out whole patients, and says so again when it is done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, Shaped

from jaxresp.splits.fold import Fold, SplitError, assert_disjoint

VALIDATION_FRACTION = 0.25
"""Share of the patients not tested, of every class, that stops the training and chooses settings."""


def grouped_stratified_folds(
    patients: Shaped[np.ndarray, " n"],
    labels: Shaped[np.ndarray, " n"],
    *,
    n_folds: int = 3,
    validation_fraction: float = VALIDATION_FRACTION,
    seed: int = 0,
    classes: Sequence[str] | None = None,
) -> tuple[Fold, ...]:
    """Deal the patients of every class out over the folds' test sides, and the rest over training and validation.

    Within a class the test sides differ by at most one patient; among the dealings that keep this, patients with
    many recordings go where the class has fewest so far (longest-processing-time rule, Graham 1969), so that
    recordings are balanced as well as whole patients allow. A patient whose recordings carry several classes counts
    for the rarest of them. The result depends on the patients' names and the seed, not on the order of the rows.

    Args:
        patients: the patient of each recording.
        labels: the class of each recording; indices into `classes` when that is given.
        n_folds: number of folds; every recording is tested in exactly one.
        validation_fraction: share of a fold's remaining patients of each class that validate (at least one, and
            at least one stays in training).
        seed: breaks ties and chooses the validation patients.
        classes: class names; every one of them must then be present.

    Returns:
        `n_folds` folds.

    Raises:
        SplitError: some side would lack a class; names the class and counts its patients.
    """
    patients, labels = np.asarray(patients), np.asarray(labels)
    _check_arguments(len(patients), n_folds, validation_fraction)
    names = _class_names(labels, classes)
    strata = _strata(patients, labels)
    _check_enough_patients(strata.n_of, names, n_folds)

    rng = np.random.default_rng(seed)
    test_fold = _deal(strata, n_folds, rng)
    folds = []
    for k in range(n_folds):
        validates = _choose_validation(strata, test_fold != k, validation_fraction, rng)
        side = np.where(test_fold == k, 2, np.where(validates, 1, 0))[strata.row_patient]
        fold = Fold(*(np.flatnonzero(side == s).astype(np.int64) for s in range(3)))
        assert_disjoint(fold, patients)
        _assert_every_class_everywhere(fold, labels, names, k)
        folds.append(fold)
    tested = np.sort(np.concatenate([fold.test for fold in folds]))
    if not np.array_equal(tested, np.arange(len(patients))):
        raise SplitError("the test sides do not partition the recordings; this is a fault of the program, report it")
    return tuple(folds)


def train_and_validation(
    patients: Shaped[np.ndarray, " n"],
    labels: Shaped[np.ndarray, " n"],
    rows: Int64[np.ndarray, " given"],
    *,
    validation_fraction: float = VALIDATION_FRACTION,
    seed: int = 0,
) -> tuple[Int64[np.ndarray, " n_train"], Int64[np.ndarray, " n_validation"]]:
    """Divide the training rows of a published split by patient, as a fold's remaining patients are divided.

    A class of one patient stays in training. The result depends on the patients' names and the seed, not on the order
    of the rows.

    Args:
        patients: the patient of each recording of the corpus.
        labels: the class of each.
        rows: those to divide, ascending.
        validation_fraction: share of the patients of each class that validate.
        seed: chooses them.

    Raises:
        SplitError: nobody is left to validate.
    """
    _check_arguments(len(rows), 2, validation_fraction)
    strata = _strata(patients[rows], labels[rows])
    rng = np.random.default_rng(seed)
    everybody = np.ones(len(strata.stratum), dtype=bool)
    validates = _choose_validation(strata, everybody, validation_fraction, rng)[strata.row_patient]
    if not validates.any():
        raise SplitError(
            f"{len(strata.stratum)} patients of {len(strata.n_of)} classes are left to train and to validate: "
            "at least one class needs two of them; use more data, or a task that merges the rare classes"
        )
    return rows[~validates], rows[validates]


def _check_arguments(n_recordings: int, n_folds: int, validation_fraction: float) -> None:
    if n_recordings == 0:
        raise SplitError("there are no recordings to split")
    if n_folds < 2:
        raise SplitError(
            f"n_folds is {n_folds}; it takes 2 for every recording to be tested by a model that never saw it"
        )
    if not 0 < validation_fraction < 1:
        raise SplitError(f"validation_fraction is {validation_fraction}; it must lie between 0 and 1")


def _class_names(labels: Shaped[np.ndarray, " n"], classes: Sequence[str] | None) -> dict[object, str]:
    if classes is None:
        return {label: str(label) for label in np.unique(labels).tolist()}
    return dict(enumerate(classes))


class _Strata(NamedTuple):
    """The patients of some recordings, by the order of their names.

    Attributes:
        row_patient: which of them each recording is of.
        recordings: how many each has.
        stratum: the class each counts for: the rarest that his recordings carry.
        n_of: how many patients carry each class.
    """

    row_patient: Int64[np.ndarray, " rows"]
    recordings: Int64[np.ndarray, " patients"]
    stratum: list[object]
    n_of: Counter[object]


def _strata(patients: Shaped[np.ndarray, " n"], labels: Shaped[np.ndarray, " n"]) -> _Strata:
    who, row_patient = np.unique(patients, return_inverse=True)
    carried: list[set[object]] = [set() for _ in who]
    for patient, label in zip(row_patient.tolist(), labels.tolist(), strict=True):
        carried[patient].add(label)
    n_of = Counter(label for own in carried for label in own)
    stratum = [min(own, key=lambda label: (n_of[label], str(label))) for own in carried]
    return _Strata(row_patient, np.bincount(row_patient, minlength=len(who)), stratum, n_of)


def _check_enough_patients(n_of: Counter[object], names: dict[object, str], n_folds: int) -> None:
    """Every test side needs a patient of every class, and two more must remain to train and validate."""
    needed = n_folds if n_folds > 2 else 4  # with two folds, two of three patients may share a test side
    short = [f"{name} has {n_of[label]}" for label, name in names.items() if n_of[label] < needed]
    if short:
        counts = ", ".join(f"{name} {n_of[label]}" for label, name in names.items())
        raise SplitError(
            f"too few patients for {n_folds} folds: {', '.join(short)}, and every class needs {needed} patients "
            f"so that each of training, validation and test has one (patients per class: {counts}). "
            "Use more data, fewer folds (not under 3), or a task that merges the rare classes"
        )


def _deal(strata: _Strata, n_folds: int, rng: np.random.Generator) -> Int64[np.ndarray, " patients"]:
    """The fold that tests each patient."""
    stratum, recordings = strata.stratum, strata.recordings
    fold_of = np.full(len(stratum), -1, dtype=np.int64)
    total_patients = np.zeros(n_folds, dtype=np.int64)
    total_recordings = np.zeros(n_folds, dtype=np.int64)
    n_of = Counter(stratum)
    for label in sorted(n_of, key=lambda label: (n_of[label], str(label))):
        members = rng.permutation([p for p, own in enumerate(stratum) if own == label])
        members = members[np.argsort(-recordings[members], kind="stable")]
        floor, extras = divmod(len(members), n_folds)
        class_patients = np.zeros(n_folds, dtype=np.int64)
        class_recordings = np.zeros(n_folds, dtype=np.int64)
        tie = rng.random(n_folds)
        for patient in members:
            extras_left = extras - np.sum(class_patients > floor)
            room = class_patients < floor + (1 if extras_left > 0 else 0)
            order = np.lexsort((tie, total_recordings, total_patients, class_recordings))
            k = next(int(fold) for fold in order if room[fold])
            fold_of[patient] = k
            class_patients[k] += 1
            class_recordings[k] += recordings[patient]
            total_patients[k] += 1
            total_recordings[k] += recordings[patient]
    return fold_of


def _choose_validation(
    strata: _Strata,
    available: Shaped[np.ndarray, " patients"],
    fraction: float,
    rng: np.random.Generator,
) -> Shaped[np.ndarray, " patients"]:
    """Which patients validate: a systematic sample of each class over its patients ordered by number of recordings,
    so that neither the most nor the least recorded patients gather on one side.
    """
    stratum, recordings = strata.stratum, strata.recordings
    chosen = np.zeros(len(stratum), dtype=bool)
    for label in sorted(set(stratum), key=str):
        own_patients = [p for p, own in enumerate(stratum) if own == label and available[p]]
        members = rng.permutation(np.array(own_patients, dtype=np.int64))  # none, where all of them are tested
        members = members[np.argsort(-recordings[members], kind="stable")]
        if len(members) < 2:  # only among patients of several classes; the check at the end decides whether it matters
            continue
        count = int(np.clip(round(fraction * len(members)), 1, len(members) - 1))
        positions = ((np.arange(count) + rng.random()) * len(members) / count).astype(np.int64)
        chosen[members[positions]] = True
    return chosen


def _assert_every_class_everywhere(
    fold: Fold, labels: Shaped[np.ndarray, " n"], names: dict[object, str], k: int
) -> None:
    for side, rows in fold.sides():
        missing = [name for label, name in names.items() if label not in set(labels[rows].tolist())]
        if missing:
            raise SplitError(
                f"fold {k}: the {side} side has no recording of {', '.join(missing)}; "
                "use fewer folds, more data, or a task that merges the rare classes"
            )
