"""A split by recording, which leaks: for the leakage audit, and for nothing else.

How much of a published score is the patient's voice rather than the patient's lungs is measured by training the same
network once as it should be and once like this (Kapoor & Narayanan, "Leakage and the reproducibility crisis in
machine-learning-based science", Patterns 4, 2023). Nothing here is a Fold or a Split, and no attribute is named like
theirs: what trains, tunes or reports cannot take it for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Shaped

from jaxresp.splits.fold import SplitError


@dataclass(frozen=True)
class LeakingFold:
    """One division of recordings, with patients on both sides.

    Attributes:
        leaking_train: rows that would be fitted on, ascending.
        leaking_test: rows that would be tested, ascending.
    """

    leaking_train: Int64[np.ndarray, " n_train"]
    leaking_test: Int64[np.ndarray, " n_test"]


@dataclass(frozen=True)
class LeakingSplit:
    """Folds by recording.

    Attributes:
        leaking_folds: each recording is tested in exactly one.
        share_with_own_patient_in_train: of all recordings, how many are tested by a network that trained on their
            patient.
    """

    leaking_folds: tuple[LeakingFold, ...]
    share_with_own_patient_in_train: float


def leaking_split_for_the_leakage_audit(
    recordings: Shaped[np.ndarray, " n"],
    patients: Shaped[np.ndarray, " n"],
    labels: Shaped[np.ndarray, " n"],
    *,
    n_folds: int = 3,
    seed: int = 0,
) -> LeakingSplit:
    """Recordings of every class dealt out over folds as if each had a patient of its own, as many papers do.

    The result depends on the recordings' names and the seed, not on the order of the rows.

    Args:
        recordings: the name of each recording, unique.
        patients: the patient of each.
        labels: the class of each.
        n_folds: number of folds.
        seed: of the dealing.

    Raises:
        SplitError: nothing to split, fewer than two folds, a name twice, or a corpus in which nobody was recorded
            twice: there nothing can leak, and nothing is to be audited.
    """
    _check_dealable(recordings, n_folds)
    if len(np.unique(patients)) == len(recordings):
        raise SplitError("every patient has one recording: a split by recording does not leak, there is no audit to do")
    rng = np.random.default_rng(seed)
    fold_of = np.empty(len(recordings), np.int64)
    by_name = np.argsort(recordings, kind="stable")
    dealt = 0
    for label in np.unique(labels):
        rows = rng.permutation(by_name[labels[by_name] == label])
        fold_of[rows] = (np.arange(len(rows)) + dealt) % n_folds
        dealt += len(rows)
    folds = tuple(LeakingFold(np.flatnonzero(fold_of != k), np.flatnonzero(fold_of == k)) for k in range(n_folds))
    known = sum(int(np.isin(patients[f.leaking_test], patients[f.leaking_train]).sum()) for f in folds)
    return LeakingSplit(folds, known / len(recordings))


def _check_dealable(recordings: Sequence[str] | np.ndarray, n_folds: int) -> None:
    """Refuse what cannot be dealt out.

    Raises:
        SplitError: saying why.
    """
    if n_folds < 2 or len(recordings) < n_folds:
        raise SplitError(f"{len(recordings)} recordings cannot be dealt out over {n_folds} folds; it takes two or more")
    if len(set(np.asarray(recordings).tolist())) != len(recordings):
        raise SplitError("a recording's name stands twice; names tell recordings apart here")
