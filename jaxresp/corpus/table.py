"""Corpus: all recordings of one or several prepared datasets as arrays, and what is cut from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int16, Int32, Int64, Shaped

from jaxresp.corpus.intervals import IntervalConfig, Intervals, cut_intervals
from jaxresp.corpus.recordings import Recordings, row_numbers
from jaxresp.corpus.source import CorpusError
from jaxresp.window import WindowConfig, cut_windows, window_starts


@dataclass(frozen=True)
class Windows:
    """Windows cut from the recordings of a corpus.

    Attributes:
        samples: int16, one row per window.
        scale: what one step of a window's samples is worth.
        recording: the row in the corpus that a window comes from.
        start_s: where in the recording it begins, seconds.
    """

    samples: Int16[np.ndarray, "windows length"]
    scale: Float32[np.ndarray, " windows"]
    recording: Int32[np.ndarray, " windows"]
    start_s: Float32[np.ndarray, " windows"]

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True, kw_only=True)
class Corpus(Recordings):
    """All recordings of a prepared dataset with their sound, in order of their names; or of several (`combine`).

    Attributes:
        samples: all recordings end to end. The other attributes are those of Recordings.
    """

    samples: Int16[np.ndarray, " total"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.offsets[-1] != len(self.samples):
            raise CorpusError(f"corpus {self.name}: the recordings do not lie end to end; prepare it again")

    def waveform(self, i: int) -> Float32[np.ndarray, " time"]:
        """Recording i at its own level: samples times scale, in float32 arithmetic."""
        return self._samples(i).astype(np.float32) * self.scale[i]

    def select(self, rows: Shaped[np.ndarray, " given"] | Sequence[int]) -> Corpus:
        """The corpus of some rows, in the order given."""
        chosen = row_numbers(rows)
        samples = np.concatenate([self._samples(i) for i in chosen.tolist()]) if len(chosen) else self.samples[:0]
        return dataclasses.replace(self, **self._selected(chosen), samples=samples)

    def windows(self, config: WindowConfig) -> Windows:
        """Cut every recording as a served one is cut."""
        recording, start_samples = window_index(self.offsets, self.rate_hz, config)
        out = np.empty((len(recording), config.length_samples(self.rate_hz)), np.int16)
        at = 0
        for i, n in enumerate(np.bincount(recording, minlength=len(self)).tolist()):
            out[at : at + n] = cut_windows(self._samples(i), self.rate_hz, config)
            at += n
        return Windows(out, self.scale[recording], recording, (start_samples / self.rate_hz).astype(np.float32))

    def intervals(self, config: IntervalConfig) -> tuple[Intervals, ...]:
        """Cut every annotated cycle or event, put into buckets of a fixed length each; see `cut_intervals`."""
        return cut_intervals(self, self.samples, config)

    def _samples(self, i: int) -> Int16[np.ndarray, " time"]:
        return self.samples[self.offsets[i] : self.offsets[i + 1]]


def window_index(
    offsets: Int64[np.ndarray, " recordings_plus_1"], rate_hz: int, config: WindowConfig
) -> tuple[Int32[np.ndarray, " windows"], Int64[np.ndarray, " windows"]]:
    """Of every window of all recordings, in order: its recording's row, and the sample of that where it begins."""
    starts = [window_starts(int(n), rate_hz, config) for n in np.diff(offsets)]
    recording = np.repeat(np.arange(len(starts), dtype=np.int32), [len(each) for each in starts])
    return recording, np.concatenate(starts)
