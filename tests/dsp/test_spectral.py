"""Spectra are librosa's, to within float32, under jit."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from jaxresp.dsp import spectral

RATE_HZ = 16_000
SHAPES = [(1024, 512), (2048, 512), (1024, 300), (512, 512)]  # hops that divide the frame and one that does not
BANDS = {"rate_hz": RATE_HZ, "n_fft": 1024, "n_mels": 40, "f_min_hz": 50.0, "f_max_hz": 1800.0}


def breath(n_samples: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    t = np.arange(n_samples) / RATE_HZ
    wheeze = np.sin(2 * np.pi * 400 * t) * (np.sin(2 * np.pi * 0.4 * t) > 0)
    return (np.stack([wheeze, 0 * t]) + 0.05 * rng.standard_normal((2, n_samples))).astype(np.float32)


def librosa_power(waveform: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    spectrum = librosa.stft(
        waveform.astype(np.float64), n_fft=n_fft, hop_length=hop, dtype=np.complex128, pad_mode="constant"
    )
    return np.abs(spectrum) ** 2


@pytest.mark.parametrize(("n_fft", "hop"), SHAPES)
@pytest.mark.parametrize("n_samples", [16_384, 16_001])
def test_power_equals_librosa(n_fft: int, hop: int, n_samples: int) -> None:
    waveform = breath(n_samples)
    ours = jax.jit(partial(spectral.power_spectrogram, n_fft=n_fft, hop_samples=hop))(waveform)
    theirs = np.swapaxes(librosa_power(waveform, n_fft, hop), -1, -2)
    assert ours.shape == (2, spectral.n_frames(n_samples, hop), n_fft // 2 + 1)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6 * theirs.max())


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize(("f_min_hz", "f_max_hz"), [(50.0, 1800.0), (0.0, 8000.0)])
def test_mel_filterbank_equals_librosa(scale: spectral.MelScale, f_min_hz: float, f_max_hz: float) -> None:
    bands = BANDS | {"f_min_hz": f_min_hz, "f_max_hz": f_max_hz}
    theirs = librosa.filters.mel(
        sr=RATE_HZ, n_fft=1024, n_mels=40, fmin=f_min_hz, fmax=f_max_hz, htk=scale == "htk", dtype=np.float64
    )
    np.testing.assert_allclose(spectral.mel_filterbank(**bands, scale=scale), theirs.T, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_mel_and_hz_invert_each_other(scale: spectral.MelScale) -> None:
    hz = np.linspace(0, 8000, 100)
    np.testing.assert_allclose(spectral.mel_to_hz(spectral.hz_to_mel(hz, scale), scale), hz, atol=1e-8)


def test_log_mel_and_mfcc_equal_librosa() -> None:
    waveform = breath(16_001)

    @jax.jit
    def ours(waveform: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        power = spectral.power_spectrogram(waveform, n_fft=1024, hop_samples=512)
        mel = spectral.mel_power(power, spectral.mel_filterbank(**BANDS))
        log_mel = spectral.power_to_db(mel)
        return mel, log_mel, spectral.cepstrum(log_mel, 20)

    mel, log_mel, mfcc = (np.swapaxes(x, -1, -2) for x in ours(jnp.asarray(waveform)))
    for i, one in enumerate(waveform):  # librosa's floor is that of the whole array, ours that of each waveform
        power = librosa_power(one, 1024, 512)
        their_mel = librosa.feature.melspectrogram(S=power, sr=RATE_HZ, n_mels=40, fmin=50.0, fmax=1800.0)
        their_log = librosa.power_to_db(their_mel, ref=1.0, top_db=80.0)
        their_mfcc = librosa.feature.mfcc(S=their_log, n_mfcc=20)
        np.testing.assert_allclose(mel[i], their_mel, rtol=1e-4, atol=1e-6 * their_mel.max())
        np.testing.assert_allclose(log_mel[i], their_log, atol=1e-4 * np.abs(their_log).max())
        np.testing.assert_allclose(mfcc[i], their_mfcc, atol=1e-4 * np.abs(their_mfcc).max())


@pytest.mark.parametrize(("n_fft", "hop"), [(1024, 256), (1024, 512), (2048, 512)])
def test_the_inverse_transform_gives_the_waveform_back(n_fft: int, hop: int) -> None:
    waveform = jnp.asarray(breath(16_384))

    @jax.jit
    def there_and_back(waveform: jax.Array) -> jax.Array:
        spectrum = spectral.stft(waveform, n_fft=n_fft, hop_samples=hop)
        return spectral.istft(spectrum, n_fft=n_fft, hop_samples=hop, n_samples=waveform.shape[-1])

    np.testing.assert_allclose(there_and_back(waveform), waveform, atol=1e-5)


def test_frames_are_centred_on_multiples_of_the_hop() -> None:
    ramp = jnp.arange(1.0, 4001.0)
    for n_fft, hop in SHAPES:
        frames = np.asarray(spectral.frame(ramp, n_fft, hop))
        np.testing.assert_array_equal(frames[:, n_fft // 2][:-1], 1 + hop * np.arange(len(frames) - 1))


def test_the_cosine_transform_keeps_lengths() -> None:
    matrix = spectral.dct_matrix(64, 64)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(64), atol=1e-6)


def test_silence_is_finite_and_the_floor_holds() -> None:
    silence = spectral.power_to_db(jnp.zeros((3, 7)))
    np.testing.assert_array_equal(silence, np.full((3, 7), -100.0, np.float32))
    spread = spectral.power_to_db(10.0 ** jnp.linspace(-9.0, 3.0, 13)[None], floor_db=50.0)
    assert float(spread.max()) == pytest.approx(30.0, abs=1e-4)
    assert float(spread.min()) == pytest.approx(-20.0, abs=1e-4)


def test_every_product_asks_for_full_precision() -> None:
    def mfcc(power: jax.Array) -> jax.Array:
        return spectral.cepstrum(spectral.mel_power(power, spectral.mel_filterbank(**BANDS)), 20)

    equations = jax.make_jaxpr(mfcc)(jnp.ones((4, 513))).eqns
    products = [e for e in equations if e.primitive.name == "dot_general"]
    assert len(products) == 2
    for product in products:
        assert product.params["precision"] == (jax.lax.Precision.HIGHEST,) * 2
