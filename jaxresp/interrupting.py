"""Ctrl-C that is not lost.

Python drops a KeyboardInterrupt that falls into a destructor or a callback ("Exception ignored in …"), and some
libraries catch it with everything else: the run would go on for hours after its user has stopped it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def remembering_interrupts() -> Iterator[Callable[[], None]]:
    """SIGINT is raised as ever, and remembered. The function given raises it again; call it now and then.

    Outside the main thread, which gets no signals, and where SIGINT is ignored or answered by somebody else, nothing
    changes.
    """
    asked = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        asked.set()
        raise KeyboardInterrupt

    def check() -> None:
        if asked.is_set():
            raise KeyboardInterrupt

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, stop)
    try:
        yield check
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
