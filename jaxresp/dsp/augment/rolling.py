"""Roll in time: where in a breath a window starts means nothing."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32


def roll(waveform: Float32[Array, "batch time"], share: Float32[Array, " batch"]) -> Float32[Array, "batch time"]:
    """Roll each example later by a share of its length; what leaves at the end returns at the start.

    Nothing is lost, so a crackle at the edge survives; the seam is a step no larger than the sound itself.

    Args:
        waveform: any level.
        share: in [0, 1); 0 leaves every bit.
    """
    shift = (share * waveform.shape[-1]).astype(jnp.int32)
    return jax.vmap(jnp.roll)(waveform, shift)
