"""A fitted network's answers to windows and recordings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float32

from jaxresp import models
from jaxresp.features import FeatureBank
from jaxresp.models import Weights
from jaxresp.pooling import pool
from jaxresp.train.fitted import Standardisation, standardise

_EVALUATION_CHUNK = 64


@partial(jax.jit, static_argnames="graph")
def window_logits(
    graph: nnx.GraphDef, weights: Weights, by: Standardisation, features: Float32[Array, "n frames coefficients"]
) -> Float32[Array, "n outputs"]:
    """Features → logits as served."""
    return models.apply(graph, weights, jnp.asarray(standardise(features, by)))


@partial(jax.jit, static_argnames="graph")
def _window_embedding(
    graph: nnx.GraphDef, weights: Weights, by: Standardisation, features: Float32[Array, "n frames coefficients"]
) -> Float32[Array, "n dense"]:
    return models.embed(graph, weights, jnp.asarray(standardise(features, by)))


def predict(
    graph: nnx.GraphDef, weights: Weights, by: Standardisation, bank: FeatureBank, recordings: np.ndarray
) -> Float32[np.ndarray, "recordings outputs"]:
    """Logits of recordings, pooled over their windows, in the order given."""
    rows = bank.windows_of(recordings)
    position = np.full(bank.n_recordings, -1)
    position[recordings] = np.arange(recordings.size)
    logits = predict_windows(graph, weights, by, bank, rows)
    return pool(logits, position[bank.recording[rows]], recordings.size)


def predict_windows(
    graph: nnx.GraphDef, weights: Weights, by: Standardisation, bank: FeatureBank, rows: np.ndarray
) -> Float32[np.ndarray, "rows outputs"]:
    """Logits of some windows of the bank, in the order given."""
    return _in_chunks(window_logits, graph, weights, by, bank, rows)


def embed_windows(
    graph: nnx.GraphDef, weights: Weights, by: Standardisation, bank: FeatureBank, rows: np.ndarray
) -> Float32[np.ndarray, "rows dense"]:
    """Activations before the last layer of some windows of the bank, in the order given."""
    return _in_chunks(_window_embedding, graph, weights, by, bank, rows)


def _in_chunks(
    answer: Callable[..., Float32[Array, "n outputs"]],
    graph: nnx.GraphDef,
    weights: Weights,
    by: Standardisation,
    bank: FeatureBank,
    rows: np.ndarray,
) -> Float32[np.ndarray, "rows outputs"]:
    chunks = []
    for start in range(0, rows.size, _EVALUATION_CHUNK):
        chunk = rows[start : start + _EVALUATION_CHUNK]
        filled = np.resize(chunk, _EVALUATION_CHUNK)  # one compiled shape
        chunks.append(np.asarray(answer(graph, weights, by, bank.clean[filled]))[: chunk.size])
    return np.concatenate(chunks)
