"""SpecAugment: bands of time and of frequency hidden from the network, on features.

Park et al., "SpecAugment: a simple data augmentation method for automatic speech recognition", Interspeech 2019,
without its time warping.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, Key

from jaxresp.dsp.augment.drawing import chosen
from jaxresp.dsp.augment.errors import AugmentError, check_probability, check_within


@dataclass(frozen=True)
class SpecAugmentConfig:
    """How much of the features is hidden, and how often. Every example draws for itself.

    Attributes:
        probability: share of examples that are masked.
        time_masks: masks over frames; 2 as in the paper's LibriSpeech double policy.
        time_share: widest time mask as a share of the frames; at 0.1 two masks hide at most a second of five, so a
            breath is never hidden whole.
        frequency_masks: masks over coefficients; 2 as in the paper.
        frequency_share: widest frequency mask as a share of the coefficients; the paper's 27 of 80 would hide a wheeze
            with its surroundings, 0.15 hides it alone. For mel bands: neighbouring cepstral coefficients are no band.
    """

    probability: float = 0.5
    time_masks: int = 2
    time_share: float = 0.1
    frequency_masks: int = 2
    frequency_share: float = 0.15

    def __post_init__(self) -> None:
        check_probability("probability", self.probability)
        check_within("time_share", self.time_share, 0.0, 1.0)
        check_within("frequency_share", self.frequency_share, 0.0, 1.0)
        for name in ("time_masks", "frequency_masks"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise AugmentError(f"{name} is {value!r}; it is a number of masks: 0, 1, 2, …")


class SpecMasks(NamedTuple):
    """What is hidden in each example: frames and coefficients [start, start + width). Width 0 hides nothing."""

    time_start: Int32[Array, "batch time_masks"]
    time_width: Int32[Array, "batch time_masks"]
    frequency_start: Int32[Array, "batch frequency_masks"]
    frequency_width: Int32[Array, "batch frequency_masks"]


def draw_spec_masks(
    key: Key[Array, ""], config: SpecAugmentConfig, batch_size: int, n_frames: int, n_coefficients: int
) -> SpecMasks:
    """Widths uniform from 0 to the widest, inclusive; starts uniform over where a mask of that width fits."""
    which, time, frequency = jax.random.split(key, 3)
    masked = chosen(which, batch_size, config.probability)[:, None]

    def bands(
        key: Key[Array, ""], n_masks: int, share: float, size: int
    ) -> tuple[Int32[Array, "batch masks"], Int32[Array, "batch masks"]]:
        start, width = draw_bands(key, int(share * size), size, (batch_size, n_masks))
        return start, jnp.where(masked, width, 0)

    return SpecMasks(
        *bands(time, config.time_masks, config.time_share, n_frames),
        *bands(frequency, config.frequency_masks, config.frequency_share, n_coefficients),
    )


def draw_bands(
    key: Key[Array, ""], widest: Int32[Array, ""] | int, size: int, shape: tuple[int, int]
) -> tuple[Int32[Array, "batch masks"], Int32[Array, "batch masks"]]:
    """Starts and widths of bands on an axis of that size. How wide they may be can be traced."""
    for_width, for_start = jax.random.split(key)
    width = jax.random.randint(for_width, shape, 0, widest + 1, jnp.int32)
    return jax.random.randint(for_start, shape, 0, size - width + 1, jnp.int32), width


def spec_augment(
    features: Float32[Array, "batch frames coefficients"], masks: SpecMasks
) -> Float32[Array, "batch frames coefficients"]:
    """Put each coefficient's own mean over time where a mask lies; every other value keeps every bit.

    The mean is per example and coefficient: a mask says "nothing special here" and tells nothing by its level, whether
    or not features are standardised.
    """
    n_frames, n_coefficients = features.shape[-2:]
    hidden = (
        _covered(masks.time_start, masks.time_width, n_frames)[:, :, None]
        | _covered(masks.frequency_start, masks.frequency_width, n_coefficients)[:, None, :]
    )
    return jnp.where(hidden, jnp.mean(features, axis=1, keepdims=True), features)


def _covered(
    start: Int32[Array, "batch masks"], width: Int32[Array, "batch masks"], size: int
) -> Bool[Array, "batch {size}"]:
    at = jnp.arange(size, dtype=jnp.int32)[None, None, :]
    return ((at >= start[:, :, None]) & (at < (start + width)[:, :, None])).any(axis=1)
