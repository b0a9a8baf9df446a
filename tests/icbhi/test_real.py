"""The real recordings, in both layouts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from jaxresp.corpus import SPLIT, load, prepare
from jaxresp.taxonomy import DIAGNOSES, DIAGNOSIS


def _examples(prepared: Path, split: str = SPLIT) -> list[dict[str, Any]]:
    import tensorflow_datasets as tfds

    return list(tfds.builder_from_directory(prepared).as_data_source(split))


@pytest.fixture(scope="module")
def real(real_data, tmp_path_factory) -> Path:
    return prepare(real_data / "icbhi", tmp_path_factory.mktemp("real"), partial=True)


@pytest.mark.real_data
def test_real_recordings(real, real_data):
    corpus = load(real)
    assert (len(corpus), len(set(corpus.patient.tolist())), corpus.partial, corpus.made_up) == (67, 26, True, False)
    assert set(corpus.diagnosis.tolist()) == set(DIAGNOSES)
    assert min(corpus.patients_per_class(DIAGNOSIS).values()) >= 1
    assert Counter(corpus.native_rate_hz.tolist()) == {4_000: 33, 10_000: 6, 44_100: 28}
    assert Counter(corpus.bits.tolist()) == {16: 53, 24: 14}
    assert set(corpus.official_split.tolist()) == {"train", "test"}
    wavs = {p.stem: p for p in (real_data / "icbhi").rglob("*.wav")}
    for example in _examples(real):
        path = wavs[example["recording"].decode()]
        rows = np.loadtxt(path.with_suffix(".txt"), ndmin=2)
        cycles = example["cycles"]
        found = np.stack([cycles[k].astype(float) for k in ("start_s", "end_s", "crackle", "wheeze")], axis=1)
        np.testing.assert_allclose(found, rows, atol=1e-5)
        info = soundfile.info(path)
        assert len(example["audio"]) == pytest.approx(info.duration * 16_000, abs=2)
        assert (example["native_rate_hz"], f"PCM_{example['bits']}") == (info.samplerate, info.subtype)


@pytest.mark.real_data
def test_int16_times_scale_is_the_real_sound(real, real_data):
    """Half a step of int16 is all that is lost, at any level: against soundfile and soxr, not against ourselves."""
    import soxr

    corpus = load(real)
    wavs = {p.stem: p for p in (real_data / "icbhi").rglob("*.wav")}
    for row in range(0, len(corpus), 9):
        samples, rate = soundfile.read(wavs[corpus.recording[row]])
        expected = soxr.resample(samples, rate, corpus.rate_hz, "VHQ")
        waveform = corpus.waveform(row)
        n = min(len(expected), len(waveform))
        error = np.abs(expected[:n] - waveform[:n])[200:-200].max()
        assert error < 2e-4 * np.abs(expected).max() + float(corpus.scale[row])
        assert corpus.scale[row] * 32767 == pytest.approx(np.abs(waveform).max(), rel=1e-4)


@pytest.mark.real_data
def test_real_split_row_with_another_stethoscope_is_joined(real):
    corpus = load(real)
    row = corpus.recording.tolist().index("226_1b1_Pl_sc_LittC2SE")  # the published split says Meditron
    assert corpus.official_split[row] in ("train", "test")
    assert corpus.stethoscope[row] == "LittC2SE"
    assert "" not in corpus.official_split.tolist()


@pytest.mark.real_data
def test_real_kaggle_layout_gives_the_same(real, real_data_kaggle, tmp_path):
    ours, theirs = load(real), load(prepare(real_data_kaggle / "icbhi", tmp_path, partial=True))
    np.testing.assert_array_equal(ours.samples, theirs.samples)
    for column in ("recording", "diagnosis", "scale", "age_years", "sex", "native_rate_hz", "bits"):
        np.testing.assert_array_equal(getattr(ours, column), getattr(theirs, column))
    assert set(theirs.official_split.tolist()) == {""}
    # only Kaggle's copy has the file of differences: every Healthy recording has another tag in it
    assert set(ours.stethoscope_disputed.tolist()) == {""}
    disputed = theirs.stethoscope_disputed != ""
    assert np.all(disputed[theirs.diagnosis == "Healthy"])
    assert set(theirs.stethoscope[disputed].tolist()) == {"Meditron"}
    assert set(theirs.stethoscope_disputed[disputed].tolist()) <= {"LittC2SE", "AKGC417L"}


@pytest.mark.real_data
def test_real_cycles_and_native_rates(real, real_data, tmp_path):
    corpus = load(real)
    cycles = _examples(prepare(real_data / "icbhi", tmp_path, config="cycles_16k", partial=True), "cycles")
    assert len(cycles) == len(corpus.annotations) == 737
    assert [bool(c["crackle"]) for c in cycles] == corpus.annotations.crackle.tolist()
    assert [bool(c["wheeze"]) for c in cycles] == corpus.annotations.wheeze.tolist()
    duration_s = corpus.annotations.end_s - corpus.annotations.start_s
    np.testing.assert_allclose([len(c["audio"]) / 16_000 for c in cycles], duration_s, atol=1e-4)
    native = _examples(prepare(real_data / "icbhi", tmp_path, config="recordings_native", partial=True))
    assert [n["rate_hz"] for n in native] == corpus.native_rate_hz.tolist()
