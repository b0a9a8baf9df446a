"""What both sides serve and are asked: six Classifiers of a middling width, and clips of 20 s, 16-bit wav.

Nothing is trained: speed does not depend on what the numbers are. The last layer is spread, so that clips get different
answers and equal labels say something.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import soundfile

from jaxresp import models
from jaxresp.audio import Recording, read_audio
from jaxresp.classifier import Classifier, untrained
from jaxresp.models import NetworkConfig
from jaxresp.train import Standardisation

NAMES = tuple(f"{task}-{features}" for task in ("binary", "multiclass") for features in ("mfcc", "logmel", "augmented"))
QUICK = "multiclass-augmented"
CLIP_S = 20.0
RATES_HZ = (44_100, 4_000)  # ICBHI's most and least
FILTERS, DENSE = 32, 128  # the middle of what a sweep chooses from


@dataclass(frozen=True)
class Clip:
    """The bytes of a sound file, and what the offline Classifier says of it.

    Attributes:
        sound: a whole file.
        label: the offline answer.
        probabilities: calibrated, by class.
        status: of the answer; 422 for what cannot be decoded.
    """

    sound: bytes
    label: str | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    status: int = 200


def breath(duration_s: float, rate_hz: int, seed: int) -> np.ndarray:
    """Noise that swells and fades like breathing, of a colour and with a wheeze that the seed draws; [time] in ±1."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    noise = np.fft.rfft(rng.normal(size=t.size))
    noise *= np.exp(-np.fft.rfftfreq(t.size, 1 / rate_hz) / rng.uniform(150, 1200))
    sound = np.fft.irfft(noise, t.size)
    sound *= 0.1 + np.maximum(0, np.sin(2 * np.pi * t / rng.uniform(2.5, 5)))
    sound += rng.uniform(0, 0.3) * np.abs(sound).max() * np.sin(2 * np.pi * rng.uniform(150, 800) * t)
    return 0.3 * sound / np.abs(sound).max()


def encode(samples: np.ndarray, rate_hz: int) -> bytes:
    """Samples → the bytes of a 16-bit wav file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, subtype="PCM_16", format="WAV")
    return buffer.getvalue()


def sounds(rate_hz: int, count: int) -> list[bytes]:
    """Clips of 20 s, each another one."""
    return [encode(breath(CLIP_S, rate_hz, seed), rate_hz) for seed in range(count)]


def clips(classifier: Classifier, rate_hz: int, count: int = 6) -> list[Clip]:
    """Clips with their offline answers."""
    answers = [(sound, classifier.predict(sound)) for sound in sounds(rate_hz, count)]
    return [Clip(sound, answer.label, answer.probabilities) for sound, answer in answers]


def bad_clips(seed: int = 0) -> list[Clip]:
    """What must be refused: noise, cut files, silence, a header alone, half a breath, a text."""
    rng = np.random.default_rng(seed)
    whole = encode(breath(CLIP_S, RATES_HZ[0], seed), RATES_HZ[0])
    flac = io.BytesIO()
    soundfile.write(flac, breath(CLIP_S, RATES_HZ[1], seed), RATES_HZ[1], subtype="PCM_16", format="FLAC")
    sounds = [
        rng.bytes(100_000),
        whole[: len(whole) // 2],
        encode(np.zeros(RATES_HZ[0]), RATES_HZ[0]),
        encode(np.zeros(0), RATES_HZ[1]),
        encode(breath(0.1, RATES_HZ[1], seed), RATES_HZ[1]),
        b"RIFF, but only by name",
        flac.getvalue()[:10_000],
    ]
    return [Clip(sound, status=422) for sound in sounds]


def write_run(folder: Path) -> Path:
    """The six Classifiers, as `jaxresp run` leaves them, in folder/classifiers."""
    heard = [read_audio(sound) for rate_hz in RATES_HZ for sound in sounds(rate_hz, 4)]
    for seed, name in enumerate(NAMES):
        spread(name, heard, seed=seed).save(folder / "classifiers" / name)
    return folder


def spread(name: str, heard: Sequence[Recording], *, filters: int = FILTERS, seed: int = 0) -> Classifier:
    """An untrained Classifier whose logits over these recordings have mean 0 and standard deviation 2."""
    blank = untrained(name, seed)
    network = NetworkConfig(blank.frontend.network, filters=filters, dense=DENSE)
    spec = replace(blank.spec, network=network, seed=seed)
    size = spec.frontend.n_coefficients
    graph, weights = models.create(network, size, spec.task.n_outputs, seed)
    by = Standardisation(np.full(size, -20.0, np.float32), np.full(size, 15.0, np.float32))
    narrow = Classifier(spec, graph, weights, by)
    logits = np.concatenate([narrow.logits(*narrow.cut(recording)[:2]) for recording in heard])
    head = weights.params["head"]["logits"]
    factor = 2.0 / np.maximum(logits.std(axis=0), 1e-6)
    head["kernel"][...] = head["kernel"][...] * factor
    head["bias"][...] = (head["bias"][...] - logits.mean(axis=0)) * factor
    return Classifier(spec, graph, weights, by, card=blank.card)


def load(folder: Path, name: str = QUICK) -> Classifier:
    """One of them."""
    return Classifier.load(folder / "classifiers" / name)
