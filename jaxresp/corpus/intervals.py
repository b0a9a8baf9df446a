"""Cycles and events cut from their recordings, in a few fixed lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int16, Int32, Int64

from jaxresp.corpus.recordings import Recordings
from jaxresp.corpus.source import CorpusError


@dataclass(frozen=True)
class IntervalConfig:
    """How intervals of all lengths are brought to a few.

    Attributes:
        lengths_s: seconds; the buckets, shortest first. An interval goes into the shortest that holds it; one longer
            than all of them goes into the last and loses its end. A network is compiled once per bucket, and a bucket
            twice as long as the one before is at least half full. ICBHI's cycles last 0.2 to 16.2 s, half of them less
            than 2.54 s, and 8 s, where the literature often cuts, hold all but 15 of 6,898; SPRSound's events last 0.1
            to 7.2 s, half of them less than 1.22 s.
        fill: what follows an interval that is shorter than its bucket. "repeat": itself, from its start, so that no
            silence is heard that no patient made; "zero": silence, for networks that are given the true lengths.
    """

    lengths_s: tuple[float, ...] = (2.0, 4.0, 8.0)
    fill: Literal["repeat", "zero"] = "repeat"

    def __post_init__(self) -> None:
        if not self.lengths_s or self.lengths_s[0] <= 0 or list(self.lengths_s) != sorted(set(self.lengths_s)):
            raise CorpusError(f"the lengths of intervals are {self.lengths_s} s; give positive ones, shortest first")
        if self.fill not in ("repeat", "zero"):
            raise CorpusError(f"intervals cannot be filled by {self.fill!r}; choose repeat or zero")

    def lengths_samples(self, rate_hz: int) -> Int64[np.ndarray, " buckets"]:
        return np.array([round(length * rate_hz) for length in self.lengths_s], np.int64)


@dataclass(frozen=True)
class Intervals:
    """The intervals of one bucket, in the order of the corpus.

    Attributes:
        samples: int16, one row per interval.
        n_samples: how many of a row's samples are the interval; the rest is filling.
        whole: whether the interval was not too long for the bucket.
        scale: what one step of an interval's samples is worth.
        recording: the row in the corpus that it comes from.
        annotation: which of the corpus's annotations it is; `labels(task)[annotation]` is its class.
    """

    samples: Int16[np.ndarray, "intervals length"]
    n_samples: Int32[np.ndarray, " intervals"]
    whole: Bool[np.ndarray, " intervals"]
    scale: Float32[np.ndarray, " intervals"]
    recording: Int32[np.ndarray, " intervals"]
    annotation: Int32[np.ndarray, " intervals"]

    def __len__(self) -> int:
        return len(self.samples)


def interval_bounds(
    recordings: Recordings,
) -> tuple[Int64[np.ndarray, " annotated"], Int64[np.ndarray, " annotated"], Int64[np.ndarray, " annotated"]]:
    """Of every annotated interval: its recording's row, and where it begins and ends in all samples end to end.

    An interval that ends a little after its recording (see Annotations.fault) ends with it.

    Raises:
        CorpusError: nothing is annotated, or an interval holds not one sample.
    """
    if not len(recordings.annotations):
        raise CorpusError(f"corpus {recordings.name}: no interval is annotated; use its windows")
    of = recordings.annotated_recording
    first, last = recordings.offsets[of], recordings.offsets[of + 1]
    start = first + np.rint(recordings.annotations.start_s.astype(np.float64) * recordings.rate_hz).astype(np.int64)
    end = first + np.rint(recordings.annotations.end_s.astype(np.float64) * recordings.rate_hz).astype(np.int64)
    end = np.minimum(end, last)
    if np.any(end <= start):
        i = int(np.argmax(end <= start))
        raise CorpusError(
            f"corpus {recordings.name}: an interval of recording {recordings.recording[of[i]]} "
            f"({recordings.annotations.start_s[i]:.3f} to {recordings.annotations.end_s[i]:.3f} s) holds no sample"
        )
    return of, start, end


def cut_intervals(
    recordings: Recordings, samples: Int16[np.ndarray, " total"], config: IntervalConfig
) -> tuple[Intervals, ...]:
    """Cut every annotated interval, one Intervals per bucket; a bucket may be empty.

    Nothing but the result is copied.

    Args:
        recordings: whose annotations are cut.
        samples: of all recordings end to end.
        config: the buckets, and what fills them.

    Raises:
        CorpusError: as `interval_bounds` does.
    """
    of, start, end = interval_bounds(recordings)
    lengths = config.lengths_samples(recordings.rate_hz)
    bucket = np.minimum(np.searchsorted(lengths, end - start), len(lengths) - 1)
    return tuple(
        _bucket(recordings, samples, start, end, of, np.flatnonzero(bucket == b), int(length), config.fill)
        for b, length in enumerate(lengths)
    )


def _bucket(
    recordings: Recordings,
    samples: Int16[np.ndarray, " total"],
    start: Int64[np.ndarray, " annotated"],
    end: Int64[np.ndarray, " annotated"],
    of: Int64[np.ndarray, " annotated"],
    rows: Int64[np.ndarray, " intervals"],
    length: int,
    fill: Literal["repeat", "zero"],
) -> Intervals:
    out = np.zeros((len(rows), length), np.int16)
    n_samples = np.minimum(end - start, length)[rows]
    for row, at, n in zip(out, start[rows].tolist(), n_samples.tolist(), strict=True):
        row[:n] = samples[at : at + n]
        while fill == "repeat" and n < length:  # twice as much each time
            row[n : 2 * n] = row[: min(n, length - n)]
            n = min(2 * n, length)
    return Intervals(
        samples=out,
        n_samples=n_samples.astype(np.int32),
        whole=(end - start)[rows] <= length,
        scale=recordings.scale[of[rows]],
        recording=of[rows].astype(np.int32),
        annotation=rows.astype(np.int32),
    )
