"""A whole corpus: there, whole and with a receipt, or not there."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from jaxresp import cli
from jaxresp.fetch import FetchError, FetchInUse, LocalFault, disk, folder
from jaxresp.fetch.folder import RECEIPT, fetch
from jaxresp.fetch.gittree import git_tree_id
from jaxresp.fetch.sources import ICBHI, SOURCES, Archive, Copy, File, Source, Tree
from jaxresp.shipped import load_module
from jaxresp.synthetic import SyntheticConfig, write_corpus

from .conftest import QUICK, Host, Listener, Trick, sha256_of
from .test_transfer import as_nobody, certificate, no_file_larger_than, secure_host


def zipped(folder: Path, top: str = "") -> bytes:
    """A folder as its publisher would pack it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, f"{top}{path.relative_to(folder).as_posix()}")
    return stream.getvalue()


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small corpus in ICBHI's layout."""
    return write_corpus(tmp_path_factory.mktemp("made-up") / "icbhi", SyntheticConfig(1, (1, 1), (2.0, 2.5)))


class Published:
    """That corpus, published as ICBHI is: an archive and text files beside it, on a host and on a mirror."""

    def __init__(self, made_up: Path, host: Host, mirror: Host) -> None:
        audio = made_up / "ICBHI_final_database"
        self.files = everything(made_up)
        self.archive = zipped(audio, "ICBHI_final_database/")
        contents = {"ICBHI_final_database.zip": self.archive}
        contents |= {name: data for name, data in self.files.items() if "/" not in name}
        self.source = Source("icbhi", "a made-up corpus", "https://publisher.example", "do with it what you like", ())
        for name, data in contents.items():
            vouched = name.endswith(".zip")
            copies = tuple(
                Copy(server.url(name, data), "here", len(data), sha256_of(data) if vouched else None)
                for server in (host, mirror)
            )
            file = File(name, copies, 10_000_000, Archive(100, 50_000_000) if vouched else None)
            self.source = replace(self.source, files=(*self.source.files, file))

    def of(self, name: str) -> File:
        return next(file for file in self.source.files if file.name == name)

    def with_file(self, name: str, **changes: object) -> Source:
        files = [replace(file, **changes) if file.name == name else file for file in self.source.files]
        return replace(self.source, files=tuple(files))


@pytest.fixture
def published(made_up, host, mirror) -> Published:
    return Published(made_up, host, mirror)


def get(source: Source, to: Path, show: Listener | None = None) -> Path:
    return fetch(source, to, show=show or Listener(), patience=QUICK)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def test_the_folder_is_what_the_builder_reads(published, made_up, tmp_path, mirror):
    target = get(published.source, tmp_path / "recordings")
    assert target == tmp_path / "recordings" / "icbhi"
    got = everything(target)
    receipt = json.loads(got.pop(RECEIPT))
    assert got == published.files
    assert names(target.parent) == {"icbhi"}
    assert mirror.asked == []
    told = [_prepared(folder_, tmp_path / f"data-{i}") for i, folder_ in enumerate((target, made_up))]
    assert told[0] == told[1] and "3 recordings of 3 patients" in told[0]
    archive = receipt["files"][0]
    assert archive["sha256"] == hashlib.sha256(published.archive).hexdigest()
    assert archive["vouched_by"] == published.of("ICBHI_final_database.zip").copies[0].digest
    assert [file["vouched_by"] for file in receipt["files"][1:]] == [""] * (len(receipt["files"]) - 1)
    assert receipt["terms"] == published.source.terms and receipt["page"] == published.source.page


def _prepared(source: Path, data: Path) -> str:
    """What `jaxresp prepare` says of a folder, but for where it put the result."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as left:
        cli.main(["prepare", str(source), "--data", str(data), "--partial"])
    assert not left.value.code, out.getvalue()
    return out.getvalue().replace(str(data), "")


def test_what_nobody_vouches_for_is_said_to_be_taken_on_trust(published, tmp_path, show):
    get(published.source, tmp_path, show)
    trusted = {line.partition(":")[0]: line for line in show.said if "taken on trust" in line}
    assert set(trusted) == {file.name for file in published.source.files[1:]}
    for name, line in trusted.items():
        assert hashlib.sha256(published.files[name]).hexdigest() in line


def test_what_is_there_is_left_as_it_is(published, tmp_path, host, show):
    target = get(published.source, tmp_path)
    before, asked = everything(target), len(host.asked)
    assert get(published.source, tmp_path, show) == target
    assert everything(target) == before and len(host.asked) == asked
    assert "is there already" in show.said[0]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_folder_that_is_not_ours_is_not_touched(published, tmp_path, host, kind):
    target = tmp_path / "icbhi"
    if kind == "folder":
        target.mkdir()
        (target / "mine.wav").write_bytes(b"mine")
    else:
        target.write_bytes(b"mine")
    with pytest.raises(FetchError, match=r"icbhi is there already and was not made by this command .*--to"):
        get(published.source, tmp_path)
    assert host.asked == []
    assert b"mine" in everything(tmp_path).values()


def test_an_empty_folder_of_that_name_is_filled(published, tmp_path):
    (tmp_path / "icbhi").mkdir()
    assert published.files.items() <= everything(get(published.source, tmp_path)).items()


# Mirrors


@pytest.mark.parametrize(
    ("trick", "reason"),
    [
        (Trick(status=404), "it answers 404"),
        (Trick(status=503), "3 times in a row"),
        (Trick(body=b"x" * 10), "announces 10 bytes"),
        (Trick(send=0), "3 times in a row"),
        (Trick(headers={"Content-Type": "text/html"}), "a web page"),
    ],
)
def test_the_mirror_is_asked_and_the_reason_told(published, tmp_path, host, mirror, show, trick, reason):
    host.always = trick
    target = get(published.source, tmp_path, show)
    assert published.files.items() <= everything(target).items()
    told = [line for line in show.said if f"now from {mirror.root.removeprefix('http://')}" in line]
    (line,) = told  # for the other files the mirror is asked first
    assert reason in line
    assert {file["url"].startswith(mirror.root) for file in json.loads((target / RECEIPT).read_text())["files"]} == {
        True
    }


def test_an_expired_certificate_leads_to_the_mirror(made_up, mirror, tmp_path, monkeypatch, show):
    pem = certificate(tmp_path, days=-1)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    with secure_host(pem) as expired:
        published = Published(made_up, expired, mirror)
        target = get(published.source, tmp_path / "to", show)
        assert expired.asked == []
    assert published.files.items() <= everything(target).items()
    assert "its certificate is not valid (certificate has expired)" in show.said[0]
    assert show.said[0].endswith(f"now from {mirror.root.removeprefix('http://')}")


def test_the_mirror_goes_on_where_the_first_host_broke(published, tmp_path, host, mirror):
    host.tricks.append(Trick(send=10_000))
    host.always = Trick(status=404)
    get(published.source, tmp_path)
    assert mirror.asked[0].range == "bytes=10000-" and mirror.asked[0].if_range is None


def test_when_nobody_has_it_every_reason_and_the_way_by_hand_are_told(published, tmp_path, host, mirror):
    host.always, mirror.always = Trick(status=403), Trick(status=404)
    with pytest.raises(FetchError) as error:
        get(published.source, tmp_path)
    text = str(error.value)
    by_hand = tmp_path / "icbhi.partial" / "ICBHI_final_database.zip"
    assert text.startswith("ICBHI_final_database.zip could not be had:\n")
    assert "it answers 403" in text and "it answers 404" in text
    assert "https://publisher.example" in text and str(by_hand) in text
    assert names(tmp_path) == {"icbhi.partial"}
    by_hand.write_bytes(published.archive)  # as the error says
    host.always = Trick()
    target = get(published.source, tmp_path)
    assert published.files.items() <= everything(target).items()
    assert "/ICBHI_final_database.zip" not in {asked.path for asked in host.asked[1:]}
    assert json.loads((target / RECEIPT).read_text())["files"][0]["url"] == "found in icbhi.partial"


def test_a_file_put_there_by_hand_that_is_another_is_refused_and_kept(published, tmp_path, host):
    path = tmp_path / "icbhi.partial" / "ICBHI_final_database.zip"
    path.parent.mkdir()
    path.write_bytes(b"another")
    with pytest.raises(FetchError, match=r"was here already .* has 7 bytes where .*; delete it"):
        get(published.source, tmp_path)
    assert path.read_bytes() == b"another" and host.asked == []


def test_an_archive_that_is_published_and_yet_refused_is_kept_and_no_mirror_is_asked(published, tmp_path, mirror):
    source = published.with_file("ICBHI_final_database.zip", archive=Archive(1, 1))
    with pytest.raises(FetchError, match=r"is the published file, and still: the archive holds more than 1 files"):
        get(source, tmp_path)
    assert (tmp_path / "icbhi.partial" / "ICBHI_final_database.zip").read_bytes() == published.archive
    assert mirror.asked == []
    assert names(tmp_path) == {"icbhi.partial"}


def test_what_nothing_reads_may_be_missing(published, tmp_path, host, mirror, show):
    absent = Copy(f"{host.root}/nowhere", "here")
    extra = File("notes.xlsx", (absent,), 1000, optional=True)
    target = get(replace(published.source, files=(*published.source.files, extra)), tmp_path, show)
    assert published.files.items() <= everything(target).items()
    assert not (target / "notes.xlsx").exists()
    assert show.said[-1].startswith("notes.xlsx is left out")


# Content that only its tree vouches for


def test_an_archive_made_on_the_fly_is_verified_by_its_content(published, made_up, tmp_path, host, mirror, show):
    """As GitHub sends a repository: chunked, of no announced length, without ranges. The first host has another."""
    audio = made_up / "ICBHI_final_database"
    tree = Tree(git_tree_id(audio), len(list(audio.iterdir())), "train_wav")
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    for path in audio.iterdir():
        (wrong / path.name).write_bytes(path.read_bytes())
    next(wrong.iterdir()).write_bytes(b"another")
    host.always = mirror.always = Trick(chunked=True, ranges=False, validators=frozenset())
    copies = (
        Copy(host.url("zip/1", zipped(wrong, "SPRSound-1/BioCAS2022/train2022_wav/")), "here"),
        Copy(mirror.url("zip/2", zipped(audio, "Challenge-2/SPRSound/train_wav/")), "here"),
    )
    file = File("SPRSound.zip", copies, 10_000_000, Archive(100, 50_000_000, (tree,)))
    target = get(Source("sprsound", "t", "https://publisher.example", "t", (file,)), tmp_path / "to", show)
    receipt = json.loads((target / RECEIPT).read_text())
    assert everything(target / "train_wav") == everything(audio)
    assert {path.name for path in target.iterdir()} == {"train_wav", RECEIPT}
    assert receipt["files"][0]["url"] == copies[1].url
    assert receipt["files"][0]["vouched_by"] == f"git tree {tree.git_id}"
    assert "holds no folder with the" in show.said[0] and not any("on trust" in line for line in show.said)


# This machine


def test_two_at_once_do_not_meet(published, tmp_path, host):
    with (
        folder._sole_fetch(tmp_path / ".icbhi.lock", "icbhi", tmp_path),
        pytest.raises(FetchInUse, match=r"another jaxresp is fetching icbhi into .*--to"),
    ):
        get(published.source, tmp_path)
    assert host.asked == []
    get(published.source, tmp_path)


def test_a_full_disk_leaves_a_part_that_is_continued(published, tmp_path, host):
    half = len(published.archive) // 2
    with no_file_larger_than(half), pytest.raises(LocalFault, match=r"the disk is full"):
        get(published.source, tmp_path)
    assert names(tmp_path) == {"icbhi.partial"}
    assert published.files.items() <= everything(get(published.source, tmp_path)).items()
    assert f"bytes={half}-" in {asked.range for asked in host.asked}


def test_room_is_looked_for_before_anything_is_asked(published, tmp_path, host, monkeypatch):
    usage = type("Usage", (), {"free": 100_000_000})
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(LocalFault, match=r"icbhi needs 11\d MB more, 100 MB are free; .*--to"):
        get(published.source, tmp_path)
    assert host.asked == []


def test_a_place_that_cannot_be_written(published, tmp_path, host):
    to = tmp_path / "mine"
    to.mkdir(mode=0o555)
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    with as_nobody():
        for folder_ in (to, to / "deeper"):
            with pytest.raises(LocalFault, match=r"mine.* cannot be written \(Permission denied\); .*--to"):
                get(published.source, folder_)
    with pytest.raises(LocalFault, match=r"cannot be written \(Not a directory\)"):
        get(published.source, _file(tmp_path) / "below")
    assert host.asked == []


def _file(folder: Path) -> Path:
    path = folder / "file"
    path.touch()
    return path


class Interrupted(BaseException):
    """What Ctrl-C is: not an Exception."""


@pytest.mark.parametrize("where", ["extract", "_receipt", "_place"])
def test_an_interruption_anywhere_leaves_nothing_that_looks_finished(published, tmp_path, host, monkeypatch, where):
    def interrupt(*_: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(folder, where, interrupt)
        with pytest.raises(Interrupted):
            get(published.source, tmp_path)
    assert names(tmp_path) == {"icbhi.partial"}
    assert published.files.items() <= everything(get(published.source, tmp_path)).items()
    assert names(tmp_path) == {"icbhi"}
    archives = [asked for asked in host.asked if asked.path == "/ICBHI_final_database.zip"]
    assert len(archives) == 1  # what was whole is not asked for again


KILLED = """
import sys
from pathlib import Path
from jaxresp.fetch import Silent
from jaxresp.fetch.folder import fetch
from jaxresp.fetch.sources import Archive, Copy, File, Source

url, digest, to = sys.argv[1:]
file = File("a.zip", (Copy(url, "here", None, digest),), 10**8, Archive(100, 10**8))
fetch(Source("icbhi", "t", "p", "t", (file,)), Path(to), show=Silent())
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_leaves_nothing_that_looks_finished(published, tmp_path, host):
    """SIGKILL at moments spread over download, check, unpacking and the rename; then one that is let alone."""
    url, digest = f"{host.root}/ICBHI_final_database.zip", sha256_of(published.archive)
    audio = {name.partition("/")[2]: data for name, data in published.files.items() if "/" in name}
    command = [sys.executable, "-c", KILLED, url, digest, str(tmp_path)]
    root = Path(folder.__file__).parents[2]
    started = time.monotonic()
    subprocess.run([*command[:-1], str(tmp_path / "timed")], cwd=root, check=True)
    took_s = time.monotonic() - started
    whole = 0
    for i in range(12):
        host.tricks.append(Trick(send=len(published.archive) * i // 12))
        child = subprocess.Popen(command, cwd=root)
        time.sleep(took_s * (0.7 + 0.4 * i / 12))
        child.send_signal(signal.SIGKILL)
        child.wait()
        host.tricks.clear()
        target = tmp_path / "icbhi"
        if target.exists():
            whole += 1
            assert everything(target / "ICBHI_final_database") == audio and (target / RECEIPT).is_file()
            target.rename(tmp_path / f"whole-{i}")
    subprocess.run(command, cwd=root, check=True)
    assert everything(tmp_path / "icbhi" / "ICBHI_final_database") == audio
    assert whole < 12, "nothing was killed before its end: this test saw nothing"


# What is published


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_the_list_of_sources_is_sound(source):
    assert source.terms and source.page.startswith("https://")
    for file in source.files:
        assert "/" not in file.name and file.copies and file.most_bytes > 0
        assert len({copy.url for copy in file.copies}) == len(file.copies)
        for copy in file.copies:
            assert copy.url.startswith("https://") and copy.seen
            if copy.size_bytes is not None:
                assert 0 < copy.size_bytes <= file.most_bytes
            if copy.digest is not None:
                kind, _, value = copy.digest.partition(":")
                assert len(value) == 2 * hashlib.new(kind).digest_size and int(value, 16)
        for tree in file.archive.trees if file.archive else ():
            assert len(tree.git_id) == 40 and int(tree.git_id, 16)


def test_names_of_icbhi_are_those_that_its_builder_reads():
    reader = load_module("datasets/icbhi/icbhi_folder.py", "jaxresp._shipped_icbhi_folder")
    fetched = {file.name for file in ICBHI.files}
    for known in (reader.DIAGNOSIS_FILES, reader.DEMOGRAPHIC_FILES, reader.SPLIT_FILES):
        assert fetched & set(known)


@pytest.mark.real_data
def test_the_mirrors_texts_say_what_the_publishers_say(real_data):
    """The checksums of the mirrors' files are those of the published lines, but for the last line end and one row."""
    texts = {
        name: (real_data / "icbhi" / name).read_bytes().rstrip(b"\n")
        for name in (file.name for file in ICBHI.files)
        if name.startswith("ICBHI_") and name.endswith(".txt")
    }
    row = b"226_1b1_Pl_sc_"
    split = texts["ICBHI_challenge_train_test.txt"]
    assert split.count(row + b"Meditron") == 1
    texts["ICBHI_challenge_train_test.txt"] = split.replace(row + b"Meditron", row + b"LittC2SE")
    for file in ICBHI.files:
        if file.name in texts:
            assert sha256_of(texts[file.name]) == file.copies[1].digest
            assert len(texts[file.name]) == file.copies[1].size_bytes
