"""The networks: features [batch, frames, coefficients] → logits [batch, outputs].

A network is an `nnx.Module` built as `Network(n_coefficients, n_outputs, filters=…, dense=…, rngs=…)`, with `blocks`
and `kernel` too where a configuration gives them, and called as `network(features, key=None, dropout_rate=0.0)`; a key
means training. Register one more with `register_network`; where it has `embed(features)`, activations [batch, any]
before its last layer, a run also probes what they know.
Training and serving hold it in functional form: a static graph and a `State` of arrays.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxresp.errors import JaxrespError
from jaxresp.models.cnn1d import Cnn1d
from jaxresp.models.cnn2d import Cnn2d

NETWORKS: dict[str, Callable[..., nnx.Module]] = {"cnn1d": Cnn1d, "cnn2d": Cnn2d}


class UnknownNetwork(JaxrespError):
    """No network has this name."""


def register_network(name: str, build: Callable[..., nnx.Module]) -> None:
    """Make a network of your own known under a name, so that configurations and Classifiers can say it."""
    if NETWORKS.get(name, build) is not build:
        raise ValueError(f"a network named {name!r} exists already; choose another name")
    NETWORKS[name] = build


@dataclass(frozen=True)
class NetworkConfig:
    """Which network, and how wide.

    Attributes:
        name: a key of NETWORKS.
        filters: filters of the first block; each next one has twice as many.
        dense: units of the dense layer.
        blocks: how many there are.
        kernel: frames (and coefficients) that a filter spans; None for the network's own, see `default_kernel`.
    """

    name: str
    filters: int = 16
    dense: int = 128
    blocks: int = 3
    kernel: int | None = None

    def __post_init__(self) -> None:
        if self.name not in NETWORKS:
            near = difflib.get_close_matches(self.name, NETWORKS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UnknownNetwork(f"there is no network {self.name!r}; choose from {', '.join(NETWORKS)}.{hint}")
        if self.filters < 1 or self.dense < 1:
            raise ValueError(f"filters and dense must be positive, got {self.filters} and {self.dense}")
        if self.blocks < 1 or (self.kernel is not None and self.kernel < 1):
            raise ValueError(f"blocks and kernel must be positive, got {self.blocks} and {self.kernel}")

    @property
    def default_kernel(self) -> int:
        """What `kernel` is where it is not given."""
        return int(getattr(NETWORKS[self.name], "kernel", 3))

    @property
    def can_be_padded(self) -> bool:
        """Whether a network with a wider dense layer computes the same where the further units have no weights."""
        return bool(getattr(NETWORKS[self.name], "can_be_padded", False))

    @property
    def shape(self) -> dict[str, int]:
        """What the network is built with; a network of your own need not know what is left at its default."""
        built = {"filters": self.filters, "dense": self.dense}
        if self.blocks != 3:
            built["blocks"] = self.blocks
        if self.kernel not in (None, self.default_kernel):
            built["kernel"] = self.kernel  # type: ignore[assignment]
        return built

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Weights:
    """All arrays of one network: trained parameters, and the running statistics of its normalisation layers."""

    params: nnx.State
    batch_stats: nnx.State


def create(config: NetworkConfig, n_coefficients: int, n_outputs: int, seed: int) -> tuple[nnx.GraphDef, Weights]:
    """A freshly initialised network in functional form."""
    network = NETWORKS[config.name](n_coefficients, n_outputs, **config.shape, rngs=nnx.Rngs(seed))
    graph, *states = nnx.split(network, nnx.Param, nnx.BatchStat)
    return graph, Weights(*states)


def apply(
    graph: nnx.GraphDef, weights: Weights, features: Float[Array, "batch frames coefficients"]
) -> Float[Array, "batch outputs"]:
    """Features → logits as served: running statistics, no dropout."""
    return nnx.merge(graph, weights.params, weights.batch_stats, copy=True)(features)


def embed(
    graph: nnx.GraphDef, weights: Weights, features: Float[Array, "batch frames coefficients"]
) -> Float[Array, "batch dense"]:
    """Features → activations before the last layer, as served; of networks that `has_embedding`."""
    return nnx.merge(graph, weights.params, weights.batch_stats, copy=True).embed(features)


def has_embedding(name: str) -> bool:
    """Whether the network of that name can be asked for its activations before the last layer."""
    return callable(getattr(NETWORKS[name], "embed", None))


def apply_training(
    graph: nnx.GraphDef,
    weights: Weights,
    features: Float[Array, "batch frames coefficients"],
    *,
    key: PRNGKeyArray,
    dropout_rate: Float[Array, ""] | float,
) -> tuple[Float[Array, "batch outputs"], nnx.State]:
    """Features → logits as trained, and the updated running statistics."""
    network = nnx.merge(graph, weights.params, weights.batch_stats, copy=True)
    logits = network(features, key=key, dropout_rate=dropout_rate)
    return logits, nnx.state(network, nnx.BatchStat)


def probabilities(
    logits: Float[Array | np.ndarray, "*units outputs"],
) -> Float[Array | np.ndarray, "*units classes"]:
    """Logits → probabilities of every class: sigmoid of a single logit (second class), else softmax.

    Both classes are always spelt out, so that an argmax over the last axis means what it says. NumPy in, NumPy out:
    a recording has any number of windows, and JAX would compile anew for each number.
    """
    if isinstance(logits, np.ndarray):
        if logits.shape[-1] == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
        likelihood = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return likelihood / likelihood.sum(axis=-1, keepdims=True)
    if logits.shape[-1] == 1:
        logits = jnp.concatenate([jnp.zeros_like(logits), logits], axis=-1)
    return jax.nn.softmax(logits, axis=-1)
