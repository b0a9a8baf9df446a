"""Patient-disjoint splits of our own: over a whole corpus, a less confounded part of it, or several corpora."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped

from jaxresp.splits.fold import Fold, SplitError, assert_disjoint
from jaxresp.splits.grouped import VALIDATION_FRACTION, grouped_stratified_folds, train_and_validation
from jaxresp.splits.split import Split, gaps, left_out

CHILD_YEARS = 16.0  # every healthy patient of ICBHI is this old or younger


def cross_validation(
    patients: Shaped[np.ndarray, " n"],
    labels: Shaped[np.ndarray, " n"],
    classes: Sequence[str],
    *,
    n_folds: int = 3,
    validation_fraction: float = VALIDATION_FRACTION,
    seed: int = 0,
) -> Split:
    """Every recording tested once, in patient-disjoint folds with every class on every side.

    Args and errors are those of `grouped_stratified_folds`.
    """
    folds = grouped_stratified_folds(
        patients, labels, n_folds=n_folds, validation_fraction=validation_fraction, seed=seed, classes=classes
    )
    return Split("folds", "patient_disjoint", patients, labels, tuple(classes), folds)


def children_single_channel(
    patients: Shaped[np.ndarray, " n"],
    labels: Shaped[np.ndarray, " n"],
    classes: Sequence[str],
    age_years: Float[np.ndarray, " n"],
    mode: Shaped[np.ndarray, " n"],
    *,
    n_folds: int = 3,
    validation_fraction: float = VALIDATION_FRACTION,
    seed: int = 0,
) -> Split:
    """Cross-validation among the children who were recorded with one channel: ICBHI's least confounded cohort.

    All of ICBHI's healthy patients are children recorded with one channel and nearly all of its ill ones are not, so
    that age and equipment give the diagnosis away. Among these 26 healthy children and 23 with an infection they
    nearly do not (age alone AUROC .63).

    Args:
        patients: the patient of each recording.
        labels: the class of each; indices into `classes`.
        classes: class names.
        age_years: of the patient; NaN where it is not known.
        mode: "sc" or "mc".
        n_folds: number of folds.
        validation_fraction: share of a fold's remaining patients of each class that validate.
        seed: of the folds.

    Raises:
        SplitError: nobody belongs to the cohort, or too few patients of a class do.
    """
    aside = left_out(
        (np.isnan(age_years), "age not known"),
        (~(age_years <= CHILD_YEARS), f"older than {CHILD_YEARS:.0f} years"),
        (mode != "sc", "not recorded with a single channel"),
    )
    rows = np.flatnonzero((age_years <= CHILD_YEARS) & (mode == "sc"))
    if rows.size == 0:
        raise SplitError(
            f"no recording is of a child (≤ {CHILD_YEARS:.0f} years) with a single channel; "
            "use a corpus that tells ages and modes, such as ICBHI, or another split"
        )
    folds = grouped_stratified_folds(
        patients[rows],
        labels[rows],
        n_folds=n_folds,
        validation_fraction=validation_fraction,
        seed=seed,
        classes=classes,
    )
    count = ", ".join(
        f"{len(set(patients[rows][labels[rows] == i].tolist()))} {name}" for i, name in enumerate(classes)
    )
    return Split(
        "children-single-channel",
        "patient_disjoint",
        patients,
        labels,
        tuple(classes),
        tuple(fold.within(rows) for fold in folds),
        aside,
        sentences=(f"Only children (≤ {CHILD_YEARS:.0f} years) recorded with a single channel: {count} patients.",),
    )


def leave_one_corpus_out(
    patients: Shaped[np.ndarray, " n"],
    labels: Shaped[np.ndarray, " n"],
    classes: Sequence[str],
    corpus: Shaped[np.ndarray, " n"],
    *,
    validation_fraction: float = VALIDATION_FRACTION,
    seed: int = 0,
) -> Split:
    """One fold per corpus, which is tested by what the others taught; their patients also validate.

    Args:
        patients: the patient of each recording, told apart across corpora (see `jaxresp.corpus.combine`).
        labels: the class of each; indices into `classes`.
        classes: class names.
        corpus: the corpus each recording is of.
        validation_fraction: share of the training corpora's patients of each class that validate.
        seed: chooses them.

    Raises:
        SplitError: there is one corpus only, or the others lack a class.
        PatientLeak: a patient's name stands in two corpora.
    """
    names = np.unique(corpus)
    if len(names) < 2:
        raise SplitError(f"leaving one corpus out takes two corpora; this is {', '.join(names.tolist())} alone")
    folds = []
    for name in names:
        train, validation = train_and_validation(
            patients, labels, np.flatnonzero(corpus != name), validation_fraction=validation_fraction, seed=seed
        )
        fold = Fold(train, validation, np.flatnonzero(corpus == name))
        assert_disjoint(fold, patients)
        folds.append(fold)
    tests = ", ".join(f"fold {k} {name}" for k, name in enumerate(names.tolist()))
    return Split(
        "leave-one-corpus-out",
        "patient_disjoint",
        patients,
        labels,
        tuple(classes),
        tuple(folds),
        sentences=(f"Tested on a corpus that had no part in training: {tests}.", *gaps(folds, labels, classes)),
    )
