"""The windows of a prepared dataset that does not fit in memory, read from disk as they are wanted, by Grain.

They are the windows of `Corpus.windows`, in the same order. `batches` reads either kind of source and shuffles both
alike, so that training from disk is training from memory. Grain is imported only here, when batches are made.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, SupportsIndex, runtime_checkable

import numpy as np
from jaxtyping import Int16, Shaped

from jaxresp.corpus.loading import data_source, read
from jaxresp.corpus.recordings import Recordings, row_numbers
from jaxresp.corpus.source import CorpusError
from jaxresp.corpus.table import Windows, window_index
from jaxresp.window import WindowConfig, cut_windows

_KEPT_RECORDINGS = 16  # decoded and kept, the latest: in order, every recording is decoded once; about 1 MB each
_THREADS = 2  # that read ahead; decoding is done outside of Python's lock
_BATCHES_AHEAD = 4

Window = dict[str, Any]
"""samples int16 [length], scale float32, recording int32 (its row), start_s float32."""


@runtime_checkable
class WindowSource(Protocol):
    """Windows by number: InMemory or StreamedWindows."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: SupportsIndex) -> Window: ...


class InMemory:
    """The windows of a corpus in memory, by number."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: SupportsIndex) -> Window:
        i, windows = index.__index__(), self._windows
        return {key: getattr(windows, key)[i] for key in ("samples", "scale", "recording", "start_s")}


class StreamedWindows:
    """The windows of a prepared dataset by number, each read from disk when it is asked for. Safe between threads.

    Attributes:
        recordings: the columns of the dataset, made in one pass that checks every file, in little memory.
    """

    def __init__(
        self,
        prepared_dir: Path,
        config: WindowConfig,
        *,
        rows: Shaped[np.ndarray, " given"] | Sequence[int] | None = None,
        everything: bool = False,
    ) -> None:
        """Open a prepared dataset.

        Args:
            prepared_dir: what `prepare` returned.
            config: length and step of the windows.
            rows: the recordings to use, as for `Corpus.select`; all of them unless given.
            everything: as for `load`; `rows` counts in what that gives.

        Raises:
            CorpusError: as `load` does.
        """
        columns, example_of_row = read(Path(prepared_dir), everything, None)
        self.recordings, self._example_of_row = Recordings(**columns), np.array(example_of_row, np.int64)
        if rows is not None:
            chosen = row_numbers(rows)
            self.recordings = self.recordings.select(chosen)
            self._example_of_row = self._example_of_row[chosen]
        self._config = config
        self._recording, self._start_samples = window_index(self.recordings.offsets, self.recordings.rate_hz, config)
        self._first_window = np.searchsorted(self._recording, np.arange(len(self.recordings)))
        self._prepared_dir = Path(prepared_dir)
        self._examples = data_source(self._prepared_dir)
        self._decoded: OrderedDict[int, Int16[np.ndarray, " time"]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._recording)

    def __getitem__(self, index: SupportsIndex) -> Window:
        """One window.

        Raises:
            CorpusError: the files have changed since they were opened.
        """
        i = index.__index__()
        row = int(self._recording[i])
        rate_hz = self.recordings.rate_hz
        windows = cut_windows(self._samples(row), rate_hz, self._config)
        return {
            "samples": np.array(windows[i - self._first_window[row]]),
            "scale": self.recordings.scale[row],
            "recording": self._recording[i],
            "start_s": np.float32(self._start_samples[i] / rate_hz),
        }

    def _samples(self, row: int) -> Int16[np.ndarray, " time"]:
        with self._lock:
            if row in self._decoded:
                self._decoded.move_to_end(row)
                return self._decoded[row]
        samples = self._examples[int(self._example_of_row[row])]["audio"]
        expected = int(self.recordings.offsets[row + 1] - self.recordings.offsets[row])
        if len(samples) != expected:
            raise CorpusError(
                f"{self._prepared_dir}: recording {self.recordings.recording[row]} has {len(samples)} samples and had "
                f"{expected} when the dataset was opened; prepare it again"
            )
        with self._lock:
            self._decoded[row] = samples
            while len(self._decoded) > _KEPT_RECORDINGS:
                self._decoded.popitem(last=False)
        return samples


def batches(
    source: WindowSource, batch_size: int, *, seed: int | None = None, epochs: int = 1
) -> Iterator[dict[str, np.ndarray]]:
    """Batches of windows, read ahead by threads.

    Args:
        source: where the windows are.
        batch_size: windows in a batch; the last of an epoch holds what is left.
        seed: shuffles the windows, anew in every epoch; without it they come in order.
        epochs: how often every window comes.

    Yields:
        the arrays of the windows, stacked: samples [batch, length], scale, recording and start_s [batch].
    """
    import grain

    windows = grain.MapDataset.source(source)
    if seed is not None:
        windows = windows.seed(seed).shuffle()
    options = grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=_BATCHES_AHEAD)
    yield from windows.batch(batch_size).repeat(epochs).to_iter_dataset(options)
