"""What a step of training lowers: a weighted cross-entropy of labels that may be smoothed and blended."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int32

from jaxresp.dsp import augment
from jaxresp.dsp.augment import Mixing


def weighted_labels(
    labels: Int32[Array, " n"],
    weight: Float32[Array, " n"],
    n_classes: int,
    *,
    smoothing: Float[Array, ""] | float = 0.0,
    mixing: Mixing | None = None,
) -> Float32[Array, "n classes"]:
    """How much each class counts in each row: weight · ((1 − smoothing) · one-hot + smoothing / classes), blended.

    The weight of a row goes with its label, so a blend of a rare and a frequent class is
    share · w_a · CE(a) + (1 − share) · w_b · CE(b): mixup of the weighted loss (Zhang et al., ICLR 2018). A row of ours
    sums to its weight.
    """
    shares = jax.nn.one_hot(labels, n_classes, dtype=jnp.float32)
    counted = weight[:, None] * ((1.0 - smoothing) * shares + smoothing / n_classes)
    return counted if mixing is None else augment.mixup(counted, mixing)


def losses_by_class(logits: Float32[Array, "n outputs"]) -> Float32[Array, "n classes"]:
    """−log of every class's probability: of both classes of a single logit, else of a softmax."""
    if logits.shape[-1] == 1:
        return -jax.nn.log_sigmoid(jnp.concatenate([-logits, logits], axis=-1))
    return jax.nn.logsumexp(logits, axis=-1, keepdims=True) - logits


def mean_loss(logits: Float32[Array, "n outputs"], counted: Float32[Array, "n classes"]) -> Float32[Array, ""]:
    """Mean over rows of their cross-entropy against `weighted_labels`."""
    return (counted * losses_by_class(logits)).sum(axis=-1).mean()


def n_classes_of(logits: Float32[Array, "n outputs"]) -> int:
    """A single logit tells two classes apart."""
    return max(2, logits.shape[-1])
