"""Laws of what the networks are built of."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxresp.models import blocks

SHAPES = [(2, 1, 3), (2, 5, 3), (1, 6, 2), (2, 1, 7, 2), (2, 4, 5, 1), (1, 3, 1, 2)]


def drawn(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@pytest.mark.parametrize("shape", SHAPES)
def test_max_pool_keeps_the_larger_of_two_drops_an_odd_last_and_keeps_a_single_one(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = x
    for axis in range(1, x.ndim - 1):
        if x.shape[axis] > 1:
            even, odd = (np.moveaxis(expected, axis, 0)[start::2] for start in (0, 1))
            expected = np.moveaxis(np.maximum(even[: len(odd)], odd), 0, axis)
    np.testing.assert_array_equal(jax.jit(blocks.max_pool)(x), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_of_max_pool_goes_to_the_largest(shape: tuple[int, ...]) -> None:
    x = drawn(*shape)
    pooled = blocks.max_pool(x)
    gradient = drawn(*pooled.shape, seed=1)
    found = jax.jit(lambda x, g: jax.vjp(blocks.max_pool, x)[1](g)[0])(x, gradient)
    window = (1, *(min(n, 2) for n in shape[1:-1]), 1)
    usual = jax.vjp(lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID"), x)[1]
    np.testing.assert_array_equal(found, usual(gradient)[0])


def test_equals_share_the_gradient_of_max_pool() -> None:
    x = jnp.array([2.0, 2.0, 1.0, 2.0, 3.0, 1.0, 0.0, 3.0]).reshape(1, 2, 4, 1)
    found = jax.grad(lambda x: (blocks.max_pool(x) * jnp.array([6.0, 5.0]).reshape(1, 1, 2, 1)).sum())(x)
    np.testing.assert_array_equal(found.reshape(2, 4), [[0, 0, 0, 0], [6, 0, 0, 5]])
    even = jax.grad(lambda x: blocks.max_pool(x).sum())(jnp.zeros((1, 2, 3, 1)))
    np.testing.assert_array_equal(even.reshape(2, 3), [[0.25, 0.25, 0], [0.25, 0.25, 0]])


def usual_block(
    block: blocks.ConvBlock, x: jax.Array, kernel: jax.Array, scale: jax.Array, bias: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Convolution, normalisation, ReLU and pooling one after another, in the words of lax and Flax."""
    letters = "HW"[: x.ndim - 2]
    numbers = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    z = jax.lax.conv_general_dilated(x, kernel, (1,) * len(letters), "SAME", dimension_numbers=numbers)
    norm = nnx.BatchNorm(z.shape[-1], momentum=0.9, rngs=nnx.Rngs(0))
    norm.scale[...], norm.bias[...] = scale, bias
    norm.mean[...], norm.var[...] = block.norm.mean[...], block.norm.var[...]
    y = nnx.relu(norm(z))
    window = (2,) * len(letters)
    return nnx.max_pool(y, window, strides=window), norm.mean[...], norm.var[...]


@pytest.mark.parametrize("window, shape", [((5,), (3, 9, 4)), ((3, 3), (3, 7, 6, 1)), ((3, 3), (3, 6, 5, 4))])
def test_a_block_in_training_is_its_parts_one_after_another(window: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Outputs, running statistics and every gradient; also where a scale has become negative."""
    block = blocks.ConvBlock(shape[-1], 4, window, rngs=nnx.Rngs(0))
    graph, params, stats = nnx.split(block, nnx.Param, nnx.BatchStat)
    x, kernel = drawn(*shape), drawn(*window, shape[-1], 4, seed=1)
    scale, bias = jnp.array([1.2, -0.7, 0.3, -1e-3]), drawn(4, seed=2)
    weight = drawn(shape[0], *(n // 2 for n in shape[1:-1]), 4, seed=3)

    def ours(x: jax.Array, kernel: jax.Array, scale: jax.Array, bias: jax.Array) -> tuple[jax.Array, tuple]:
        block = nnx.merge(graph, params, stats, copy=True)
        block.conv.kernel[...], block.norm.scale[...], block.norm.bias[...] = kernel, scale, bias
        y = block(x, train=True)
        return (y * weight).sum(), (y, block.norm.mean[...], block.norm.var[...])

    def usual(*args: jax.Array) -> tuple[jax.Array, tuple]:
        y, mean, var = usual_block(block, *args)
        return (y * weight).sum(), (y, mean, var)

    args = (x, kernel, scale, bias)
    found, expected = (jax.jit(jax.grad(side, argnums=(0, 1, 2, 3), has_aux=True))(*args) for side in (ours, usual))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * float(np.abs(b).max()))


def test_a_block_as_served_is_its_parts_with_running_statistics() -> None:
    block = blocks.ConvBlock(2, 3, (3, 3), rngs=nnx.Rngs(0))
    block.norm.scale[...], block.norm.bias[...] = jnp.array([1.0, -2.0, 0.0]), jnp.array([0.1, 0.2, 0.3])
    block.norm.mean[...], block.norm.var[...] = jnp.array([0.5, -0.5, 0.2]), jnp.array([2.0, 0.5, 1.0])
    x = drawn(2, 5, 6, 2)
    y = nnx.relu(block.norm(block.conv(x), use_running_average=True))
    expected = nnx.max_pool(y, (2, 2), strides=(2, 2))
    np.testing.assert_allclose(block(x, train=False), expected, atol=1e-5)


def test_bfloat16_goes_through_a_block_and_its_statistics_stay_float32() -> None:
    x, scale, bias = (jnp.asarray(each, jnp.bfloat16) for each in (drawn(2, 6, 4), jnp.ones(4), jnp.zeros(4)))
    y, mean, variance = blocks.normalised_pool(x, scale, bias, 1e-5)
    assert (y.dtype, mean.dtype, variance.dtype) == (jnp.bfloat16, jnp.float32, jnp.float32)
    gradients = jax.grad(lambda *args: blocks.normalised_pool(*args, 1e-5)[0].sum(), argnums=(0, 1, 2))(x, scale, bias)
    assert {each.dtype for each in gradients} == {jnp.dtype(jnp.bfloat16)}


def test_dropout_keeps_the_mean_and_drops_its_share() -> None:
    x = jnp.ones((200, 500))
    for rate in (0.0, 0.3, 0.9):
        out = blocks.dropout(x, rate, jax.random.key(0))
        assert float((out == 0).mean()) == pytest.approx(rate, abs=0.01)
        assert float(out.mean()) == pytest.approx(1.0, abs=0.02)
    assert blocks.dropout(x, 0.5, None) is x


def test_one_compiled_dropout_serves_every_rate() -> None:
    traces = []

    @jax.jit
    def drop(rate: jax.Array) -> jax.Array:
        traces.append(rate)
        return blocks.dropout(jnp.ones((50, 50)), rate, jax.random.key(0))

    zeros = [int((drop(np.float32(rate)) == 0).sum()) for rate in (0.1, 0.5, 0.9)]
    assert zeros == sorted(zeros) and len(set(zeros)) == 3
    assert len(traces) == 1


def test_dropout_of_a_wider_layer_is_the_same_where_both_have_units() -> None:
    """So that a network padded with units that do nothing trains as it would alone."""
    key = jax.random.key(3)
    narrow, wide = (blocks.dropout(jnp.ones((5, width)), 0.4, key) for width in (7, 12))
    np.testing.assert_array_equal(wide[:, :7], narrow)
    together = jax.vmap(lambda key: blocks.dropout(jnp.ones((5, 12)), 0.4, key))(jax.random.split(key, 2))
    np.testing.assert_array_equal(together[1], blocks.dropout(jnp.ones((5, 12)), 0.4, jax.random.split(key, 2)[1]))
