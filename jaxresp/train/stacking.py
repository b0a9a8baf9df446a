"""Many networks as one pytree: every array with a leading axis of members.

Dense layers of several widths are padded with units whose weights are zero. Such a unit answers zero, so it changes no
logit; its gradients are zero, so Adam and weight decay leave it where it is. Nothing needs to be masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxresp import models
from jaxresp.models import NetworkConfig, Weights

Tree = TypeVar("Tree")


def widest(networks: Sequence[NetworkConfig]) -> NetworkConfig:
    """The network that holds them all: they differ in their dense width alone."""
    return replace(networks[0], dense=max(each.dense for each in networks))


def create_padded(
    network: NetworkConfig, within: NetworkConfig, n_coefficients: int, n_outputs: int, seed: int
) -> tuple[nnx.GraphDef, Weights]:
    """The weights that a network starts with alone, padded to a wider one; and the wider one's graph."""
    _, weights = models.create(network, n_coefficients, n_outputs, seed)
    graph, shapes = nnx.eval_shape(lambda: models.create(within, n_coefficients, n_outputs, seed=0))
    return graph, jax.tree.map(_padded, weights, shapes)


def _padded(array: jax.Array, wanted: jax.ShapeDtypeStruct) -> jax.Array:
    return jnp.pad(array, [(0, big - small) for small, big in zip(array.shape, wanted.shape, strict=True)])


def cut_to(weights: Weights, network: NetworkConfig, n_coefficients: int, n_outputs: int) -> Weights:
    """Without the padding, the weights of a network of its own."""
    _, shapes = nnx.eval_shape(lambda: models.create(network, n_coefficients, n_outputs, seed=0))
    return jax.tree.map(lambda array, wanted: array[tuple(slice(n) for n in wanted.shape)], weights, shapes)


def stack(trees: Sequence[Tree]) -> Tree:
    """Arrays, scalars and keys of several members, side by side."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def members_of(tree: Tree, members: Sequence[int]) -> Tree:
    """Some members of a stacked tree, in that order."""
    chosen = np.asarray(members, np.int32)
    return jax.tree.map(lambda leaf: leaf[chosen], tree)


def member_of(tree: Any, i: int) -> Any:
    """One member of a stacked tree."""
    return jax.tree.map(lambda leaf: leaf[i], tree)
