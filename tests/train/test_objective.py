"""Laws of the loss: it is the formula, written out in NumPy."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from jaxresp import models
from jaxresp.dsp.augment import Mixing
from jaxresp.train.objective import losses_by_class, mean_loss, weighted_labels

N = 10
LABELS = np.arange(N, dtype=np.int32) % 2
LOGITS = np.random.default_rng(0).normal(0, 3, (N, 3)).astype(np.float32)
WEIGHT = np.random.default_rng(1).uniform(0.2, 3, N).astype(np.float32)
MIXING = Mixing(
    jnp.asarray(np.random.default_rng(2).uniform(0, 1, N), jnp.float32),
    jnp.asarray((np.arange(N) + np.resize([1, 3], N)) % N, jnp.int32),
)


@pytest.mark.parametrize("n_outputs", [1, 2, 3])
def test_the_loss_of_a_class_is_minus_the_logarithm_of_the_probability_that_is_served(n_outputs: int) -> None:
    logits = LOGITS[:, :n_outputs]
    ours = losses_by_class(jnp.asarray(logits))
    assert ours.shape == (N, max(2, n_outputs))
    np.testing.assert_allclose(ours, -np.log(models.probabilities(logits.astype(np.float64))), rtol=1e-5, atol=1e-6)


def test_a_logit_too_large_for_exp_has_a_finite_loss() -> None:
    for far in ([[200.0]], [[200.0, -200.0, 0.0]]):
        assert np.isfinite(losses_by_class(jnp.asarray(far))).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("mixing", [None, MIXING], ids=["plain", "mixup"])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_the_loss_is_the_formula(n_outputs: int, mixing: Mixing | None, smoothing: float) -> None:
    """The mean of share · w · CE(own label) + (1 − share) · w' · CE(the partner's label), each label smoothed."""
    logits, classes = LOGITS[:, :n_outputs].astype(np.float64), max(2, n_outputs)
    both = logits if n_outputs > 1 else np.concatenate([np.zeros_like(logits), logits], 1)
    log_p = both - np.log(np.exp(both).sum(1, keepdims=True))

    def cross_entropy(i: int, label: int) -> float:
        return -sum(((1 - smoothing) * (c == label) + smoothing / classes) * log_p[i, c] for c in range(classes))

    total = 0.0
    for i in range(N):
        share, j = (1.0, i) if mixing is None else (float(mixing.share[i]), int(mixing.partner[i]))
        total += share * WEIGHT[i] * cross_entropy(i, LABELS[i])
        total += (1 - share) * WEIGHT[j] * cross_entropy(i, LABELS[j])
    counted = weighted_labels(
        jnp.asarray(LABELS), jnp.asarray(WEIGHT), classes, smoothing=jnp.float32(smoothing), mixing=mixing
    )
    ours = mean_loss(jnp.asarray(logits, jnp.float32), counted)
    np.testing.assert_allclose(ours, total / N, rtol=1e-5)


def test_every_row_counts_as_much_as_its_weight() -> None:
    for smoothing in (0.0, 0.3):
        counted = weighted_labels(jnp.asarray(LABELS), jnp.asarray(WEIGHT), 3, smoothing=smoothing)
        np.testing.assert_allclose(counted.sum(1), WEIGHT, rtol=1e-6)
