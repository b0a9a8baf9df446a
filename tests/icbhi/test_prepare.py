"""A prepared dataset is whole or absent, whatever happens to the disk, the process, or beside it."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxresp.audio import read_audio
from jaxresp.corpus import CorpusError, guess_dataset, load, prepare

VERSION = "2.0.0"


def _targets(data_dir: Path) -> list[str]:
    """What lies where prepared versions lie, the lock apart."""
    return sorted(p.name for p in data_dir.glob("icbhi/*/*") if p.name != ".lock")


def _wav(folder: Path, i: int) -> Path:
    return sorted(folder.rglob("*.wav"))[i]


def _stamps(directory: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in directory.iterdir()}


def test_building_again_changes_nothing_unless_the_files_changed(folder, tmp_path):
    first = prepare(folder, tmp_path / "data", partial=True)
    stamps, fingerprint = _stamps(first), load(first).fingerprint
    assert prepare(folder, tmp_path / "data", partial=True) == first
    assert _stamps(first) == stamps
    assert load(prepare(folder, tmp_path / "other", partial=True)).fingerprint == fingerprint
    text = _wav(folder, 0).with_suffix(".txt")
    text.write_text("0.1\t0.2\t1\t1\n")
    assert load(prepare(folder, tmp_path / "data", partial=True)).fingerprint != fingerprint
    assert _targets(tmp_path / "data") == [first.name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device"), MemoryError])
def test_a_failing_build_leaves_nothing_or_what_was_there(folder, tmp_path, monkeypatch, builder_module, error):
    module = builder_module.recording_builder
    raised, told = (CorpusError, "No space left.*make room") if isinstance(error, OSError) else (error, None)
    calls = Counter()

    def failing(path: Path, **kwargs: Any) -> Any:
        calls["n"] += 1
        if calls["n"] == 4:
            raise error
        return read_audio(path, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(module, "read_audio", failing)
        with pytest.raises(raised, match=told):
            prepare(folder, tmp_path / "data", partial=True)
    assert _targets(tmp_path / "data") == []

    done = prepare(folder, tmp_path / "data", partial=True)
    before = load(done).fingerprint
    _wav(folder, 0).with_suffix(".txt").write_text("0.1\t0.2\t1\t1\n")
    calls.clear()
    with monkeypatch.context() as patch:
        patch.setattr(module, "read_audio", failing)
        with pytest.raises(raised, match=told):
            prepare(folder, tmp_path / "data", partial=True)
    assert _targets(tmp_path / "data") == [done.name]
    assert load(done).fingerprint == before


# Where it is written


def test_a_full_disk_is_named_and_nothing_is_left(folder, prepared, tmp_path):
    """A limit on the size of files stands in for the disk: writing fails in the same place and in the same way."""
    largest = max(path.stat().st_size for path in prepared.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, hard))
    try:
        with pytest.raises(CorpusError, match=r"could not be written: File too large.*make room.*--data"):
            prepare(folder, tmp_path / "data", partial=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in (tmp_path / "data").rglob("*") if p.is_file()] == [".lock"]
    assert load(prepare(folder, tmp_path / "data", partial=True)).fingerprint == load(prepared).fingerprint


def test_a_read_only_target_is_named(pristine, prepared):
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)  # root goes through pytest's own folders, but root may write anywhere
        source = shutil.copytree(pristine, Path(place) / "corpus")
        target = Path(place) / "data"
        target.mkdir(mode=0o555)
        was = os.geteuid()
        if was == 0:
            os.seteuid(65_534)
        try:
            with pytest.raises(CorpusError, match=r"could not be written: Permission denied.*choose another.*--data"):
                prepare(source, target, partial=True)
        finally:
            os.seteuid(was)
        assert list(target.iterdir()) == []


def test_a_second_build_says_that_it_waits_and_then_has_nothing_to_do(folder, prepared, caplog):
    stamps = _stamps(prepared)
    with (prepared.parent / ".lock").open("w") as lock, ThreadPoolExecutor(1) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = pool.submit(prepare, folder, prepared.parents[2], partial=True)
        deadline = time.monotonic() + 60
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not second.done()
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert second.result(timeout=60) == prepared
    assert "another process is building" in caplog.text
    assert _stamps(prepared) == stamps


# Which dataset it is


def test_a_folder_and_an_archive_tell_what_they_are(folder, tmp_path):
    assert guess_dataset(folder) == "icbhi"
    shutil.make_archive(str(tmp_path / "zipped" / "downloaded"), "zip", folder)
    assert guess_dataset(tmp_path / "zipped") == guess_dataset(tmp_path / "zipped" / "downloaded.zip") == "icbhi"
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "kick.wav").write_bytes(b"RIFF")
    with pytest.raises(CorpusError, match=r"music: no sound file in it is named as in any dataset.*icbhi"):
        guess_dataset(tmp_path / "music")
    (tmp_path / "cut.zip").write_bytes(b"PK")
    with pytest.raises(CorpusError, match=r"cut\.zip is no whole zip archive.*download it again"):
        guess_dataset(tmp_path / "cut.zip")


# Processes


def _prepare_in_a_process(folder: Path, data_dir: Path) -> subprocess.Popen[str]:
    code = "import sys; from pathlib import Path; from jaxresp.corpus import prepare; "
    code += "prepare(Path(sys.argv[1]), Path(sys.argv[2]), partial=True)"
    return subprocess.Popen(
        [sys.executable, "-c", code, folder, data_dir], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.slow
def test_a_killed_build_leaves_nothing_that_looks_finished(folder, tmp_path):
    """SIGKILL at moments spread over the build: what is there then is whole or refused, and the next build works."""
    reference = tmp_path / "reference"
    begin = time.monotonic()
    process = _prepare_in_a_process(folder, reference)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    whole_s = time.monotonic() - begin
    fingerprint = load(next(reference.glob("icbhi/*/[0-9]*"))).fingerprint
    data_dir = tmp_path / "data"
    for fraction in np.linspace(0.3, 1.0, 12):
        process = _prepare_in_a_process(folder, data_dir)
        time.sleep(fraction * whole_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for directory in data_dir.glob("icbhi/*/[0-9]*"):
            assert load(directory).fingerprint == fingerprint
            shutil.rmtree(directory)
    assert load(prepare(folder, data_dir, partial=True)).fingerprint == fingerprint
    assert _targets(data_dir) == [VERSION]  # and what the killed ones left is gone


@pytest.mark.slow
def test_two_builds_at_once_make_one_dataset(folder, tmp_path):
    processes = [_prepare_in_a_process(folder, tmp_path / "data") for _ in range(3)]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    assert _targets(tmp_path / "data") == [VERSION]
    assert len(load(next((tmp_path / "data").glob("icbhi/*/[0-9]*")))) == len(list(folder.rglob("*.wav")))
