"""Weights ⇄ a flat dictionary of named arrays, and its .npz bytes. No pickle: loading runs no code."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import nnx, traverse_util

from jaxresp.errors import JaxrespError
from jaxresp.models import NetworkConfig, Weights, create


class WeightsMismatch(JaxrespError):
    """Stored arrays that do not fit the network they are meant for."""


def to_arrays(weights: Weights) -> dict[str, np.ndarray]:
    """Every array by its path, such as "params/block1/conv/kernel"."""
    return {path: np.asarray(leaf) for path, leaf in _by_path(weights).items()}


def _by_path(weights: Weights) -> dict[str, Any]:
    tree = {"params": nnx.to_pure_dict(weights.params), "batch_stats": nnx.to_pure_dict(weights.batch_stats)}
    return dict(traverse_util.flatten_dict(tree, sep="/"))


def from_arrays(
    arrays: Mapping[str, np.ndarray], config: NetworkConfig, n_coefficients: int, n_outputs: int
) -> tuple[nnx.GraphDef, Weights]:
    """The network of that configuration, holding these arrays.

    Raises:
        WeightsMismatch: an array is missing, too many, or of another shape.
    """
    # Only the shapes: initialising a network to overwrite it would compile for seconds before every start.
    graph, weights = nnx.eval_shape(lambda: create(config, n_coefficients, n_outputs, seed=0))
    wanted = _by_path(weights)
    wrong = sorted(set(wanted) ^ set(arrays)) + sorted(
        name for name in set(wanted) & set(arrays) if wanted[name].shape != arrays[name].shape
    )
    if wrong:
        raise WeightsMismatch(
            f"the stored arrays do not fit a {config.name} of {config.filters} filters and {config.dense} dense units: "
            f"{', '.join(wrong[:5])}{' …' if len(wrong) > 5 else ''}"
        )
    tree: dict[str, Any] = traverse_util.unflatten_dict({k: np.asarray(v) for k, v in arrays.items()}, sep="/")
    nnx.replace_by_pure_dict(weights.params, tree.get("params", {}))
    nnx.replace_by_pure_dict(weights.batch_stats, tree.get("batch_stats", {}))  # a network may have none
    return graph, weights


def pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays → the bytes of an .npz file; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            member = zipfile.ZipInfo(f"{name}.npy")  # with its fixed date of 1980: no clock in the hash
            with archive.open(member, "w") as file:
                np.lib.format.write_array(file, np.asarray(arrays[name], order="C"), allow_pickle=False)
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, np.ndarray]:
    """Inverse of `pack`.

    Raises:
        WeightsMismatch: bytes that are no such archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name.removesuffix(".npy"): _read_array(archive, name) for name in archive.namelist()}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsMismatch(f"the weights are not a readable .npz archive: {error}") from error


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
