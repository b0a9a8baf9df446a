"""Files in an archive: exactly what was put in, or a named error; and nothing is ever written to the disk."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from jaxresp.corpus import archive
from jaxresp.corpus.archive import ArchiveError, zip_members

CONTENT = b"crackle, wheeze, crackle" * 400


def packed(path: Path, *names: str, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name in names:
            file.writestr(name, CONTENT + name.encode())
    return path


def test_every_file_is_read_as_it_was_and_hidden_ones_are_not_there(tmp_path):
    names = ["b/101.wav", "a/102.wav", "./c.txt", "../outside.txt", "/etc/absolute.txt"]
    hidden = ["__MACOSX/b/._101.wav", "b/._101.wav", ".git/config"]
    (tmp_path / "inside").mkdir()
    members = zip_members(packed(tmp_path / "inside" / "x.zip", *names, *hidden))
    found = {str(each.inner): each.read_bytes() for each in members}
    assert {"b/101.wav", "a/102.wav", "c.txt", "/etc/absolute.txt"} <= set(found)
    assert not any("._" in name or ".git" in name for name in found)
    assert found["b/101.wav"] == CONTENT + b"b/101.wav"
    assert found["c.txt"] == CONTENT + b"./c.txt"
    assert [each.inner for each in members] == sorted(each.inner for each in members)
    assert [path.name for path in tmp_path.rglob("*")] == ["inside", "x.zip"]  # nowhere, whatever its name


def test_a_member_is_named_as_a_path_is(tmp_path):
    (member,) = zip_members(packed(tmp_path / "x.zip", "deep/down/101_1b1.wav"))
    path = Path("deep/down/101_1b1.wav")
    assert (member.name, member.stem, member.suffix) == (path.name, path.stem, path.suffix)
    assert str(member.parent) == str(path.parent)
    assert str(member).endswith("x.zip:deep/down/101_1b1.wav")


@pytest.mark.parametrize("what", ["text", "cut", "absent", "empty"])
def test_what_is_no_whole_archive_is_named(tmp_path, what):
    path = packed(tmp_path / "x.zip", "a.wav")
    if what == "absent":
        path.unlink()
    else:
        path.write_bytes({"text": b"hello", "cut": path.read_bytes()[:-30], "empty": b""}[what])
    with pytest.raises(ArchiveError, match=r"x\.zip is no whole zip archive.*download it again"):
        zip_members(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("at", [0, 5, 30])
def test_a_changed_byte_is_found(tmp_path, method, at):
    path = packed(tmp_path / "x.zip", "a.wav", method=method)
    content = bytearray(path.read_bytes())
    content[30 + len("a.wav") + at] ^= 0x55  # behind the local header
    path.write_bytes(content)
    (member,) = zip_members(path)
    with pytest.raises(ArchiveError, match=r"a\.wav: cannot be read from x\.zip"):
        member.read_bytes()


def test_a_file_that_unpacks_to_more_than_any_recording_is_not_unpacked(tmp_path, monkeypatch):
    (member,) = zip_members(packed(tmp_path / "x.zip", "bomb.wav"))
    monkeypatch.setattr(archive, "_MOST_BYTES", len(CONTENT))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(ArchiveError, match=r"bomb\.wav: .* are more than any recording has"):
        member.read_bytes()


def test_an_encrypted_file_is_named(tmp_path):
    path = packed(tmp_path / "x.zip", "a.wav", method=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.find(header) + flags] |= 1
    path.write_bytes(content)
    (member,) = zip_members(path)
    with pytest.raises(ArchiveError, match=r"a\.wav: cannot be read from x\.zip \(.*(encrypted|password)"):
        member.read_bytes()
