"""The queue in front of a network: joined or alone, every request gets its own rows."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bento.batching import Batcher


@dataclass(frozen=True)
class Windows:
    samples: np.ndarray
    scale: np.ndarray


def _windows(n: int, value: int) -> Windows:
    return Windows(np.full((n, 8), value, np.int16), np.full(n, 0.5, np.float32))


class Network:
    """Answers each window with its first sample × scale; waits at a gate; remembers its batches."""

    def __init__(self) -> None:
        self.gate, self.batches = threading.Event(), []
        self.fails = False

    def __call__(self, samples: np.ndarray, scale: np.ndarray) -> np.ndarray:
        self.gate.wait(10)
        self.batches.append(len(samples))
        if self.fails:
            raise RuntimeError("the network broke")
        return (samples[:, :1] * scale[:, None]).astype(np.float32)


class Asked(Batcher):
    """A Batcher in front of one network, asked for the logits of windows."""

    async def ask(self, windows: Windows) -> np.ndarray:
        return await self("network", lambda: windows, lambda _, logits: logits)


@contextmanager
def _batcher(network: Network, *, at_once: int = 1, max_batch: int = 16, **told: Any) -> Iterator[Asked]:
    batcher = Asked({"network": network}, at_once=at_once, max_batch=max_batch, **told)
    try:
        yield batcher
    finally:
        network.gate.set()
        batcher.close()


async def _ask(network: Network, sizes: list[int], **limits: int) -> list[np.ndarray | BaseException]:
    with _batcher(network, **limits) as batcher:
        tasks = [asyncio.create_task(batcher.ask(_windows(size, i))) for i, size in enumerate(sizes)]
        await asyncio.sleep(0.05)  # all of them are waiting now, the first one at the gate
        network.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)


def test_each_request_gets_its_own_rows() -> None:
    network, sizes = Network(), [1, 3, 2, 40, 5, 12, 16, 1]
    for i, (size, rows) in enumerate(zip(sizes, asyncio.run(_ask(network, sizes)), strict=True)):
        np.testing.assert_array_equal(rows, np.full((size, 1), 0.5 * i, np.float32))


def test_waiting_requests_are_joined_up_to_the_largest_batch() -> None:
    network = Network()
    asyncio.run(_ask(network, [5] + [1] * 21))
    assert network.batches == [5, 16, 5] or network.batches == [16, 10]


def test_what_does_not_fit_any_more_comes_next() -> None:
    network = Network()
    asyncio.run(_ask(network, [16, 10, 10, 3]))
    assert network.batches == [16, 10, 10, 3]


def test_a_long_request_goes_alone() -> None:
    network = Network()
    asyncio.run(_ask(network, [40, 1, 1]))
    assert network.batches == [40, 2]


def test_as_many_are_computed_at_once_as_there_are_threads() -> None:
    """And no more: two wait for each other inside the network, the third comes after them."""
    inside, most, lock, both = 0, 0, threading.Lock(), threading.Barrier(2, timeout=10)

    class Meeting(Network):
        def __call__(self, samples: np.ndarray, scale: np.ndarray) -> np.ndarray:
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            both.wait()
            with lock:
                inside -= 1
            return super().__call__(samples, scale)

    answers = asyncio.run(_ask(Meeting(), [4] * 4, at_once=2, max_batch=4))
    assert most == 2
    assert [answer[0, 0] for answer in answers] == [0, 0.5, 1, 1.5]


def test_only_those_for_the_same_network_are_joined_and_the_oldest_comes_first() -> None:
    async def story() -> None:
        called: list[tuple[str, int]] = []
        gate = threading.Event()

        def network(name: str) -> Any:
            def logits(samples: np.ndarray, scale: np.ndarray) -> np.ndarray:
                gate.wait(10)
                called.append((name, len(samples)))
                return samples[:, :1] * scale[:, None]

            return logits

        batcher = Batcher({"a": network("a"), "b": network("b")}, at_once=1, max_batch=4)
        order = [("a", 4), ("b", 1), ("a", 1), ("b", 2), ("a", 3)]
        tasks = [
            asyncio.create_task(batcher(name, lambda n=n: _windows(n, 1), lambda _, logits: logits))  # type: ignore[misc]
            for name, n in order
        ]
        await asyncio.sleep(0.05)
        gate.set()
        answers = await asyncio.gather(*tasks)
        batcher.close()
        assert called == [("a", 4), ("b", 3), ("a", 4)]
        assert [len(answer) for answer in answers] == [n for _, n in order]

    asyncio.run(story())


def test_a_failure_reaches_everyone_and_the_queue_lives_on() -> None:
    async def story() -> None:
        network = Network()
        network.fails = True
        network.gate.set()
        with _batcher(network) as batcher:
            answers = await asyncio.gather(*(batcher.ask(_windows(1, i)) for i in range(3)), return_exceptions=True)
            assert all(isinstance(answer, RuntimeError) for answer in answers)
            network.fails = False
            assert (await batcher.ask(_windows(1, 6)))[0, 0] == 3

    asyncio.run(story())


def test_one_sound_that_cannot_be_read_or_answered_spoils_no_other() -> None:
    def unreadable() -> Windows:
        raise ValueError("no sound")

    def unanswerable(_: Windows, logits: np.ndarray) -> np.ndarray:
        raise KeyError("no answer")

    async def story() -> None:
        network = Network()
        with _batcher(network) as batcher:
            first = asyncio.create_task(batcher.ask(_windows(16, 1)))
            others = [
                asyncio.create_task(batcher.ask(_windows(1, 2))),
                asyncio.create_task(batcher("network", unreadable, lambda _, logits: logits)),
                asyncio.create_task(batcher("network", lambda: _windows(1, 3), unanswerable)),
                asyncio.create_task(batcher.ask(_windows(1, 4))),
            ]
            await asyncio.sleep(0.05)
            network.gate.set()
            answers = await asyncio.gather(first, *others, return_exceptions=True)
        assert network.batches == [16, 3]
        assert isinstance(answers[2], ValueError) and isinstance(answers[3], KeyError)
        assert [answers[i][0, 0] for i in (0, 1, 4)] == [0.5, 1.0, 2.0]

    asyncio.run(story())


def test_a_sound_that_could_not_be_read_is_let_go_of_with_its_error() -> None:
    """Without waiting for a collection of rings: under overload they would hold many bodies."""

    class Sound:
        def read(self) -> Windows:
            raise ValueError("no sound")

    async def story() -> weakref.ref[Sound]:
        network = Network()
        network.gate.set()
        with _batcher(network) as batcher:
            sound = Sound()
            with suppress(ValueError):
                await batcher("network", sound.read, lambda _, logits: logits)
            gone = weakref.ref(sound)
            del sound
            await asyncio.sleep(0.05)  # the thread lets go, too
            return gone

    gc.disable()
    try:
        assert asyncio.run(story())() is None
    finally:
        gc.enable()


def test_one_who_hangs_up_takes_nobody_along() -> None:
    async def story() -> None:
        network = Network()
        with _batcher(network, max_batch=1) as batcher:
            tasks = [asyncio.create_task(batcher.ask(_windows(1, i))) for i in range(3)]
            await asyncio.sleep(0.05)
            tasks[1].cancel()
            network.gate.set()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[1], asyncio.CancelledError)
        assert [answers[0][0, 0], answers[2][0, 0]] == [0, 1]
        assert network.batches == [1, 1], "one who had hung up was computed"

    asyncio.run(story())


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=12),
    gone=st.sets(st.integers(0, 11)),
    at_once=st.integers(1, 3),
    seed=st.integers(0, 9),
)
def test_joined_or_alone_and_whoever_leaves_the_numbers_are_the_same(
    sizes: list[int], gone: set[int], at_once: int, seed: int
) -> None:
    """Bit for bit what each request gets when nobody else is there, however others come and go meanwhile."""
    rng = np.random.default_rng(seed)
    asked = [Windows(rng.integers(-99, 99, (n, 8), np.int16), rng.random(n).astype(np.float32)) for n in sizes]

    async def story() -> None:
        network = Network()
        with _batcher(network, at_once=at_once) as batcher:
            tasks = [asyncio.create_task(batcher.ask(each)) for each in asked]
            await asyncio.sleep(0)
            for i in gone & set(range(len(tasks))):
                tasks[i].cancel()
            await asyncio.sleep(0)
            network.gate.set()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
        for i, (windows, answer) in enumerate(zip(asked, answers, strict=True)):
            if i in gone:
                assert isinstance(answer, asyncio.CancelledError)
            else:
                np.testing.assert_array_equal(answer, windows.samples[:, :1] * windows.scale[:, None])

    asyncio.run(story())


def test_the_queue_tells_what_it_holds() -> None:
    """What joins it and what leaves it, computed or abandoned, add up; and how long each that was computed waited."""
    waits: list[float] = []
    changes: list[int] = []

    async def story() -> None:
        network = Network()
        with _batcher(
            network,
            max_batch=4,
            queued=lambda _, change: changes.append(change),
            waited=lambda _, seconds: waits.append(seconds),
        ) as batcher:
            first = asyncio.create_task(batcher.ask(_windows(4, 0)))
            await asyncio.sleep(0.05)  # it is at the gate
            assert sum(changes) == 0
            others = [asyncio.create_task(batcher.ask(_windows(n, 0))) for n in (4, 3, 2)]
            await asyncio.sleep(0.05)
            waiting = sum(changes)
            others[1].cancel()
            await asyncio.sleep(0.01)
            left = sum(changes)
            network.gate.set()
            await asyncio.gather(first, *others, return_exceptions=True)
        assert (waiting, left) == (3, 2)

    asyncio.run(story())
    assert sum(changes) == 0
    assert len(waits) == 3 and waits[1] > 0.05
