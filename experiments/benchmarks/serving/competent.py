"""The rival a competent engineer would write: FastAPI, soundfile + soxr, NumPy and SciPy features, ONNX Runtime.

    RIVAL_FOLDER=… uvicorn --factory experiments.benchmarks.serving.competent:create_app

Nothing of jaxresp runs in it. RIVAL_FOLDER holds network.onnx and config.json (the Classifier's own). It measures no
facts about the sound, checks no limits and gives no timeline: it does what its answer needs and no more.
RIVAL_INTRA_OP (threads of ONNX Runtime) and RIVAL_THREADS (recordings at a time) are tuned by compare.py.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import scipy.fft
import scipy.signal
import soundfile
import soxr
from fastapi import FastAPI, UploadFile


def mel_filterbank(rate_hz: int, n_fft: int, n_mels: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Slaney's triangles of unit area, [bins, bands]."""

    def to_mel(hz: np.ndarray) -> np.ndarray:
        return np.where(hz < 1000, hz * 3 / 200, 15 + np.log(np.maximum(hz, 1000) / 1000) * 27 / np.log(6.4))

    def to_hz(mel: np.ndarray) -> np.ndarray:
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((np.maximum(mel, 15) - 15) * np.log(6.4) / 27))

    ends = to_mel(np.array([low_hz, high_hz]))
    edges = to_hz(np.linspace(*ends, n_mels + 2))
    bins = np.fft.rfftfreq(n_fft, 1 / rate_hz)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    return np.maximum(triangles, 0) * 2 / (high - low)


class Pipeline:
    """Sound in, label and probabilities out, with everything that can be prepared prepared."""

    def __init__(self, folder: Path, intra_op: int) -> None:
        config = json.loads((folder / "config.json").read_text())
        settings = config["frontend"]
        self.classes = config["task"]["classes"]
        self.rate_hz, self.n_fft, self.hop = settings["rate_hz"], settings["n_fft"], settings["hop_samples"]
        self.floor_db = settings["floor_db"]
        self.length = round(config["window"]["length_s"] * self.rate_hz)
        window = scipy.signal.get_window("hann", self.n_fft)
        bank = mel_filterbank(
            self.rate_hz, self.n_fft, settings["n_mels"], settings["f_min_hz"], settings["f_max_hz"]
        ) / (window.sum() ** 2)
        self.n_bins = int(np.flatnonzero(bank.any(axis=1))[-1]) + 1
        self.bank, self.window = bank[: self.n_bins].astype(np.float32), window.astype(np.float32)
        n_mfcc = settings.get("n_mfcc")
        self.dct = None
        if n_mfcc:
            basis = scipy.fft.dct(np.eye(settings["n_mels"]), axis=1, norm="ortho")
            self.dct = basis[:, :n_mfcc].astype(np.float32)
        # The band-pass as a product of spectra: less than half of scipy.signal.sosfilt's time. Its response has
        # decayed below 1e-8 of its peak after 0.3 s.
        sos = scipy.signal.butter(settings["band_order"], (50.0, 5000.0), "bandpass", fs=self.rate_hz, output="sos")
        response = scipy.signal.sosfilt(sos, np.eye(1, 2 * self.rate_hz)[0])
        taps = response[: int(np.flatnonzero(np.abs(response) > 1e-8 * np.abs(response).max())[-1]) + 1]
        self.size = scipy.fft.next_fast_len(self.length + len(taps) - 1, real=True)
        self.transfer = scipy.fft.rfft(taps, self.size).astype(np.complex64)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = intra_op, 1
        self.session = onnxruntime.InferenceSession(
            str(folder / "network.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def windows(self, sound: bytes) -> np.ndarray:
        """A sound file → float32 [windows, time], quantised as the network was trained on."""
        samples, rate_hz = soundfile.read(io.BytesIO(sound), dtype="float32", always_2d=True)
        mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
        wave = soxr.resample(mono, rate_hz, self.rate_hz, quality="HQ")
        scale = np.float32(np.abs(wave).max() / 32767)
        wave = np.rint(wave / scale) * scale
        if len(wave) < self.length:
            return np.resize(wave, self.length)[None]
        count = 1 + -(-(len(wave) - self.length) // self.length)
        starts = np.minimum(np.arange(count) * self.length, len(wave) - self.length)
        return np.stack([wave[start : start + self.length] for start in starts])

    def features(self, wave: np.ndarray) -> np.ndarray:
        """One window, float32 [time] → [frames, coefficients]. A window at a time stays in a core's cache."""
        spectrum = scipy.fft.rfft(wave - wave.mean(), self.size)
        spectrum *= self.transfer
        banded = scipy.fft.irfft(spectrum, self.size)[: self.length]
        banded *= 1 / np.sqrt(np.mean(np.square(banded)))
        padded = np.pad(banded, self.n_fft // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft)[:: self.hop] * self.window
        spectrum = scipy.fft.rfft(frames, overwrite_x=True)[:, : self.n_bins]
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        db = 10 * np.log10(np.maximum(power @ self.bank, 1e-10))
        db = np.maximum(db, db.max() - self.floor_db)
        return db if self.dct is None else db @ self.dct

    def answer(self, sound: bytes) -> dict[str, object]:
        """The bytes of a sound file → label and probabilities."""
        features = np.stack([self.features(wave) for wave in self.windows(sound)])
        logits = self.session.run(None, {"features": features})[0].mean(axis=0)
        if len(logits) == 1:
            logits = np.array([0.0, logits[0]])
        likelihood = np.exp(logits - logits.max())
        probabilities = likelihood / likelihood.sum()
        by_class = {name: float(p) for name, p in zip(self.classes, probabilities, strict=True)}
        return {"label": max(by_class, key=by_class.__getitem__), "probabilities": by_class}


def create_app() -> FastAPI:
    app = FastAPI()
    pipeline = Pipeline(Path(os.environ["RIVAL_FOLDER"]), int(os.environ.get("RIVAL_INTRA_OP", "1")))
    threads = ThreadPoolExecutor(int(os.environ.get("RIVAL_THREADS", "2")))

    @app.get("/readyz")
    async def ready() -> str:
        return "ready"

    @app.post("/classify")
    async def classify(audio: UploadFile) -> dict[str, object]:
        sound = await audio.read()
        return await asyncio.get_running_loop().run_in_executor(threads, pipeline.answer, sound)

    return app
