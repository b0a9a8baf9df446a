"""Weights come back from their bytes, and bytes that do not fit are told."""

from __future__ import annotations

import io
import zipfile
from functools import cache

import jax
import numpy as np
import pytest
from flax import nnx

from jaxresp import models
from jaxresp.models import NetworkConfig, Weights, storage
from jaxresp.models.storage import WeightsMismatch, from_arrays, pack, to_arrays, unpack

CONFIGS = {name: NetworkConfig(name, filters=2, dense=8) for name in ("cnn1d", "cnn2d")}
both = pytest.mark.parametrize("name", list(CONFIGS))


@cache
def arrays(name: str) -> dict[str, np.ndarray]:
    """Of a network whose every array, the running statistics too, holds something of its own."""
    _, weights = nnx.eval_shape(lambda: models.create(CONFIGS[name], 13, 3, seed=0))
    shapes = storage._by_path(weights)
    return {
        k: np.random.default_rng(i).uniform(0.5, 1, v.shape).astype(v.dtype)
        for i, (k, v) in enumerate(sorted(shapes.items()))
    }


@both
def test_weights_come_back_bit_for_bit(name: str) -> None:
    graph, weights = from_arrays(arrays(name), CONFIGS[name], 13, 3)
    assert isinstance(weights, Weights)
    again_graph, again = from_arrays(unpack(pack(to_arrays(weights))), CONFIGS[name], 13, 3)
    for key, value in to_arrays(again).items():
        np.testing.assert_array_equal(value, arrays(name)[key])
        assert value.dtype == arrays(name)[key].dtype
    assert again_graph == graph


@both
def test_every_array_of_a_network_is_stored(name: str) -> None:
    """The parameters and running statistics of three blocks and a head, each under its path."""
    blocks = {f"params/block{i}/{rest}" for i in (1, 2, 3) for rest in ("conv/kernel", "norm/scale", "norm/bias")}
    head = {f"params/head/{layer}/{part}" for layer in ("dense", "logits") for part in ("kernel", "bias")}
    statistics = {f"batch_stats/block{i}/norm/{part}" for i in (1, 2, 3) for part in ("mean", "var")}
    assert set(arrays(name)) == blocks | head | statistics


def test_a_loaded_network_has_the_graph_of_a_created_one() -> None:
    """So that a trained, a continued and a loaded network share one compiled function."""
    created, _ = models.create(CONFIGS["cnn1d"], 13, 3, seed=0)
    loaded, _ = from_arrays(arrays("cnn1d"), CONFIGS["cnn1d"], 13, 3)
    assert created == loaded
    assert hash(created) == hash(loaded)


def test_the_same_arrays_give_the_same_bytes_in_any_order() -> None:
    ours = arrays("cnn1d")
    assert pack(ours) == pack(dict(reversed(ours.items())))
    assert pack(ours) != pack({**ours, "params/head/logits/bias": ours["params/head/logits/bias"] + 1})


def test_numpy_reads_what_was_packed() -> None:
    with np.load(io.BytesIO(pack(arrays("cnn1d"))), allow_pickle=False) as archive:
        assert set(archive.files) == set(arrays("cnn1d"))


def _without(name: str) -> dict[str, np.ndarray]:
    return {key: value for key, value in arrays("cnn1d").items() if key != name}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (lambda: _without("params/head/dense/bias"), "params/head/dense/bias"),
        (lambda: {**arrays("cnn1d"), "params/more": np.zeros(1)}, "params/more"),
        (lambda: {**arrays("cnn1d"), "params/head/dense/bias": np.zeros(9, np.float32)}, "params/head/dense/bias"),
        (lambda: arrays("cnn2d"), "conv/kernel"),
    ],
)
def test_arrays_that_do_not_fit_are_named(changed, named: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(WeightsMismatch, match=named):
        from_arrays(changed(), CONFIGS["cnn1d"], 13, 3)


@pytest.mark.parametrize("wrong", [{"filters": 3}, {"dense": 9}])
def test_another_width_is_a_mismatch(wrong: dict[str, int]) -> None:
    with pytest.raises(WeightsMismatch, match="do not fit a cnn1d"):
        from_arrays(arrays("cnn1d"), NetworkConfig("cnn1d", **({"filters": 2, "dense": 8} | wrong)), 13, 3)


def _archive(member: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("params.npy", member)
    return buffer.getvalue()


def _pickled() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"code": "would run"}], object), allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [b"", b"no archive", pack({"a": np.arange(100)})[:-50], _archive(b"no array"), _archive(_pickled())],
    ids=["empty", "text", "truncated", "no array inside", "pickle"],
)
def test_bytes_that_are_no_archive_of_arrays_are_refused(data: bytes) -> None:
    with pytest.raises(WeightsMismatch, match="not a readable"):
        unpack(data)


def test_loading_initialises_nothing() -> None:
    """Drawing a network's weights only to overwrite them would compile for seconds at every start of the service."""
    _, weights = from_arrays(arrays("cnn1d"), CONFIGS["cnn1d"], 13, 3)
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(weights))
