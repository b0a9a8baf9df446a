"""What the service has taken on at this moment, and when it is worth asking again."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator

from bento.errors import Overloaded
from bento.limits import LIMITS, Limits
from bento.metrics import IN_PROGRESS

_SHARE_OF_NEWEST = 0.2  # of the running mean
_LONGEST_RETRY_S = 60


class Load:
    """Requests and bytes in hand. Belongs to one event loop.

    Args:
        limits: bounds on both.
    """

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits, self.n_sounds, self.held_bytes = limits, 0, 0
        self.answer_s = 1.0  # running mean

    @contextlib.contextmanager
    def taking_on(self, n_sounds: int = 1) -> Iterator[None]:
        """Have these sounds in hand for a while.

        Raises:
            Overloaded: too many are, already.
        """
        self.check(n_sounds)
        self.n_sounds += n_sounds
        IN_PROGRESS.inc(n_sounds)
        start = time.monotonic()
        try:
            yield
        finally:
            self.n_sounds -= n_sounds
            IN_PROGRESS.dec(n_sounds)
            self.answer_s += _SHARE_OF_NEWEST * (time.monotonic() - start - self.answer_s)

    def check(self, n_sounds: int = 1) -> None:
        """Is there room for these sounds at this moment?

        Raises:
            Overloaded: too many are in hand.
        """
        if self.n_sounds and self.n_sounds + n_sounds > self.limits.max_requests:
            raise self.overloaded("too many recordings are waiting")

    def hold(self, n_bytes: int) -> None:
        """Keep bytes of a body, until `release`.

        Raises:
            Overloaded: too many are kept already.
        """
        if self.held_bytes + n_bytes > self.limits.max_held_bytes:
            raise self.overloaded("too many uploads at once")
        self.held_bytes += n_bytes

    def release(self, n_bytes: int) -> None:
        """Let go of bytes that were held."""
        self.held_bytes -= n_bytes

    def overloaded(self, why: str) -> Overloaded:
        """The refusal, with the time until what waits now is done: as long as the last answers took (Little's law)."""
        retry_s = min(max(math.ceil(self.answer_s), 1), _LONGEST_RETRY_S)
        return Overloaded(f"{why}; try again in {retry_s} s", retry_s)
