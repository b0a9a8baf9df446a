"""Mixup: two examples and their labels, blended in the same proportion. For waveforms and for features.

Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int32, Key

from jaxresp.dsp.augment.drawing import chosen
from jaxresp.dsp.augment.errors import AugmentError, check_probability


@dataclass(frozen=True)
class MixupConfig:
    """How far, and how often, examples are blended.

    Attributes:
        probability: share of examples that are blended.
        alpha: of the Beta(α, α) that the proportion is drawn from; 0.2 (the paper: 0.1 to 0.4) mostly leaves one of the
            two in front, 1 makes every proportion as likely.
    """

    probability: float = 0.5
    alpha: float = 0.2

    def __post_init__(self) -> None:
        check_probability("probability", self.probability)
        if not 0 < self.alpha < float("inf"):
            raise AugmentError(f"alpha is {self.alpha}; the Beta distribution needs it above 0")


class Mixing(NamedTuple):
    """Each example becomes share × itself + (1 - share) × its partner."""

    share: Float32[Array, " batch"]
    partner: Int32[Array, " batch"]


def draw_mixing(key: Key[Array, ""], config: MixupConfig, batch_size: int) -> Mixing:
    """A proportion, and a partner among the others of the batch, for each example for itself.

    Raises:
        AugmentError: a batch of fewer than two examples.
    """
    return mixing_of(key, config.alpha, config.probability, batch_size)


def mixing_of(
    key: Key[Array, ""], alpha: Float[Array, ""] | float, probability: Float[Array, ""] | float, batch_size: int
) -> Mixing:
    """`draw_mixing` whose strengths may be traced: a sweep over them compiles once.

    Raises:
        AugmentError: a batch of fewer than two examples.
    """
    if batch_size < 2:
        raise AugmentError(f"mixup in a batch of {batch_size}; it takes at least two examples")
    which, for_share, for_partner = jax.random.split(key, 3)
    share = jax.random.beta(for_share, alpha, alpha, (batch_size,), jnp.float32)
    further = jax.random.randint(for_partner, (batch_size,), 1, batch_size, jnp.int32)
    return Mixing(
        share=jnp.where(chosen(which, batch_size, probability), share, 1.0),
        partner=(jnp.arange(batch_size, dtype=jnp.int32) + further) % batch_size,
    )


def mixup(values: Float32[Array, "batch ..."], mixing: Mixing) -> Float32[Array, "batch ..."]:
    """Blend a batch as drawn: waveforms, features or label probabilities. Call it once for each, with one drawing.

    A share of 1 leaves every bit. Labels are probabilities [batch, classes]; they go on summing to one.
    """
    share = mixing.share.reshape((-1,) + (1,) * (values.ndim - 1))
    return jnp.where(share == 1.0, values, share * values + (1.0 - share) * values[mixing.partner])
