"""Waveform augmentation: white noise, gain, roll, time stretch and pitch shift, per example, under jit.

Parameters are drawn apart from applying them: `draw(key, config, batch_size)` → `Augmentation`, then
`apply(config, augmentation, waveform)`. So what happened to an example can be looked at, stored and repeated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex64, Float32, Int32, Key

from jaxresp.dsp import spectral
from jaxresp.errors import JaxrespError

_N_FFT = 1024  # 64 ms at 16 kHz: resolves neighbouring harmonics of a wheeze, blurs a crackle by no more than a hop
_HOP_SAMPLES = _N_FFT // 4  # the phase vocoder's usual 75 % overlap
_OVERSAMPLING = 2  # the vocoder's output rate over its input rate, which makes a short interpolator exact enough
_LAGRANGE_POINTS = 6


class AugmentError(JaxrespError):
    """Augmentation settings that make no sense."""


@dataclass(frozen=True)
class AugmentConfig:
    """How far, and how often, a training waveform is changed. Every example draws for itself.

    Attributes:
        noise_probability: share of examples with white noise added; half, so that clean ones are seen too.
        noise_snr_db: lowest and highest signal-to-noise ratio in dB; 15 is a bad room, 35 barely audible.
        pitch_probability: share of examples shifted in pitch.
        pitch_semitones: largest shift up or down; 3 as in the original project, about one body size.
        stretch_probability: share of examples stretched in time.
        stretch_rate: slowest and fastest rate, above 1 is faster; 1.2 as in the original project, a faster breath.
        roll_probability: share of examples rolled in time: where in a breath a window starts means nothing.
        gain_db: largest gain up or down in dB. Zero: the front ends normalise the level, so it would do nothing.
    """

    noise_probability: float = 0.5
    noise_snr_db: tuple[float, float] = (15.0, 35.0)
    pitch_probability: float = 0.5
    pitch_semitones: float = 3.0
    stretch_probability: float = 0.5
    stretch_rate: tuple[float, float] = (1 / 1.2, 1.2)
    roll_probability: float = 0.5
    gain_db: float = 0.0

    def __post_init__(self) -> None:
        for field in ("noise_probability", "pitch_probability", "stretch_probability", "roll_probability"):
            if not 0 <= getattr(self, field) <= 1:
                raise AugmentError(f"{field} is {getattr(self, field)}; a probability lies between 0 and 1")
        if not 0 <= self.pitch_semitones <= 12:
            raise AugmentError(f"pitch_semitones is {self.pitch_semitones}; it lies between 0 and 12")
        if self.gain_db < 0:
            raise AugmentError(f"gain_db is {self.gain_db}; it is the largest change either way, so not negative")
        if not self.noise_snr_db[0] <= self.noise_snr_db[1]:
            raise AugmentError(f"noise_snr_db is {self.noise_snr_db}; give the lower ratio first")
        if not 0.25 <= self.stretch_rate[0] <= self.stretch_rate[1] <= 4:
            raise AugmentError(f"stretch_rate is {self.stretch_rate}; give the slower first, both between 0.25 and 4")


class Augmentation(NamedTuple):
    """What happens to each example of a batch. A pytree: it passes through jit, vmap and scan.

    Attributes:
        noise_key: one key per example, used for its noise and nothing else.
        noise_snr_db: signal-to-noise ratio in dB; infinite for none.
        semitones: pitch shift; 0 for none.
        rate: time stretch; 1 for none, above 1 is faster.
        roll: share of the length that the waveform is rolled by, in [0, 1).
        gain_db: gain in dB.
    """

    noise_key: Key[Array, " batch"]
    noise_snr_db: Float32[Array, " batch"]
    semitones: Float32[Array, " batch"]
    rate: Float32[Array, " batch"]
    roll: Float32[Array, " batch"]
    gain_db: Float32[Array, " batch"]


def draw(key: Key[Array, ""], config: AugmentConfig, batch_size: int) -> Augmentation:
    """Draw what happens to each example: the same key, the same draws. Stretch rates are uniform in their logarithm."""
    keys = iter(jax.random.split(key, 10))  # every draw its own

    def uniform(low: float, high: float) -> Float32[Array, " batch"]:
        return jax.random.uniform(next(keys), (batch_size,), jnp.float32, low, high)

    def chosen(probability: float) -> Bool[Array, " batch"]:
        return jax.random.bernoulli(next(keys), probability, (batch_size,))

    slow, fast = (math.log(rate) for rate in config.stretch_rate)
    return Augmentation(
        noise_key=jax.random.split(next(keys), batch_size),
        noise_snr_db=jnp.where(chosen(config.noise_probability), uniform(*config.noise_snr_db), jnp.inf),
        semitones=jnp.where(
            chosen(config.pitch_probability), uniform(-config.pitch_semitones, config.pitch_semitones), 0.0
        ),
        rate=jnp.where(chosen(config.stretch_probability), jnp.exp(uniform(slow, fast)), 1.0),
        roll=jnp.where(chosen(config.roll_probability), uniform(0.0, 1.0), 0.0),
        gain_db=uniform(-config.gain_db, config.gain_db),
    )


def apply(
    config: AugmentConfig, augmentation: Augmentation, waveform: Float32[Array, "batch time"]
) -> Float32[Array, "batch time"]:
    """Change each example as drawn: pitch and stretch, then roll, then noise, then gain. The length stays.

    `config` sets what must be known before tracing: whether a pitch shift can happen, and how far up at most.
    """
    if config.pitch_probability > 0 or config.stretch_probability > 0:
        most = config.pitch_semitones if config.pitch_probability > 0 else 0.0
        waveform = stretch_and_shift(waveform, augmentation.rate, augmentation.semitones, max_semitones=most)
    if config.roll_probability > 0:
        waveform = roll(waveform, augmentation.roll)
    if config.noise_probability > 0:
        waveform = add_noise(augmentation.noise_key, waveform, augmentation.noise_snr_db)
    return waveform * (10.0 ** (augmentation.gain_db / 20.0))[:, None]


def roll(waveform: Float32[Array, "batch time"], share: Float32[Array, " batch"]) -> Float32[Array, "batch time"]:
    """Roll each example later by a share of its length; what leaves at the end returns at the start."""
    shift = (share * waveform.shape[-1]).astype(jnp.int32)
    return jax.vmap(jnp.roll)(waveform, shift)


def add_noise(
    keys: Key[Array, " batch"], waveform: Float32[Array, "batch time"], snr_db: Float32[Array, " batch"]
) -> Float32[Array, "batch time"]:
    """Add Gaussian white noise at exactly the ratio asked for, in power about zero. Silence stays silent."""
    noise = jax.vmap(lambda key: jax.random.normal(key, waveform.shape[-1:], jnp.float32))(keys)
    level = _rms(waveform) / _rms(noise) * 10.0 ** (-snr_db / 20.0)
    return waveform + noise * level[:, None]


def stretch_and_shift(
    waveform: Float32[Array, "batch time"],
    rate: Float32[Array, " batch"],
    semitones: Float32[Array, " batch"],
    *,
    max_semitones: float,
) -> Float32[Array, "batch time"]:
    """Play faster by `rate` without changing the pitch, and shift the pitch by `semitones` without changing the pace.

    One phase vocoder (Flanagan & Golden, 1966; Laroche & Dolson, 1999) does both: it stretches by rate / 2^(n/12), and
    reading its output 2^(n/12) times as fast restores the pace and shifts the pitch. It is read by 6-point Lagrange
    interpolation at twice the rate. A sound that ends early begins again, rather than fall silent. Content that a
    shift would lift beyond the Nyquist frequency is removed. Examples with rate 1 and 0 semitones come back untouched.

    Args:
        waveform: any level.
        rate: above 1 is faster and shorter.
        semitones: at most `max_semitones`; further up there is no sound left to read.
        max_semitones: fixes the shapes under jit.
    """
    factor = 2.0 ** (semitones / 12.0)
    changed = jax.vmap(lambda x, r, f: _vocode(x, r, f, 2.0 ** (max_semitones / 12.0)))(waveform, rate, factor)
    untouched = (rate == 1.0) & (semitones == 0.0)
    return jnp.where(untouched[:, None], waveform, changed)


def _vocode(
    waveform: Float32[Array, " time"], rate: Float32[Array, ""], factor: Float32[Array, ""], max_factor: float
) -> Float32[Array, " time"]:
    n_samples = waveform.shape[-1]
    level = jnp.maximum(jnp.abs(waveform).max(), 1e-20)
    spectrum = spectral.stft(waveform / level, n_fft=_N_FFT, hop_samples=_HOP_SAMPLES)
    bins = jnp.arange(_N_FFT // 2 + 1, dtype=jnp.float32)
    spectrum = jnp.where((bins * factor < _N_FFT // 2)[None, :], spectrum, jnp.zeros_like(spectrum))

    n_needed = math.ceil(n_samples * max_factor) + _LAGRANGE_POINTS
    stretched = _stretch_frames(spectrum, rate / factor, spectral.n_frames(n_needed, _HOP_SAMPLES) + 1)

    # Zeros above the Nyquist frequency: the inverse transform then comes out at twice the rate.
    n_fft = _OVERSAMPLING * _N_FFT
    fine = jnp.pad(stretched * _OVERSAMPLING, [(0, 0), (0, n_fft // 2 - _N_FFT // 2)])
    track = spectral.istft(
        fine, n_fft=n_fft, hop_samples=_OVERSAMPLING * _HOP_SAMPLES, n_samples=_OVERSAMPLING * n_needed
    )
    return level * _read_at(track, n_samples, factor * _OVERSAMPLING)


def _stretch_frames(
    spectrum: Complex64[Array, "frames bins"], rate: Float32[Array, ""], n_out: int
) -> Complex64[Array, "{n_out} bins"]:
    """Frames read at k × rate: interpolated magnitudes, and phases that go on as fast as they went there.

    The phase step between two frames is kept as a unit phasor and multiplied up, so no angle is ever unwrapped.
    """
    n_in = spectrum.shape[0]
    position = jnp.arange(n_out, dtype=jnp.float32) * rate
    whole = jnp.floor(position)
    share = (position - whole)[:, None]
    here = whole.astype(jnp.int32) % n_in
    after = (here + 1) % n_in
    magnitude = jnp.abs(spectrum)
    magnitude = (1.0 - share) * magnitude[here] + share * magnitude[after]
    step = _unit(spectrum[after] * spectrum[here].conj())

    def turn(
        previous: Complex64[Array, " bins"], now: tuple[Complex64[Array, " bins"], Float32[Array, " bins"]]
    ) -> tuple[Complex64[Array, " bins"], Complex64[Array, " bins"]]:
        step, magnitude = now
        # Loose phase locking (Puckette, 1995): a bin follows its strongest neighbour. Under a Hann window a sinusoid's
        # bins alternate in sign. Without it they drift apart, and a slowed tone loses a tenth of its amplitude.
        locked = previous - jnp.roll(previous, 1) - jnp.roll(previous, -1)
        frame = _scaled(_unit(_unit(locked) * step), magnitude)
        return frame, frame

    first = _scaled(_unit(spectrum[0]), magnitude[0])
    _, rest = jax.lax.scan(turn, first, (step[:-1], magnitude[1:]))
    return jnp.concatenate([first[None], rest])


def _unit(z: Complex64[Array, "*shape"]) -> Complex64[Array, "*shape"]:
    """z / |z|, and 1 where z is nothing."""
    squared = jnp.square(z.real) + jnp.square(z.imag)
    return jnp.where(squared > 1e-30, _scaled(z, jax.lax.rsqrt(jnp.maximum(squared, 1e-30))), jnp.ones_like(z))


def _scaled(z: Complex64[Array, "*shape"], by: Float32[Array, "*shape"]) -> Complex64[Array, "*shape"]:
    return jax.lax.complex(z.real * by, z.imag * by)


def _read_at(track: Float32[Array, " fine"], n_samples: int, step: Float32[Array, ""]) -> Float32[Array, " time"]:
    """Return track(i × step) for i < n_samples by Lagrange interpolation through the nearest six points."""
    # i × step in float32 is off by up to 1/64 of a sample at 160,000; whole and fractional steps apart are not.
    index: Int32[Array, " time"] = jnp.arange(n_samples, dtype=jnp.int32)
    coarse, fine = index // 256, index % 256
    jump = 256.0 * step
    jump_whole = jnp.floor(jump)
    start = coarse.astype(jnp.float32) * (jump - jump_whole) + fine.astype(jnp.float32) * step
    start_whole = jnp.floor(start)
    whole = coarse * jump_whole.astype(jnp.int32) + start_whole.astype(jnp.int32)
    x = start - start_whole

    offsets = range(-(_LAGRANGE_POINTS // 2 - 1), _LAGRANGE_POINTS // 2 + 1)
    result = jnp.zeros(n_samples, jnp.float32)
    for offset in offsets:
        others = [other for other in offsets if other != offset]
        weight = jnp.full_like(x, 1.0 / math.prod(offset - other for other in others))
        for other in others:
            weight = weight * (x - other)
        result = result + weight * track[jnp.clip(whole + offset, 0, track.shape[-1] - 1)]
    return result


def _rms(x: Float32[Array, "*batch time"]) -> Float32[Array, "*batch"]:
    return jnp.sqrt(jnp.mean(jnp.square(x), axis=-1))
