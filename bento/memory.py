"""glibc's freed memory, given back to the system: it is kept in pieces, and a busy service would seem to grow."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable

_M_ARENA_MAX = -8  # malloc.h
_ARENAS = 2


def _libc(name: str) -> Callable[..., int] | None:
    """A function of the C library; None elsewhere than on Linux with glibc."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def use_few_arenas() -> None:
    """Let threads share two heaps. One for each, as by default, holds the most that its thread ever needed."""
    if mallopt := _libc("mallopt"):
        mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Give back whole pages that are free: 100 MB after compiling. A few milliseconds, once what lives is frozen.

    A connection that was closed is a ring of objects with its buffers in them, and one that was long under way waits
    for Python's rarest collection: under overload that came to 60 MB.
    """
    gc.collect()
    if trim := _libc("malloc_trim"):
        trim(0)
