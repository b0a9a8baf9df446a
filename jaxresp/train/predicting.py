"""A fitted network's answers to windows and recordings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Float32, Int32

from jaxresp import models
from jaxresp.features import FeatureBank
from jaxresp.models import Weights
from jaxresp.pooling import pool
from jaxresp.train.fitted import Standardisation, standardise
from jaxresp.train.mesh import everywhere, shared_out

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
    graph: nnx.GraphDef,
    weights: Weights,
    by: Standardisation,
    bank: FeatureBank,
    recordings: np.ndarray,
    *,
    mesh: Mesh | None = None,
) -> Float32[np.ndarray, "recordings outputs"]:
    """Logits of recordings, pooled over their windows, in the order given. The devices of a mesh share the windows."""
    rows = bank.windows_of(recordings)
    position = np.full(bank.n_recordings, -1)
    position[recordings] = np.arange(recordings.size)
    logits = predict_windows(graph, weights, by, bank, rows, mesh=mesh)
    return pool(logits, position[bank.recording[rows]], recordings.size)


def predict_windows(
    graph: nnx.GraphDef,
    weights: Weights,
    by: Standardisation,
    bank: FeatureBank,
    rows: np.ndarray,
    *,
    mesh: Mesh | None = None,
) -> Float32[np.ndarray, "rows outputs"]:
    """Logits of some windows of the bank, in the order given."""
    return _in_chunks(window_logits, graph, weights, by, bank, rows, mesh)


def embed_windows(
    graph: nnx.GraphDef, weights: Weights, by: Standardisation, bank: FeatureBank, rows: np.ndarray
) -> Float32[np.ndarray, "rows dense"]:
    """Activations before the last layer of some windows of the bank, in the order given."""
    return _in_chunks(_window_embedding, graph, weights, by, bank, rows, None)


def _in_chunks(
    answer: Callable[..., Float32[Array, "n outputs"]],
    graph: nnx.GraphDef,
    weights: Weights,
    by: Standardisation,
    bank: FeatureBank,
    rows: np.ndarray,
    mesh: Mesh | None,
) -> Float32[np.ndarray, "rows outputs"]:
    """The features are on the device, all chunks are asked for at once, and the answers come back in one go."""
    size = -(-_EVALUATION_CHUNK // mesh.size) * mesh.size if mesh else _EVALUATION_CHUNK
    starts = range(0, rows.size, size)
    # The last chunk is filled up from its own front: one compiled shape.
    chunks = [np.resize(rows[start : start + size], size).astype(np.int32) for start in starts]
    features = bank.placed(everywhere(mesh))
    weights, by = jax.device_put((weights, by), everywhere(mesh))
    with jax.transfer_guard("disallow"):
        placed = jax.device_put(chunks, shared_out(mesh))
        answers = [answer(graph, weights, by, _clean(features, chunk)) for chunk in placed]
        found = jax.device_get(answers)
    return np.concatenate([each[: rows.size - start] for each, start in zip(found, starts, strict=True)])


@jax.jit
def _clean(
    features: Float32[Array, "windows variants frames coefficients"], rows: Int32[Array, " n"]
) -> Float32[Array, "n frames coefficients"]:
    return features[rows, 0]
