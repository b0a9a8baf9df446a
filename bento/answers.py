"""What is asked about sounds and what is answered, without JAX: by one process's models, or by a pool of processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from jaxresp.audio import Recording
from jaxresp.explanation import Explanation
from jaxresp.gate import Gate


@dataclass(frozen=True)
class Model:
    """One of the models that answer.

    Attributes:
        name: task and features, "multiclass-mfcc".
        task, features: the names of both.
        classes: in their order.
        version: of the Classifier, a hash of what it holds.
        window_s: seconds of sound that the network hears at a time.
        card: the model card, Markdown.
        gate: what it refuses to judge, if it has learnt it.
    """

    name: str
    task: str
    features: str
    classes: tuple[str, ...]
    version: str
    window_s: float
    card: str
    gate: Gate | None


@dataclass(frozen=True)
class Answer:
    """A prediction as JSON, and the recording it was made from, if it was asked to be kept (the page draws it)."""

    prediction: dict[str, Any]
    recording: Recording | None

    @property
    def kept(self) -> Recording:
        """The recording.

        Raises:
            ValueError: it was not to be kept.
        """
        if self.recording is None:
            raise ValueError("the recording of this answer was not kept; ask with keep=True")
        return self.recording


@dataclass(frozen=True)
class Explained(Answer):
    """An answer, and what in the sound spoke for a class."""

    explanation: Explanation


@dataclass(frozen=True)
class Loaded:
    """What a process says once it can answer.

    Attributes:
        models: by name.
        seconds: it took to load and compile them.
        cpu_s: processor time until then, its imports included.
        programs: compiled, or read from the cache.
    """

    models: dict[str, Model]
    seconds: float
    cpu_s: float
    programs: int


@dataclass(frozen=True)
class Failed:
    """In place of an answer: an error that is no named one, with its traceback."""

    traceback: str


#: In place of a method: an earlier question's answer is no longer waited for.
CANCEL = "cancel"


class Answering(Protocol):
    """What answers. All methods belong to one event loop; who waits no longer cancels, and the work is dropped."""

    @property
    def models(self) -> Mapping[str, Model]:
        """By name, in the order they are shown in."""

    async def ready(self) -> bool:
        """Whether there is anybody to ask at this moment."""

    async def classify(self, sound: bytes, name: str, age_years: float | None, *, keep: bool) -> Answer:
        """What the named model says about a sound; with the recording, if it is to be kept.

        Raises:
            AudioError: a sound that cannot be used.
        """

    async def compare(self, sound: bytes, age_years: float | None, *, keep: bool) -> dict[str, Answer]:
        """What each model says about a sound, which is decoded once.

        Raises:
            AudioError: a sound that cannot be used.
        """

    async def explain(self, sound: bytes, name: str, of_class: str | None) -> Explained:
        """What the named model says about a sound, and what in it spoke for a class: the most probable one, or yours.

        Raises:
            UnknownClass: the model does not know the class.
            AudioError: a sound that cannot be used.
        """

    async def explain_answer(self, answer: Answer, name: str) -> Explained:
        """What in the sound spoke for an answer of the named model, whose recording was kept; it is not given again."""

    def close(self) -> None:
        """Let threads and processes end."""
