"""The original project's way, made right: a FastAPI handler, librosa features, a framework's predict per request.

    RIVAL_FOLDER=… uvicorn --factory experiments.benchmarks.serving.original:create_app

Load with librosa, band-pass with SciPy, one window after another: librosa's mel spectrogram, decibels and MFCC, then
the network on that window. It is the Classifier's own under `jax.jit`, which spares this rival Keras's
`predict`, which the original called. Unlike the original it hears the whole recording, so that its labels are ours.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import jax
import librosa
import numpy as np
import scipy.signal
from fastapi import FastAPI, UploadFile

from jaxresp import models
from jaxresp.classifier import Spec
from jaxresp.models import storage
from jaxresp.train import from_arrays, standardise


class Pipeline:
    """Sound in, label and probabilities out."""

    def __init__(self, folder: Path) -> None:
        self.spec = Spec.from_dict(json.loads((folder / "config.json").read_text()))
        settings, task = self.spec.frontend, self.spec.task
        arrays = storage.unpack((folder / "weights.npz").read_bytes())
        graph, weights, by = from_arrays(arrays, self.spec.network, settings.n_coefficients, task.n_outputs)
        weights, by = jax.device_put((weights, by))
        self.network = jax.jit(lambda features: models.apply(graph, weights, standardise(features, by)))
        frames = settings.n_frames(self.spec.window.length_samples(settings.rate_hz))
        self.network(np.zeros((1, frames, settings.n_coefficients), np.float32))

    def features(self, wave: np.ndarray) -> np.ndarray:
        """One window → [1, frames, coefficients]."""
        s = self.spec.frontend
        sos = scipy.signal.butter(s.band_order, s.band_hz, btype="bandpass", fs=s.rate_hz, output="sos")
        banded = scipy.signal.sosfilt(sos, wave - wave.mean())
        banded /= np.sqrt(np.mean(banded**2))
        mel = librosa.feature.melspectrogram(
            y=banded,
            sr=s.rate_hz,
            n_fft=s.n_fft,
            hop_length=s.hop_samples,
            n_mels=s.n_mels,
            fmin=s.f_min_hz,
            fmax=s.f_max_hz,
            pad_mode="constant",
        )
        mel /= scipy.signal.get_window("hann", s.n_fft).sum() ** 2
        db = librosa.power_to_db(mel, ref=1.0, top_db=s.floor_db)
        if hasattr(s, "n_mfcc"):
            db = librosa.feature.mfcc(S=db, n_mfcc=s.n_mfcc)
        return db.T[None].astype(np.float32)

    def answer(self, sound: bytes) -> dict[str, object]:
        """The bytes of a sound file → label and probabilities."""
        s = self.spec.frontend
        wave, _ = librosa.load(io.BytesIO(sound), sr=s.rate_hz)
        length = self.spec.window.length_samples(s.rate_hz)
        count = max(1, -(-len(wave) // length))
        starts = [min(i * length, max(len(wave) - length, 0)) for i in range(count)]
        windows = [wave[start : start + length] if len(wave) > length else np.resize(wave, length) for start in starts]
        logits = np.mean([np.asarray(self.network(self.features(window)))[0] for window in windows], axis=0)
        probabilities = models.probabilities(logits[None])[0]
        by_class = {name: float(p) for name, p in zip(self.spec.task.classes, probabilities, strict=True)}
        return {"label": max(by_class, key=by_class.__getitem__), "probabilities": by_class}


def create_app() -> FastAPI:
    app = FastAPI()
    pipeline = Pipeline(Path(os.environ["RIVAL_FOLDER"]))

    @app.get("/readyz")
    async def ready() -> str:
        return "ready"

    @app.post("/classify")
    def classify(audio: UploadFile) -> dict[str, object]:  # FastAPI runs it in one of its threads
        return pipeline.answer(audio.file.read())

    return app
