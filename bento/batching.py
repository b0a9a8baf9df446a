"""A few threads that work on what was asked: each takes a sound from its bytes to its answer, and joins what waits.

Handing a sound from thread to thread (decode, network, answer) costs more than some of the steps, so one thread does
them all. When it takes a sound on, it takes others along that wait for the same network, up to one call's windows.
Nothing waits for company: a lone request is as fast as without batching.

BentoML's own adaptive batching (CorkDispatcher) is not used: it sits behind an HTTP endpoint of its own, so the windows
of a request would be sent once more to ourselves; it cancels what it expects to be late (503), polls every
millisecond, and its queue has no bound.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from jaxtyping import Float32, Int16

Logits = Callable[[Int16[np.ndarray, "w time"], Float32[np.ndarray, " w"]], Float32[np.ndarray, "w outputs"]]


class Cut(Protocol):
    """A sound, cut into windows."""

    @property
    def samples(self) -> Int16[np.ndarray, "w time"]: ...
    @property
    def scale(self) -> Float32[np.ndarray, " w"]: ...


C = TypeVar("C", bound=Cut)
R = TypeVar("R")


@dataclass(eq=False)
class _Job:
    network: str
    prepare: Callable[[], Any]
    finish: Callable[[Any, Any], Any]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any] | None  # None once told
    since_s: float

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.done is None or self.done.done()

    def tell(self, result: Any = None, error: Exception | None = None) -> None:
        """Hand over what came of it, from any thread."""
        self.loop.call_soon_threadsafe(self._tell, result, error)

    def _tell(self, result: Any, error: Exception | None) -> None:
        # Let go of the future: an error holds the frames it came through, and they hold this job and its sound.
        done, self.done = self.done, None
        if done is None or done.done():
            return  # its sender has hung up
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)


class Batcher:
    """One queue in front of all networks.

    Args:
        networks: windows → logits, row by row independent of each other; called in threads, `at_once` calls at a time.
        at_once: threads.
        max_batch: windows in one call. Longer requests go alone.
        queued: told a network's name and by how many requests its queue has grown, or shrunk.
        waited: told a network's name and how many seconds one request was in the queue.
    """

    def __init__(
        self,
        networks: Mapping[str, Logits],
        *,
        at_once: int,
        max_batch: int,
        queued: Callable[[str, int], object] = lambda name, change: None,
        waited: Callable[[str, float], object] = lambda name, seconds: None,
    ) -> None:
        self._networks, self._at_once, self._max_batch = networks, at_once, max_batch
        self._tell_queued, self._tell_waited = queued, waited
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="network")
        self._lock = threading.Lock()  # of the two below
        self._queue: deque[_Job] = deque()
        self._running = 0

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, network: str, prepare: Callable[[], C], finish: Callable[[C, Any], R]) -> R:
        """What `finish` makes of the logits of what `prepare` returns. Both are called in a thread.

        Raises:
            Exception: what `prepare`, the network or `finish` raises.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        job = _Job(network, prepare, finish, loop, done, time.perf_counter())
        self._tell_queued(network, 1)
        with self._lock:
            self._queue.append(job)
            starts = self._running < self._at_once
            self._running += starts
        if starts:
            self._threads.submit(self._run)
        try:
            return await done
        except asyncio.CancelledError:  # its sender hung up, or its time is over
            with self._lock:
                waits = job in self._queue
                if waits:
                    self._queue.remove(job)
            if waits:
                self._tell_queued(network, -1)
            raise
        finally:
            del job, done  # or an error would hold this frame, and the frame the error

    def _run(self) -> None:
        """One thread's work, until nothing waits."""
        while job := self._next():
            self._work(job)

    def _next(self, network: str | None = None) -> _Job | None:
        """The request that has waited longest, for this network if one is named. None ends a thread that names none."""
        with self._lock:
            job = next((each for each in self._queue if network in (None, each.network)), None)
            if job is not None:
                self._queue.remove(job)
            elif network is None:
                self._running -= 1
        if job is not None:
            self._tell_queued(job.network, -1)
            self._tell_waited(job.network, time.perf_counter() - job.since_s)
        return job

    def _work(self, first: _Job) -> None:
        """Answer a request, and with it those that wait for the same network and fit into the call."""
        batch: list[tuple[_Job, Cut]] = []
        total, job = 0, first
        while True:
            if (cut := _prepared(job)) is not None:
                if batch and total + len(cut.samples) > self._max_batch:
                    self._answer(first.network, batch)
                    return self._answer(first.network, [(job, cut)])
                batch.append((job, cut))
                total += len(cut.samples)
            following = self._next(first.network) if total < self._max_batch else None
            if following is None:
                return self._answer(first.network, batch)
            job = following

    def _answer(self, network: str, batch: Sequence[tuple[_Job, Cut]]) -> None:
        """Compute a batch in one call. Whatever fails, each request of it hears of it, and the next batch runs."""
        batch = [(job, cut) for job, cut in batch if not job.is_over]
        if not batch:
            return
        try:
            logits = self._networks[network](*_joined([cut for _, cut in batch]))
        except Exception as error:
            for job, _ in batch:
                job.tell(error=error)
            return
        stops = np.cumsum([len(cut.samples) for _, cut in batch])
        for (job, cut), part in zip(batch, np.split(logits, stops[:-1]), strict=True):
            try:
                job.tell(job.finish(cut, part))
            except Exception as error:
                job.tell(error=error)


def _prepared(job: _Job) -> Cut | None:
    """The request's windows; None when there are none, of which it has been told."""
    try:
        cut: Cut = job.prepare()
        return cut
    except Exception as error:  # the sound's own fault, most often
        job.tell(error=error)
        return None


def _joined(cuts: Sequence[Cut]) -> tuple[Int16[np.ndarray, "w time"], Float32[np.ndarray, " w"]]:
    if len(cuts) == 1:
        return cuts[0].samples, cuts[0].scale  # as they are: most come alone, and a copy of them is not free
    return np.concatenate([cut.samples for cut in cuts]), np.concatenate([cut.scale for cut in cuts])
