"""Windows read from disk are those in memory: the same, in the same order, shuffled alike."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from jaxresp.corpus import Corpus, CorpusError, load, prepare
from jaxresp.corpus.streaming import InMemory, StreamedWindows, batches
from jaxresp.synthetic import SyntheticConfig, write_corpus
from jaxresp.window import WindowConfig

CONFIG = SyntheticConfig(patients_per_group=3, recordings_per_patient=(1, 2), duration_s=(2.0, 7.0))
WINDOW = WindowConfig(length_s=1.5, step_s=1.1)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("streaming")
    return prepare(write_corpus(root / "source", CONFIG), root / "data", partial=True)


@pytest.fixture(scope="module")
def corpus(prepared: Path) -> Corpus:
    return load(prepared)


@pytest.fixture(scope="module")
def streamed(prepared: Path) -> StreamedWindows:
    return StreamedWindows(prepared, WINDOW)


def _same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys() == {"samples", "scale", "recording", "start_s"}
    for key in a:
        np.testing.assert_array_equal(a[key], b[key])
        assert np.asarray(a[key]).dtype == np.asarray(b[key]).dtype, key


def test_every_window_is_the_one_in_memory_in_any_order(corpus, streamed):
    windows = InMemory(corpus.windows(WINDOW))
    assert len(streamed) == len(windows) > 30
    for i in np.random.default_rng(0).permutation(len(windows)).tolist():  # more recordings than are kept decoded
        _same(streamed[i], windows[i])


def test_the_columns_are_those_of_the_corpus(corpus, streamed):
    assert not hasattr(streamed.recordings, "samples")
    assert streamed.recordings.fingerprint == corpus.fingerprint
    for column in ("recording", "patient", "diagnosis", "offsets", "scale", "corpus"):
        np.testing.assert_array_equal(getattr(streamed.recordings, column), getattr(corpus, column))


@pytest.mark.parametrize("seed", [None, 1])
def test_batches_from_disk_are_batches_from_memory(corpus, streamed, seed):
    windows = corpus.windows(WINDOW)
    from_memory = list(batches(InMemory(windows), 8, seed=seed, epochs=2))
    from_disk = list(batches(streamed, 8, seed=seed, epochs=2))
    assert len(from_disk) == len(from_memory) == 2 * -(-len(windows) // 8)
    for a, b in zip(from_disk, from_memory, strict=True):
        _same(a, b)
    order = [
        np.concatenate([list(zip(batch["recording"], batch["start_s"], strict=True)) for batch in epoch])
        for epoch in (from_disk[: len(from_disk) // 2], from_disk[len(from_disk) // 2 :])
    ]
    all_of_them = np.stack([windows.recording, windows.start_s], axis=1)
    for epoch in order:
        assert sorted(map(tuple, epoch.tolist())) == sorted(map(tuple, all_of_them.tolist()))  # each window once
    in_order = [np.array_equal(epoch, all_of_them) for epoch in order]
    assert in_order == [seed is None] * 2
    assert np.array_equal(order[0], order[1]) == (seed is None)  # shuffled anew


def test_a_seed_is_an_order(streamed):
    def order(seed: int) -> list[tuple[float, ...]]:
        return [tuple(batch["start_s"].tolist()) for batch in batches(streamed, 5, seed=seed)]

    assert order(3) == order(3) != order(4)


def test_chosen_recordings_are_those_of_a_selection(corpus, prepared):
    rows = [5, 0, 9]
    chosen = StreamedWindows(prepared, WINDOW, rows=rows)
    windows = InMemory(corpus.select(rows).windows(WINDOW))
    assert len(chosen) == len(windows)
    for i in range(len(windows)):
        _same(chosen[i], windows[i])
    assert chosen.recordings.fingerprint == corpus.select(rows).fingerprint
    mask = np.isin(np.arange(len(corpus)), rows)
    assert StreamedWindows(prepared, WINDOW, rows=mask).recordings.recording.tolist() == corpus.recording[mask].tolist()


def test_recordings_that_are_left_out_are_not_streamed(corpus, prepared, tmp_path):
    copy = shutil.copytree(prepared, tmp_path / "copy")
    metadata = json.loads((copy / "metadata.json").read_text())
    name = str(corpus.recording[3])
    (copy / "metadata.json").write_text(json.dumps(metadata | {"left_out": {name: "for this test"}}))
    windows = InMemory(load(copy).windows(WINDOW))
    streamed = StreamedWindows(copy, WINDOW)
    assert name not in streamed.recordings.recording
    assert len(streamed) == len(windows)
    for i in range(len(windows)):
        _same(streamed[i], windows[i])
    assert len(StreamedWindows(copy, WINDOW, everything=True).recordings) == len(corpus)


def test_threads_get_what_one_reader_gets(corpus, streamed):
    windows, wrong = InMemory(corpus.windows(WINDOW)), []

    def read(seed: int) -> None:
        for i in np.random.default_rng(seed).permutation(len(windows)).tolist():
            if not np.array_equal(streamed[i]["samples"], windows[i]["samples"]):
                wrong.append(i)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_damaged_dataset_is_refused_before_anything_is_read_from_it(prepared, tmp_path):
    copy = shutil.copytree(prepared, tmp_path / "copy")
    file = next(copy.glob("*.array_record*"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x10
    file.write_bytes(data)
    with pytest.raises(CorpusError, match="prepare it again"):
        StreamedWindows(copy, WINDOW)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate_hz": None}, r"recordings at rates of their own, .* prepare such a configuration \(recordings_16k"),
        ({"examples": "cycles"}, r"single cycles, .*; what is loaded here is whole recordings at one rate"),
    ],
)
def test_a_configuration_that_is_no_corpus_is_refused_with_the_remedy(prepared, tmp_path, change, message):
    copy = shutil.copytree(prepared, tmp_path / "copy")
    metadata = json.loads((copy / "metadata.json").read_text())
    (copy / "metadata.json").write_text(json.dumps(metadata | change))
    for open_it in (load, lambda d: StreamedWindows(d, WINDOW)):
        with pytest.raises(CorpusError, match=message):
            open_it(copy)
