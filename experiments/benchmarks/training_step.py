"""How the pieces of a training step are written, against how they usually are: both sides in one run, with the ratio.

    python experiments/benchmarks/training_step.py [--filters 16] [--repeats 15]

Expected: about two minutes on two cores. Times are the least of the repeats, which alternate between the sides, as
other processes only ever add time. Written for the claims in jaxresp/models/blocks.py and jaxresp/train/step.py.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxresp import models
from jaxresp.models.blocks import max_pool, single_channel_convolution

BATCH, FRAMES, COEFFICIENTS, STEPS = 32, 157, 20, 8


def compare(title: str, ours: Callable[[], object], usual: Callable[[], object], repeats: int) -> None:
    """Print the least time of each side, alternating, and their ratio."""
    least = [np.inf, np.inf]
    for repeat in range(repeats + 1):
        for side, call in enumerate((ours, usual)):
            started = time.perf_counter()
            jax.block_until_ready(call())
            if repeat > 0:  # the first compiles
                least[side] = min(least[side], time.perf_counter() - started)
    print(f"| {title} | {least[0] * 1e3:.1f} | {least[1] * 1e3:.1f} | {least[1] / least[0]:.2f} |", flush=True)


def reduce_window_pool(x: jax.Array) -> jax.Array:
    return nnx.max_pool(x, (2, 2), strides=(2, 2), padding="VALID")


def lax_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--filters", type=int, default=16)
    arguments.add_argument("--repeats", type=int, default=15)
    options = arguments.parse_args()
    filters, repeats = options.filters, options.repeats
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}, batch {BATCH}, {FRAMES}×{COEFFICIENTS} features")
    print(f"\n| {filters} filters | ours, ms | usual, ms | usual / ours |\n| --- | --- | --- | --- |")

    x = jax.random.normal(jax.random.key(0), (BATCH, FRAMES, COEFFICIENTS, 1))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 1, filters))

    def kernel_gradient(convolution: Callable[..., jax.Array]) -> Callable[[], object]:
        gradient = jax.jit(jax.grad(lambda w: (convolution(x, w) ** 2).sum()))
        return lambda: gradient(kernel)

    ours, usual = kernel_gradient(single_channel_convolution), kernel_gradient(lax_convolution)
    compare("first convolution and its weight gradient (against lax.conv)", ours, usual, repeats)

    y = jax.random.normal(jax.random.key(2), (BATCH, FRAMES, COEFFICIENTS, filters))

    def pool_gradient(pool: Callable[[jax.Array], jax.Array]) -> Callable[[], object]:
        gradient = jax.jit(jax.grad(lambda y: (pool(y) ** 2).sum()))
        return lambda: gradient(y)

    compare(
        "max pooling and its gradient (against lax.reduce_window)",
        pool_gradient(max_pool),
        pool_gradient(reduce_window_pool),
        repeats,
    )

    graph, weights = models.create(models.NetworkConfig("cnn2d", filters), COEFFICIENTS, 3, seed=0)
    batches = jax.random.normal(jax.random.key(3), (STEPS, BATCH, FRAMES, COEFFICIENTS))
    labels = jnp.zeros(BATCH, jnp.int32)

    def step(weights: models.Weights, batch: jax.Array) -> tuple[models.Weights, jax.Array]:
        def loss_of(params: nnx.State) -> tuple[jax.Array, nnx.State]:
            now = models.Weights(params, weights.batch_stats)
            logits, stats = models.apply_training(graph, now, batch, key=jax.random.key(4), dropout_rate=0.3)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), stats

        (loss, stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights.params)
        params = jax.tree.map(lambda p, g: p - 1e-3 * g, weights.params, gradients)
        return models.Weights(params, stats), loss

    jitted, scanned = jax.jit(step), jax.jit(lambda weights, batches: jax.lax.scan(step, weights, batches))

    def loop() -> models.Weights:
        now = weights
        for batch in batches:
            now, _ = jitted(now, batch)
        return now

    compare(f"{STEPS} steps of cnn2d, called in a loop (against lax.scan)", loop, lambda: scanned(weights, batches), 3)


if __name__ == "__main__":
    main()
