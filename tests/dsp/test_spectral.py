"""Spectra are librosa's, to within float32, compiled or not, whole or in pieces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from jaxresp.dsp import filters, spectral
from jaxresp.dsp.mel import MelScale, hz_to_mel, mel_filterbank, mel_to_hz
from jaxresp.frontend import FRONTENDS

RATE_HZ = 16_000
SHAPES = [(1024, 512), (2048, 512), (1024, 300), (512, 512)]  # hops that divide the frame and one that does not
BANDS = {"rate_hz": RATE_HZ, "n_fft": 1024, "n_mels": 40, "f_min_hz": 50.0, "f_max_hz": 1800.0}
FULL = BANDS | {"n_mels": 64, "f_min_hz": 0.0, "f_max_hz": 8000.0}
Signals = Callable[[int], np.ndarray]


def librosa_stft(waveform: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    """In double precision, on our axes."""
    spectrum = librosa.stft(
        waveform.astype(np.float64), n_fft=n_fft, hop_length=hop, dtype=np.complex128, pad_mode="constant"
    )
    return np.swapaxes(spectrum, -1, -2)


def log_mel(waveform: jax.Array, bands: dict[str, Any] = BANDS, **options: Any) -> jax.Array:
    mel = spectral.mel_spectrogram(waveform, n_fft=1024, hop_samples=512, filterbank=mel_filterbank(**bands), **options)
    return spectral.power_to_db(mel)


@pytest.mark.parametrize(("n_fft", "hop"), SHAPES)
@pytest.mark.parametrize("n_samples", [16_384, 16_001])
@pytest.mark.parametrize("method", ["fft", "matmul"])
def test_stft_equals_librosa(n_fft: int, hop: int, n_samples: int, method: spectral.Method, signals: Signals) -> None:
    waveform = signals(n_samples)
    ours = np.asarray(jax.jit(partial(spectral.stft, n_fft=n_fft, hop_samples=hop, method=method))(waveform))
    theirs = librosa_stft(waveform, n_fft, hop)
    assert ours.shape == (5, spectral.n_frames(n_samples, hop), n_fft // 2 + 1)
    assert ours.dtype == np.complex64
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize(("f_min_hz", "f_max_hz"), [(50.0, 1800.0), (0.0, 8000.0)])
def test_mel_filterbank_equals_librosa(scale: MelScale, f_min_hz: float, f_max_hz: float) -> None:
    bands = BANDS | {"f_min_hz": f_min_hz, "f_max_hz": f_max_hz}
    theirs = librosa.filters.mel(
        sr=RATE_HZ, n_fft=1024, n_mels=40, fmin=f_min_hz, fmax=f_max_hz, htk=scale == "htk", dtype=np.float64
    )
    np.testing.assert_allclose(mel_filterbank(**bands, scale=scale), theirs.T, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_mel_and_hz_invert_each_other(scale: MelScale) -> None:
    hz = np.linspace(0, 8000, 100)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz, scale), scale), hz, atol=1e-8)


def assert_chain_equals_librosa(waveforms: np.ndarray, bands: dict[str, Any]) -> None:
    @jax.jit
    def ours(waveform: jax.Array) -> tuple[jax.Array, ...]:
        filterbank = mel_filterbank(**bands)
        mel = spectral.mel_spectrogram(waveform, n_fft=1024, hop_samples=512, filterbank=filterbank)
        db = spectral.power_to_db(mel)
        mfcc = spectral.cepstrum(db, 20)
        return (
            mel,
            db,
            mfcc,
            spectral.cepstrum(db, 20, lifter=22.0),
            spectral.delta(mfcc),
            spectral.delta(mfcc, order=2),
        )

    computed = [np.swapaxes(x, -1, -2) for x in ours(jnp.asarray(waveforms))]
    for i, one in enumerate(waveforms):  # librosa's floor is that of the whole array, ours that of each waveform
        power = np.swapaxes(np.abs(librosa_stft(one, 1024, 512)) ** 2, -1, -2)
        mel = librosa.feature.melspectrogram(
            S=power, sr=RATE_HZ, n_mels=bands["n_mels"], fmin=bands["f_min_hz"], fmax=bands["f_max_hz"]
        )
        db = librosa.power_to_db(mel, ref=1.0, top_db=80.0)
        mfcc = librosa.feature.mfcc(S=db, n_mfcc=20)
        lifted = librosa.feature.mfcc(S=db, n_mfcc=20, lifter=22)
        expected = (mel, db, mfcc, lifted, librosa.feature.delta(mfcc), librosa.feature.delta(mfcc, order=2))
        size = [np.abs(mel).max() + 1e-12, *(np.abs(values).max() + 1.0 for values in expected[1:])]  # silence has none
        for mine, theirs, its_size in zip(computed, expected, size, strict=True):
            np.testing.assert_allclose(mine[i], theirs, rtol=0, atol=1e-4 * its_size)


@pytest.mark.parametrize("bands", [BANDS, FULL], ids=["up to 1800 Hz", "all"])
def test_mel_decibels_mfcc_and_deltas_equal_librosa(bands: dict[str, Any], signals: Signals) -> None:
    assert_chain_equals_librosa(signals(16_001), bands)


def test_real_recordings_have_librosas_mel_decibels_mfcc_and_deltas(real_windows: dict[int, np.ndarray]) -> None:
    assert_chain_equals_librosa(np.stack(list(real_windows.values())), BANDS)


@pytest.mark.parametrize("n_samples", [16_384, 16_001])
def test_eager_jit_vmap_batches_pieces_and_both_methods_agree(
    n_samples: int, signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    waveform = jnp.asarray(signals(n_samples))
    together = np.asarray(jax.jit(log_mel)(waveform))
    others = {
        "eager": log_mel(waveform),
        "vmap": jax.jit(jax.vmap(log_mel))(waveform),
        "one by one": jax.jit(log_mel)(waveform[0])[None],
        "deeper batch": jax.jit(log_mel)(waveform[None])[0],
        "matmul": jax.jit(partial(log_mel, method="matmul"))(waveform),
    }
    for samples in (3_000, 40_000):  # rows in parts; two rows at a time, of five
        monkeypatch.setattr("jaxresp.dsp.pieces.CPU_SAMPLES", samples)
        others[f"pieces of {samples}"] = jax.jit(lambda waveform: log_mel(waveform))(waveform)
    for name, other in others.items():
        # 80 dB below the loudest band, float32 has two digits left.
        np.testing.assert_allclose(other, together[: len(other)], atol=0.02, err_msg=name)


@pytest.mark.parametrize("bands", [BANDS, FULL], ids=["up to 1800 Hz", "all"])
def test_bins_that_no_band_looks_at_are_left_out_of_nothing(bands: dict[str, Any], signals: Signals) -> None:
    waveform, filterbank = jnp.asarray(signals(16_384)), mel_filterbank(**bands)
    power = np.asarray(spectral.power_spectrogram(waveform, n_fft=1024, hop_samples=512), np.float64)
    ours = jax.jit(partial(spectral.mel_spectrogram, n_fft=1024, hop_samples=512, filterbank=filterbank))(waveform)
    np.testing.assert_allclose(ours, power @ filterbank, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(("n_fft", "hop"), [(1024, 256), (1024, 512), (2048, 512)])
def test_the_inverse_transform_gives_the_waveform_back(n_fft: int, hop: int, signals: Signals) -> None:
    waveform = jnp.asarray(signals(16_384))

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


@pytest.mark.parametrize(("order", "width", "frames"), [(1, 9, 32), (2, 9, 9), (1, 3, 4), (3, 7, 11)])
def test_deltas_equal_librosa(order: int, width: int, frames: int) -> None:
    features = np.random.default_rng(0).standard_normal((2, frames, 5)).astype(np.float32)
    ours = jax.jit(partial(spectral.delta, order=order, width=width))(features)
    theirs = librosa.feature.delta(features.astype(np.float64), order=order, width=width, axis=-2)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


def test_the_delta_of_a_slope_is_the_slope_and_of_a_parabola_its_bend() -> None:
    t = jnp.arange(20.0)[:, None]
    np.testing.assert_allclose(spectral.delta(3.0 * t + 1.0), np.full((20, 1), 3.0), rtol=1e-5)
    np.testing.assert_allclose(spectral.delta(2.0 * t**2, order=2), np.full((20, 1), 4.0), rtol=1e-4)


@pytest.mark.parametrize("reference", [1.0, 1e-3, "loudest"])
@pytest.mark.parametrize("floor_db", [80.0, 30.0, None])
def test_decibels_equal_librosa_example_by_example(reference: Any, floor_db: float | None) -> None:
    power = 10.0 ** np.random.default_rng(0).uniform(-12, 3, (3, 7, 5)).astype(np.float32)
    ours = jax.jit(partial(spectral.power_to_db, reference=reference, floor_db=floor_db))(power)
    for mine, one in zip(ours, power, strict=True):
        ref = np.max if reference == "loudest" else reference
        np.testing.assert_allclose(mine, librosa.power_to_db(one, ref=ref, top_db=floor_db), atol=2e-4)


def test_silence_is_finite_and_so_is_its_gradient(signals: Signals) -> None:
    np.testing.assert_array_equal(spectral.power_to_db(jnp.zeros((3, 7))), np.full((3, 7), -100.0, np.float32))
    np.testing.assert_array_equal(spectral.power_to_db(jnp.zeros((3, 7)), reference="loudest"), np.zeros((3, 7)))
    gradient = jax.jit(jax.grad(lambda x: spectral.cepstrum(log_mel(x), 20).sum()))(jnp.asarray(signals(4_000)))
    assert np.isfinite(gradient).all()
    assert np.abs(np.asarray(gradient)[[0, 1, 2, 4]]).max(axis=1).min() > 0


def products(jaxpr: Any) -> Iterator[Any]:
    """Every matrix product and convolution, however deep."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            yield equation
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            if hasattr(inner, "eqns"):
                yield from products(inner)


def test_every_product_asks_for_full_precision() -> None:
    """An H200 would take TF32 and a TPU bfloat16: three digits."""
    waveform, features = jnp.ones((2, 300_000)), jnp.ones((20, 40))
    options = {"n_fft": 1024, "hop_samples": 512}
    band = {"low_hz": 50.0, "high_hz": 1800.0, "order": 10, "rate_hz": RATE_HZ}
    functions: dict[str, tuple[Callable[..., Any], jax.Array, int]] = {
        "bandpass": (partial(filters.bandpass, **band), waveform, 2),
        "zero phase": (partial(filters.bandpass_zero_phase, **band), waveform, 2),
        "stft": (partial(spectral.stft, **options), waveform, 1),  # the one for a TPU
        "power": (partial(spectral.power_spectrogram, **options), waveform, 1),
        "log mel": (log_mel, waveform, 2),
        "mfcc": (partial(spectral.cepstrum, n_coefficients=20), features, 1),
        **{name: (make(), waveform, 4) for name, make in FRONTENDS.items()},
    }
    for name, (function, argument, at_least) in functions.items():
        found = list(products(jax.make_jaxpr(function)(argument).jaxpr))
        assert len(found) >= at_least, name
        for product in found:
            assert product.params["precision"] == (jax.lax.Precision.HIGHEST,) * 2, f"{name}: {product}"


@pytest.mark.parametrize(("platform", "takes_the_product"), [("cpu", False), ("cuda", False), ("tpu", True)])
def test_each_backend_has_its_way_to_transform_and_may_be_told_another(platform: str, takes_the_product: bool) -> None:
    def lowered(method: spectral.Method) -> str:
        function = jax.jit(partial(spectral.stft, n_fft=1024, hop_samples=512, method=method))
        traced = function.trace(jax.ShapeDtypeStruct((4_096,), jnp.float32))
        return traced.lower(lowering_platforms=(platform,)).as_text()

    automatic = lowered("auto")
    assert bool(re.search("dot_general", automatic)) == takes_the_product
    assert bool(re.search("fft", automatic)) != takes_the_product
    assert "dot_general" in lowered("matmul")
    assert "dot_general" not in lowered("fft")


def test_an_hour_needs_little_more_memory_than_the_hour_itself() -> None:
    """What XLA plans for it; that it keeps to the plan is measured in experiments/benchmarks/features.py."""
    hour = jax.ShapeDtypeStruct((3_600 * RATE_HZ,), jnp.float32)
    plan = jax.jit(FRONTENDS["mfcc"]()).lower(hour).compile().memory_analysis()
    assert plan is not None
    needed = plan.argument_size_in_bytes + plan.output_size_in_bytes + plan.temp_size_in_bytes
    assert 230e6 < needed < 1.2e9


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: spectral.stft(x, n_fft=2048, hop_samples=512), "1000 samples is shorter than .* 2048"),
        (lambda x: log_mel(x), "1000 samples is shorter than .* 1024"),
        (lambda x: spectral.frame(x, 512, 0), "hop_samples 0"),
        (lambda x: spectral.power_to_db(x[None], floor_db=0.0), "floor_db 0.0"),
        (lambda x: spectral.power_to_db(x[None], reference=-1.0), "reference -1.0"),
        (lambda x: spectral.cepstrum(x[None], 1_001), "1001 coefficients of 1000 bands"),
        (lambda x: spectral.delta(x[:, None], width=4), "over 4 frames"),
        (lambda x: spectral.delta(x[:5, None]), "that have 5"),
        (lambda _: mel_filterbank(**(BANDS | {"f_max_hz": 8_001.0})), "to f_max_hz 8001"),
        (lambda _: mel_filterbank(**(BANDS | {"rate_hz": 0})), "a rate of 0 Hz"),
        (
            lambda x: spectral.mel_spectrogram(x, n_fft=512, hop_samples=256, filterbank=mel_filterbank(**BANDS)),
            "513 bins on n_fft 512",
        ),
    ],
)
def test_what_makes_no_sense_is_named_when_traced(function: Callable[[jax.Array], Any], message: str) -> None:
    with pytest.raises(spectral.SpectralError, match=message):
        jax.make_jaxpr(function)(jnp.ones(1_000))
