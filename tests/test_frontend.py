"""One table of laws over every front end that is registered, and the registry itself."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import ClassVar

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
import scipy.signal

from jaxresp import frontend as frontends
from jaxresp.audio import RATE_HZ
from jaxresp.dsp.augment import AugmentConfig
from jaxresp.dsp.spectral import SpectralError
from jaxresp.frontend import (
    FRONTENDS,
    AugmentedMfcc,
    FrontEnd,
    InvalidFrontend,
    LogMel,
    Mfcc,
    UnknownFrontend,
    frontend_from_dict,
    frontend_named,
)

every = pytest.mark.parametrize("name", list(FRONTENDS))
LENGTHS = (16_384, 20_001)  # one that the hop divides and one that it does not
ATOL_DB = 0.02  # what float32 leaves 80 dB below the loudest band, in features that span a hundred


@cache
def built(name: str) -> FrontEnd:
    return FRONTENDS[name]()


@cache
def compiled(name: str):  # type: ignore[no-untyped-def]
    return jax.jit(built(name))


def windows(n_samples: int = LENGTHS[1]) -> np.ndarray:
    """Breath noise with a wheeze; an impulse; silence; a tone."""
    rng = np.random.default_rng(0)
    t = np.arange(n_samples) / RATE_HZ
    noise = scipy.signal.lfilter([1], [1, -0.95], rng.standard_normal(n_samples))
    breath = 0.02 * noise * (1 + np.sin(2 * np.pi * 0.5 * t)) + 0.1 * np.sin(2 * np.pi * 400 * t)
    return np.stack([breath, t == t[5_000], 0 * t, 0.3 * np.sin(2 * np.pi * 1_000 * t)]).astype(np.float32)


@every
@pytest.mark.parametrize("n_samples", LENGTHS)
def test_eager_jit_vmap_and_batches_agree_and_shapes_are_as_announced(name: str, n_samples: int) -> None:
    frontend, batch = built(name), jnp.asarray(windows(n_samples))
    together = compiled(name)(batch)
    assert together.shape == (4, frontend.n_frames(n_samples), frontend.n_coefficients)
    assert together.dtype == jnp.float32
    others = [jax.jit(jax.vmap(frontend))(batch)]
    if n_samples == LENGTHS[1]:  # each of these compiles for a second or more
        others += [
            frontend(batch),
            jnp.stack([compiled(name)(one) for one in batch]),
            compiled(name)(batch.reshape(2, 2, -1)).reshape(together.shape),
        ]
    for other in others:
        np.testing.assert_allclose(other, together, atol=ATOL_DB)


@every
def test_silence_and_impulses_are_finite(name: str) -> None:
    assert np.isfinite(compiled(name)(windows())).all()


@every
@pytest.mark.parametrize("gain", [1e-6, 2.0, 3e4])
def test_gain_changes_nothing(name: str, gain: float) -> None:
    batch = windows()
    np.testing.assert_allclose(compiled(name)(np.float32(gain) * batch), compiled(name)(batch), atol=ATOL_DB)


@every
def test_an_offset_changes_next_to_nothing(name: str) -> None:
    batch = windows()[:1]
    np.testing.assert_allclose(compiled(name)(batch + np.float32(0.5)), compiled(name)(batch), atol=0.1)


@every
def test_the_same_window_gives_the_same_features(name: str) -> None:
    np.testing.assert_array_equal(compiled(name)(windows()), compiled(name)(windows()))


@every
def test_different_sounds_give_different_features(name: str) -> None:
    features = np.asarray(compiled(name)(windows()))
    assert all(np.abs(features[i] - features[j]).max() > 1 for i in range(4) for j in range(i))


@every
def test_the_level_is_one_in_the_band_and_nothing_outside_it_counts(name: str) -> None:
    frontend = built(name)
    t = np.arange(LENGTHS[1]) / RATE_HZ
    in_band = np.sin(2 * np.pi * 400 * t)
    rumble, hiss = 30 * np.sin(2 * np.pi * 15 * t), 30 * np.sin(2 * np.pi * 7_500 * t)
    levelled = np.asarray(frontend.level(jnp.asarray(np.stack([in_band, in_band + rumble + hiss]), jnp.float32)))
    np.testing.assert_allclose(np.std(levelled, axis=1), 1.0, rtol=1e-3)
    np.testing.assert_allclose(levelled[1, 8_000:], levelled[0, 8_000:], atol=0.05)


@every
def test_mel_bands_stop_where_a_4_khz_recording_does(name: str) -> None:
    """Bands above would tell a network the recorder's rate, and with it, on ICBHI, the diagnosis."""
    assert built(name).f_max_hz < 2_000


@every
def test_settings_survive_json(name: str) -> None:
    for frontend in (
        built(name),
        replace(built(name), band=None, hop_samples=256, f_max_hz=2_000.0),
        replace(built(name), band="common"),
        replace(built(name), band=(100.0, 2_000.0), pre_emphasis=0.97, reference="loudest"),
    ):
        settings = frontend.to_dict()
        assert settings["name"] == name
        read_back = frontend_from_dict(json.loads(json.dumps(settings)))
        assert read_back == frontend
        assert type(read_back) is FRONTENDS[name]
        assert hash(read_back) == hash(frontend)  # so that it may be a static argument of jit
        assert read_back.to_dict() == settings


def test_missing_settings_take_their_defaults_and_augmentation_is_read_back() -> None:
    assert frontend_from_dict({"name": "mfcc"}) == Mfcc()
    frontend = AugmentedMfcc(augmentation=AugmentConfig(noise_snr_db=(5.0, 10.0), pitch_semitones=1.0))
    assert frontend_from_dict(json.loads(json.dumps(frontend.to_dict()))) == frontend


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"name": "logmell"}, UnknownFrontend, "Did you mean 'logmel'"),
        ({"name": "wavelet"}, UnknownFrontend, "choose from"),
        ({}, InvalidFrontend, "name"),
        ({"name": "mfcc", "n_mfc": 13}, InvalidFrontend, "Did you mean 'n_mfcc'"),
        ({"name": "logmel", "n_mfcc": 13}, InvalidFrontend, "n_mfcc"),
        ({"name": "mfcc", "n_mfcc": 41}, InvalidFrontend, "n_mfcc is 41"),
        ({"name": "mfcc", "hop_samples": 0}, InvalidFrontend, "hop_samples is 0"),
        ({"name": "logmel", "n_mels": 500}, InvalidFrontend, "too narrow"),
        ({"name": "logmel", "f_max_hz": 9_000.0}, InvalidFrontend, "9000"),
        ({"name": "logmel", "floor_db": 0.0}, InvalidFrontend, "floor_db"),
        ({"name": "logmel", "band": [50.0, 8_000.0]}, InvalidFrontend, "8000"),
        ({"name": "logmel", "band": "comon"}, InvalidFrontend, "Did you mean 'common'"),
        ({"name": "logmel", "band": "common", "f_max_hz": 2_000.0}, InvalidFrontend, "above the common band"),
        ({"name": "logmel", "rate_hz": 0}, InvalidFrontend, "rate_hz is 0"),
        ({"name": "logmel", "rate_hz": 8_000}, InvalidFrontend, "5000 Hz at a rate of 8000"),
        ({"name": "logmel", "pre_emphasis": 1.0}, InvalidFrontend, r"pre_emphasis is 1\.0"),
        ({"name": "mfcc", "lifter": -1.0}, InvalidFrontend, r"lifter is -1\.0"),
        ({"name": "mfcc", "deltas": 3}, InvalidFrontend, "deltas is 3"),
        ({"name": "mfcc", "delta_width": 4}, InvalidFrontend, "delta_width 4"),
        (
            {"name": "augmented", "augmentation": {"pitch_semitone": 2.0}},
            InvalidFrontend,
            "Did you mean 'pitch_semitones'",
        ),
        (
            {"name": "augmented", "augmentation": {"noise_probability": 2.0}},
            InvalidFrontend,
            "noise_probability is 2.0",
        ),
    ],
)
def test_what_does_not_exist_or_makes_no_sense_is_named(settings: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        frontend_from_dict(settings)


def test_every_name_is_its_own_class() -> None:
    assert {name: frontend_named(name).name for name in FRONTENDS} == {name: name for name in FRONTENDS}
    assert {"mfcc", "logmel", "augmented"} <= set(FRONTENDS)
    with pytest.raises(ValueError, match="already"):
        frontends.register(LogMel)


def test_a_new_front_end_plugs_in_by_registering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontends, "FRONTENDS", dict(FRONTENDS))

    @frontends.register
    @dataclass(frozen=True)
    class Loudness(LogMel):
        name: ClassVar[str] = "loudness"
        network: ClassVar[str] = "cnn1d"

        @property
        def n_coefficients(self) -> int:
            return 1

        def features(self, waveform: jax.Array) -> jax.Array:
            return self.log_mel(waveform).mean(axis=-1, keepdims=True)

    frontend = frontend_from_dict({"name": "loudness", "n_mels": 20})
    assert type(frontend) is Loudness
    assert frontend(jnp.asarray(windows())).shape == (4, 40, 1)


def test_every_setting_has_its_reason_written_down() -> None:
    """Each field is named in the docstring of its class or of one it derives from."""
    for owner in (*FRONTENDS.values(), AugmentConfig):
        written = "\n".join(c.__doc__ or "" for c in owner.__mro__[:-1])
        assert [f.name for f in fields(owner) if not re.search(rf"^ +{f.name}: ", written, re.M)] == []


@pytest.mark.parametrize("deltas", [1, 2])
def test_deltas_and_liftering_come_after_what_mfcc_are_without(deltas: int) -> None:
    batch, plain = jnp.asarray(windows()), Mfcc()
    frontend = Mfcc(deltas=deltas, lifter=22.0)
    features, mfcc = np.asarray(jax.jit(frontend)(batch)), np.asarray(compiled("mfcc")(batch), np.float64)
    assert features.shape[-1] == frontend.n_coefficients == 20 * (1 + deltas)
    lifted = mfcc * (1 + 11 * np.sin(np.pi * np.arange(1, 21) / 22))
    np.testing.assert_allclose(features[..., : plain.n_coefficients], lifted, atol=12 * ATOL_DB)
    for order in range(1, deltas + 1):
        expected = librosa.feature.delta(lifted, axis=-2, order=order)
        np.testing.assert_allclose(features[..., 20 * order : 20 * (order + 1)], expected, atol=4 * ATOL_DB)


@every
def test_what_is_above_the_common_band_is_not_heard_in_it_and_moves_the_level_of_the_wide_one(name: str) -> None:
    """A recorder that stops at 2 kHz and one that does not then say the same; in the wide band the level tells."""
    t = np.arange(LENGTHS[1]) / RATE_HZ
    rng = np.random.default_rng(0)
    low = np.sin(2 * np.pi * 300 * t) + 0.1 * rng.standard_normal(t.size)
    pair = jnp.asarray(np.stack([low, low + 2 * np.sin(2 * np.pi * 3_000 * t)]), jnp.float32)
    common, wide = built(name), built(name)
    common = replace(common, band="common")
    inside = np.asarray(jax.jit(common.level)(pair))[:, 2_000:-2_000]
    np.testing.assert_allclose(inside[1], inside[0], atol=0.01)
    assert np.abs(np.diff(np.asarray(compiled(name)(pair)).mean((1, 2))))[0] > 1.0
    assert (common.band_hz, wide.band_hz) == ((50.0, 1800.0), (50.0, 5000.0))


def test_the_loudest_cell_is_zero_decibels_where_it_is_the_reference() -> None:
    log_mel = jax.jit(LogMel(reference="loudest"))(jnp.asarray(windows()))
    np.testing.assert_allclose(log_mel.max(axis=(1, 2)), 0.0, atol=1e-4)


@every
def test_what_is_not_finite_spoils_its_own_window_and_no_other(name: str) -> None:
    batch = windows()
    clean = np.asarray(compiled(name)(batch))
    batch[1, 700] = np.inf
    features = np.asarray(compiled(name)(batch))
    np.testing.assert_array_equal(features[[0, 2, 3]], clean[[0, 2, 3]])
    assert np.isnan(features[1]).all()


@every
def test_gradients_are_finite_and_in_silence_nothing(name: str) -> None:
    gradient = np.asarray(jax.jit(jax.grad(lambda x: built(name)(x).sum()))(jnp.asarray(windows())))
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[2], 0)
    assert np.abs(gradient[[0, 1, 3]]).max(axis=1).min() > 0


def test_a_shuffled_epoch_is_traced_once() -> None:
    traced: list[int] = []

    def count(waveform: jax.Array) -> jax.Array:
        traced.append(1)  # runs when traced, not when called
        return Mfcc()(waveform)

    features, rng = jax.jit(count), np.random.default_rng(0)
    for _ in range(3):
        features(windows()[rng.permutation(4)])
    assert len(traced) == 1


@every
def test_a_window_too_short_for_one_frame_is_named_when_traced(name: str) -> None:
    with pytest.raises(SpectralError, match=f"shorter than one frame of n_fft = {built(name).n_fft}"):
        jax.eval_shape(built(name), jax.ShapeDtypeStruct((2, 1_000), jnp.float32))


# Golden: the whole chain in double precision, by scipy and librosa


def golden(frontend: FrontEnd, waveform: np.ndarray) -> np.ndarray:
    waveform = waveform.astype(np.float64)
    sos = scipy.signal.butter(10, [50, 5000], "bandpass", fs=RATE_HZ, output="sos")
    filtered = scipy.signal.sosfilt(sos, waveform - waveform.mean())
    filtered /= np.sqrt(np.mean(filtered**2))
    spectrum = librosa.stft(
        filtered, n_fft=frontend.n_fft, hop_length=512, dtype=np.complex128, pad_mode="constant"
    ) / np.sum(scipy.signal.get_window("hann", frontend.n_fft))
    mel = librosa.feature.melspectrogram(
        S=np.abs(spectrum) ** 2, sr=RATE_HZ, n_mels=frontend.n_mels, fmin=50.0, fmax=1800.0
    )
    log_mel = librosa.power_to_db(mel, ref=1.0, top_db=80.0)
    if isinstance(frontend, Mfcc):
        return librosa.feature.mfcc(S=log_mel, n_mfcc=frontend.n_mfcc).T
    return log_mel.T


@pytest.mark.parametrize("name", ["mfcc", "logmel", "augmented"])
def test_features_equal_the_double_precision_chain(name: str) -> None:
    for waveform in windows()[[0, 3]]:
        expected = golden(built(name), waveform)
        np.testing.assert_allclose(compiled(name)(waveform), expected, atol=2e-4 * np.abs(expected).max())


# Augmentation


@pytest.mark.parametrize("name", ["mfcc", "logmel"])
def test_only_the_augmented_front_end_changes_the_sound(name: str) -> None:
    batch = jnp.asarray(windows())
    np.testing.assert_array_equal(built(name).augment(jax.random.key(0), batch), batch)


def test_augmentation_follows_its_key_keeps_the_shape_and_can_be_switched_off() -> None:
    batch, frontend = jnp.asarray(windows()), built("augmented")
    change = jax.jit(frontend.augment)
    one, again, other = (np.asarray(change(jax.random.key(seed), batch)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3
    assert (one.shape, one.dtype) == (batch.shape, np.float32)
    assert np.isfinite(one).all()
    off = AugmentConfig(noise_probability=0.0, pitch_probability=0.0, stretch_probability=0.0, roll_probability=0.0)
    np.testing.assert_array_equal(AugmentedMfcc(augmentation=off).augment(jax.random.key(0), batch), batch)


@every
def test_real_recordings_of_every_rate_have_features(name: str, real_windows: dict[int, np.ndarray]) -> None:
    features = np.asarray(compiled(name)(np.stack(list(real_windows.values()))))
    assert np.isfinite(features).all()
    assert features.std(axis=(1, 2)).min() > 1


def test_what_is_heard_is_told_with_the_end_of_the_mel_bands():
    assert LogMel().heard == "wide (50–5000 Hz), 40 mel bands 50–1800 Hz"
    assert LogMel(band=(100.0, 900.0), f_min_hz=100.0, f_max_hz=900.0).heard == "100–900 Hz, 40 mel bands 100–900 Hz"
    assert LogMel(band=None).heard == "all frequencies, 40 mel bands 50–1800 Hz"
