"""The splits that the publishers of a corpus drew, with what is wrong in them said, and put right where asked.

ICBHI's challenge split (Rocha et al., "An open access database for the evaluation of respiratory sound classification
algorithms", Physiol. Meas. 40, 2019) has two patients on both sides. SPRSound (Zhang et al., "SPRSound: Open-source
SJTU paediatric respiratory sound database", IEEE TBioCAS 16, 2022) has two test sides, one of them of patients of the
training side, on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Shaped

from jaxresp.corpus import recording_of
from jaxresp.splits.fold import Fold, PatientLeak, SplitError, shared_patients
from jaxresp.splits.grouped import VALIDATION_FRACTION, train_and_validation
from jaxresp.splits.split import LeftOut, Split, gaps, left_out

ICBHI_OVERLAP = ("156", "218")
"""The patients who stand on both sides of ICBHI's published split."""

SPRSOUND_DUPLICATE = ("41279835_14.1_0_p1_2945", "41279835_14.1_0_p1_2050")
"""One sound under two names: the first in SPRSound's training side, the second in its intra-patient test."""


def icbhi_official(
    patients: Shaped[np.ndarray, " n"],
    labels: Shaped[np.ndarray, " n"],
    classes: Sequence[str],
    official: Shaped[np.ndarray, " n"],
    *,
    removed_from: Literal["train", "test"] | None = None,
    validation_fraction: float = VALIDATION_FRACTION,
    seed: int = 0,
    row: str = "recording",
) -> Split:
    """ICBHI's split for the challenge: one fold, its validation patients drawn from the training half.

    Args:
        patients: the patient of each recording.
        labels: the class of each; indices into `classes`.
        classes: class names.
        official: the published side of each, "train" or "test".
        removed_from: the half from which the patients of both halves are left out; None keeps the split as published.
        validation_fraction: share of the training half's patients of each class that validate.
        seed: chooses them.
        row: what is divided, for the sentences: recordings, or cycles or events.

    Raises:
        SplitError: a recording has no published side, or the training side would lack a class.
        PatientLeak: other patients than the published two are on both sides, so the file of the split was altered.
    """
    _check_sides(official, ("train", "test"), "ICBHI_challenge_train_test.txt")
    names = patients.astype(str)
    both = sorted(set(names[official == "train"]) & set(names[official == "test"]))
    strangers = [name for name in both if name not in ICBHI_OVERLAP]
    if strangers:
        raise PatientLeak(
            f"patients {', '.join(strangers[:10])} stand in both halves of the official split, where only "
            f"{' and '.join(ICBHI_OVERLAP)} were published so; restore ICBHI_challenge_train_test.txt and prepare again"
        )
    if removed_from is None:
        aside = left_out()
        name, sentences = "icbhi-official", [_overlap_sentence(both, names, official, row)]
    else:
        half = {"train": "training", "test": "test"}[removed_from]
        reason = f"patients {' and '.join(ICBHI_OVERLAP)} are in both published halves; left out of the {half} half"
        aside = left_out((np.isin(names, both) & (official == removed_from), reason))
        name, sentences = f"icbhi-official-corrected-{removed_from}", [f"ICBHI's published split, corrected: {reason}."]
    return _one_fold(
        name,
        patients,
        labels,
        classes,
        aside,
        official,
        ("test",),
        sentences,
        overlapping=removed_from is None,
        validation_fraction=validation_fraction,
        seed=seed,
        row=row,
    )


def sprsound_official(
    patients: Shaped[np.ndarray, " n"],
    labels: Shaped[np.ndarray, " n"],
    classes: Sequence[str],
    official: Shaped[np.ndarray, " n"],
    recordings: Shaped[np.ndarray, " n"],
    *,
    test: Literal["both", "inter", "intra"] = "both",
    validation_fraction: float = VALIDATION_FRACTION,
    seed: int = 0,
    row: str = "recording",
) -> Split:
    """SPRSound's split of 2022/2023: one fold, its validation patients drawn from the training side.

    Args:
        patients: the patient of each recording.
        labels: the class of each; indices into `classes`.
        classes: class names.
        official: the published side of each: "train", "inter_test" or "intra_test".
        recordings: the name of each.
        test: which test side: of new patients ("inter"), of patients of the training side ("intra"), or both, which
            the published scores are of. The other one is left out.
        validation_fraction: share of the training side's patients of each class that validate.
        seed: chooses them.
        row: what is divided, for the sentences: recordings, or cycles or events.

    Raises:
        SplitError: a recording has no published side, or the training side would lack a class.
        PatientLeak: a patient of the inter-patient test also trains, so the folders were mixed up.
    """
    _check_sides(official, ("train", "inter_test", "intra_test"), "the publisher's folders")
    names = patients.astype(str)
    leaked = sorted(set(names[official == "inter_test"]) & set(names[official != "inter_test"]))
    if leaked:
        raise PatientLeak(
            f"patients {', '.join(leaked[:10])} of the inter-patient test also stand on another side; "
            "restore the publisher's folders and prepare again"
        )
    sides = {"both": ("inter_test", "intra_test"), "inter": ("inter_test",), "intra": ("intra_test",)}[test]
    other = {"both": "", "inter": "intra_test", "intra": "inter_test"}[test]
    aside = left_out((official == other, f"of the publisher's {other.replace('_test', '-patient test')}"))
    sentences = []
    if "intra_test" in sides:
        of_seen = int(np.sum(np.isin(names, names[official == "train"]) & np.isin(official, sides)))
        sentences.append(
            f"SPRSound's intra-patient test is of patients who are trained on, as published: {of_seen} of the "
            f"{int(np.isin(official, sides).sum())} test {row}s."
        )
        if np.isin(SPRSOUND_DUPLICATE, [recording_of(each).rsplit(":", 1)[-1] for each in recordings.tolist()]).all():
            sentences.append(
                f"One recording is trained on and tested: {' = '.join(SPRSOUND_DUPLICATE)} "
                "(the same sound under two names)."
            )
    name = {"both": "sprsound-official", "inter": "sprsound-inter", "intra": "sprsound-intra"}[test]
    return _one_fold(
        name,
        patients,
        labels,
        classes,
        aside,
        official,
        sides,
        sentences,
        overlapping=test != "inter",
        validation_fraction=validation_fraction,
        seed=seed,
        row=row,
    )


def _one_fold(
    name: str,
    patients: Shaped[np.ndarray, " n"],
    labels: Shaped[np.ndarray, " n"],
    classes: Sequence[str],
    aside: tuple[LeftOut, ...],
    official: Shaped[np.ndarray, " n"],
    test_sides: Sequence[str],
    sentences: Sequence[str],
    *,
    overlapping: bool,
    validation_fraction: float,
    seed: int,
    row: str,
) -> Split:
    """The published sides as one fold, without the rows set aside."""
    used = np.ones(len(patients), bool)
    for each in aside:
        used[each.rows] = False
    test = np.flatnonzero(used & np.isin(official, test_sides))
    train, validation = train_and_validation(
        patients,
        labels,
        np.flatnonzero(used & (official == "train")),
        validation_fraction=validation_fraction,
        seed=seed,
    )
    fold = Fold(train, validation, test)
    told = gaps([fold], labels, classes, row)
    met = {who for (_, b), both in shared_patients(fold, patients).items() if b == "test" for who in both}
    return Split(
        name,
        "published_overlap" if overlapping else "patient_disjoint",
        patients,
        labels,
        tuple(classes),
        (fold,),
        aside,
        tuple(sorted(met)) if overlapping else (),
        (*sentences, *told),
        row,
    )


def _check_sides(official: Shaped[np.ndarray, " n"], known: Sequence[str], source: str) -> None:
    strange = official[~np.isin(official, known)]
    if strange.size:
        values = ", ".join(repr(value) for value in np.unique(strange).tolist()[:5])
        raise SplitError(
            f"{strange.size} of {official.size} recordings have no published side ({values} instead of "
            f"{', '.join(known)}); prepare the dataset with {source}"
        )


def _overlap_sentence(
    both: Sequence[str], names: Shaped[np.ndarray, " n"], official: Shaped[np.ndarray, " n"], row: str
) -> str:
    if not both:
        return (
            f"ICBHI's published split has patients {' and '.join(ICBHI_OVERLAP)} on both sides; "
            f"in the {row}s that are here, nobody is."
        )
    theirs = np.isin(names, both)
    them = f"Patients {' and '.join(both)} stand" if len(both) > 1 else f"Patient {both[0]} stands"
    return (
        f"{them} on both sides of ICBHI's published split: "
        f"{int(np.sum(theirs & (official == 'train')))} of the {int(np.sum(official == 'train'))} training and "
        f"{int(np.sum(theirs & (official == 'test')))} of the {int(np.sum(official == 'test'))} test {row}s are "
        "theirs."
    )
