"""One step of training, compiled."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float32, Int32, PRNGKeyArray

from jaxresp import models
from jaxresp.models import Weights


class State(NamedTuple):
    """What a step changes: the network, its optimiser, and the sum of the epoch's losses."""

    weights: Weights
    optimiser: optax.OptState
    loss: Float32[Array, ""]


@partial(jax.jit, static_argnames="graph", donate_argnames="state")
def train_step(
    state: State,
    x: Float32[Array, "batch frames coefficients"],
    labels: Int32[Array, " batch"],
    weight: Float32[Array, " batch"],
    key: PRNGKeyArray,
    learning_rate: Float32[Array, ""],
    dropout: Float32[Array, ""],
    weight_decay: Float32[Array, ""],
    *,
    graph: nnx.GraphDef,
) -> State:
    def loss_of(params: nnx.State) -> tuple[Float32[Array, ""], nnx.State]:
        weights = Weights(params, state.weights.batch_stats)
        logits, batch_stats = models.apply_training(graph, weights, x, key=key, dropout_rate=dropout)
        return (weight * losses_of(logits, labels)).mean(), batch_stats

    (loss, batch_stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.weights.params)
    updates, optimiser = optimiser_of(learning_rate, weight_decay).update(
        gradients, state.optimiser, state.weights.params
    )
    params = optax.apply_updates(state.weights.params, updates)
    return State(Weights(params, batch_stats), optimiser, state.loss + loss)


def optimiser_of(learning_rate: Any, weight_decay: Any) -> optax.GradientTransformation:
    return optax.adamw(learning_rate, weight_decay=weight_decay)


def losses_of(logits: Float32[Array, "n outputs"], labels: Int32[Array, " n"]) -> Float32[Array, " n"]:
    """Binary cross-entropy of a single logit, else cross-entropy."""
    if logits.shape[-1] == 1:
        return optax.sigmoid_binary_cross_entropy(logits[:, 0], labels.astype(jnp.float32))
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
