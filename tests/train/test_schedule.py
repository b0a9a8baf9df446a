"""Laws of the learning rate."""

from __future__ import annotations

import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxresp.train import TrainConfig
from jaxresp.train.schedule import learning_rate_at

TOTAL = 400
STEPS = np.arange(TOTAL)


def config(**settings: object) -> TrainConfig:
    return TrainConfig(learning_rate=0.01, max_epochs=40, **settings)  # type: ignore[arg-type]


def test_a_constant_rate_is_the_one_given_to_the_last_bit() -> None:
    rates = learning_rate_at(config(), STEPS, TOTAL)
    assert rates.dtype == np.float32
    np.testing.assert_array_equal(rates, np.full(TOTAL, np.float32(0.01)))


@pytest.mark.parametrize("warmup_epochs", [0.0, 4.0])
def test_a_cosine_is_optaxs(warmup_epochs: float) -> None:
    warmup = int(10 * warmup_epochs)
    theirs = optax.cosine_decay_schedule(0.01, TOTAL - warmup)(np.arange(TOTAL - warmup))
    ours = learning_rate_at(config(schedule="cosine", warmup_epochs=warmup_epochs), STEPS, TOTAL)
    np.testing.assert_allclose(ours[warmup:], theirs, rtol=1e-4, atol=1e-8)


@given(warmup_epochs=st.floats(0.01, 39), schedule=st.sampled_from(["constant", "cosine"]))
def test_a_warm_up_rises_evenly_to_the_rate_given_and_no_rate_is_ever_higher_or_nothing(
    warmup_epochs: float, schedule: str
) -> None:
    rates = learning_rate_at(config(schedule=schedule, warmup_epochs=warmup_epochs), STEPS, TOTAL).astype(float)
    assert (rates > 0).all()
    assert rates.max() <= 0.01 * (1 + 1e-6)
    rising = rates[: int(10 * warmup_epochs)]
    np.testing.assert_allclose(rising, 0.01 * (1 + np.arange(rising.size)) / (10 * warmup_epochs), rtol=1e-4)
    assert rates[int(np.ceil(10 * warmup_epochs))] > 0.9 * 0.01 or schedule == "cosine"


def test_a_step_alone_has_the_rate_that_it_has_among_others() -> None:
    for schedule in ("constant", "cosine"):
        settings = config(schedule=schedule, warmup_epochs=2.5)
        rates = learning_rate_at(settings, STEPS, TOTAL)
        assert [learning_rate_at(settings, int(step), TOTAL)[()] for step in STEPS] == rates.tolist()


def test_after_the_last_step_a_cosine_has_come_to_nothing() -> None:
    assert learning_rate_at(config(schedule="cosine"), TOTAL, TOTAL) == 0
