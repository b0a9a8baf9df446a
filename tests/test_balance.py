"""Laws of balancing. SMOTE is held against imbalanced-learn's, given the same draws."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import SMOTE
from sklearn.utils.class_weight import compute_class_weight

from jaxresp import balance
from jaxresp.balance import SingleExampleWarning, class_weights, even_order, smote


def rows(counts: list[int], seed: int = 0, windows_per_recording: int = 2, d: int = 4):  # type: ignore[no-untyped-def]
    """Features, labels and recordings of so many rows per class; no two rows are equal."""
    labels = np.repeat(np.arange(len(counts)), counts)
    features = np.random.default_rng(seed).normal(size=(len(labels), d)).astype(np.float32)
    recording = np.concatenate([100 * c + np.arange(count) // windows_per_recording for c, count in enumerate(counts)])
    return features, labels, recording


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_class_weights_weigh_classes_alike_and_rows_one_on_average(labels: list[int]) -> None:
    y = np.array(labels)
    weights = class_weights(y, 5)
    present = np.unique(y)
    totals = np.array([weights[y[y == c]].sum() for c in present])
    np.testing.assert_allclose(totals, totals[0], rtol=1e-5)
    assert weights[y].mean() == pytest.approx(1.0, rel=1e-5)
    np.testing.assert_allclose(weights[present], compute_class_weight("balanced", classes=present, y=y), rtol=1e-6)
    assert (np.delete(weights, present) == 0).all()


@settings(deadline=None)
@given(counts=st.lists(st.integers(2, 12), min_size=2, max_size=4), seed=st.integers(0, 99))
def test_smote_makes_classes_equal_and_lies_on_segments_within_a_class(counts: list[int], seed: int) -> None:
    features, labels, recording = rows(counts, seed)
    made, made_labels = smote(features, labels, recording, seed=seed)
    assert made.dtype == np.float32
    assert made_labels.dtype == labels.dtype
    ends = np.bincount(labels, minlength=len(counts)) + np.bincount(made_labels, minlength=len(counts))
    assert set(ends.tolist()) == {max(counts)}
    for row, label in zip(made, made_labels, strict=True):
        own = features[labels == label].astype(np.float64)
        assert any(_between(row, a, b) for i, a in enumerate(own) for b in own[:i])


def _between(x: np.ndarray, a: np.ndarray, b: np.ndarray) -> bool:
    along = np.clip((x - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    return bool(np.abs(a + along * (b - a) - x).max() < 1e-5)


class Drawn(np.random.RandomState):
    """Gives imbalanced-learn the draws that were made elsewhere."""

    def __init__(self, index: np.ndarray, step: np.ndarray):
        super().__init__(0)
        self.index, self.step = index, step

    def randint(self, low: int, high: int, size: int) -> np.ndarray:
        assert self.index.shape == (size,) and self.index.min() >= low and self.index.max() < high
        return self.index

    def uniform(self, size: int) -> np.ndarray:
        assert self.step.shape == (size,)
        return self.step


@settings(max_examples=20)
@given(n=st.integers(2, 12), seed=st.integers(0, 99), block=st.integers(1, 13))
def test_smote_equals_imbalanced_learn_to_the_last_bit_given_the_same_draws(n: int, seed: int, block: int) -> None:
    """Every row its own recording: the published algorithm, whole. The draws are ours, read off the generator."""
    features, labels, recording = rows([12, n], seed, windows_per_recording=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(balance, "_BLOCK", block)
        made, made_labels = smote(features, labels, recording, seed=seed)
    k, missing = min(5, n - 1), 12 - n
    rng = np.random.default_rng(seed)
    base = rng.integers(n, size=missing)
    index = base * k + rng.integers(np.full(missing, k))
    theirs = SMOTE(k_neighbors=k, random_state=Drawn(index, rng.uniform(size=missing)))
    # In float64, as we compute; theirs keeps the precision it is given.
    expected, expected_labels = theirs.fit_resample(features.astype(np.float64), labels)
    np.testing.assert_array_equal(made, expected[len(features) :].astype(np.float32))
    np.testing.assert_array_equal(made_labels, expected_labels[len(features) :])


@settings(max_examples=20)
@given(counts=st.lists(st.integers(1, 12), min_size=2, max_size=4), block=st.integers(1, 13), seed=st.integers(0, 9))
def test_how_much_is_held_at_once_changes_nothing(counts: list[int], block: int, seed: int) -> None:
    features, labels, recording = rows(counts, seed, windows_per_recording=3)
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore", SingleExampleWarning)
        whole = smote(features, labels, recording, seed=seed)
        patch.setattr(balance, "_BLOCK", block)
        parts = smote(features, labels, recording, seed=seed)
    np.testing.assert_array_equal(whole[0], parts[0])
    np.testing.assert_array_equal(whole[1], parts[1])


def test_of_equally_near_neighbours_the_first_are_taken() -> None:
    """Copies in the data: which of them is used must not depend on the machine."""
    features = np.zeros((9, 2), np.float32)
    features[1:] = [1, 0]
    nearest, n_valid = balance._neighbours(features, np.arange(9), np.arange(9), 5)
    assert nearest[0].tolist() == [1, 2, 3, 4, 5]
    assert nearest[1].tolist() == [2, 3, 4, 5, 6]
    assert (n_valid == 5).all()


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=40),
    size=st.integers(0, 200),
    seed=st.integers(0, 9),
)
def test_even_draws_share_out_among_classes_present_and_their_rows(labels: list[int], size: int, seed: int) -> None:
    y = np.array(labels)
    order = even_order(y, size, np.random.default_rng(seed))
    assert order.shape == (size,)
    by_class = np.bincount(y[order], minlength=5)[np.unique(y)]
    assert np.ptp(by_class) <= 1
    times = np.bincount(order, minlength=y.size)
    for label in np.unique(y):
        assert np.ptp(times[y == label]) <= 1
    np.testing.assert_array_equal(order, even_order(y, size, np.random.default_rng(seed)))


def test_neighbours_come_from_other_recordings_where_there_are_some() -> None:
    """Windows of one recording lie close together and two recordings far apart: every new row spans the gap."""
    rng = np.random.default_rng(0)
    minority = np.concatenate([rng.normal(size=(3, 4)), 1000 + rng.normal(size=(3, 4))]).astype(np.float32)
    features = np.concatenate([rng.normal(size=(60, 4)).astype(np.float32), minority])
    labels = np.repeat([0, 1], [60, 6])
    recording = np.concatenate([np.arange(60), [100, 100, 100, 101, 101, 101]])
    made, _ = smote(features, labels, recording, seed=0)
    assert ((made > 10) & (made < 990)).all(1).mean() > 0.9
    one_recording, _ = smote(features, labels, np.where(labels == 1, 100, recording), seed=0, n_neighbours=2)
    assert not ((one_recording > 10) & (one_recording < 990)).any()


def test_fewer_other_recordings_than_neighbours_are_all_that_is_used() -> None:
    """One row has one stranger only: its new rows lie between the two, never towards its own recording."""
    features = np.array([[0, 0], [0, 1], [0, 2], [50, 0]], np.float32)
    features = np.concatenate([features, np.arange(80, dtype=np.float32).reshape(40, 2)])
    labels, recording = np.repeat([1, 0], [4, 40]), np.concatenate([[7, 7, 7, 8], np.arange(10, 50)])
    made, _ = smote(features, labels, recording, seed=3)
    far_end = np.array([50, 0])
    for row in made:
        assert any(_between(row, far_end, near) for near in features[:3].astype(float))


def test_a_single_example_is_repeated_and_said() -> None:
    features, labels, recording = rows([5, 1])
    with pytest.warns(SingleExampleWarning, match=r"class 1 .*repeated 4 times"):
        made, made_labels = smote(features, labels, recording, seed=0)
    np.testing.assert_array_equal(made, np.repeat(features[labels == 1], 4, axis=0))
    assert made_labels.tolist() == [1] * 4


def test_nothing_is_made_of_balanced_classes_and_nothing_is_said() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made, made_labels = smote(*rows([4, 4, 4]), seed=0)
    assert made.shape == (0, 4)
    assert made_labels.shape == (0,)


def test_smote_is_a_function_of_its_seed_and_leaves_its_input_alone() -> None:
    features, labels, recording = rows([9, 4])
    before = features.copy()
    first, again, other = (smote(features, labels, recording, seed=s)[0] for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(features, before)


def test_classes_do_not_see_each_other() -> None:
    """Moving the majority moves no new row of the minority."""
    features, labels, recording = rows([9, 4])
    moved = features + 100 * (labels == 0)[:, None].astype(np.float32)
    np.testing.assert_array_equal(
        smote(features, labels, recording, seed=0)[0], smote(moved, labels, recording, seed=0)[0]
    )
