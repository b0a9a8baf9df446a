"""Augmentation on the device: pure, per example, under jit; drawing apart from applying. One idea per file.

`AugmentConfig`, `draw` and `apply` are the whole chain for waveforms. `SpecAugmentConfig`, `MixupConfig` and
`JoinConfig` are for features, for examples with their labels, and for cycles of one class; each has its `draw_…`.
Pictures and advice: docs/augmentation.md.
"""

from jaxresp.dsp.augment.band import band_limit
from jaxresp.dsp.augment.chain import Augmentation, AugmentConfig, apply, draw
from jaxresp.dsp.augment.errors import AugmentError
from jaxresp.dsp.augment.joining import JoinConfig, Joining, draw_joining, join_cycles
from jaxresp.dsp.augment.level import gain
from jaxresp.dsp.augment.masking import SpecAugmentConfig, SpecMasks, draw_bands, draw_spec_masks, spec_augment
from jaxresp.dsp.augment.mixing import Mixing, MixupConfig, draw_mixing, mixing_of, mixup
from jaxresp.dsp.augment.noise import NoiseKind, add_noise, pink_noise, recorded_noise, white_noise
from jaxresp.dsp.augment.rolling import roll
from jaxresp.dsp.augment.speed import change_speed
from jaxresp.dsp.augment.vocoder import pitch_shift, stretch_and_shift, time_stretch

__all__ = [
    "AugmentConfig",
    "AugmentError",
    "Augmentation",
    "JoinConfig",
    "Joining",
    "Mixing",
    "MixupConfig",
    "NoiseKind",
    "SpecAugmentConfig",
    "SpecMasks",
    "add_noise",
    "apply",
    "band_limit",
    "change_speed",
    "draw",
    "draw_bands",
    "draw_joining",
    "draw_mixing",
    "draw_spec_masks",
    "gain",
    "join_cycles",
    "mixing_of",
    "mixup",
    "pink_noise",
    "pitch_shift",
    "recorded_noise",
    "roll",
    "spec_augment",
    "stretch_and_shift",
    "time_stretch",
    "white_noise",
]
