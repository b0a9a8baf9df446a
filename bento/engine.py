"""What the API and the page ask: the models, and what they say about sounds, within the bounds of the service."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from bento.about import About
from bento.all_done import all_done
from bento.answers import Answer, Answering, Explained, Model
from bento.errors import DeadlineExceeded, UnknownModel
from bento.limits import LIMITS, Limits
from bento.load import Load
from jaxresp.errors import JaxrespError


class Engine:
    """The models, asked by many at once. All methods belong to one event loop.

    Args:
        answering: what answers.
        quick: the name of the model that answers quick questions.
        limits: bounds on what is taken on.
        load: what is taken on, when others have a part in it.
        about: what else is known about the models.
    """

    def __init__(
        self,
        answering: Answering,
        quick: str,
        limits: Limits = LIMITS,
        load: Load | None = None,
        about: About | None = None,
    ) -> None:
        self.quick, self.limits = quick, limits
        self.load = load or Load(limits)
        self.about = about or About()
        self._answering = answering
        self._explaining = asyncio.Semaphore(1)  # gradients must not crowd out answers

    @property
    def models(self) -> Mapping[str, Model]:
        """By name, in the order they are shown in."""
        return self._answering.models

    async def ready(self) -> bool:
        """Whether there is anybody to ask at this moment."""
        return await self._answering.ready()

    def close(self) -> None:
        """Let threads and processes end."""
        self._answering.close()

    def name_of(self, task: str, features: str) -> str:
        """The name of the model for a task and a kind of features.

        Raises:
            UnknownModel: with the names there are.
        """
        name = f"{task}-{features}"
        if name not in self.models:
            asked = f"task {task[:40]!r} with features {features[:40]!r}"
            raise UnknownModel(f"there is no model for {asked}; there are {', '.join(self.models)}")
        return name

    def describe(self) -> list[dict[str, Any]]:
        """One entry per model, for those who choose."""
        return [
            {
                "name": model.name,
                "task": model.task,
                "features": model.features,
                "classes": list(model.classes),
                "version": model.version,
                "window_s": model.window_s,
                "quick": model.name == self.quick,
            }
            for model in self.models.values()
        ]

    def describe_one(self, name: str) -> dict[str, Any]:
        """One model's entry, with its model card and, if its run left them, its results.

        Raises:
            UnknownModel: with the names there are.
        """
        entry = next((entry for entry in self.describe() if entry["name"] == name), None)
        if entry is None:
            raise UnknownModel(f"there is no model {name[:40]!r}; there are {', '.join(self.models)}")
        return entry | {"card": self.models[name].card, "results": self.about.result(name)}

    async def classify(self, sound: bytes, name: str, age_years: float | None = None, *, keep: bool = False) -> Answer:
        """What the named model says about a sound; with the recording, if it is to be kept.

        Raises:
            AudioError: a sound that cannot be used.
            Overloaded: too much is waiting already.
            DeadlineExceeded: it took too long.
        """
        async with self._taken_on():
            return await self._answering.classify(sound, name, age_years, keep=keep)

    async def classify_many(self, sounds: Sequence[bytes], name: str) -> list[Answer | JaxrespError]:
        """What the named model says about each sound, or why it says nothing, in their order.

        Raises:
            Overloaded: too much is waiting already.
        """
        deadline, at_once = self._deadline(), asyncio.Semaphore(self.limits.threads)  # others want a turn too

        async def one(sound: bytes) -> Answer | JaxrespError:
            try:
                async with self._until(deadline), at_once:
                    return await self._answering.classify(sound, name, None, keep=False)
            except JaxrespError as error:
                return error

        with self.load.taking_on(len(sounds)):
            return await all_done([one(sound) for sound in sounds])

    async def compare(self, sound: bytes, age_years: float | None = None, *, keep: bool = False) -> dict[str, Answer]:
        """What each model says about a sound, which is decoded once.

        Raises:
            AudioError, Overloaded, DeadlineExceeded: as `classify` does.
        """
        async with self._taken_on():
            return await self._answering.compare(sound, age_years, keep=keep)

    async def explain(self, sound: bytes, name: str, of_class: str | None = None) -> Explained:
        """What the named model says about a sound, and what in it spoke for a class: the most probable one, or yours.

        Raises:
            UnknownClass: the model does not know the class.
            AudioError, Overloaded, DeadlineExceeded: as `classify` does.
        """
        async with self._taken_on(), self._explaining:
            return await self._answering.explain(sound, name, of_class)

    async def explain_answer(self, answer: Answer, name: str) -> Explained:
        """What in the sound spoke for an answer that the named model has given; it is not answered again.

        Raises:
            Overloaded, DeadlineExceeded: as `classify` does.
        """
        async with self._taken_on(), self._explaining:
            return await self._answering.explain_answer(answer, name)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self.limits.max_answer_s

    @contextlib.asynccontextmanager
    async def _taken_on(self) -> AsyncIterator[None]:
        with self.load.taking_on():
            async with self._until(self._deadline()):
                yield

    @contextlib.asynccontextmanager
    async def _until(self, deadline: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(deadline):
                yield
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"no answer within {self.limits.max_answer_s:g} s; cut the recording, or try again later"
            ) from error
