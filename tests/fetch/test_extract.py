"""What an archive may do: fill one folder with the files that were checked, or nothing."""

from __future__ import annotations

import random
import shutil
import stat
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest

from jaxresp.fetch import CopyFailed, LocalFault, Silent
from jaxresp.fetch.extract import extract
from jaxresp.fetch.gittree import git_tree_id
from jaxresp.fetch.sources import Archive, Tree

from .test_transfer import no_file_larger_than

WIDE = Archive(most_files=100, most_bytes=10_000_000)
NOISE = random.Random(1).randbytes(50_000)


def packed(path: Path, members: dict[str, bytes] | list[tuple[str | zipfile.ZipInfo, bytes]], method: int = 0) -> Path:
    """An archive with these members, in this order, twice the same name included."""
    with zipfile.ZipFile(path, "w", method) as archive, _no_warning_of_duplicates():
        for name, data in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, data)
    return path


def _no_warning_of_duplicates():
    import warnings

    return warnings.catch_warnings(action="ignore")


@pytest.fixture
def inner(tmp_path: Path) -> Path:
    """A folder to unpack into, with room around it for what escapes."""
    folder = tmp_path / "outer" / "inner"
    folder.mkdir(parents=True)
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(archive: Path, inner: Path, match: str, bounds: Archive = WIDE) -> None:
    with pytest.raises(CopyFailed, match=match):
        extract(archive, inner, bounds, Silent())
    visible = {path for path in inner.parent.rglob("*") if ".unpacked" not in path.parts}
    assert visible == {inner}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_good_archive_comes_out_as_it_went_in(tmp_path, inner, method):
    files = {"a/b/c d.wav": NOISE, "a/b.txt": b"", "EP108_COPD,E W,P R L ,63,M.wav": NOISE[::-1], "ä/ö.txt": b"x"}
    packed(tmp_path / "a.zip", {**files, "empty/": b""}, method)
    extract(tmp_path / "a.zip", inner, WIDE, Silent())
    assert everything(inner) == files
    assert not any(path.name == ".unpacked" for path in inner.iterdir())


def test_what_a_mac_adds_is_left_out(tmp_path, inner):
    junk = {"__MACOSX/d/._a.wav": b"x", "d/._a.wav": b"x", "d/.DS_Store": b"x"}
    packed(tmp_path / "a.zip", {**junk, "d/a.wav": NOISE})
    extract(tmp_path / "a.zip", inner, WIDE, Silent())
    assert everything(inner) == {"d/a.wav": NOISE}


@pytest.mark.parametrize(
    "name",
    [
        "../escaped",
        "a/../../escaped",
        "/tmp/escaped",
        "//host/escaped",
        "a//b",
        "./a",
        "..",
        "..\\escaped",
        "C:\\escaped",
        "C:escaped",
        "a\x00b",
        "a\nb",
    ],
)
def test_no_path_leads_out_of_the_folder(tmp_path, inner, name):
    packed(tmp_path / "a.zip", {"good": NOISE, "x" * len(name): b"evil"})
    raw = (tmp_path / "a.zip").read_bytes().replace(b"x" * len(name), name.encode())
    (tmp_path / "a.zip").write_bytes(raw)
    refused(tmp_path / "a.zip", inner, "not safe to write")
    assert not (inner / ".unpacked").exists() or everything(inner / ".unpacked") == {}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_no_link_and_no_device(tmp_path, inner, kind):
    info = zipfile.ZipInfo("link")
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    packed(tmp_path / "a.zip", [(info, b"/etc/passwd"), ("link/x", b"evil")])
    refused(tmp_path / "a.zip", inner, 'a link or a device \\("link"\\)')


def test_a_bomb_is_refused_by_what_it_announces(tmp_path, inner):
    packed(tmp_path / "a.zip", {f"{i}": bytes(1_000_000) for i in range(11)}, zipfile.ZIP_DEFLATED)
    assert (tmp_path / "a.zip").stat().st_size < 20_000
    refused(tmp_path / "a.zip", inner, r"more than 100 files or 10\.0 MB")


def test_a_bomb_that_announces_less_than_it_holds_is_stopped(tmp_path, inner):
    """Its header says 1 kB; 5 MB come out. No more is written than was announced."""
    packed(tmp_path / "a.zip", {"bomb": bytes(5_000_000)}, zipfile.ZIP_DEFLATED)
    raw = (tmp_path / "a.zip").read_bytes()
    assert raw.count(struct.pack("<L", 5_000_000)) == 2
    (tmp_path / "a.zip").write_bytes(raw.replace(struct.pack("<L", 5_000_000), struct.pack("<L", 1_000)))
    refused(tmp_path / "a.zip", inner, r'a\.zip is damaged at "bomb"')
    assert sum(map(len, everything(inner / ".unpacked").values())) <= 1_000


def test_members_that_share_their_bytes_count_each(tmp_path, inner):
    """The overlapping bomb (Fifield 2019): one stream, named many times."""
    packed(tmp_path / "a.zip", {"kernel": bytes(4_000_000)}, zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        for i in range(9):
            copy = zipfile.ZipInfo(f"copy{i}")
            for field in ("header_offset", "compress_size", "file_size", "CRC", "compress_type"):
                setattr(copy, field, getattr(archive.filelist[0], field))
            archive.filelist.append(copy)
        archive._didModify = True
    refused(tmp_path / "a.zip", inner, r"10\.0 MB")


def test_too_many_files(tmp_path, inner):
    packed(tmp_path / "a.zip", {f"{i}": b"" for i in range(101)})
    refused(tmp_path / "a.zip", inner, "more than 100 files")


@pytest.mark.parametrize("other", ["A.wav", "a.WAV", "a.wav"])
def test_two_members_for_one_file(tmp_path, inner, other):
    packed(tmp_path / "a.zip", [("a.wav", NOISE), (other, b"other")])
    refused(tmp_path / "a.zip", inner, f'"a.wav" twice \\("{other}"\\)')


def test_a_file_that_is_a_folder_too(tmp_path, inner):
    packed(tmp_path / "a.zip", [("a", NOISE), ("A/b", NOISE)])
    refused(tmp_path / "a.zip", inner, '"A" is a file and a folder')


def test_a_name_that_no_file_system_takes(tmp_path, inner):
    packed(tmp_path / "a.zip", {"d/" + "n" * 256: b""})
    refused(tmp_path / "a.zip", inner, "too long")


def test_an_encrypted_member(tmp_path, inner):
    packed(tmp_path / "a.zip", {"a": NOISE})
    raw = bytearray((tmp_path / "a.zip").read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(raw)
    refused(tmp_path / "a.zip", inner, '"a" encrypted')


def test_an_unusual_packing(tmp_path, inner):
    packed(tmp_path / "a.zip", {"a": NOISE}, zipfile.ZIP_BZIP2)
    refused(tmp_path / "a.zip", inner, "packed in an unusual way")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_is_named(tmp_path, inner, method):
    packed(tmp_path / "a.zip", {"good.wav": NOISE, "bad.wav": NOISE}, method)
    raw = bytearray((tmp_path / "a.zip").read_bytes())
    raw[80_000] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(raw)
    refused(tmp_path / "a.zip", inner, r'a\.zip is damaged at "bad\.wav"')


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-30], lambda raw: b"<html>", lambda raw: b"", lambda raw: raw[:40_000]]
)
def test_what_is_no_archive_or_half_of_one(tmp_path, inner, damage):
    packed(tmp_path / "a.zip", {"a": NOISE})
    (tmp_path / "a.zip").write_bytes(damage((tmp_path / "a.zip").read_bytes()))
    refused(tmp_path / "a.zip", inner, r"a\.zip is no zip archive, or a damaged one")


def test_an_archive_with_nothing_in_it(tmp_path, inner):
    refused(packed(tmp_path / "a.zip", {"empty/": b""}), inner, "the archive is empty")


def test_a_full_disk_while_unpacking(tmp_path, inner):
    packed(tmp_path / "a.zip", {"a.wav": NOISE})
    with no_file_larger_than(20_000), pytest.raises(LocalFault, match=r"a\.wav.* the disk is full .*--to"):
        extract(tmp_path / "a.zip", inner, WIDE, Silent())


def test_what_a_refused_archive_left_is_cleared(tmp_path, inner):
    packed(tmp_path / "bad.zip", {"left.wav": NOISE, "bad.wav": NOISE})
    raw = bytearray((tmp_path / "bad.zip").read_bytes())
    raw[80_000] ^= 0xFF
    (tmp_path / "bad.zip").write_bytes(raw)
    refused(tmp_path / "bad.zip", inner, "damaged")
    extract(packed(tmp_path / "good.zip", {"a.wav": NOISE}), inner, WIDE, Silent())
    assert everything(inner) == {"a.wav": NOISE}


# Folders known by their content


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder whose names git sorts otherwise than people do."""
    folder = tmp_path / "published"
    folder.mkdir()
    for name in ("b.wav", "C.wav", "a-b.wav", "a.wav", "ä.wav", "10.wav", "9.wav"):
        (folder / name).write_bytes(name.encode() * 100)
    (folder / "empty.wav").touch()
    return folder


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_id_of_a_folder_is_gits(published, tmp_path):
    def git(*words: str) -> str:
        done = subprocess.run(
            [
                "git",
                f"--git-dir={tmp_path / 'repository'}",
                f"--work-tree={published}",
                "-c",
                "core.autocrlf=false",
                *words,
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    assert git_tree_id(published) == git("write-tree")


def zipped(path: Path, folders: dict[str, Path]) -> Path:
    members = {f"{at}/{file.name}": file.read_bytes() for at, folder in folders.items() for file in folder.iterdir()}
    return packed(path, {**members, "README.md": b"a repository has more in it"})


def bounds_for(folder: Path, to: str) -> Archive:
    return Archive(100, 10_000_000, (Tree(git_tree_id(folder), len(list(folder.iterdir())), to),))


@pytest.mark.parametrize("where", ["SPRSound-45b0d5d/train_wav", "main/BioCAS2022/train2022_wav", "x"])
def test_a_published_folder_is_found_wherever_it_lies(tmp_path, inner, published, where):
    zipped(tmp_path / "a.zip", {where: published})
    extract(tmp_path / "a.zip", inner, bounds_for(published, "test_json/inter"), Silent())
    assert everything(inner) == {f"test_json/inter/{name}": data for name, data in everything(published).items()}


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a.wav").write_bytes(b"another"),
        lambda folder: (folder / "a.wav").rename(folder / "d.wav"),
        lambda folder: (folder / "a.wav").unlink(),
        lambda folder: (folder / "more.wav").touch(),
    ],
    ids=["byte", "name", "less", "more"],
)
def test_a_folder_with_anything_changed_is_another(tmp_path, inner, published, change):
    bounds = bounds_for(published, "train_wav")
    change(published)
    refused(
        zipped(tmp_path / "a.zip", {"x": published}), inner, "no folder with the 8 published files of train_wav", bounds
    )


def test_what_else_a_repository_holds_does_not_matter(tmp_path, inner, published):
    link = zipfile.ZipInfo("x/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    members = [(f"published/{file.name}", file.read_bytes()) for file in published.iterdir()]
    packed(tmp_path / "a.zip", [(link, b"/etc"), ("Read.me", b""), ("READ.ME", b""), ("../up", b""), *members])
    extract(tmp_path / "a.zip", inner, bounds_for(published, "train_wav"), Silent())
    assert everything(inner) == {f"train_wav/{name}": data for name, data in everything(published).items()}
    assert everything(inner.parent) == {f"inner/train_wav/{name}": data for name, data in everything(published).items()}
