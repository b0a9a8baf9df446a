"""From the bytes of a sound to an answer, for the API and the page alike: decode, cut, join with others, compute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int16

from bento import metrics
from bento.about import About
from bento.batching import Batcher, Logits
from bento.errors import Overloaded, UnknownModel
from bento.limits import LIMITS, Limits
from jaxresp.audio import Recording
from jaxresp.classifier import Classifier


@dataclass(frozen=True)
class Answer:
    """A prediction as JSON, with the recording it was made from (the page draws it; nothing keeps it)."""

    prediction: dict[str, Any]
    recording: Recording


class Engine:
    """The loaded Classifiers and their queues. All methods belong to one event loop.

    Args:
        classifiers: by name, warmed up.
        quick: the name of the one that answers quick questions.
        limits: bounds on what is taken on.
        about: what else is known about the models.
    """

    def __init__(
        self,
        classifiers: Mapping[str, Classifier],
        quick: str,
        limits: Limits = LIMITS,
        *,
        about: About | None = None,
    ) -> None:
        self.classifiers, self.quick, self.limits = dict(classifiers), quick, limits
        self.about = about or About()
        self._threads = ThreadPoolExecutor(limits.decode_threads, thread_name_prefix="decode")
        self._batchers = {
            name: Batcher(
                _timed(name, classifier), max_batch=limits.max_batch_windows, max_queued=limits.max_queued_windows
            )
            for name, classifier in self.classifiers.items()
        }
        self._n_requests = 0

    def close(self) -> None:
        """Let the decoding threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def name_of(self, task: str, features: str) -> str:
        """The name of the classifier for a task and a kind of features.

        Raises:
            UnknownModel: with the names there are.
        """
        name = f"{task}-{features}"
        if name not in self.classifiers:
            asked = f"task {task[:40]!r} with features {features[:40]!r}"
            raise UnknownModel(f"there is no model for {asked}; there are {', '.join(self.classifiers)}")
        return name

    def describe(self) -> list[dict[str, Any]]:
        """One entry per model, for those who choose."""
        return [
            {
                "name": name,
                "task": classifier.task.name,
                "features": classifier.frontend.name,
                "classes": list(classifier.classes),
                "version": classifier.version,
                "window_s": classifier.window.length_s,
                "quick": name == self.quick,
            }
            for name, classifier in self.classifiers.items()
        ]

    async def classify(self, sound: bytes, name: str) -> Answer:
        """What the named model says about a sound.

        Raises:
            AudioError: a sound that cannot be used.
            Overloaded: too much is waiting already.
        """
        if self._n_requests >= self.limits.max_requests:
            raise Overloaded("too many recordings are waiting; try again in a few seconds")
        self._n_requests += 1
        try:
            classifier = self.classifiers[name]
            loop = asyncio.get_running_loop()
            recording, samples, scale, start_s = await loop.run_in_executor(self._threads, _decode, classifier, sound)
            metrics.AUDIO_SECONDS.inc(recording.facts.duration_s)
            logits = await self._batchers[name](samples, scale)
            prediction = classifier.answer(recording, logits, start_s).to_json()
        finally:
            self._n_requests -= 1
        metrics.PREDICTIONS.labels(model=name, label=prediction["label"] or metrics.ABSTAINED).inc()
        return Answer(prediction, recording)


def _decode(
    classifier: Classifier, sound: bytes
) -> tuple[Recording, Int16[np.ndarray, "w time"], Float32[np.ndarray, " w"], Float32[np.ndarray, " w"]]:
    with metrics.DECODE_SECONDS.time():
        recording = classifier.decode(sound)
        samples, scale, start_s = classifier.cut(recording)
    return recording, samples, scale, start_s


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
