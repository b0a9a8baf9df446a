"""One made-up recording: the cycles of a patient's breathing with the sounds of the disease in them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import soxr
from jaxtyping import Float

from jaxresp.synthetic import sounds
from jaxresp.synthetic.cohort import Patient, SyntheticConfig, Take, event_rates
from jaxresp.synthetic.sounds import RATE_HZ, STETHOSCOPES, Breath

_FINE_CRACKLE_S = 0.005  # two-cycle duration of a fine crackle (CORSA)
_COARSE_CRACKLE_S = 0.015
_PEAK_LIMIT = 0.985  # a made-up recording does not clip


class Cycle(NamedTuple):
    """One row of an annotation file."""

    start_s: float
    end_s: float
    crackle: bool
    wheeze: bool


def render(
    patient: Patient, take: Take, config: SyntheticConfig, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " time"], list[Cycle]]:
    """The samples of a recording at the take's own rate, within ±1, and its annotated cycles."""
    n = round(take.duration_s * RATE_HZ)
    f = sounds.frequencies_hz(n)
    breaths = sounds.draw_breaths(rng, take.duration_s, _breathing_period_s(patient, rng))
    corner_hz = 650.0 if take.location == "Tc" else float(rng.uniform(230, 320))
    body = sounds.breath_noise(rng, n, breaths, corner_hz=corner_hz, tracheal=take.location == "Tc")
    near_heart = 2.5 if take.location == "Al" else 1.0
    body += rng.uniform(0.5, 1.5) * near_heart * sounds.heart(rng, n, _heart_rate_bpm(patient, rng))
    body += rng.uniform(0.2, 0.5) * sounds.rumble(rng, n)
    cycles = _add_events(body, breaths, patient, config, rng)

    response = STETHOSCOPES[patient.stethoscope].response(f)
    if config.plant_stethoscope:
        response = response * sounds.signature(patient.stethoscope, f)
    if config.plant_patient:
        response = response * sounds.chest(np.random.default_rng([config.seed, 6, patient.number]), f)
    body = sounds.colour(body, response)
    level = 10 ** (take.level_dbfs / 20)
    body *= level / body.std()
    if config.plant_stethoscope:
        body += 0.2 * level * sounds.hum(patient.stethoscope, n)
    # Handling noise is of the stethoscope, not of the body, and so does not depend on what the lungs add to the level.
    body += 1.5 * level * config.difficulty * sounds.rubbing(rng, n, rng.poisson(0.3 * take.duration_s))

    samples = soxr.resample(body, RATE_HZ, take.rate_hz, "HQ") if take.rate_hz != RATE_HZ else body
    wanted = round(take.duration_s * take.rate_hz)
    samples = np.pad(samples, (0, max(0, wanted - samples.size)))[:wanted]
    noise = rng.standard_normal(wanted, dtype=np.float32)
    samples = samples + 10 ** (STETHOSCOPES[patient.stethoscope].noise_dbfs / 20) * noise
    return samples * min(1.0, _PEAK_LIMIT / np.abs(samples).max()), cycles


def _breathing_period_s(patient: Patient, rng: np.random.Generator) -> float:
    """Seconds per breath: 15 to 20 a minute in adults, up to 40 in infants; ICBHI's cycles last 2.7 s on average."""
    age = 40.0 if patient.age_years is None else patient.age_years
    return float(np.interp(age, [0, 5, 16, 90], [1.6, 2.2, 2.9, 3.1]) * rng.uniform(0.85, 1.15))


def _heart_rate_bpm(patient: Patient, rng: np.random.Generator) -> float:
    age = 40.0 if patient.age_years is None else patient.age_years
    return float(np.interp(age, [0, 5, 16, 90], [130, 100, 78, 72]) * rng.uniform(0.88, 1.12))


def _add_events(
    body: sounds.Signal, breaths: list[Breath], patient: Patient, config: SyntheticConfig, rng: np.random.Generator
) -> list[Cycle]:
    """Put wheezes and crackles into the cycles; say where."""
    rates = event_rates(patient.sounds_like, config.difficulty)
    # Level of events over the breath noise's RMS at full inspiration; real ones often lie below the noise.
    wheeze_db, crackle_db = (np.interp(config.difficulty, [0, 1], ends) for ends in ([4, -10], [18, 6]))
    voice_hz = float(np.exp(rng.uniform(np.log(160), np.log(650))))  # a patient's airways keep roughly their pitch
    cycles = []
    for breath in breaths:
        wheeze, coarse, fine = (rng.random() < rate for rate in rates)
        if wheeze:
            _wheezes(body, rng, breath, voice_hz, 10 ** (wheeze_db / 20))
        if coarse:
            _coarse_crackles(body, rng, breath, 10 ** (crackle_db / 20))
        if fine:
            _fine_crackles(body, rng, breath, 10 ** ((crackle_db - 2) / 20))
        cycles.append(Cycle(round(breath.start_s, 3), round(breath.end_s, 3), coarse or fine, wheeze))
    return cycles


def _wheezes(body: sounds.Signal, rng: np.random.Generator, breath: Breath, voice_hz: float, amplitude: float) -> None:
    """One or two expiratory wheezes, now and then polyphonic or with an inspiratory one."""
    available = breath.expiration_end_s - breath.turn_s
    duration = max(0.1, available * rng.uniform(0.45, 0.9))
    start = breath.turn_s + rng.uniform(0, max(available - duration, 0.01))
    pitch = voice_hz * rng.uniform(0.92, 1.08)
    sounds.add_wheeze(body, rng, start, duration, pitch, amplitude * 10 ** (rng.uniform(-3, 3) / 20))
    if rng.random() < 0.3:
        second = float(np.clip(pitch * rng.choice([1.27, 1.41, 1.6]), 100, 950))
        sounds.add_wheeze(body, rng, start + 0.1 * duration, 0.7 * duration, second, 0.6 * amplitude)
    if rng.random() < 0.25:
        length = (breath.turn_s - breath.start_s) * 0.4
        sounds.add_wheeze(body, rng, breath.turn_s - length, length, pitch * 1.1, 0.7 * amplitude)


def _coarse_crackles(body: sounds.Signal, rng: np.random.Generator, breath: Breath, amplitude: float) -> None:
    """Few, early in inspiration and into expiration."""
    inspiration = breath.turn_s - breath.start_s
    early = breath.start_s + inspiration * rng.uniform(0.05, 0.6, rng.integers(3, 8))
    late = breath.turn_s + (breath.expiration_end_s - breath.turn_s) * rng.uniform(0.05, 0.7, rng.integers(0, 4))
    sounds.add_crackles(body, rng, np.concatenate([early, late]), _COARSE_CRACKLE_S, amplitude)


def _fine_crackles(body: sounds.Signal, rng: np.random.Generator, breath: Breath, amplitude: float) -> None:
    """A shower towards the end of inspiration."""
    inspiration = breath.turn_s - breath.start_s
    onsets = breath.start_s + inspiration * (1 - 0.6 * rng.beta(1.2, 1.6, rng.integers(9, 21)))
    sounds.add_crackles(body, rng, onsets, _FINE_CRACKLE_S, amplitude)
