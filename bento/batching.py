"""Joins the windows of requests that are waiting for the same network into one call of it.

BentoML's own adaptive batching (CorkDispatcher) is not used: it sits behind an HTTP endpoint of its own, so the windows
of a request would be sent once more to ourselves; it cancels what it expects to be late (503), polls every
millisecond, and its queue has no bound. Here nothing waits for company: a batch is whatever arrived while the network
was busy with the last one, so a lone request is as fast as without batching.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int16

from bento.errors import Overloaded

Logits = Callable[[Int16[np.ndarray, "w time"], Float32[np.ndarray, " w"]], Float32[np.ndarray, "w outputs"]]


@dataclass(eq=False)
class _Job:
    samples: Int16[np.ndarray, "w time"]
    scale: Float32[np.ndarray, " w"]
    done: asyncio.Future[Float32[np.ndarray, "w outputs"]]
    since_s: float


class Batcher:
    """One network's queue, on one event loop.

    Args:
        logits: windows → logits, row by row independent of each other; called in a thread, one call at a time.
        max_batch: windows in one call. Longer requests go alone.
        max_queued: windows that may wait.
        overloaded: makes the refusal of what does not fit.
        queued: told by how many windows the queue has grown, or shrunk.
        waited: told how many seconds the windows of one request were in it.
    """

    def __init__(
        self,
        logits: Logits,
        *,
        max_batch: int,
        max_queued: int,
        overloaded: Callable[[str], Overloaded] = Overloaded,
        queued: Callable[[int], object] = lambda _: None,
        waited: Callable[[float], object] = lambda _: None,
    ) -> None:
        self._logits, self._max_batch, self._max_queued, self._overloaded = logits, max_batch, max_queued, overloaded
        self._tell_queued, self._tell_waited = queued, waited
        self._queue: deque[_Job] = deque()
        self._queued = 0
        self._runner: asyncio.Task[None] | None = None

    async def __call__(
        self, samples: Int16[np.ndarray, "w time"], scale: Float32[np.ndarray, " w"]
    ) -> Float32[np.ndarray, "w outputs"]:
        """The logits of these windows, computed together with those of whoever else is waiting.

        Raises:
            Overloaded: too many windows are waiting.
        """
        if self._queue and self._queued + len(samples) > self._max_queued:
            raise self._overloaded("too many recordings are waiting for this model")
        job = _Job(samples, scale, asyncio.get_running_loop().create_future(), time.perf_counter())
        self._queue.append(job)
        self._grow(len(samples))
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        try:
            return await job.done
        except asyncio.CancelledError:  # its sender hung up, or its time is over
            if job in self._queue:
                self._queue.remove(job)
                self._grow(-len(samples))
            raise

    def _grow(self, n_windows: int) -> None:
        self._queued += n_windows
        self._tell_queued(n_windows)

    def _next(self) -> list[_Job]:
        """The longest run of waiting requests that fits one call; at least one."""
        jobs: list[_Job] = []
        total = 0
        while self._queue and (not jobs or total + len(self._queue[0].samples) <= self._max_batch):
            job = self._queue.popleft()
            self._grow(-len(job.samples))
            self._tell_waited(time.perf_counter() - job.since_s)
            jobs.append(job)
            total += len(job.samples)
        return jobs

    async def _run(self) -> None:
        while self._queue:
            jobs = self._next()
            try:
                logits = await asyncio.to_thread(self._logits, *_joined(jobs))
            except Exception as error:  # each request of the batch must hear of it, and the next batch must run
                for job in jobs:
                    if not job.done.done():
                        job.done.set_exception(error)
                continue
            stops = np.cumsum([len(job.samples) for job in jobs])
            for job, part in zip(jobs, np.split(logits, stops[:-1]), strict=True):
                if not job.done.done():
                    job.done.set_result(part)


def _joined(jobs: list[_Job]) -> tuple[Int16[np.ndarray, "w time"], Float32[np.ndarray, " w"]]:
    if len(jobs) == 1:
        return jobs[0].samples, jobs[0].scale  # as they are: most come alone, and a copy of them is not free
    return np.concatenate([job.samples for job in jobs]), np.concatenate([job.scale for job in jobs])
