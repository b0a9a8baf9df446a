"""Laws of what an epoch shows."""

from __future__ import annotations

from functools import cache
from typing import get_args

import numpy as np
import pytest

from jaxresp.balance import Balance
from jaxresp.features import FeatureBank
from jaxresp.taxonomy import MULTICLASS
from jaxresp.train import TrainConfig, fit_standardisation, standardise
from jaxresp.train.sampling import Plan, Sampler

#: 21 recordings of 1 to 3 windows in three variants, of which the last three are no part of the training.
RECORDING = np.repeat(np.arange(21, dtype=np.int32), np.resize([1, 2, 3], 21))
LABELS = np.resize([0, 0, 0, 0, 1, 2], 21).astype(np.int32)
ROWS = np.flatnonzero(RECORDING < 18)
Y = LABELS[RECORDING[ROWS]]
COUNTS = np.bincount(Y)
N, LARGEST, VARIANTS = len(ROWS), int(COUNTS.max()), 3


@cache
def bank() -> FeatureBank:
    features = np.random.default_rng(0).normal(3.0, 2.0, (len(RECORDING), VARIANTS, 4, 2)).astype(np.float32)
    return FeatureBank(features, RECORDING, 21)


def sampler(balance: str, *, seed: int = 0, batch_size: int = 8) -> Sampler:
    config = TrainConfig(balance=balance, batch_size=batch_size, seed=seed)  # type: ignore[arg-type]
    return Sampler(bank(), LABELS, MULTICLASS, config, ROWS, fit_standardisation(bank().clean[ROWS]))


def shown(plan: Plan, n: int) -> np.ndarray:
    """Rows of an epoch without what fills its last batch."""
    return plan.rows.ravel()[:n]


#: Windows in an epoch.
LENGTH = {"class_weights": N, "none": N, "balanced_sampling": N, "oversampling": 3 * LARGEST, "smote": 3 * LARGEST}


@pytest.mark.parametrize("balance", get_args(Balance))
def test_a_plan_is_a_function_of_the_seed_and_the_epoch_alone(balance: str) -> None:
    one, other, reseeded = sampler(balance), sampler(balance), sampler(balance, seed=1)
    plans = [one.plan(epoch) for epoch in (1, 2, 3)]
    for epoch in (3, 1, 2):  # in another order
        for part in (0, 1):
            np.testing.assert_array_equal(other.plan(epoch)[part], plans[epoch - 1][part])
    assert not np.array_equal(plans[0].rows, plans[1].rows)
    assert not np.array_equal(plans[0].rows, reseeded.plan(1).rows)


@pytest.mark.parametrize("batch_size", [1, 8, 500])
@pytest.mark.parametrize("balance", get_args(Balance))
def test_all_batches_have_one_shape_and_the_last_is_filled_from_the_front(balance: str, batch_size: int) -> None:
    found = sampler(balance, batch_size=batch_size)
    plan, length = found.plan(1), LENGTH[balance]
    assert found.steps == -(-length // batch_size)
    for part in plan:
        assert part.shape == (found.steps, batch_size)
        assert part.dtype == np.int32
    np.testing.assert_array_equal(plan.rows.ravel()[length:], np.resize(shown(plan, length), plan.rows.size)[length:])


@pytest.mark.parametrize("balance", get_args(Balance))
def test_classes_are_mixed_over_an_epoch(balance: str) -> None:
    """No class comes first: over many epochs, each is as frequent in every quarter."""
    found = sampler(balance)
    classes = np.stack([found.y[shown(found.plan(epoch), LENGTH[balance] // 4 * 4)] for epoch in range(200)])
    quarters = classes.reshape(200, 4, -1)
    for label in range(3):
        shares = (quarters == label).mean((0, 2))
        np.testing.assert_allclose(shares, shares.mean(), atol=0.04)


@pytest.mark.parametrize("balance", ["class_weights", "none", "smote"])
def test_every_row_is_shown_once(balance: str) -> None:
    found = sampler(balance)
    for epoch in (1, 2):
        assert sorted(shown(found.plan(epoch), LENGTH[balance])) == list(range(LENGTH[balance]))


def test_balanced_sampling_shows_even_classes_in_an_epoch_of_the_same_length() -> None:
    found, seen = sampler("balanced_sampling"), set()
    for epoch in range(1, 9):
        rows = shown(found.plan(epoch), N)
        by_class = np.bincount(found.y[rows])
        assert by_class.max() - by_class.min() <= 1
        times = np.bincount(rows, minlength=N)
        for label in range(3):  # no row returns before all others of its class were shown
            assert np.ptp(times[found.y == label]) <= 1
        seen |= set(rows.tolist())
    assert seen == set(range(N))  # of the largest class too, epoch by epoch


def test_oversampling_shows_every_row_and_the_rare_ones_until_classes_are_even() -> None:
    found = sampler("oversampling")
    rows = shown(found.plan(1), 3 * LARGEST)
    assert np.bincount(found.y[rows]).tolist() == [LARGEST] * 3
    times = np.bincount(rows, minlength=N)
    for label, count in enumerate(COUNTS):
        assert set(times[found.y == label]) <= {LARGEST // count, -(-LARGEST // count)}


@pytest.mark.parametrize("balance", ["balanced_sampling", "oversampling"])
def test_a_row_that_returns_does_so_as_another_variant(balance: str) -> None:
    found = sampler(balance)
    for epoch in (1, 2, 3):
        plan = found.plan(epoch)
        for row in range(N):
            variants = plan.variant[plan.rows == row]
            assert len(set(variants.tolist())) == min(len(variants), VARIANTS)


@pytest.mark.parametrize("balance", ["class_weights", "balanced_sampling", "oversampling", "none"])
def test_all_variants_are_shown_in_time(balance: str) -> None:
    found, seen = sampler(balance), set()
    for epoch in range(1, 30):
        plan = found.plan(epoch)
        seen |= set(zip(plan.rows.ravel().tolist(), plan.variant.ravel().tolist(), strict=True))
    assert len(seen) == N * VARIANTS


def rows_of(of: Sampler) -> np.ndarray:
    """Every row, standardised as a step standardises it."""
    return np.asarray(standardise(of.source[of.place], of.by))


@pytest.mark.parametrize("balance", ["class_weights", "balanced_sampling", "oversampling", "none"])
def test_rows_are_the_training_windows_standardised_and_know_whose_they_are(balance: str) -> None:
    found = sampler(balance)
    expected = standardise(bank().features[ROWS], fit_standardisation(bank().clean[ROWS]))
    np.testing.assert_allclose(rows_of(found), expected, rtol=1e-6)
    np.testing.assert_array_equal(found.y, Y)
    np.testing.assert_array_equal(found.recording, RECORDING[ROWS])


def test_smote_keeps_clean_windows_only_and_adds_rows_of_nobody_until_classes_are_even() -> None:
    """No made-up row lies between two distorted windows."""
    found = sampler("smote")
    clean = standardise(bank().clean[ROWS], fit_standardisation(bank().clean[ROWS]))
    assert rows_of(found).shape == (3 * LARGEST, 1, 4, 2)
    np.testing.assert_allclose(rows_of(found)[:N, 0], clean, rtol=1e-5, atol=1e-5)
    assert np.bincount(found.y).tolist() == [LARGEST] * 3
    np.testing.assert_array_equal(found.recording, np.append(RECORDING[ROWS], np.full(3 * LARGEST - N, -1)))
    assert (found.plan(1).variant == 0).all()
    lowest, highest = clean.min(0), clean.max(0)
    assert (np.asarray(rows_of(found)[N:, 0]) >= lowest - 1e-5).all() and (
        np.asarray(rows_of(found)[N:, 0]) <= highest + 1e-5
    ).all()


def test_only_class_weights_weigh_and_then_every_class_the_same() -> None:
    for balance in get_args(Balance):
        found = sampler(balance)
        totals = np.bincount(found.y, found.weights[found.y])
        if balance == "class_weights":
            np.testing.assert_allclose(totals, N / 3, rtol=1e-5)
        else:
            assert (found.weights == 1).all()
