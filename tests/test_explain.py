"""Laws of explanations: they add up, they lie where the recording is, and their JSON stays small."""

from __future__ import annotations

import json
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from jaxresp import audio, models
from jaxresp.classifier import Classifier, untrained
from jaxresp.explain import log_odds
from jaxresp.explanation import Explanation
from jaxresp.features import window_features
from jaxresp.frontend import FRONTENDS, Mfcc
from jaxresp.taxonomy import UnknownClass
from jaxresp.train import Standardisation, window_logits
from jaxresp.window import WindowConfig

RATE_HZ = 16_000


def small(name: str) -> Classifier:
    """Random weights on windows of one second."""
    ours = untrained(name, seed=1)
    size = ours.frontend.n_coefficients
    by = Standardisation(np.linspace(-20, 5, size, dtype=np.float32), np.full(size, 10.0, np.float32))
    return Classifier(replace(ours.spec, window=WindowConfig(1.0, 1.0)), ours._graph, ours._weights, by)


def sound(duration_s: float, seed: int = 0) -> audio.Recording:
    rng = np.random.default_rng(seed)
    waveform = 0.1 * rng.normal(size=round(duration_s * RATE_HZ)).astype(np.float32)
    return audio.from_samples(waveform, RATE_HZ)


def made_up(duration_s: float, *, n_bands: int = 3, frames: int = 101, length_s: float = 5.0) -> Explanation:
    """Attributions of noise on the windows of a recording of that length."""
    starts = np.minimum(np.arange(max(1, np.ceil(duration_s / length_s))) * length_s, max(duration_s - length_s, 0))
    cells = np.random.default_rng(0).normal(size=(len(starts), frames, n_bands)).astype(np.float32)
    return Explanation("a", starts.astype(np.float32), length_s, duration_s, cells, np.arange(1.0, n_bands + 1))


@pytest.mark.parametrize("name", ["binary-mfcc", "multiclass-augmented", "binary-logmel"])
def test_all_cells_add_up_to_what_the_sound_changed(name: str) -> None:
    ours, recording = small(name), sound(2.0)
    samples, scale, _ = ours.cut(recording)
    explained = {of_class: ours.explain(recording, of_class) for of_class in ours.classes}
    by = ours._standardisation
    for i in range(2):
        features = np.asarray(window_features(ours.frontend, samples[i : i + 1], scale[i : i + 1]))
        both = np.concatenate([features, np.broadcast_to(by.mean, features.shape)])
        logits = window_logits(ours._graph, ours._weights, by, both)
        for number, of_class in enumerate(ours.classes):
            heard, baseline = np.asarray(log_odds(logits, jnp.int32(number)))
            total = explained[of_class].cells[i].sum()
            assert total == pytest.approx(heard - baseline, rel=0.1, abs=0.01)
    if len(ours.classes) == 2:
        np.testing.assert_allclose(explained["Normal"].cells, -explained["Abnormal"].cells, rtol=1e-4, atol=1e-6)


def test_log_odds_are_those_of_the_probabilities() -> None:
    rng = np.random.default_rng(0)
    for outputs in (1, 3):
        logits = rng.normal(size=(5, outputs)).astype(np.float32)
        p = models.probabilities(logits)
        for k in range(p.shape[1]):
            odds = log_odds(jnp.asarray(logits), jnp.int32(k))
            np.testing.assert_allclose(odds, np.log(p[:, k] / (1 - p[:, k])), atol=1e-4)


@pytest.mark.parametrize("frontend", [*(front() for front in FRONTENDS.values()), Mfcc(lifter=22.0, deltas=2)])
def test_features_follow_from_bands_and_back(frontend) -> None:  # type: ignore[no-untyped-def]
    bands = jnp.asarray(np.random.default_rng(0).normal(size=(20, frontend.n_mels)), jnp.float32)
    features = frontend.from_bands(bands)
    assert features.shape == (20, frontend.n_coefficients)
    np.testing.assert_allclose(frontend.from_bands(frontend.to_bands(features)), features, atol=2e-4)
    centres_hz = frontend.band_centres_hz
    assert centres_hz.shape == (frontend.n_mels,)
    assert (np.diff(centres_hz) > 0).all()
    assert frontend.f_min_hz < centres_hz[0] < centres_hz[-1] < frontend.f_max_hz


def test_the_most_probable_class_is_explained_unless_another_is_named() -> None:
    ours, recording = small("binary-mfcc"), sound(1.0)
    p = ours.predict(recording).probabilities
    assert ours.explain(recording).of_class == max(p, key=lambda name: p[name])
    with pytest.raises(UnknownClass, match=r"'asthma'.*'Normal', 'Abnormal'"):
        ours.explain(recording, "asthma")


def test_an_explanation_is_the_same_twice_and_compiles_nothing_after_warm_up() -> None:
    ours, recording = small("binary-mfcc"), sound(3.3)
    ours.warm_up()
    before = ours.trace_count()
    first, again = ours.explain(recording), ours.explain(recording, ours.classes[0])
    other = ours.explain(recording, first.of_class)
    assert ours.trace_count() == before
    assert np.array_equal(first.cells, other.cells)
    assert again.cells.shape == first.cells.shape


@pytest.mark.parametrize("duration_s", [0.7, 5.0, 12.3, 600.0])
def test_the_time_axis_is_the_recordings_own(duration_s: float) -> None:
    ours = made_up(duration_s)
    assert ours.time_s.min() >= 0
    assert ours.time_s.max() <= duration_s
    assert (ours.saliency >= 0).all()
    line = ours.saliency_over_time(10**9)
    assert duration_s / len(line) <= ours.step_s * (1 + 1e-6)
    moments = ours.moments()
    assert [m["start_s"] for m in moments] == sorted(m["start_s"] for m in moments)
    assert all(0 <= m["start_s"] < m["end_s"] <= duration_s + 1e-3 for m in moments)
    assert 0 < sum(m["share"] for m in moments) <= 1.001


def test_one_loud_cell_is_found_at_its_time_and_band() -> None:
    ours = made_up(12.3)
    ours.cells[:] = 0
    ours.cells[2, 40, 1] = 5.0  # the last window begins at 7.3 s
    at_s = 7.3 + 40 * ours.step_s
    (moment,) = ours.moments()
    assert moment["start_s"] <= at_s <= moment["end_s"]
    assert moment["end_s"] - moment["start_s"] < 0.5
    for columns in (10**9, 64):
        cells = ours.cells_over_time(columns)
        column, band = np.unravel_index(np.argmax(cells), cells.shape)
        assert band == 1
        assert abs((column + 0.5) * 12.3 / len(cells) - at_s) <= 12.3 / len(cells)


def test_silence_about_a_class_has_no_moments() -> None:
    ours = made_up(5.0)
    ours.cells[:] = -1
    assert ours.moments() == []
    assert not ours.saliency.any()


def test_json_is_bounded_and_plain() -> None:
    small_json, large_json = (json.dumps(made_up(s, n_bands=64, frames=157).to_json()) for s in (5.0, 600.0))
    assert len(large_json) < 250_000
    assert len(small_json) < len(large_json)
    read = json.loads(large_json)
    assert read["map"]["step_s"] * len(read["map"]["values"]) == pytest.approx(600)
    assert read["saliency"]["step_s"] * len(read["saliency"]["values"]) == pytest.approx(600)
    assert len(read["map"]["values"][0]) == len(read["map"]["bands_hz"])
