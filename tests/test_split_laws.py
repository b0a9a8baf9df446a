"""Laws of every split: disjoint, complete, deaf to the order of rows, counted right; and a planted leak is found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxresp.splits import (
    Fold,
    LeftOut,
    PatientLeak,
    Split,
    SplitError,
    children_single_channel,
    cross_validation,
    icbhi_official,
    leave_one_corpus_out,
    sprsound_official,
)
from jaxresp.splits.leaking import leaking_split_for_the_leakage_audit
from jaxresp.splits.published import ICBHI_OVERLAP
from jaxresp.sweep import Problem

CLASSES = ("Normal", "Abnormal")
Columns = dict[str, np.ndarray]

MAKERS: dict[str, Callable[[Columns], Split]] = {
    "folds": lambda c: cross_validation(*who(c)),
    "icbhi-official": lambda c: icbhi_official(*who(c), c["icbhi"]),
    "icbhi-official-corrected-train": lambda c: icbhi_official(*who(c), c["icbhi"], removed_from="train"),
    "icbhi-official-corrected-test": lambda c: icbhi_official(*who(c), c["icbhi"], removed_from="test"),
    "children-single-channel": lambda c: children_single_channel(*who(c), c["age_years"], c["mode"]),
    "sprsound-official": lambda c: sprsound_official(*who(c), c["sprsound"], c["recording"]),
    "sprsound-inter": lambda c: sprsound_official(*who(c), c["sprsound"], c["recording"], test="inter"),
    "sprsound-intra": lambda c: sprsound_official(*who(c), c["sprsound"], c["recording"], test="intra"),
    "leave-one-corpus-out": lambda c: leave_one_corpus_out(*who(c), c["corpus"]),
}
OVERLAPPING = {"icbhi-official", "sprsound-official", "sprsound-intra"}
every_split = pytest.mark.parametrize("name", MAKERS)


def who(c: Columns) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    return c["patient"], c["label"], CLASSES


@st.composite
def corpora(draw) -> Columns:
    """Recordings with every column that some split reads, rich enough for all of them and in any order of rows.

    The first patients are those of ICBHI's overlap, with recordings in both halves; the rest have one half each.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(36, 60))
    counts = rng.integers(1, 6, n)
    counts[:2] = 4
    owner = np.repeat(np.arange(n), counts)
    names = np.array([*ICBHI_OVERLAP, *(f"{300 + i}" for i in range(n - 2))])
    half = np.where(np.arange(n) // 2 % 3 == 0, "test", "train")[owner]
    place = np.concatenate([np.arange(count) for count in counts])
    half = np.where(owner < 2, np.where(place < 2, "train", "test"), half)
    seen = np.arange(n) // 2 % 3 > 0
    intra = seen[owner] & (place > 1)
    age = np.where(np.arange(n) // 2 % 2, rng.integers(1, 17, n), rng.integers(15, 80, n)).astype(np.float32)
    age[rng.random(n) < 0.05] = np.nan
    columns = {
        "recording": np.array([f"r{i:04d}" for i in range(len(owner))]),
        "patient": names[owner],
        "label": (np.arange(n) % 2)[owner].astype(np.int32),
        "icbhi": half,
        "sprsound": np.where(intra, "intra_test", np.where(seen[owner], "train", "inter_test")),
        "corpus": np.array(["icbhi", "kauh", "sprsound"])[np.arange(n) // 2 % 3][owner],
        "age_years": age[owner],
        "mode": np.where(rng.random(len(owner)) < 0.1, "mc", "sc"),
    }
    return shuffled(columns, rng)


def shuffled(columns: Columns, rng: np.random.Generator) -> Columns:
    order = rng.permutation(len(columns["recording"]))
    return {name: column[order] for name, column in columns.items()}


def made(name: str, columns: Columns) -> Split:
    """The split, or no example: some draw leaves a class with too few children."""
    try:
        return MAKERS[name](columns)
    except SplitError as error:
        assert name == "children-single-channel" and "too few patients" in str(error), error
        return MAKERS["folds"](columns)


def places(split: Split) -> list[dict[str, np.ndarray]]:
    """Rows by side, of every fold, those left out by their reason."""
    aside = {each.reason: each.rows for each in split.left_out}
    return [{**dict(fold.sides()), **aside} for fold in split.folds]


@every_split
@settings(deadline=None, max_examples=12)
@given(columns=corpora())
def test_every_recording_has_one_place_and_no_patient_two(name, columns):
    split = made(name, columns)
    everybody = np.arange(len(columns["patient"]))
    assert split.kind == ("published_overlap" if split.name in OVERLAPPING else "patient_disjoint")
    for here in places(split):
        np.testing.assert_array_equal(np.sort(np.concatenate(list(here.values()))), everybody)
        on = {side: set(columns["patient"][here[side]].tolist()) for side in ("train", "validation", "test")}
        assert not on["train"] & on["validation"]
        both = (on["train"] | on["validation"]) & on["test"]
        assert both == set(split.overlap)
        assert bool(both) == (split.name in OVERLAPPING)
        assert all(here[side].size for side in on)
        for side in on:
            np.testing.assert_array_equal(here[side], np.sort(here[side]))
    if len(split.folds) == 1:
        np.testing.assert_array_equal(split.fitted, np.setdiff1d(everybody, [*split.tested, *aside_rows(split)]))
    else:
        np.testing.assert_array_equal(split.fitted, np.setdiff1d(everybody, aside_rows(split)))
        np.testing.assert_array_equal(split.tested, split.fitted)


def aside_rows(split: Split) -> list[int]:
    return [row for each in split.left_out for row in each.rows.tolist()]


@every_split
@settings(deadline=None, max_examples=8)
@given(columns=corpora(), seed=st.integers(0, 99))
def test_the_order_of_rows_does_not_matter(name, columns, seed):
    other = shuffled(columns, np.random.default_rng(seed))
    for a, b in zip(places(made(name, columns)), places(made(name, other)), strict=True):
        assert {side: set(columns["recording"][rows]) for side, rows in a.items()} == {
            side: set(other["recording"][rows]) for side, rows in b.items()
        }


@every_split
@settings(deadline=None, max_examples=8)
@given(columns=corpora())
def test_the_proof_is_a_recount(name, columns):
    split = made(name, columns)
    rows = iter(split.proof)
    for k, here in enumerate(places(split)):
        for side in ("train", "validation", "test"):
            told = next(rows)
            mine = [(columns["patient"][r], int(columns["label"][r])) for r in here[side]]
            assert (told["fold"], told["side"], told["recordings"]) == (k, side, len(mine))
            assert told["patients"] == len({patient for patient, _ in mine})
            for i, label in enumerate(CLASSES):
                assert told[f"{label} recordings"] == sum(own == i for _, own in mine)
                assert told[f"{label} patients"] == len({patient for patient, own in mine if own == i})
            if name not in OVERLAPPING:
                assert told["shared patients"] == 0
    assert next(rows, None) is None


@settings(deadline=None, max_examples=8)
@given(columns=corpora())
def test_what_is_left_out_has_its_reason(columns):
    for half in ("train", "test"):
        (aside,) = icbhi_official(*who(columns), columns["icbhi"], removed_from=half).left_out
        theirs = np.isin(columns["patient"], ICBHI_OVERLAP) & (columns["icbhi"] == half)
        np.testing.assert_array_equal(aside.rows, np.flatnonzero(theirs))
    for test, other in (("inter", "intra_test"), ("intra", "inter_test")):
        (aside,) = sprsound_official(*who(columns), columns["sprsound"], columns["recording"], test=test).left_out
        np.testing.assert_array_equal(aside.rows, np.flatnonzero(columns["sprsound"] == other))
    split = made("children-single-channel", columns)
    for each in split.left_out:
        ages, modes = columns["age_years"][each.rows], columns["mode"][each.rows]
        holds = {
            "age not known": np.isnan(ages),
            "older than 16 years": ages > 16,
            "not recorded with a single channel": (ages <= 16) & (modes != "sc"),
        }
        assert holds[each.reason].all()


@every_split
@settings(deadline=None, max_examples=8)
@given(columns=corpora(), data=st.data())
def test_a_planted_leak_is_found_when_made_and_when_used(name, columns, data):
    """One recording of a patient moved to another side: no such Split can be made, whatever its kind."""
    split = made(name, columns)
    k = data.draw(st.integers(0, len(split.folds) - 1))
    fold = split.folds[k]
    several = [
        (side, row)
        for side, rows in fold.sides()
        for row in rows.tolist()
        if np.sum(columns["patient"][rows] == columns["patient"][row]) > 1
        and columns["patient"][row] not in split.overlap
    ]
    side, row = data.draw(st.sampled_from(several))
    target = data.draw(st.sampled_from([other for other in ("train", "validation", "test") if other != side]))
    moved = dataclasses.replace(
        fold,
        **{side: np.setdiff1d(getattr(fold, side), [row]), target: np.append(getattr(fold, target), row)},
    )
    leaky = (*split.folds[:k], moved, *split.folds[k + 1 :])
    if len({r for f in leaky for r in f.test.tolist()}) == sum(len(f.test) for f in leaky):
        with pytest.raises(PatientLeak, match=str(columns["patient"][row])):
            dataclasses.replace(split, folds=leaky)
    else:
        with pytest.raises(SplitError):
            dataclasses.replace(split, folds=leaky)
    object.__setattr__(split, "folds", leaky)  # altered behind its back: whoever uses it asks again
    with pytest.raises(SplitError):
        split.assert_proven(columns["patient"])


def corpus(n: int = 24) -> Columns:
    return {
        "patient": np.array([f"{300 + i // 2}" for i in range(2 * n)]),
        "label": np.repeat(np.arange(n) % 2, 2).astype(np.int32),
        "recording": np.array([f"r{i:03d}" for i in range(2 * n)]),
    }


def test_a_split_is_for_the_recordings_it_was_made_for():
    split = cross_validation(*who(corpus()))
    with pytest.raises(SplitError, match="48 other recordings than these 40"):
        split.assert_proven(corpus(20)["patient"])
    with pytest.raises(SplitError, match="other recordings"):
        split.assert_proven(corpus()["patient"][::-1])


def test_a_recording_without_a_place_or_with_two_is_refused():
    split = cross_validation(*who(corpus()))
    fold = split.folds[0]
    with pytest.raises(SplitError, match="48 recordings, but 47 places"):
        dataclasses.replace(split, folds=(dataclasses.replace(fold, train=fold.train[1:]),))
    with pytest.raises(SplitError, match=r"48 recordings, but 49 places .* for 48 different"):
        dataclasses.replace(split, left_out=(LeftOut(fold.train[:1], "twice"),))
    with pytest.raises(SplitError, match="tested in two folds"):
        dataclasses.replace(split, folds=(fold, fold))


def test_only_the_published_overlap_is_let_through():
    c = corpus()
    official = np.where(np.arange(48) // 2 % 4 < 2, "test", "train")
    official[0] = "train"  # patient 300 now is in both halves, and was not published so
    with pytest.raises(PatientLeak, match="patients 300 stand in both halves"):
        icbhi_official(*who(c), official)
    sides = np.where(official == "test", "inter_test", "train")
    with pytest.raises(PatientLeak, match="300"):
        sprsound_official(*who(c), sides, c["recording"])
    with pytest.raises(PatientLeak, match="300"):
        leave_one_corpus_out(*who(c), official)
    with pytest.raises(SplitError, match="156 are on both sides, but they are not"):
        dataclasses.replace(cross_validation(*who(c)), kind="published_overlap", overlap=("156",))


def test_what_no_publisher_divided_is_not_guessed():
    c = corpus()
    for sides in (np.full(48, ""), np.where(np.arange(48) < 40, "train", "")):
        with pytest.raises(SplitError, match=r"of 48 recordings have no published side \(''"):
            icbhi_official(*who(c), sides)
    with pytest.raises(SplitError, match="two corpora; this is icbhi alone"):
        leave_one_corpus_out(*who(c), np.full(48, "icbhi"))
    with pytest.raises(SplitError, match="no recording is of a child"):
        children_single_channel(*who(c), np.full(48, np.nan, np.float32), np.full(48, "sc"))


def test_a_class_that_training_lacks_stops_it_and_one_that_testing_lacks_is_said():
    c = corpus()
    no_normal = np.where(c["label"] == 0, "test", "train")
    no_normal[-2:] = "test"
    with pytest.raises(SplitError, match="training side has no recording of Normal"):
        icbhi_official(*who(c), no_normal)
    no_abnormal_tested = np.where((c["label"] == 0) & (np.arange(48) < 12), "test", "train")
    split = icbhi_official(*who(c), no_abnormal_tested)
    assert "Fold 0: the test side has no recording of Abnormal." in split.sentences


def test_the_duplicate_of_sprsound_is_named_where_both_are_used():
    c = corpus()
    sides = np.where(np.arange(48) // 2 % 4 < 2, "inter_test", "train")
    sides[5] = "intra_test"
    c["recording"] = c["recording"].astype("<U30")
    c["recording"][4], c["recording"][5] = "41279835_14.1_0_p1_2945", "41279835_14.1_0_p1_2050"
    for test, named in (("both", True), ("intra", True), ("inter", False)):
        said = " ".join(sprsound_official(*who(c), sides, c["recording"], test=test).sentences)
        assert ("41279835_14.1_0_p1_2945 = 41279835_14.1_0_p1_2050" in said) == named


@settings(deadline=None, max_examples=12)
@given(columns=corpora(), n_folds=st.integers(2, 5), seed=st.integers(0, 99))
def test_the_leaking_split_deals_recordings_and_says_how_much_it_leaks(columns, n_folds, seed):
    how: dict[str, Any] = {"n_folds": n_folds, "seed": seed}
    split = leaking_split_for_the_leakage_audit(columns["recording"], columns["patient"], columns["label"], **how)
    everybody, leaked = np.arange(len(columns["patient"])), 0
    for fold in split.leaking_folds:
        rows = np.concatenate([fold.leaking_train, fold.leaking_test])
        np.testing.assert_array_equal(np.sort(rows), everybody)
        trained = set(columns["patient"][fold.leaking_train].tolist())
        leaked += sum(patient in trained for patient in columns["patient"][fold.leaking_test].tolist())
    tested = np.concatenate([fold.leaking_test for fold in split.leaking_folds])
    np.testing.assert_array_equal(np.sort(tested), everybody)
    assert split.share_with_own_patient_in_train == leaked / len(everybody) > 0.3
    other = shuffled(columns, np.random.default_rng(seed))
    again = leaking_split_for_the_leakage_audit(other["recording"], other["patient"], other["label"], **how)
    for a, b in zip(split.leaking_folds, again.leaking_folds, strict=True):
        assert set(columns["recording"][a.leaking_test]) == set(other["recording"][b.leaking_test])


def test_the_leaking_split_cannot_be_taken_for_a_split():
    c = corpus()
    leaking = leaking_split_for_the_leakage_audit(c["recording"], c["patient"], c["label"])
    names = {f.name for f in dataclasses.fields(leaking)} | {
        f.name for f in dataclasses.fields(leaking.leaking_folds[0])
    }
    assert not names & {f.name for kind in (Split, Fold) for f in dataclasses.fields(kind)}
    with pytest.raises(Exception, match="LeakingSplit"):
        Problem("leak", None, c["label"], None, None, None, leaking)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="LeakingFold"):
        dataclasses.replace(cross_validation(*who(c)), folds=leaking.leaking_folds)
    with pytest.raises(SplitError, match="does not leak"):
        leaking_split_for_the_leakage_audit(c["recording"], c["recording"], c["label"])
