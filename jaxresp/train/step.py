"""One step of training, compiled.

What is swept is traced (`Hyper`), so that its values share one program; what changes the program is `StepConfig`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float32, Int32, PRNGKeyArray

from jaxresp import models
from jaxresp.dsp import augment
from jaxresp.dsp.augment import SpecMasks
from jaxresp.models import Weights
from jaxresp.train.config import Precision, TrainConfig
from jaxresp.train.objective import mean_loss, n_classes_of, weighted_labels

#: Masks per window and axis: SpecAugment's LibriSpeech double policy.
_MASKS = 2


class State(NamedTuple):
    """What a step changes: the network, its optimiser, and the sum of the epoch's losses."""

    weights: Weights
    optimiser: optax.OptState
    loss: Float32[Array, ""]


class Hyper(NamedTuple):
    """What a step reads as numbers: changing them compiles nothing. Scalars, or with a leading axis under vmap.

    The fields are those of TrainConfig, but that `learning_rate` is the one of this step, from `learning_rate_at`.
    """

    learning_rate: Float32[Array, ""]
    dropout: Float32[Array, ""]
    weight_decay: Float32[Array, ""]
    label_smoothing: Float32[Array, ""]
    clip_norm: Float32[Array, ""]
    mixup: Float32[Array, ""]
    time_mask: Float32[Array, ""]
    frequency_mask: Float32[Array, ""]


@dataclass(frozen=True)
class StepConfig:
    """What a step is compiled for: anything here that differs is another program.

    Attributes:
        precision: of matrix products and convolutions.
        clips: gradients are clipped.
        mixes: windows are blended.
        masks: frames or coefficients are hidden.
    """

    precision: Precision = "float32"
    clips: bool = False
    mixes: bool = False
    masks: bool = False


def hyper_of(config: TrainConfig, learning_rate: Any) -> Hyper:
    """The numbers of one step, at its learning rate; scalars of the host."""

    def number(value: float) -> Any:
        return np.float32(value)

    return Hyper(
        learning_rate=learning_rate,
        dropout=number(config.dropout),
        weight_decay=number(config.weight_decay),
        label_smoothing=number(config.label_smoothing),
        clip_norm=number(np.inf if config.clip_norm is None else config.clip_norm),
        mixup=number(config.mixup),
        time_mask=number(config.time_mask),
        frequency_mask=number(config.frequency_mask),
    )


def static_of(config: TrainConfig) -> StepConfig:
    """What has to be compiled for a configuration."""
    return StepConfig(
        precision=config.precision,
        clips=config.clip_norm is not None,
        mixes=config.mixup > 0,
        masks=config.time_mask > 0 or config.frequency_mask > 0,
    )


def begin(weights: Weights) -> State:
    """Before the first step."""
    return State(weights, optimiser_of(0.0, 0.0).init(weights.params), jnp.zeros(()))


def take_step(
    state: State,
    x: Float32[Array, "batch frames coefficients"],
    labels: Int32[Array, " batch"],
    weight: Float32[Array, " batch"],
    key: PRNGKeyArray,
    hyper: Hyper,
    *,
    graph: nnx.GraphDef,
    static: StepConfig,
) -> State:
    """One batch → the network a little better. Pure, for a scan or a vmap; `train_step` is the compiled one.

    Args:
        state: is what the step before left.
        x: standardised windows.
        labels: class of each.
        weight: how much each counts; 1 on average.
        key: of dropout, mixup and masks. One per step.
        hyper: the numbers.
        graph: the network.
        static: what is compiled.
    """
    mixing, masking = None, None
    if static.mixes or static.masks:  # without, dropout has the key for itself
        key, for_mixing, masking = jax.random.split(key, 3)
        if static.mixes:
            mixing = augment.mixing_of(for_mixing, hyper.mixup, 1.0, x.shape[0])
            x = augment.mixup(x, mixing)
        if static.masks:  # after mixing: a mask on one of two would let the other through
            x = augment.spec_augment(x, draw_masks(masking, hyper, x.shape))

    def loss_of(params: nnx.State) -> tuple[Float32[Array, ""], nnx.State]:
        weights = _in_precision(Weights(params, state.weights.batch_stats), static.precision)
        logits, batch_stats = models.apply_training(
            graph, weights, x.astype(static.precision), key=key, dropout_rate=hyper.dropout
        )
        logits = logits.astype(jnp.float32)
        counted = weighted_labels(labels, weight, n_classes_of(logits), smoothing=hyper.label_smoothing, mixing=mixing)
        return mean_loss(logits, counted), batch_stats

    (loss, batch_stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.weights.params)
    if static.clips:
        gradients = clipped(gradients, hyper.clip_norm)
    updates, optimiser = optimiser_of(hyper.learning_rate, hyper.weight_decay).update(
        gradients, state.optimiser, state.weights.params
    )
    params = optax.apply_updates(state.weights.params, updates)
    return State(Weights(params, batch_stats), optimiser, state.loss + loss)


train_step = partial(jax.jit, static_argnames=("graph", "static"), donate_argnames="state")(take_step)


def optimiser_of(learning_rate: Any, weight_decay: Any) -> optax.GradientTransformation:
    return optax.adamw(learning_rate, weight_decay=weight_decay)


def clipped(gradients: optax.Updates, longest: Float32[Array, ""]) -> optax.Updates:
    """Gradients no longer than that, all together (Pascanu et al., ICML 2013). Shorter ones keep every bit."""
    found, _ = optax.clip_by_global_norm(longest).update(gradients, optax.EmptyState())
    return found


def draw_masks(key: PRNGKeyArray, hyper: Hyper, shape: tuple[int, ...]) -> SpecMasks:
    """Two bands of frames and two of coefficients for every window, each from nothing to the widest."""
    batch, n_frames, n_coefficients = shape
    for_time, for_frequency = jax.random.split(key)

    def bands(key: PRNGKeyArray, share: Float32[Array, ""], size: int) -> tuple[Array, Array]:
        widest = jnp.floor(share * size).astype(jnp.int32)
        return augment.draw_bands(key, widest, size, (batch, _MASKS))

    return SpecMasks(
        *bands(for_time, hyper.time_mask, n_frames), *bands(for_frequency, hyper.frequency_mask, n_coefficients)
    )


def _in_precision(weights: Weights, precision: Precision) -> Weights:
    """Weights as the network computes with them. Gradients come back in float32, to float32 parameters.

    What belongs to a normalisation stays float32, as its statistics do.
    Micikevicius et al., "Mixed precision training", ICLR 2018.
    """
    if precision == "float32":
        return weights
    normalisations = {path[:-1] for path, _ in jax.tree.leaves_with_path(weights.batch_stats)}
    params = jax.tree.map_with_path(
        lambda path, each: each if path[:-1] in normalisations else each.astype(jnp.bfloat16), weights.params
    )
    return Weights(params, weights.batch_stats)
