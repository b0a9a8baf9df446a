"""The queue in front of a network: joined or alone, every request gets its own rows."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bento.batching import Batcher
from bento.errors import Overloaded


def _windows(n: int, value: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full((n, 8), value, np.int16), np.full(n, 0.5, np.float32)


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


async def _ask(network: Network, sizes: list[int], **limits: int) -> list[np.ndarray | BaseException]:
    batcher = Batcher(network, **({"max_batch": 16, "max_queued": 1000} | limits))
    tasks = [asyncio.create_task(batcher(*_windows(size, i))) for i, size in enumerate(sizes)]
    await asyncio.sleep(0.05)  # all of them are waiting now, the first one at the gate
    network.gate.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_each_request_gets_its_own_rows() -> None:
    network, sizes = Network(), [1, 3, 2, 40, 5, 12, 16, 1]
    for i, (size, rows) in enumerate(zip(sizes, asyncio.run(_ask(network, sizes)), strict=True)):
        np.testing.assert_array_equal(rows, np.full((size, 1), 0.5 * i, np.float32))


def test_waiting_requests_are_joined_up_to_the_largest_batch() -> None:
    network = Network()
    asyncio.run(_ask(network, [1] * 21))
    assert network.batches == [16, 5] or network.batches == [1, 16, 4]


def test_a_long_request_goes_alone() -> None:
    network = Network()
    asyncio.run(_ask(network, [40, 1, 1]))
    assert network.batches == [40, 2]


def test_too_much_waiting_is_refused_at_once() -> None:
    answers = asyncio.run(_ask(Network(), [4] * 10, max_batch=4, max_queued=12))
    refused = [isinstance(answer, Overloaded) for answer in answers]
    assert 0 < sum(refused) < 10
    assert refused == sorted(refused), "those who came first are served"


def test_a_failure_reaches_everyone_and_the_queue_lives_on() -> None:
    async def story() -> None:
        network = Network()
        network.fails = True
        network.gate.set()
        batcher = Batcher(network, max_batch=16, max_queued=100)
        answers = await asyncio.gather(*(batcher(*_windows(1, i)) for i in range(3)), return_exceptions=True)
        assert all(isinstance(answer, RuntimeError) for answer in answers)
        network.fails = False
        assert (await batcher(*_windows(1, 6)))[0, 0] == 3

    asyncio.run(story())


def test_one_who_hangs_up_takes_nobody_along() -> None:
    async def story() -> None:
        network = Network()
        batcher = Batcher(network, max_batch=1, max_queued=100)
        tasks = [asyncio.create_task(batcher(*_windows(1, i))) for i in range(3)]
        await asyncio.sleep(0.05)
        tasks[1].cancel()
        network.gate.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[1], asyncio.CancelledError)
        assert [answers[0][0, 0], answers[2][0, 0]] == [0, 1]

    asyncio.run(story())


@pytest.mark.parametrize("waiting", [0, 5])
def test_a_request_larger_than_the_queue_is_served_when_nobody_waits(waiting: int) -> None:
    answers = asyncio.run(_ask(Network(), [1] * waiting + [30], max_batch=1, max_queued=20))
    assert isinstance(answers[-1], Overloaded) == bool(waiting)


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=12),
    gone=st.sets(st.integers(0, 11)),
    seed=st.integers(0, 9),
)
def test_joined_or_alone_and_whoever_leaves_the_numbers_are_the_same(
    sizes: list[int], gone: set[int], seed: int
) -> None:
    """Bit for bit what each request gets when nobody else is there, however others come and go meanwhile."""
    rng = np.random.default_rng(seed)
    windows = [(rng.integers(-99, 99, (n, 8), np.int16), rng.random(n).astype(np.float32)) for n in sizes]

    async def story() -> None:
        network = Network()
        batcher = Batcher(network, max_batch=16, max_queued=10_000)
        tasks = [asyncio.create_task(batcher(*each)) for each in windows]
        await asyncio.sleep(0)
        for i in gone & set(range(len(tasks))):
            tasks[i].cancel()
        await asyncio.sleep(0)
        network.gate.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        for i, ((samples, scale), answer) in enumerate(zip(windows, answers, strict=True)):
            if i in gone:
                assert isinstance(answer, asyncio.CancelledError)
            else:
                np.testing.assert_array_equal(answer, samples[:, :1] * scale[:, None])

    asyncio.run(story())


def test_whoever_left_makes_room_in_the_queue_at_once_and_is_not_computed() -> None:
    async def story() -> None:
        network = Network()
        batcher = Batcher(network, max_batch=4, max_queued=8)
        first = asyncio.create_task(batcher(*_windows(4, 1)))
        await asyncio.sleep(0.05)  # it is being computed now, at the gate
        waiting = [asyncio.create_task(batcher(*_windows(4, i))) for i in (2, 3)]
        await asyncio.sleep(0.05)
        with pytest.raises(Overloaded):
            await batcher(*_windows(4, 4))
        waiting[0].cancel()
        await asyncio.sleep(0)
        late = asyncio.create_task(batcher(*_windows(4, 5)))
        await asyncio.sleep(0.05)
        network.gate.set()
        rows = await asyncio.gather(first, waiting[1], late)
        assert [each[0, 0] for each in rows] == [0.5, 1.5, 2.5]
        assert network.batches == [4, 4, 4], "windows of one who had left were computed"

    asyncio.run(story())


def test_the_queue_tells_what_it_holds() -> None:
    """What joins it and what leaves it, computed or abandoned, add up; and how long each that was computed waited."""
    network, waits, changes = Network(), [], []

    async def scene() -> None:
        batcher = Batcher(network, max_batch=4, max_queued=10, queued=changes.append, waited=waits.append)
        first = asyncio.create_task(batcher(*_windows(4, 0)))
        await asyncio.sleep(0.05)  # it is at the gate
        assert sum(changes) == 0
        others = [asyncio.create_task(batcher(*_windows(n, 0))) for n in (4, 3, 2, 6)]
        await asyncio.sleep(0.05)  # the last was refused
        waiting = sum(changes)
        others[1].cancel()
        await asyncio.sleep(0.01)
        left = sum(changes)
        network.gate.set()
        await asyncio.gather(first, *others, return_exceptions=True)
        assert (waiting, left) == (9, 6)

    asyncio.run(scene())
    assert sum(changes) == 0
    assert len(waits) == 3 and waits[1] > 0.05
