"""What training does to waveforms, in order, each example for itself.

Parameters are drawn apart from applying them: `draw(key, config, batch_size)` → `Augmentation`, then `apply(config,
augmentation, waveform, rate_hz=…)`. So what happened to an example can be looked at, stored and repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32, Key

from jaxresp.dsp.augment import band, noise, speed, vocoder
from jaxresp.dsp.augment.drawing import chosen, log_uniform, uniform
from jaxresp.dsp.augment.errors import AugmentError, check_probability, check_range, check_within
from jaxresp.dsp.augment.level import gain
from jaxresp.dsp.augment.noise import NoiseKind
from jaxresp.dsp.augment.rolling import roll

_INF = float("inf")


@dataclass(frozen=True)
class AugmentConfig:
    """How far, and how often, a training waveform is changed. Every example draws for itself.

    What has a probability of 0 costs nothing: it is not compiled.

    Attributes:
        speed_probability: share of examples played faster or slower; 0, as pitch and stretch already do both.
        speed_rate: slowest and fastest speed, above 1 is faster and higher; 0.9 to 1.1 as is usual for speech.
        pitch_probability: share of examples shifted in pitch.
        pitch_semitones: largest shift up or down; 3 as in the original project, about one body size.
        stretch_probability: share of examples stretched in time.
        stretch_rate: slowest and fastest rate, above 1 is faster; 1.2 as in the original project, a faster breath.
        vocoder_n_fft: samples of the window that pitch and stretch work in, a multiple of 4; 1024 are 64 ms at 16 kHz,
            which resolves neighbouring harmonics of a wheeze; a longer one would blur crackles that follow each other.
        roll_probability: share of examples rolled in time: where in a breath a window starts means nothing.
        noise_probability: share of examples with noise added; half, so that clean ones are seen too.
        noise_snr_db: lowest and highest signal-to-noise ratio in dB; 15 is a bad room, 35 barely audible.
        noise_kinds: "white", "pink", "recorded": each noisy example gets one of these, each as likely. "recorded" needs
            the clips when it is applied.
        band_probability: share of examples whose band is cut off; 0, as the front ends' features already end at
            1800 Hz. With features beyond that it should be 1: any example left out shows its recorder's rate.
        band_hz: Hz; lowest and highest end of the band. 1800 is what every stethoscope of ICBHI recorded.
        gain_probability: share of examples made louder or softer; 0, as the front ends normalise the level.
        gain_db: largest gain up or down in dB; 6 is a hand pressing twice as hard.
    """

    speed_probability: float = 0.0
    speed_rate: tuple[float, float] = (0.9, 1.1)
    pitch_probability: float = 0.5
    pitch_semitones: float = 3.0
    stretch_probability: float = 0.5
    stretch_rate: tuple[float, float] = (1 / 1.2, 1.2)
    vocoder_n_fft: int = 1024
    roll_probability: float = 0.5
    noise_probability: float = 0.5
    noise_snr_db: tuple[float, float] = (15.0, 35.0)
    noise_kinds: tuple[str, ...] = ("white",)
    band_probability: float = 0.0
    band_hz: tuple[float, float] = (1800.0, 4000.0)
    gain_probability: float = 0.0
    gain_db: float = 6.0

    def __post_init__(self) -> None:
        for what in ("speed", "pitch", "stretch", "roll", "noise", "band", "gain"):
            check_probability(f"{what}_probability", getattr(self, f"{what}_probability"))
        check_range("speed_rate", self.speed_rate, 0.25, 4.0)
        check_range("stretch_rate", self.stretch_rate, 0.25, 4.0)
        check_range("noise_snr_db", self.noise_snr_db, -_INF, _INF, "dB")
        check_range("band_hz", self.band_hz, 1.0, _INF, "Hz")
        check_within("pitch_semitones", self.pitch_semitones, 0.0, 12.0)
        check_within("gain_db", self.gain_db, 0.0, _INF, "dB, as it is the largest change either way")
        vocoder.check_window("vocoder_n_fft", self.vocoder_n_fft)
        known = get_args(NoiseKind)
        if not self.noise_kinds or any(kind not in known for kind in self.noise_kinds):
            raise AugmentError(f"noise_kinds is {self.noise_kinds!r}; give one or more of {', '.join(known)}")


class Augmentation(NamedTuple):
    """What happens to each example of a batch. A pytree: it passes through jit, vmap and scan.

    Attributes:
        speed: 1 for none, above 1 is faster and higher.
        semitones: pitch shift; 0 for none.
        rate: time stretch; 1 for none, above 1 is faster.
        roll: share of the length that the waveform is rolled by, in [0, 1).
        noise_key: one key per example, used for its noise and nothing else.
        noise_kind: which of the configuration's noise_kinds.
        noise_clip: which recorded clip, as a share of their number.
        noise_offset: where in it, as a share of its length.
        noise_snr_db: signal-to-noise ratio in dB; infinite for none.
        band_hz: end of the band in Hz; infinite for none.
        gain_db: gain in dB; 0 for none.
    """

    speed: Float32[Array, " batch"]
    semitones: Float32[Array, " batch"]
    rate: Float32[Array, " batch"]
    roll: Float32[Array, " batch"]
    noise_key: Key[Array, " batch"]
    noise_kind: Int32[Array, " batch"]
    noise_clip: Float32[Array, " batch"]
    noise_offset: Float32[Array, " batch"]
    noise_snr_db: Float32[Array, " batch"]
    band_hz: Float32[Array, " batch"]
    gain_db: Float32[Array, " batch"]


def draw(key: Key[Array, ""], config: AugmentConfig, batch_size: int) -> Augmentation:
    """Draw what happens to each example: the same key, the same draws. Rates and Hz are uniform in their logarithm."""
    n = batch_size
    keys = iter(jax.random.split(key, 18))  # every draw its own

    def sometimes(probability: float, drawn: Float32[Array, " batch"], otherwise: float) -> Float32[Array, " batch"]:
        return jnp.where(chosen(next(keys), n, probability), drawn, otherwise)

    return Augmentation(
        speed=sometimes(config.speed_probability, log_uniform(next(keys), n, config.speed_rate), 1.0),
        semitones=sometimes(config.pitch_probability, _either_way(next(keys), n, config.pitch_semitones), 0.0),
        rate=sometimes(config.stretch_probability, log_uniform(next(keys), n, config.stretch_rate), 1.0),
        roll=sometimes(config.roll_probability, uniform(next(keys), n, (0.0, 1.0)), 0.0),
        noise_key=jax.random.split(next(keys), n),
        noise_kind=jax.random.randint(next(keys), (n,), 0, len(config.noise_kinds), jnp.int32),
        noise_clip=uniform(next(keys), n, (0.0, 1.0)),
        noise_offset=uniform(next(keys), n, (0.0, 1.0)),
        noise_snr_db=sometimes(config.noise_probability, uniform(next(keys), n, config.noise_snr_db), _INF),
        band_hz=sometimes(config.band_probability, log_uniform(next(keys), n, config.band_hz), _INF),
        gain_db=sometimes(config.gain_probability, _either_way(next(keys), n, config.gain_db), 0.0),
    )


def _either_way(key: Key[Array, ""], n: int, most: float) -> Float32[Array, " batch"]:
    return uniform(key, n, (-most, most))


def apply(
    config: AugmentConfig,
    augmentation: Augmentation,
    waveform: Float32[Array, "batch time"],
    *,
    rate_hz: int,
    noise_clips: Float32[Array, "clips clip_time"] | None = None,
) -> Float32[Array, "batch time"]:
    """Change each example as drawn; the length stays.

    In the order in which the world does it: the body (speed, pitch, stretch), the moment (roll), the room (noise), the
    recorder (band, gain). So noise ends where the sound does, as in a recording of a lower rate.

    Args:
        config: sets what must be known before tracing: what can happen at all, and how far at most.
        augmentation: as drawn with this configuration.
        waveform: any level.
        rate_hz: of the waveform.
        noise_clips: recorded noise at that rate, where noise_kinds names "recorded".

    Raises:
        AugmentError: a window longer than the waveform, a band beyond half the rate, recorded noise without clips.
    """
    n_samples = waveform.shape[-1]
    if config.speed_probability > 0:
        waveform = speed.change_speed(waveform, augmentation.speed)
    if config.pitch_probability > 0:
        waveform = vocoder.stretch_and_shift(
            waveform,
            augmentation.rate,
            augmentation.semitones,
            max_semitones=config.pitch_semitones,
            n_fft=config.vocoder_n_fft,
        )
    elif config.stretch_probability > 0:
        waveform = vocoder.time_stretch(waveform, augmentation.rate, n_fft=config.vocoder_n_fft)
    if config.roll_probability > 0:
        waveform = roll(waveform, augmentation.roll)
    if config.noise_probability > 0:
        heard = _noise(config, augmentation, n_samples, rate_hz, noise_clips)
        waveform = noise.add_noise(waveform, heard, augmentation.noise_snr_db)
    if config.band_probability > 0:
        waveform = band.band_limit(waveform, augmentation.band_hz, lowest_hz=config.band_hz[0], rate_hz=rate_hz)
    if config.gain_probability > 0:
        waveform = gain(waveform, augmentation.gain_db)
    return waveform


def _noise(
    config: AugmentConfig,
    augmentation: Augmentation,
    n_samples: int,
    rate_hz: int,
    clips: Float32[Array, "clips clip_time"] | None,
) -> Float32[Array, "batch time"]:
    """Each example's own kind of noise, at any level."""
    kinds = config.noise_kinds
    if "recorded" in kinds and clips is None:
        raise AugmentError("noise_kinds names 'recorded', but no clips were given; pass them as noise_clips")
    heard = []
    white = noise.white_noise(augmentation.noise_key, n_samples) if {"white", "pink"} & set(kinds) else None
    for kind in kinds:
        if kind == "recorded" and clips is not None:
            heard.append(noise.recorded_noise(clips, augmentation.noise_clip, augmentation.noise_offset, n_samples))
        elif white is not None:
            heard.append(noise.pink_noise(white, rate_hz) if kind == "pink" else white)
    result = heard[0]
    for i, other in enumerate(heard[1:], start=1):
        result = jnp.where((augmentation.noise_kind == i)[:, None], other, result)
    return result
