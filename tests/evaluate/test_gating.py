"""The gate lets through new patients like those of training, and not what is no breath sound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jaxresp.audio import from_samples
from jaxresp.corpus import Corpus, load
from jaxresp.evaluate.gating import fit_gate, measure_all, refused_share
from jaxresp.gate import N_SHAPE, Gate, Measured, measure
from jaxresp.splits import grouped_stratified_folds
from jaxresp.taxonomy import BINARY
from jaxresp.window import WindowConfig

RATE_HZ = 16_000
T = np.arange(10 * RATE_HZ) / RATE_HZ
NOISE = np.random.default_rng(0).standard_normal(T.size)


@pytest.fixture(scope="module")
def measured(easy_corpus: Corpus) -> tuple[Measured, ...]:
    return measure_all(easy_corpus)


@pytest.fixture(scope="module")
def gate(easy_corpus: Corpus, measured: tuple[Measured, ...]) -> Gate:
    everyone = np.arange(len(easy_corpus))
    return fit_gate(measured, easy_corpus.bandwidth_hz, easy_corpus.patient, everyone, WindowConfig())


def coloured(power: float) -> np.ndarray:
    """Noise whose spectrum falls with the frequency to this power."""
    hz = np.maximum(np.arange(T.size // 2 + 1), 1)
    made = np.fft.irfft(np.fft.rfft(NOISE) * hz ** (-power / 2), T.size)
    return 0.1 * made / made.std()


NO_BREATH = {
    "white noise": 0.1 * NOISE,
    "pink noise": coloured(1),
    "a tone": 0.3 * np.sin(2 * np.pi * 440 * T),
    "mains hum": 0.3 * np.sin(2 * np.pi * 50 * T) + 0.1 * np.sin(2 * np.pi * 150 * T) + 0.001 * NOISE,
    "a chord": sum(0.1 * np.sin(2 * np.pi * f * T) for f in (262, 330, 392, 523)) * (1 + np.sin(4 * np.pi * T)) / 2,
    "clicks": np.where(np.arange(T.size) % 8000 < 20, 0.8, 0) + 1e-4 * NOISE,
    "a voice": 0.2 * np.sign(np.sin(2 * np.pi * 130 * T)) * np.clip(np.sin(6 * np.pi * T), 0, 1) + 1e-3 * NOISE,
    "a dithered nothing": 1e-5 * NOISE,
}


@pytest.mark.parametrize("name", NO_BREATH)
def test_what_is_no_breath_sound_is_refused_with_a_reason(gate: Gate, name: str) -> None:
    assert gate.refusal(from_samples(NO_BREATH[name].astype(np.float32), RATE_HZ))


def test_new_patients_are_let_through(easy_corpus: Corpus, measured: tuple[Measured, ...]) -> None:
    labels = easy_corpus.labels(BINARY)
    folds = grouped_stratified_folds(easy_corpus.patient, labels)
    assert refused_share(measured, easy_corpus.bandwidth_hz, easy_corpus.patient, folds, WindowConfig()) <= 0.15


def test_no_recording_that_it_was_fitted_on_is_refused(
    easy_corpus: Corpus, measured: tuple[Measured, ...], gate: Gate
) -> None:
    refused = [gate.refusal_of(*each) for each in zip(measured, easy_corpus.bandwidth_hz.tolist(), strict=True)]
    assert refused == [None] * len(easy_corpus)


def test_every_fault_has_its_own_reason(easy_corpus: Corpus, measured: tuple[Measured, ...], gate: Gate) -> None:
    good = measured[0]
    reasons = {
        "too short: 2.0 s": gate.refusal_of(good._replace(duration_s=2.0), 4000.0),
        "too quiet: -90 dBFS": gate.refusal_of(good._replace(rms_dbfs=-90.0), 4000.0),
        "clipped: 20% ": gate.refusal_of(good, 4000.0, 0.2),
        "too narrow a band: nothing is heard above 300 Hz": gate.refusal_of(good, 300.0),
        "it does not sound like": gate.refusal_of(good._replace(shape=good.shape + 3), 4000.0),
    }
    for beginning, reason in reasons.items():
        assert reason is not None and reason.startswith(beginning)
    assert gate.refusal_of(good, 4000.0, 0.04) is None


@pytest.mark.parametrize("gain", [0.05, 1.0])
def test_loudness_is_no_part_of_the_shape_and_repeating_changes_little(gain: float) -> None:
    breath = (coloured(2) * (1.2 + np.sin(2 * np.pi * 0.3 * T))).astype(np.float32) / 4
    recording = from_samples(gain * breath, RATE_HZ)
    one = measure(recording.samples, recording.scale, RATE_HZ)
    np.testing.assert_allclose(one.shape, measure(recording.samples, 1.0, RATE_HZ).shape, atol=1e-6)
    assert one.rms_dbfs == pytest.approx(recording.facts.rms_dbfs, abs=0.1)
    twice = measure(np.tile(recording.samples, 2), recording.scale, RATE_HZ)
    np.testing.assert_allclose(one.shape, twice.shape, atol=0.03)
    assert (one.duration_s, twice.duration_s) == (10.0, 20.0) and one.shape.shape == (N_SHAPE,)


def test_silence_and_the_shortest_sound_have_a_finite_shape() -> None:
    for samples in (np.zeros(RATE_HZ, np.int16), np.ones(10, np.int16), np.array([0, 1] * 40_000, np.int16)):
        assert np.isfinite(measure(samples, 1e-5, RATE_HZ).shape).all()


def test_patients_held_out_set_the_limit_and_one_patient_sets_none(
    easy_corpus: Corpus, measured: tuple[Measured, ...], gate: Gate
) -> None:
    corpus, everyone = easy_corpus, np.arange(len(easy_corpus))
    assert gate.max_distance is not None
    inside = max(gate.distance(each.shape) for each in measured)
    assert inside < gate.max_distance < 20
    alone = fit_gate(measured, corpus.bandwidth_hz, np.full(len(corpus), "one"), everyone, WindowConfig())
    assert alone.max_distance is None and alone.n_patients == 1
    some = everyone[corpus.patient != corpus.patient[0]]
    spoilt = list(measured)
    spoilt[0] = measured[0]._replace(shape=measured[0].shape + 100, duration_s=0.1)
    for rows, same in ((some, True), (everyone, False)):
        before, after = (
            fit_gate(m, corpus.bandwidth_hz, corpus.patient, rows, WindowConfig()) for m in (measured, spoilt)
        )
        assert (before == after) == same
    assert Gate.from_dict(replace(gate).to_dict()) == gate


@pytest.mark.real_data
@pytest.mark.slow
def test_real_recordings_of_other_corpora_are_breath_sounds(real_data: Path, tmp_path: Path) -> None:
    """Of two other corpora, a gate of ICBHI's subset refuses few recordings; of what is no breath sound, all."""
    from jaxresp.corpus import prepare

    own, *others = (
        load(prepare(real_data / name, tmp_path, dataset=name, partial=True)) for name in ("icbhi", "kauh", "sprsound")
    )
    fitted = fit_gate(measure_all(own), own.bandwidth_hz, own.patient, np.arange(len(own)), WindowConfig())
    for other in others:
        refused = [
            fitted.refusal_of(*each) for each in zip(measure_all(other), other.bandwidth_hz.tolist(), strict=True)
        ]
        assert np.mean([reason is not None for reason in refused]) < 0.1
    for sound in NO_BREATH.values():
        assert fitted.refusal(from_samples(sound.astype(np.float32), RATE_HZ))
