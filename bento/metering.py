"""What each of the service's processes measures of itself every few seconds."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import psutil

from bento.metrics import CPU_SECONDS, OPEN_FILES, RESIDENT_BYTES, START_TIME, THREADS
from jaxresp import allocator

PERIOD_S = 5.0  # between two measurements
_TRIM_EVERY = 6  # of them


class ProcessMeter:
    """This process's own share of processor, memory, threads and files. prometheus_client has none when merging."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._counted_s = 0.0
        START_TIME.set(self._process.create_time())

    def measure(self) -> None:
        """Bring the metrics up to date."""
        with self._process.oneshot():
            times, memory = self._process.cpu_times(), self._process.memory_info()
            threads = self._process.num_threads()
        used_s = times.user + times.system
        CPU_SECONDS.inc(max(0.0, used_s - self._counted_s))
        self._counted_s = max(self._counted_s, used_s)
        RESIDENT_BYTES.set(memory.rss)
        THREADS.set(threads)
        OPEN_FILES.set(self._process.num_fds() if hasattr(self._process, "num_fds") else self._process.num_handles())


def watch(*also: Callable[[], object]) -> Callable[[], None]:
    """Measure this process every few seconds, from now on; now and then give its free memory back to the system.

    Args:
        also: called after each measurement.

    Returns:
        What ends it.
    """
    meter, stopped = ProcessMeter(), threading.Event()

    def run() -> None:
        for count in itertools.count(1):
            if count % _TRIM_EVERY == 0:
                allocator.give_back()
            meter.measure()
            for call in also:
                call()
            if stopped.wait(PERIOD_S):
                return

    threading.Thread(target=run, name="watch", daemon=True).start()
    return stopped.set
