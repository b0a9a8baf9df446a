"""What the service is compared with gives the same answers; it would be no comparison otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.benchmarks.serving import material
from jaxresp.audio import read_audio

pytest.importorskip("onnxruntime", reason="the bench extra is not installed")
pytest.importorskip("onnx", reason="the bench extra is not installed")
original = pytest.importorskip("experiments.benchmarks.serving.original")
competent = pytest.importorskip("experiments.benchmarks.serving.competent")


@pytest.mark.parametrize("name", ["multiclass-augmented", "binary-logmel"])  # a 1-D network, and a 2-D one
def test_rivals_say_what_we_say(name: str, tmp_path: Path) -> None:
    from experiments.benchmarks.serving.onnx_network import write_onnx

    sounds = [sound for rate_hz in material.RATES_HZ for sound in material.sounds(rate_hz, 3)]
    classifier = material.spread(name, [read_audio(sound) for sound in sounds], filters=4)
    classifier.save(tmp_path / name)
    write_onnx(tmp_path / name, tmp_path / name / "network.onnx")
    competitor, forerunner = competent.Pipeline(tmp_path / name, 1), original.Pipeline(tmp_path / name)
    labels = set()
    for sound in sounds:
        ours, theirs = classifier.predict(sound), competitor.answer(sound)
        assert theirs["label"] == forerunner.answer(sound)["label"] == ours.label
        assert theirs["probabilities"] == pytest.approx(ours.probabilities, abs=1e-4)
        labels.add(ours.label)
    assert len(labels) > 1, "clips that all sound the same prove nothing"
