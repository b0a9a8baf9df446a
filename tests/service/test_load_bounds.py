"""How much is taken on: requests, bytes and seconds, each with an end, and a refusal that says when to come back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bento.asgi import BodyLimit
from bento.computing import Computing
from bento.engine import Engine
from bento.errors import BodyTooLarge, DeadlineExceeded, Overloaded
from bento.limits import Limits
from bento.load import Load
from jaxresp.classifier import Classifier, untrained

from .conftest import breath, encode

SOUND = encode(breath(6, 4_000), 4_000)


class Gated:
    """A Classifier whose network waits at a gate."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier, self.gate, self.calls = classifier, threading.Event(), 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.classifier, name)

    def logits(self, samples: np.ndarray, scale: np.ndarray) -> np.ndarray:
        self.gate.wait(20)
        self.calls += 1
        return np.zeros((len(samples), 1), np.float32)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return untrained("binary-mfcc")


def _with_engine(classifier: Classifier, story: Callable[[Engine, Gated], Awaitable[None]], **limits: Any) -> None:
    async def run() -> None:
        gated = Gated(classifier)
        bounds = Limits(**limits)
        computing = Computing({"binary-mfcc": gated}, bounds.threads, bounds)  # type: ignore[dict-item]
        engine = Engine(computing, "binary-mfcc", bounds)
        try:
            await story(engine, gated)
        finally:
            gated.gate.set()
            engine.close()

    asyncio.run(run())


def test_what_passes_its_deadline_is_refused_and_never_computed(classifier: Classifier) -> None:
    async def story(engine: Engine, gated: Gated) -> None:
        answers = await asyncio.gather(
            *(engine.classify(SOUND, "binary-mfcc") for _ in range(12)), return_exceptions=True
        )
        assert all(isinstance(answer, DeadlineExceeded) for answer in answers)
        assert engine.load.n_sounds == 0
        gated.gate.set()
        assert (await engine.classify(SOUND, "binary-mfcc")).prediction["label"]
        assert gated.calls <= 2, "the first batch was under way; the rest should have been dropped"

    _with_engine(classifier, story, max_answer_s=1.0, threads=1)


def test_more_than_the_limit_is_refused_with_the_time_to_come_back(classifier: Classifier) -> None:
    async def story(engine: Engine, gated: Gated) -> None:
        taken = [asyncio.create_task(engine.classify(SOUND, "binary-mfcc")) for _ in range(3)]
        await asyncio.sleep(0.1)
        for ask in (
            engine.classify(SOUND, "binary-mfcc"),
            engine.compare(SOUND),
            engine.explain(SOUND, "binary-mfcc"),
            engine.classify_many([SOUND], "binary-mfcc"),
        ):
            with pytest.raises(Overloaded) as refused:
                await ask
            assert refused.value.retry_after_s >= 1
            assert f"in {refused.value.retry_after_s} s" in str(refused.value)
        gated.gate.set()
        await asyncio.gather(*taken)
        assert engine.load.n_sounds == 0
        await engine.classify(SOUND, "binary-mfcc")

    _with_engine(classifier, story, max_requests=3)


def test_the_time_to_come_back_follows_how_long_answers_take(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    load = Load(Limits(max_requests=1))
    for seconds in (9.0,) * 30:
        with load.taking_on():
            now += seconds
    assert load.overloaded("").retry_after_s == 9
    for seconds in (0.02,) * 30:
        with load.taking_on():
            now += seconds
    assert load.overloaded("").retry_after_s == 1


# Bodies


async def _answered(app: BodyLimit, pieces: list[bytes], **headers: str) -> tuple[int, int, dict[str, str]]:
    """Status, how many pieces were taken, and the answer's headers."""
    taken, sent = 0, []

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        more = taken < len(pieces)
        return {"type": "http.request", "body": pieces[taken - 1], "more_body": more}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/classify",
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }
    await app(scope, receive, send)
    found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], taken, found


async def _swallow(scope: Any, receive: Any, send: Any) -> None:
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def _limited(app: Any, **limits: Any) -> BodyLimit:
    chosen = Limits(**limits)
    return BodyLimit(app, Load(chosen), chosen)


def test_bytes_are_counted_while_they_come_in_and_let_go_afterwards() -> None:
    app = _limited(_swallow, max_body_bytes=100, max_held_bytes=150, max_drain_bytes=0)
    for pieces, status, taken in (
        ([b"x" * 50] * 2, 200, 2),
        ([b"x" * 50] * 2 + [b"y"], 413, 3),
        ([b"x" * 101, b"y"], 413, 1),
        ([b"x" * 50] * 99, 413, 3),
    ):
        assert asyncio.run(_answered(app, pieces))[:2] == (status, taken)
        assert app.load.held_bytes == 0


def test_a_body_that_states_too_much_is_not_read_when_its_sender_waits_for_our_consent() -> None:
    app = _limited(_swallow, max_body_bytes=100)
    stated = {"content-length": "101"}
    assert asyncio.run(_answered(app, [b"x"] * 9, **stated))[:2] == (413, 9), "drained, so that the answer is read"
    assert asyncio.run(_answered(app, [b"x"] * 9, **stated, expect="100-continue"))[:2] == (413, 0)


def test_bodies_that_together_are_too_large_are_refused_until_one_is_done() -> None:
    app = _limited(_swallow, max_body_bytes=100, max_held_bytes=150)
    app.load.hold(100)  # another's
    status, _, headers = asyncio.run(_answered(app, [b"x" * 30, b"x" * 30]))
    assert (status, int(headers["retry-after"]) >= 1, headers["connection"]) == (503, True, "close")
    assert app.load.held_bytes == 100
    app.load.release(100)
    assert asyncio.run(_answered(app, [b"x" * 30, b"x" * 30]))[0] == 200


def test_when_no_sound_is_taken_on_its_sender_hears_so_before_the_body() -> None:
    """By the API only: a page, or an upload for it, is still answered."""

    app = _limited(_swallow, max_requests=2)

    async def ask(method: str, path: str) -> tuple[int, int]:
        """The status, and how many pieces of the body had come in when it was told."""
        taken, told = 0, []

        async def receive() -> dict[str, Any]:
            nonlocal taken
            taken += 1
            return {"type": "http.request", "body": b"x", "more_body": taken < 3}

        async def send(message: Any) -> None:
            told.append((taken, message))

        await app({"type": "http", "method": method, "path": path, "headers": []}, receive, send)
        assert taken == 3, "what still comes in is read, or closing would destroy the answer"
        assert not told[-1][1].get("more_body", False)
        return told[0][1]["status"], told[0][0]

    async def story() -> None:
        with app.load.taking_on(2):
            assert await ask("POST", "/v1/classify") == (503, 0)
            assert await ask("GET", "/v1/models") == (200, 3)
            assert await ask("POST", "/ui/gradio_api/upload") == (200, 3)
        assert await ask("POST", "/v1/classify") == (200, 3)

    asyncio.run(story())


def test_an_early_answer_is_sent_after_the_body_has_come_in() -> None:
    async def rude(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 415, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    assert asyncio.run(_answered(_limited(rude), [b"x"] * 9))[:2] == (415, 9)


def test_an_application_that_hides_the_interruption_does_not_hide_our_answer() -> None:
    async def catching(scope: Any, receive: Any, send: Any) -> None:
        try:
            await _swallow(scope, receive, send)
        except BodyTooLarge:
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    assert asyncio.run(_answered(_limited(catching, max_body_bytes=5), [b"x" * 9]))[0] == 413


def test_nobody_waits_for_a_slow_body() -> None:
    limits = Limits(upload_grace_s=0.2, min_upload_bytes_per_s=1000, max_upload_s=5)
    app = BodyLimit(_swallow, Load(limits), limits)

    async def ask(pause_s: float, n_bytes: int, n_pieces: int) -> int:
        taken, sent = 0, []

        async def receive() -> dict[str, Any]:
            nonlocal taken
            await asyncio.sleep(pause_s)
            taken += 1
            return {"type": "http.request", "body": b"x" * n_bytes, "more_body": taken < n_pieces}

        async def send(message: Any) -> None:
            sent.append(SimpleNamespace(**message))

        await app({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send)
        return int(sent[0].status)

    assert asyncio.run(ask(0.05, 100, 10)) == 200, "twice the least rate"
    assert asyncio.run(ask(0.05, 5, 20)) == 408, "a tenth of it"
    assert asyncio.run(ask(0.5, 100, 1)) == 408, "nothing at all"
    assert app.load.held_bytes == 0
