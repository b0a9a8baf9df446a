"""From the bytes of a sound to an answer, in one process: decode, cut, join with others, compute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32, Int16

from bento import metrics
from bento.all_done import all_done
from bento.answers import Answer, Explained, Model
from bento.batching import Batcher, Logits
from bento.limits import LIMITS, Limits
from jaxresp.audio import Recording
from jaxresp.classifier import Classifier
from jaxresp.explanation import Explanation
from jaxresp.gate import Measured, measure


@dataclass(frozen=True)
class _Windows:
    """A decoded sound, cut for one classifier, or for several that cut alike."""

    recording: Recording
    samples: Int16[np.ndarray, "w time"]
    scale: Float32[np.ndarray, " w"]
    start_s: Float32[np.ndarray, " w"]
    seen: Measured | None = None  # by the quality gates, when several look at one recording


class Computing:
    """The loaded Classifiers and their queue: an `Answering` that answers here.

    Args:
        classifiers: by name, warmed up.
        threads: sounds that are worked on at a time.
        limits: bounds on one call of a network.
    """

    def __init__(self, classifiers: Mapping[str, Classifier], threads: int, limits: Limits = LIMITS) -> None:
        self._classifiers = dict(classifiers)
        self.models = {name: described(name, classifier) for name, classifier in self._classifiers.items()}
        self._decoding = ThreadPoolExecutor(threads, thread_name_prefix="decode")  # for several networks
        self._explaining = ThreadPoolExecutor(1, thread_name_prefix="explain")
        on_cpu = jax.default_backend() == "cpu"
        queued = {name: metrics.QUEUED_SOUNDS.labels(model=name).inc for name in self.models}
        waited = {name: metrics.QUEUE_SECONDS.labels(model=name).observe for name in self.models}
        self._batcher = Batcher(
            {name: _timed(name, classifier) for name, classifier in self._classifiers.items()},
            at_once=threads,
            max_batch=limits.max_batch_windows_cpu if on_cpu else limits.max_batch_windows,
            queued=lambda name, change: queued[name](change),
            waited=lambda name, seconds: waited[name](seconds),
        )

    def close(self) -> None:
        """Let the threads end."""
        self._batcher.close()
        for threads in (self._decoding, self._explaining):
            threads.shutdown(wait=False, cancel_futures=True)

    async def ready(self) -> bool:
        """It always is."""
        return True

    async def classify(self, sound: bytes, name: str, age_years: float | None, *, keep: bool) -> Answer:
        """Decode, cut, compute and answer, all in one thread."""
        asked = {name: self._classifiers[name]}
        return await self._batcher(name, lambda: _decode(asked, sound)[name], self._answering(name, age_years, keep))

    async def compare(self, sound: bytes, age_years: float | None, *, keep: bool) -> dict[str, Answer]:
        """Decode once; then each model's answer, as its turn comes."""
        windows = await self._decode(sound, *self._classifiers)
        asked = {name: self._ask(name, windows[name], age_years, keep) for name in self._classifiers}
        return dict(zip(asked, await all_done(list(asked.values())), strict=True))

    async def explain(self, sound: bytes, name: str, of_class: str | None) -> Explained:
        """Answer, then find what spoke for the class."""
        windows = (await self._decode(sound, name))[name]
        return await self._explained(await self._ask(name, windows, None, True), name, of_class)

    async def explain_answer(self, answer: Answer, name: str) -> Explained:
        """Find what spoke for the most probable class."""
        return await self._explained(answer, name, None)

    async def _explained(self, answer: Answer, name: str, of_class: str | None) -> Explained:
        p = answer.prediction["probabilities"]
        explanation = await asyncio.get_running_loop().run_in_executor(
            self._explaining,
            _explain,
            self._classifiers[name],
            name,
            answer.kept,
            of_class or max(p, key=p.__getitem__),
        )
        return Explained(answer.prediction, answer.recording, explanation)

    async def _decode(self, sound: bytes, *names: str) -> dict[str, _Windows]:
        asked = {name: self._classifiers[name] for name in names}
        return await asyncio.get_running_loop().run_in_executor(self._decoding, _decode, asked, sound)

    async def _ask(self, name: str, windows: _Windows, age_years: float | None, keep: bool) -> Answer:
        return await self._batcher(name, lambda: windows, self._answering(name, age_years, keep))

    def _answering(
        self, name: str, age_years: float | None, keep: bool
    ) -> Callable[[_Windows, Float32[np.ndarray, "w outputs"]], Answer]:
        """Logits → the named model's answer."""

        def answer(windows: _Windows, logits: Float32[np.ndarray, "w outputs"]) -> Answer:
            said = self._classifiers[name].answer(windows.recording, logits, windows.start_s, age_years, windows.seen)
            prediction = said.to_json()
            metrics.count_prediction(name, prediction)
            return Answer(prediction, windows.recording if keep else None)

        return answer


def described(name: str, classifier: Classifier) -> Model:
    """What others need to know of a Classifier."""
    return Model(
        name,
        classifier.task.name,
        classifier.frontend.name,
        tuple(classifier.classes),
        classifier.version,
        classifier.window.length_s,
        classifier.card,
        classifier.gate,
    )


def _decode(classifiers: Mapping[str, Classifier], sound: bytes) -> dict[str, _Windows]:
    """Decode a sound once per rate, cut it once per way of cutting, and look at it once for all gates."""
    recordings: dict[int, tuple[Recording, Measured | None]] = {}
    cut: dict[Any, _Windows] = {}
    windows = {}
    n_gates = sum(classifier.gate is not None for classifier in classifiers.values())
    with metrics.DECODE_SECONDS.time():
        for name, classifier in classifiers.items():
            rate_hz = classifier.frontend.rate_hz
            if rate_hz not in recordings:
                heard = classifier.decode(sound)
                seen = measure(heard.samples, heard.scale, rate_hz) if n_gates > 1 else None
                recordings[rate_hz] = heard, seen
            recording, seen = recordings[rate_hz]
            way = rate_hz, classifier.window
            if way not in cut:
                cut[way] = _Windows(recording, *classifier.cut(recording), seen)
            windows[name] = cut[way]
    metrics.AUDIO_SECONDS.inc(recording.facts.duration_s)
    return windows


def _explain(classifier: Classifier, name: str, recording: Recording, of_class: str | None) -> Explanation:
    with metrics.EXPLAIN_SECONDS.labels(model=name).time():
        return classifier.explain(recording, of_class)


def _timed(name: str, classifier: Classifier) -> Logits:
    """The classifier's logits, with its calls counted and timed."""
    seconds, windows = metrics.INFERENCE_SECONDS.labels(model=name), metrics.BATCH_WINDOWS.labels(model=name)

    def logits(
        samples: Int16[np.ndarray, "w time"], scale: Float32[np.ndarray, " w"]
    ) -> Float32[np.ndarray, "w outputs"]:
        windows.observe(len(samples))
        start = time.perf_counter()
        result = classifier.logits(samples, scale)
        seconds.observe(time.perf_counter() - start)
        return result

    return logits
