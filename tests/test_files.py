"""Files and folders are whole or absent."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxresp import files
from jaxresp.files import sha256, whole_directory, write_whole


class Interrupted(BaseException):
    """What Ctrl-C is: not an Exception."""


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("data", [b"\x00\xff bytes", "text: ≤ 5 µm"])
def test_write_whole_writes_and_replaces(tmp_path: Path, data: bytes | str) -> None:
    file = tmp_path / "deep" / "er" / "file"
    for content in (b"old and longer than what follows", data):
        write_whole(file, content)
    assert file.read_bytes() == (data.encode() if isinstance(data, str) else data)
    assert everything(file.parent) == {"file"}
    assert file.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_write_whole_leaves_nothing_new_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    (tmp_path / "file").write_text("old")

    def fail(*_: object) -> None:
        raise Interrupted

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(Interrupted):
        write_whole(tmp_path / "file", "new")
    assert everything(tmp_path) == {"file"}
    assert (tmp_path / "file").read_text() == "old"


def test_whole_directory_appears_at_the_end_only(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with whole_directory(target) as partial:
        (partial / "file").write_text("new")
        assert not target.exists()
    assert everything(tmp_path) == {"a", "a/b", "a/b/file"}
    assert target.stat().st_mode & 0o777 == 0o755


def test_whole_directory_replaces_all_of_the_old(tmp_path: Path) -> None:
    target = tmp_path / "b"
    target.mkdir()
    (target / "only in the old one").write_text("old")
    with whole_directory(target) as partial:
        (partial / "file").write_text("new")
        assert everything(target) == {"only in the old one"}
    assert everything(tmp_path) == {"b", "b/file"}


@pytest.mark.parametrize("there_before", [False, True])
def test_whole_directory_leaves_nothing_new_when_it_fails(tmp_path: Path, there_before: bool) -> None:
    target = tmp_path / "b"
    if there_before:
        target.mkdir()
        (target / "file").write_text("old")
    before = everything(tmp_path)
    with pytest.raises(Interrupted), whole_directory(target) as partial:
        (partial / "file").write_text("new")
        (partial / "inner").mkdir()
        raise Interrupted
    assert everything(tmp_path) == before
    assert not there_before or (target / "file").read_text() == "old"


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "b"
    target.mkdir()
    (target / "file").write_text("old")
    rename, calls = os.rename, []

    def fails_the_second_time(source: Path, destination: Path) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise Interrupted
        rename(source, destination)

    monkeypatch.setattr(os, "rename", fails_the_second_time)
    with pytest.raises(Interrupted), whole_directory(target) as partial:
        (partial / "file").write_text("new")
    assert everything(tmp_path) == {"b", "b/file"}
    assert (target / "file").read_text() == "old"


def test_sha256_of_bytes_and_of_a_file_is_the_standard_one(tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(data)
    assert sha256(data) == sha256(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_what_killed_writers_left_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    """Half-done files and folders as they are really left, by a process that dies in the middle."""
    write_whole(tmp_path / "file.json", "whole")
    with whole_directory(tmp_path / "trial-0") as partial:
        (partial / "file").write_text("whole")
    (tmp_path / ".hidden").write_text("the user's")
    before = everything(tmp_path)
    dying = """
import os, sys
from pathlib import Path
from jaxresp import files
here = Path(sys.argv[1])
with files.whole_directory(here / "trial-1") as partial:
    (partial / "file").write_text("half")
    os.fsync = lambda _: os._exit(9)
    files.write_whole(here / "file.json", "half")
"""
    died = subprocess.run([sys.executable, "-c", dying, str(tmp_path)], cwd=Path(files.__file__).parent.parent)
    assert died.returncode == 9
    left = {Path(path).parts[0] for path in everything(tmp_path) - before}
    assert {name.rsplit(".", 1)[0] for name in left} == {".trial-1", ".file.json"}
    files.clear_partial(tmp_path, of="file.json")
    assert {Path(path).parts[0].rsplit(".", 1)[0] for path in everything(tmp_path) - before} == {".trial-1"}
    files.clear_partial(tmp_path)
    assert everything(tmp_path) == before
    assert (tmp_path / "file.json").read_text() == "whole"
    files.clear_partial(tmp_path / "nowhere")
