"""Laws of the feature bank, on a front end that costs nothing."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float32, Key

from jaxresp.corpus import Corpus
from jaxresp.corpus.source import NO_ANNOTATIONS
from jaxresp.features import build_bank, features_of
from jaxresp.frontend import FrontEnd
from jaxresp.window import WindowConfig

RATE_HZ = 16_000
WINDOW = WindowConfig(256 / RATE_HZ, 256 / RATE_HZ)


@dataclass(frozen=True)
class Pieces(FrontEnd):
    """The waveform itself, in frames of 16 samples; augmenting adds noise."""

    name: ClassVar[str] = "pieces"
    network: ClassVar[str] = "cnn1d"
    augments: ClassVar[bool] = True

    def level(self, waveform: Float32[Array, "*batch time"]) -> Float32[Array, "*batch time"]:
        return waveform

    def features(self, waveform: Float32[Array, "*batch time"]) -> Float32[Array, "*batch frames 16"]:
        return waveform.reshape(*waveform.shape[:-1], -1, 16)

    def n_frames(self, n_samples: int) -> int:
        return n_samples // 16

    @property
    def n_coefficients(self) -> int:
        return 16

    def augment(self, key: Key[Array, ""], waveform: Float32[Array, "batch time"]) -> Float32[Array, "batch time"]:
        return waveform + jax.random.normal(key, waveform.shape)


def _columns(kind: str) -> list[dataclasses.Field]:
    """The columns of a Corpus that hold texts or numbers of a kind and are not made below by name."""
    named = ("samples", "offsets", "scale", "annotation_offsets", "recording", "patient")
    return [f for f in dataclasses.fields(Corpus) if str(f.type).startswith(kind) and f.name not in named]


def corpus(seconds_in_windows: list[float], seed: int = 0) -> Corpus:
    rng = np.random.default_rng(seed)
    lengths = [round(256 * windows) for windows in seconds_in_windows]
    n, text = len(lengths), lambda: np.array([""] * len(lengths), np.str_)
    return Corpus(
        name="toy",
        version="1",
        partial=True,
        fingerprint="f",
        rate_hz=RATE_HZ,
        samples=rng.integers(-9999, 9999, sum(lengths), dtype=np.int16),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        scale=rng.uniform(1e-5, 1e-4, n).astype(np.float32),
        annotations=NO_ANNOTATIONS,
        annotation_offsets=np.zeros(n + 1, np.int64),
        **{name: np.array([f"{name[0]}{i}" for i in range(n)]) for name in ("recording", "patient")},
        **{f.name: text() for f in _columns("Shaped")},
        **{f.name: np.full(n, np.nan, np.float32) for f in _columns("Float32")},
        **{f.name: np.full(n, 16, np.int32) for f in _columns("Int32")},
    )


LENGTHS = [0.5, 1.0, 2.5, 30.0, 7.0]  # in windows: 1 + 1 + 3 + 30 + 7, so that 32 at a time leaves a rest


@pytest.mark.parametrize("lengths", [LENGTHS, [1.0]])
def test_a_bank_holds_the_front_ends_features_of_every_window_in_order(lengths: list[float]) -> None:
    ours = corpus(lengths)
    windows = ours.windows(WINDOW)
    bank = build_bank(ours, Pieces(), WINDOW, variants=2)
    assert bank.features.shape == (len(windows), 3, 16, 16)
    assert bank.n_recordings == len(lengths)
    np.testing.assert_array_equal(bank.recording, windows.recording)
    waveforms = windows.samples.astype(np.float32) * windows.scale[:, None]
    np.testing.assert_array_equal(bank.clean, waveforms.reshape(-1, 16, 16))
    np.testing.assert_array_equal(bank.clean, bank.features[:, 0])


def test_stored_windows_become_waveforms_at_their_own_level() -> None:
    samples, scale = np.array([[100] * 32, [-200] * 32], np.int16), np.array([0.5, 0.25], np.float32)
    features = features_of(Pieces(), jnp.asarray(samples), jnp.asarray(scale))
    np.testing.assert_array_equal(features.reshape(2, 32), [[50.0] * 32, [-50.0] * 32])


def test_a_variant_depends_on_the_seed_the_window_and_its_number_alone() -> None:
    ours = corpus(LENGTHS)
    bank = build_bank(ours, Pieces(), WINDOW, variants=2, seed=1)
    fewer = build_bank(ours, Pieces(), WINDOW, variants=1, seed=1)
    np.testing.assert_array_equal(fewer.features, bank.features[:, :2])
    start = build_bank(ours.select([0, 1, 2]), Pieces(), WINDOW, variants=2, seed=1)
    np.testing.assert_array_equal(start.features, bank.features[: len(start.features)])
    other = build_bank(ours, Pieces(), WINDOW, variants=2, seed=2)
    np.testing.assert_array_equal(other.clean, bank.clean)
    assert not np.array_equal(other.features, bank.features)


def test_no_two_windows_or_variants_are_augmented_alike() -> None:
    bank = build_bank(corpus(LENGTHS), Pieces(), WINDOW, variants=2)
    noise = (bank.features[:, 1:] - bank.features[:, :1]).reshape(-1, 256)
    alike = np.corrcoef(noise) - np.eye(len(noise))
    assert np.abs(noise).max() > 1
    assert np.abs(alike).max() < 0.5


def test_windows_of_recordings_are_theirs_and_all_of_them() -> None:
    bank = build_bank(corpus(LENGTHS), Pieces(), WINDOW)
    assert bank.windows_of(np.array([3])).tolist() == list(range(5, 35))
    assert bank.windows_of(np.array([4, 0])).tolist() == [0, *range(35, 42)]
    assert bank.windows_of(np.array([], int)).size == 0


def test_features_are_traced_once_and_augmented_ones_once_however_many_windows_there_are() -> None:
    traced: list[str] = []

    class Counted(Pieces):
        def features(self, waveform: Float32[Array, "*batch time"]) -> Float32[Array, "*batch frames 16"]:
            traced.append("features")  # runs when traced, not when called
            return super().features(waveform)

        def augment(self, key: Key[Array, ""], waveform: Float32[Array, "batch time"]) -> Float32[Array, "batch time"]:
            traced.append("augment")
            return super().augment(key, waveform)

    build_bank(corpus([40.0, 40.0, 30.5]), Counted(), WINDOW, variants=3)
    assert sorted(traced) == ["augment", "features", "features"]


def test_progress_ends_with_the_total() -> None:
    told: list[tuple[int, int]] = []
    build_bank(corpus(LENGTHS), Pieces(), WINDOW, progress=lambda done, total: told.append((done, total)))
    assert told == [(32, 42), (42, 42)]
