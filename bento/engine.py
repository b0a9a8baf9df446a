"""From the bytes of a sound to an answer, for the API and the page alike: decode, cut, join with others, compute."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import numpy as np
from jaxtyping import Float32, Int16

from bento import metrics
from bento.about import About
from bento.batching import Batcher, Logits
from bento.errors import DeadlineExceeded, UnknownModel
from bento.limits import LIMITS, Limits
from bento.load import Load
from jaxresp.audio import Recording
from jaxresp.classifier import Classifier
from jaxresp.errors import JaxrespError
from jaxresp.explain import Explanation
from jaxresp.gate import Measured, measure

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """A prediction as JSON, with the recording it was made from (the page draws it; nothing keeps it)."""

    prediction: dict[str, Any]
    recording: Recording


@dataclass(frozen=True)
class Explained(Answer):
    """An answer, and what in the sound spoke for a class."""

    explanation: Explanation


@dataclass(frozen=True)
class _Windows:
    """A decoded sound, cut for one classifier, or for several that cut alike."""

    recording: Recording
    samples: Int16[np.ndarray, "w time"]
    scale: Float32[np.ndarray, " w"]
    start_s: Float32[np.ndarray, " w"]
    seen: Measured | None = None  # by the quality gates, when several look at one recording


class Engine:
    """The loaded Classifiers and their queues. All methods belong to one event loop.

    Args:
        classifiers: by name, warmed up.
        quick: the name of the one that answers quick questions.
        limits: bounds on what is taken on.
        load: what is taken on, when others have a part in it.
        about: what else is known about the models.
    """

    def __init__(
        self,
        classifiers: Mapping[str, Classifier],
        quick: str,
        limits: Limits = LIMITS,
        load: Load | None = None,
        about: About | None = None,
    ) -> None:
        self.classifiers, self.quick, self.limits = dict(classifiers), quick, limits
        self.load = load or Load(limits)
        self.about = about or About()
        self._decoding = ThreadPoolExecutor(limits.threads, thread_name_prefix="decode")  # for several networks
        self._explaining = ThreadPoolExecutor(1, thread_name_prefix="explain")  # gradients must not crowd out answers
        on_cpu = jax.default_backend() == "cpu"
        queued = {name: metrics.QUEUED_SOUNDS.labels(model=name).inc for name in self.classifiers}
        waited = {name: metrics.QUEUE_SECONDS.labels(model=name).observe for name in self.classifiers}
        self._batcher = Batcher(
            {name: _timed(name, classifier) for name, classifier in self.classifiers.items()},
            at_once=limits.threads,
            max_batch=limits.max_batch_windows_cpu if on_cpu else limits.max_batch_windows,
            queued=lambda name, change: queued[name](change),
            waited=lambda name, seconds: waited[name](seconds),
        )

    def close(self) -> None:
        """Let the threads end."""
        self._batcher.close()
        for threads in (self._decoding, self._explaining):
            threads.shutdown(wait=False, cancel_futures=True)

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

    def describe_one(self, name: str) -> dict[str, Any]:
        """One model's entry, with its model card and, if its run left them, its results.

        Raises:
            UnknownModel: with the names there are.
        """
        entry = next((entry for entry in self.describe() if entry["name"] == name), None)
        if entry is None:
            raise UnknownModel(f"there is no model {name[:40]!r}; there are {', '.join(self.classifiers)}")
        return entry | {"card": self.classifiers[name].card, "results": self.about.result(name)}

    async def classify(self, sound: bytes, name: str, age_years: float | None = None) -> Answer:
        """What the named model says about a sound.

        Raises:
            AudioError: a sound that cannot be used.
            Overloaded: too much is waiting already.
            DeadlineExceeded: it took too long.
        """
        with self.load.taking_on():
            async with self._until(self._deadline()):
                return await self._classify(sound, name, age_years)

    async def classify_many(self, sounds: Sequence[bytes], name: str) -> list[Answer | JaxrespError]:
        """What the named model says about each sound, or why it says nothing, in their order.

        Raises:
            Overloaded: too much is waiting already.
        """
        deadline, at_once = self._deadline(), asyncio.Semaphore(self.limits.threads)  # others want a turn too

        async def one(sound: bytes) -> Answer | JaxrespError:
            try:
                async with self._until(deadline), at_once:
                    return await self._classify(sound, name, None)
            except JaxrespError as error:
                return error

        with self.load.taking_on(len(sounds)):
            return await _all_done([one(sound) for sound in sounds])

    async def compare(self, sound: bytes, age_years: float | None = None) -> dict[str, Answer]:
        """What each model says about a sound, which is decoded once.

        Raises:
            AudioError, Overloaded, DeadlineExceeded: as `classify` does.
        """
        with self.load.taking_on():
            async with self._until(self._deadline()):
                windows = await self._decode(sound, *self.classifiers)
                asked = [self._ask(name, windows[name], age_years) for name in self.classifiers]
                return dict(zip(self.classifiers, await _all_done(asked), strict=True))

    async def explain(self, sound: bytes, name: str, of_class: str | None = None) -> Explained:
        """What the named model says about a sound, and what in it spoke for a class: the most probable one, or yours.

        Raises:
            UnknownClass: the model does not know the class.
            AudioError, Overloaded, DeadlineExceeded: as `classify` does.
        """
        with self.load.taking_on():
            async with self._until(self._deadline()):
                windows = (await self._decode(sound, name))[name]
                return await self._explained(await self._ask(name, windows, None), name, of_class)

    async def explain_answer(self, answer: Answer, name: str) -> Explained:
        """What in the sound spoke for an answer that the named model has given; it is not answered again.

        Raises:
            Overloaded, DeadlineExceeded: as `classify` does.
        """
        with self.load.taking_on():
            async with self._until(self._deadline()):
                return await self._explained(answer, name, None)

    async def _explained(self, answer: Answer, name: str, of_class: str | None) -> Explained:
        p = answer.prediction["probabilities"]
        explanation = await asyncio.get_running_loop().run_in_executor(
            self._explaining,
            _explain,
            self.classifiers[name],
            name,
            answer.recording,
            of_class or max(p, key=p.__getitem__),
        )
        return Explained(answer.prediction, answer.recording, explanation)

    async def _classify(self, sound: bytes, name: str, age_years: float | None) -> Answer:
        """Decode, cut, compute and answer, all in one thread."""
        asked = {name: self.classifiers[name]}
        return await self._batcher(name, lambda: _decode(asked, sound)[name], self._answering(name, age_years))

    async def _decode(self, sound: bytes, *names: str) -> dict[str, _Windows]:
        asked = {name: self.classifiers[name] for name in names}
        return await asyncio.get_running_loop().run_in_executor(self._decoding, _decode, asked, sound)

    async def _ask(self, name: str, windows: _Windows, age_years: float | None) -> Answer:
        return await self._batcher(name, lambda: windows, self._answering(name, age_years))

    def _answering(
        self, name: str, age_years: float | None
    ) -> Callable[[_Windows, Float32[np.ndarray, "w outputs"]], Answer]:
        """Logits → the named model's answer."""

        def answer(windows: _Windows, logits: Float32[np.ndarray, "w outputs"]) -> Answer:
            said = self.classifiers[name].answer(windows.recording, logits, windows.start_s, age_years, windows.seen)
            prediction = said.to_json()
            metrics.count_prediction(name, prediction)
            return Answer(prediction, windows.recording)

        return answer

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self.limits.max_answer_s

    @contextlib.asynccontextmanager
    async def _until(self, deadline: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(deadline):
                yield
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"no answer within {self.limits.max_answer_s:g} s; cut the recording, or try again later"
            ) from error


async def _all_done(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All of it at once; when one fails, the rest is cancelled and its error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]


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
