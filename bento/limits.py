"""How much one service takes on: every bound in one place, with its reason."""

from __future__ import annotations

import os
from dataclasses import dataclass


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Limits:
    """Bounds of one service.

    Attributes:
        max_body_bytes: bytes of one request, for the API and the page alike; ten minutes of 24-bit stereo at 16 kHz
            are 58 MB, and longer sounds are refused anyway.
        max_held_bytes: bytes of all bodies that are in memory at one time; more are answered 503.
        max_drain_bytes: bytes of a refused request that are read and dropped, so that its sender reads our answer
            instead of a broken connection.
        max_drain_s: seconds spent on that.
        upload_grace_s: seconds a body may take whatever its size: a phone's connection may hang that long.
        min_upload_bytes_per_s: beyond the grace, a body must have come in at this rate on average (a GSM phone's).
        max_upload_s: seconds a body may take at most.
        max_answer_s: seconds from a complete body to its answer; work that is not done by then is dropped.
        max_requests: sounds that may be waiting or running; more are answered 503 at once.
        threads: sounds that are worked on at a time, each from its bytes to its answer, in all processes: one for each
            core, no more than eight.
        max_batch_windows: windows in one call of a network: the largest shape that is compiled.
        max_batch_windows_cpu: the same on a CPU, which takes one window after another: company would only make
            the first sender wait for the last.
        upload_age_s: seconds an uploaded sound stays on disk for the page's player and for a second question.
        max_fields: text fields of one request.
        max_files: sounds of one request.
        max_text_bytes: bytes of one text field.
    """

    max_body_bytes: int = 64 * 2**20
    max_held_bytes: int = 256 * 2**20
    max_drain_bytes: int = 512 * 2**20
    max_drain_s: float = 20.0
    upload_grace_s: float = 10.0
    min_upload_bytes_per_s: int = 16 * 1024
    max_upload_s: float = 300.0
    max_answer_s: float = 30.0
    max_requests: int = 64
    threads: int = min(n_cores(), 8)
    max_batch_windows: int = 16
    max_batch_windows_cpu: int = 1
    upload_age_s: int = 600
    max_fields: int = 16
    max_files: int = 16
    max_text_bytes: int = 16 * 1024


LIMITS = Limits()
