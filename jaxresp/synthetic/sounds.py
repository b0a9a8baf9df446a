"""Lung sounds from their physics: breath noise, wheezes, crackles, heart, and the stethoscope that hears them.

Everything is rendered at `RATE_HZ`, which holds all there is in a lung sound at the chest wall. Numbers follow
Sovijärvi et al., "Definition of terms for applications of respiratory sounds" (CORSA), Eur. Respir. Rev. 10 (77), 2000,
and Rocha et al., Physiol. Meas. 40 (035001), 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

RATE_HZ = 8_000

Signal = Float[np.ndarray, " time"]
Spectrum = Float[np.ndarray, " frequency"]


@dataclass(frozen=True)
class Breath:
    """One respiratory cycle: inspiration from `start_s` to `turn_s`, expiration and pause to `end_s`."""

    start_s: float
    turn_s: float
    end_s: float

    @property
    def expiration_end_s(self) -> float:
        """When the flow has ceased; a short pause follows."""
        return self.turn_s + 0.8 * (self.end_s - self.turn_s)


@dataclass(frozen=True)
class Stethoscope:
    """What a stethoscope adds to a sound.

    Attributes:
        resonance_hz: centre of the broad resonance of its membrane or tube.
        resonance_db: height of that resonance.
        quality: centre over width of the resonance.
        roll_off_hz: above it the response falls by 12 dB per octave.
        high_pass_hz: below it the response falls by 12 dB per octave.
        noise_dbfs: level of its electronics, re full scale.
    """

    resonance_hz: float
    resonance_db: float
    quality: float
    roll_off_hz: float
    high_pass_hz: float
    noise_dbfs: float

    def response(self, frequency_hz: Spectrum) -> Spectrum:
        """Amplitude response at the given frequencies (zero phase)."""
        f = np.maximum(frequency_hz, 1e-3)
        peak = 10 ** (self.resonance_db / 20) - 1
        resonance = 1 + peak / (1 + (self.quality * (f / self.resonance_hz - self.resonance_hz / f)) ** 2)
        return resonance / (1 + (f / self.roll_off_hz) ** 2) / (1 + (self.high_pass_hz / f) ** 2)


#: ICBHI's four recorders. Characters are made up, kept apart as audibly as real ones are.
STETHOSCOPES: Mapping[str, Stethoscope] = MappingProxyType(
    {
        "AKGC417L": Stethoscope(400.0, 2.0, 0.6, 2500.0, 25.0, -76.0),
        "LittC2SE": Stethoscope(140.0, 6.0, 0.9, 1100.0, 30.0, -72.0),
        "Litt3200": Stethoscope(260.0, 5.0, 0.8, 1300.0, 35.0, -80.0),
        "Meditron": Stethoscope(190.0, 4.0, 0.7, 1700.0, 25.0, -78.0),
    }
)

#: A planted signature: narrow resonance, spectral tilt about 300 Hz, mains hum. Far stronger than any real difference.
SIGNATURES: Mapping[str, tuple[float, float, float]] = MappingProxyType(  # resonance_hz, tilt in dB per octave, hum_hz
    {
        "AKGC417L": (400.0, 2.5, 150.0),
        "LittC2SE": (280.0, -2.5, 50.0),
        "Litt3200": (560.0, 0.0, 60.0),
        "Meditron": (850.0, 1.0, 100.0),
    }
)


def colour(signal: Signal, response: Spectrum) -> Signal:
    """Filter by an amplitude response given at `np.fft.rfftfreq(signal.size, 1 / RATE_HZ)`."""
    return np.fft.irfft(np.fft.rfft(signal) * response, n=signal.size)


def frequencies_hz(n_samples: int) -> Spectrum:
    """Frequencies of the bins `colour` wants."""
    return np.fft.rfftfreq(n_samples, 1 / RATE_HZ)


def draw_breaths(rng: np.random.Generator, duration_s: float, period_s: float) -> list[Breath]:
    """One or more whole cycles end to end, each a little different, the first near the recording's beginning."""
    breaths: list[Breath] = []
    period_s = min(period_s, 0.55 * duration_s)  # so that even the longest draw of one cycle fits
    start = float(rng.uniform(0.02, 0.35)) * period_s
    while True:
        end = start + period_s * float(np.clip(rng.normal(1, 0.1), 0.75, 1.3))
        if end > duration_s:
            return breaths
        breaths.append(Breath(start, start + (end - start) * float(rng.uniform(0.38, 0.48)), end))
        start = end


def breath_noise(
    rng: np.random.Generator, n_samples: int, breaths: list[Breath], *, corner_hz: float, tracheal: bool
) -> Signal:
    """Turbulent flow heard through the chest wall.

    White noise under a low-pass of 18 dB per octave (chest wall; Gavriely et al., J. Appl. Physiol. 50, 1981, found
    10 to 20), with inspiration louder and broader than expiration at the chest and both alike over the trachea,
    following the flow. RMS about one at full inspiration.
    """
    f = frequencies_hz(n_samples)
    time = np.arange(n_samples) / RATE_HZ
    inspiration, expiration = np.zeros(n_samples), np.zeros(n_samples)
    edges = [Breath(b.start_s, b.turn_s, b.end_s) for b in breaths]
    if edges:  # the breath under way when the recording starts, and the one cut off at its end
        first, last = edges[0], edges[-1]
        period = last.end_s - last.start_s
        edges = [
            Breath(first.start_s - period, first.start_s - 0.55 * period, first.start_s),
            *edges,
            Breath(last.end_s, last.end_s + 0.45 * period, last.end_s + period),
        ]
    for breath in edges:
        depth = rng.uniform(0.8, 1.2)
        _add_hump(inspiration, time, breath.start_s, breath.turn_s, depth, rise=1.3, fall=0.9)
        _add_hump(expiration, time, breath.turn_s, breath.expiration_end_s, depth, rise=0.6, fall=1.7)
    out = np.full(n_samples, 0.0)
    loud = 1.1 if tracheal else 0.45
    for envelope, gain, corner in (
        (inspiration, 1.0, corner_hz),
        (expiration, loud, corner_hz * (1.0 if tracheal else 0.75)),
    ):
        response = (1 + (55 / np.maximum(f, 1)) ** 4) ** -0.5 / (1 + (f / corner) ** 3)
        noise = colour(rng.standard_normal(n_samples), response)
        out += gain * (0.04 + envelope) * _flutter(rng, n_samples) * noise / noise.std()
    return out


def _add_hump(
    envelope: Signal, time: Signal, start_s: float, end_s: float, gain: float, *, rise: float, fall: float
) -> None:
    """Add a flow-shaped hump, x^rise (1 - x)^fall peak one, between two moments."""
    lo, hi = np.searchsorted(time, [start_s, end_s])
    if hi <= lo:
        return
    x = (time[lo:hi] - start_s) / (end_s - start_s)
    peak = rise / (rise + fall)
    envelope[lo:hi] += gain * (x / peak) ** rise * ((1 - x) / (1 - peak)) ** fall


def _flutter(rng: np.random.Generator, n_samples: int) -> Signal:
    """Slow irregularity of the flow: positive, mean one, 30 ms and slower."""
    knots = n_samples // (RATE_HZ // 30) + 2
    return np.interp(np.arange(n_samples) * (knots - 1) / n_samples, np.arange(knots), rng.lognormal(-0.02, 0.2, knots))


def add_wheeze(
    out: Signal, rng: np.random.Generator, start_s: float, duration_s: float, frequency_hz: float, amplitude: float
) -> None:
    """Add a wheeze: a musical tone of 100 to 1000 Hz lasting at least 80 ms, with weak harmonics, gliding slowly.

    Args:
        out: where to add it.
        rng: draws glide, vibrato and harmonics.
        start_s: onset.
        duration_s: length; a wheeze lasts at least 0.08 s.
        frequency_hz: frequency at its middle.
        amplitude: RMS of the tone at its height.
    """
    lo = round(start_s * RATE_HZ)
    hi = min(lo + round(duration_s * RATE_HZ), out.size)
    if hi - lo < 16:
        return
    x = np.linspace(-1, 1, hi - lo)
    glide = rng.uniform(-0.14, 0.14) * x + rng.uniform(-0.06, 0.06) * (x**2 - 1 / 3)
    vibrato = 0.006 * np.sin(2 * np.pi * rng.uniform(4, 8) * duration_s * x / 2 + rng.uniform(0, 2 * np.pi))
    phase = 2 * np.pi * np.cumsum(frequency_hz * (1 + glide + vibrato)) / RATE_HZ
    tone = np.sin(phase)
    for harmonic, level in ((2, rng.uniform(0.08, 0.3)), (3, rng.uniform(0.01, 0.1))):
        tone += level * np.sin(harmonic * phase + rng.uniform(0, 2 * np.pi))
    ramp = np.clip((1 - np.abs(x)) / 0.35, 0, 1)
    out[lo:hi] += amplitude * np.sqrt(2) * tone * np.sin(np.pi / 2 * ramp) ** 2 * _flutter(rng, hi - lo)


def crackle(two_cycle_s: float, initial_fraction: float = 0.13) -> Signal:
    """One crackle of the given two-cycle duration, peak one.

    Two cycles of an oscillation that starts steep and slows down (Kiyokawa et al., "Auditory detection of simulated
    crackles in breath sounds", Chest 119, 2001): sin(4π t^a) under a raised cosine in √t, with `a` putting the first
    zero at the initial deflection width.

    Args:
        two_cycle_s: about 0.005 for a fine crackle (fastest part about 650 Hz), 0.015 for a coarse one (below 350 Hz).
        initial_fraction: initial deflection width over two-cycle duration.
    """
    t = np.arange(1, max(round(two_cycle_s * RATE_HZ), 8) + 1) / max(round(two_cycle_s * RATE_HZ), 8)
    wave = (
        np.sin(4 * np.pi * t ** (np.log(0.25) / np.log(initial_fraction)))
        * 0.5
        * (1 + np.cos(2 * np.pi * (np.sqrt(t) - 0.5)))
    )
    return wave / np.abs(wave).max()


def add_crackles(
    out: Signal,
    rng: np.random.Generator,
    onsets_s: Float[np.ndarray, " crackles"],
    two_cycle_s: float,
    amplitude: float,
) -> None:
    """Add a crackle at each onset: durations vary by 15 %, peaks by ±4 dB about `amplitude`, either polarity."""
    for onset in onsets_s:
        shape = crackle(two_cycle_s * rng.uniform(0.85, 1.15), rng.uniform(0.11, 0.15))
        lo = round(float(onset) * RATE_HZ)
        part = shape[: max(0, out.size - lo)]
        out[lo : lo + part.size] += amplitude * 10 ** (rng.uniform(-4, 4) / 20) * rng.choice([-1, 1]) * part


def heart(rng: np.random.Generator, n_samples: int, rate_bpm: float) -> Signal:
    """First and second heart sounds in the background: damped oscillations near 45 and 60 Hz. Peak about one."""
    out = np.zeros(n_samples)
    duration = n_samples / RATE_HZ
    beat = 60 / rate_bpm
    times = np.cumsum(rng.normal(beat, 0.03 * beat, int(duration / beat) + 2)) - beat * rng.uniform()
    t = np.arange(round(0.16 * RATE_HZ)) / RATE_HZ
    for delay, pitch, decay, level in ((0.0, 45.0, 0.030, 1.0), (0.36 * beat**0.5, 62.0, 0.022, 0.7)):
        shape = np.sin(2 * np.pi * pitch * t) * (1 - np.exp(-t / 0.008)) * np.exp(-t / decay)
        shape *= level / np.abs(shape).max()
        for at in np.round((times + delay) * RATE_HZ).astype(int):
            if 0 <= at < n_samples:
                part = shape[: n_samples - at]
                out[at : at + part.size] += rng.uniform(0.8, 1.2) * part
    return out


def rumble(rng: np.random.Generator, n_samples: int) -> Signal:
    """Muscle and room noise below the breath's band, always there. RMS one."""
    f = frequencies_hz(n_samples)
    noise = colour(rng.standard_normal(n_samples), (f / 40) ** 2 / (1 + (f / 40) ** 2) / (1 + (f / 90) ** 4))
    return noise / noise.std()


def rubbing(rng: np.random.Generator, n_samples: int, count: int) -> Signal:
    """Friction and handling noise: bursts of 50 to 400 ms, some low and dull, some broad. RMS 1 within a burst."""
    out = np.zeros(n_samples)
    for _ in range(count):
        length = min(round(rng.uniform(0.05, 0.4) * RATE_HZ), n_samples)
        f = frequencies_hz(length)
        noise = colour(rng.standard_normal(length), 1 / (1 + (f / rng.choice([90.0, 250.0, 900.0])) ** 2))
        at = rng.integers(0, n_samples - length + 1)
        out[at : at + length] += np.hanning(length) * noise / noise.std()
    return out


def signature(name: str, frequency_hz: Spectrum) -> Spectrum:
    """Amplitude response of the planted signature of a stethoscope."""
    resonance_hz, tilt_db, _ = SIGNATURES[name]
    f = np.maximum(frequency_hz, 20.0)
    peak = 1 + 7 / (1 + (6 * (f / resonance_hz - resonance_hz / f)) ** 2)
    return peak * 10 ** (tilt_db * np.log2(f / 300) / 20)


def chest(rng: np.random.Generator, frequency_hz: Spectrum) -> Spectrum:
    """Amplitude response of a planted chest: three narrow resonances of 14 dB where nobody else has them."""
    f = np.maximum(frequency_hz, 20.0)
    response = np.ones_like(f)
    for resonance_hz in np.exp(rng.uniform(np.log(150.0), np.log(1500.0), 3)):
        response *= 1 + 4 / (1 + (6 * (f / resonance_hz - resonance_hz / f)) ** 2)
    return response


def hum(name: str, n_samples: int) -> Signal:
    """Mains hum of the planted signature, RMS one."""
    return np.sqrt(2) * np.sin(2 * np.pi * SIGNATURES[name][2] * np.arange(n_samples) / RATE_HZ)
