"""The forms of a convolution: the same numbers, written as what a processor is fast at."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def convolution(
    x: Float[Array, "batch *spatial channels"], kernel: Float[Array, "*window channels features"]
) -> Float[Array, "batch *spatial features"]:
    """Padding SAME, stride 1."""
    return stacked(x, kernel) if x.shape[-1] == 1 else direct(x, kernel)


def direct(
    x: Float[Array, "batch *spatial channels"], kernel: Float[Array, "*window channels features"]
) -> Float[Array, "batch *spatial features"]:
    """XLA's own convolution."""
    letters = "DHW"[-(kernel.ndim - 2) :]
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (1,) * len(letters),
        "SAME",
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
    )


def stacked(
    x: Float[Array, "batch *spatial 1"], kernel: Float[Array, "*window 1 features"]
) -> Float[Array, "batch *spatial features"]:
    """One matrix product, of a single channel's shifted copies: [window, batch · spatial].

    With a single channel there is little to convolve, and XLA's own convolution on a CPU costs more than it computes.
    The copies lie one after another, not side by side, so that the kernel's gradient, a product over all positions,
    needs nothing transposed.
    """
    copies = jnp.stack([copy[..., 0].reshape(-1) for copy in _shifted(x, kernel.shape[:-2])])
    flat = kernel.reshape(-1, kernel.shape[-1])
    return jax.lax.dot_general(copies, flat, (((0,), (0,)), ((), ()))).reshape(*x.shape[:-1], -1)


def _shifted(
    x: Float[Array, "batch *spatial channels"], window: tuple[int, ...]
) -> list[Float[Array, "batch *spatial channels"]]:
    """What every place of the window sees, in the kernel's order; zeros beyond the borders."""
    before = [(size - 1) // 2 for size in window]
    padded = jnp.pad(
        x, [(0, 0), *((low, size - 1 - low) for low, size in zip(before, window, strict=True)), (0, 0)]
    )
    batch, *spatial, channels = x.shape
    return [
        jax.lax.slice(
            padded, (0, *offset, 0), (batch, *(o + n for o, n in zip(offset, spatial, strict=True)), channels)
        )
        for offset in itertools.product(*map(range, window))
    ]
