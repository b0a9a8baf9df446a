"""glibc's memory: when what was freed is kept, and when it is given back to the system."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable

# malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_SERVING_ARENAS = 2


def _libc(name: str) -> Callable[..., int] | None:
    """A function of the C library; None elsewhere than on Linux with glibc."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def keep_freed() -> None:
    """For training on a CPU: what a step frees is the next one's. Call it before JAX starts its threads.

    By default the tens of megabytes of a step go back to the system after each, and the next one waits for every page
    of them to be made anew: a quarter of its processor time (experiments/benchmarks/training_step.py).
    """
    if mallopt := _libc("mallopt"):
        mallopt(_M_ARENA_MAX, 1)  # other heaps than the first are cut into pieces of 64 MB
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def use_few_arenas() -> None:
    """For a service: threads share two heaps. One for each, as by default, holds the most its thread ever needed."""
    if mallopt := _libc("mallopt"):
        mallopt(_M_ARENA_MAX, _SERVING_ARENAS)


def give_back() -> None:
    """Give back whole pages that are free: 100 MB after compiling. A few milliseconds, once what lives is frozen.

    A connection that was closed is a ring of objects with its buffers in them, and one that was long under way waits
    for Python's rarest collection: under overload that came to 60 MB.
    """
    gc.collect()
    if trim := _libc("malloc_trim"):
        trim(0)
