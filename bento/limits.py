"""How much one service takes on: every bound in one place, with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of one service process.

    Attributes:
        max_body_bytes: bytes of one request, for the API and the page alike; ten minutes of 24-bit stereo at 16 kHz
            are 58 MB, and longer sounds are refused anyway.
        max_drain_bytes: bytes of a refused request that are read and dropped, so that its sender reads our answer
            instead of a broken connection.
        max_drain_s: seconds spent on that.
        max_requests: classifications that may be waiting or running; more are answered 503 at once.
        decode_threads: sounds decoded at a time; libsndfile and soxr release the interpreter lock.
        max_batch_windows: windows in one call of a network: the largest shape that is compiled.
        max_queued_windows: windows that may wait for one network: half an hour of sound, a few seconds of work.
        upload_age_s: seconds an uploaded sound stays on disk for the page's player and for a second question.
        max_fields: form fields of one request.
    """

    max_body_bytes: int = 64 * 2**20
    max_drain_bytes: int = 512 * 2**20
    max_drain_s: float = 20.0
    max_requests: int = 64
    decode_threads: int = 2
    max_batch_windows: int = 16
    max_queued_windows: int = 384
    upload_age_s: int = 600
    max_fields: int = 16


LIMITS = Limits()
