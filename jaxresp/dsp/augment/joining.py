"""Two respiratory cycles of one class, one after the other: a new example of that class.

Gairola et al., "RespireNet", EMBC 2021 (concatenation-based augmentation); here with a cross-fade, because a hard joint
is a click, and to a network a click is a crackle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, Key

from jaxresp.dsp.augment.drawing import chosen
from jaxresp.dsp.augment.errors import AugmentError, check_probability


@dataclass(frozen=True)
class JoinConfig:
    """How often cycles are joined, and how softly.

    Attributes:
        probability: share of examples that get another cycle behind them.
        fade_samples: length of the cross-fade; 160 are 10 ms at 16 kHz: longer than the click of a hard joint, shorter
            than any phase of a breath.
    """

    probability: float = 0.5
    fade_samples: int = 160

    def __post_init__(self) -> None:
        check_probability("probability", self.probability)
        if self.fade_samples < 1:
            raise AugmentError(f"fade_samples is {self.fade_samples}; a cross-fade takes at least one sample")


class Joining(NamedTuple):
    """Whose cycle follows each example's own, and whether one does."""

    partner: Int32[Array, " batch"]
    joined: Bool[Array, " batch"]


def draw_joining(key: Key[Array, ""], config: JoinConfig, labels: Int32[Array, " batch"]) -> Joining:
    """For each example another of its class, each as likely; one that is alone in its class stays alone."""
    which, for_partner = jax.random.split(key)
    n = labels.shape[0]
    allowed = (labels[:, None] == labels[None, :]) & ~jnp.eye(n, dtype=bool)
    lot = jax.random.uniform(for_partner, (n, n), jnp.float32)
    partner = jnp.argmax(jnp.where(allowed, lot, -1.0), axis=1).astype(jnp.int32)
    return Joining(partner, chosen(which, n, config.probability) & allowed.any(axis=1))


def join_cycles(
    config: JoinConfig,
    joining: Joining,
    cycles: Float32[Array, "batch time"],
    lengths: Int32[Array, " batch"],
    *,
    n_samples: int,
) -> tuple[Float32[Array, "batch {n_samples}"], Int32[Array, " batch"]]:
    """Join cycles as drawn, cut or padded with silence to one length.

    Args:
        config: sets the cross-fade; it is cut to the shorter of the two cycles.
        joining: as drawn from the labels.
        cycles: each cycle in the first `lengths` samples of its row; what lies behind is not read.
        lengths: samples of each cycle.
        n_samples: length of the result.

    Returns:
        The joined cycles, and how many of their samples are sound.

    Raises:
        AugmentError: a result without a sample.
    """
    if n_samples < 1:
        raise AugmentError(f"n_samples is {n_samples}; the joined cycles need at least one sample")
    joined = jax.vmap(lambda a, n, b, m, yes: _join(a, n, b, jnp.where(yes, m, 0), config.fade_samples, n_samples))
    return joined(cycles, lengths, cycles[joining.partner], lengths[joining.partner], joining.joined)


def _join(
    first: Float32[Array, " time"],
    n_first: Int32[Array, ""],
    second: Float32[Array, " time"],
    n_second: Int32[Array, ""],
    fade_samples: int,
    n_samples: int,
) -> tuple[Float32[Array, " {n_samples}"], Int32[Array, ""]]:
    """Second laid behind first, overlapping by the fade; a second of no samples leaves the first alone."""
    fade = jnp.minimum(jnp.minimum(n_first, n_second), fade_samples)
    begin = n_first - fade
    at = jnp.arange(n_samples, dtype=jnp.int32)

    def part(cycle: Float32[Array, " time"], length: Int32[Array, ""], at: Int32[Array, " n"]) -> Float32[Array, " n"]:
        inside = (at >= 0) & (at < length)
        return jnp.where(inside, cycle[jnp.clip(at, 0, cycle.shape[0] - 1)], 0.0)

    # Rises from 0 to 1 over the fade, half a step in from both ends. Two cycles are uncorrelated: their powers add.
    rising = jnp.clip(((at - begin).astype(jnp.float32) + 0.5) / jnp.maximum(fade, 1).astype(jnp.float32), 0.0, 1.0)
    rising = jnp.where(n_second > 0, rising, 0.0)
    sound = jnp.sqrt(1.0 - rising) * part(first, n_first, at) + jnp.sqrt(rising) * part(second, n_second, at - begin)
    return sound, jnp.minimum(n_first + n_second - fade, n_samples)
