"""One file from one address: what arrives is the published file, or nothing with its name."""

from __future__ import annotations

import datetime
import hashlib
import io
import ipaddress
import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jaxresp.fetch import CopyFailed, LocalFault, Silent, disk, transfer
from jaxresp.fetch.sources import Copy
from jaxresp.fetch.transfer import Patience, download

from .conftest import QUICK, Host, Listener, Trick, sha256_of

NONE: frozenset[str] = frozenset()


def get(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    digest: str | None = None,
    most: int = 10_000_000,
    show: Listener | Silent | None = None,
    patience: Patience = QUICK,
) -> None:
    copy = Copy(url, "here", size, digest)
    download(copy, target, most_bytes=most, patience=patience, show=show or Silent())


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "file.zip"


# What arrives


@pytest.mark.parametrize(
    "trick", [Trick(), Trick(length=False), Trick(chunked=True)], ids=["length", "close", "chunked"]
)
def test_a_file_arrives_byte_for_byte(host, content, target, show, trick):
    host.always = trick
    get(host.url("a", content), target, size=len(content), digest=sha256_of(content), show=show)
    assert target.read_bytes() == content
    assert left(target.parent) == {"file.zip"}
    assert show.said == []
    assert show.steps[-1] == ("file.zip", len(content), len(content))
    assert host.asked[0].range is None and host.asked[0].agent.startswith("jaxresp/")


def test_an_empty_file_is_a_file(host, target):
    get(host.url("a", b""), target, size=0)
    assert target.read_bytes() == b""


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("cut", [0, 1, 99_999, 299_999])
def test_a_dropped_connection_is_taken_up_where_it_broke(host, content, target, show, cut, chunked):
    host.tricks.append(Trick(send=cut, chunked=chunked))
    get(host.url("a", content), target, digest=sha256_of(content), show=show)
    assert target.read_bytes() == content
    second = host.asked[1]
    assert len(host.asked) == 2
    # The last chunk of a chunked body may be cut in its middle; what came of it is kept or not.
    assert second.range in ((f"bytes={cut}-" if cut else None), *([None] if chunked else []))
    assert (second.if_range is None) == (second.range is None)
    (line,) = show.said
    assert line.startswith("localhost:") and line.endswith("trying again in 0 s")


def test_as_long_as_bytes_arrive_there_is_no_last_attempt(host, content, target):
    step = 10_000
    host.always = Trick(send=step)
    get(host.url("a", content), target, digest=sha256_of(content))
    assert target.read_bytes() == content
    assert len(host.asked) == len(content) // step > QUICK.attempts


def test_a_host_that_sends_a_byte_and_hangs_up_is_given_up(host, content, target):
    host.always = Trick(send=1)
    with pytest.raises(CopyFailed, match=r"3 times in a row"):
        get(host.url("a", content), target)
    assert len(host.asked) == QUICK.attempts
    assert left(target.parent) == {"file.zip.part", "file.zip.part.json"}


def test_a_host_without_ranges_is_asked_for_all_of_it(host, content, target, show):
    host.always = Trick(ranges=False)
    host.tricks.append(Trick(send=200_000, ranges=False))
    get(host.url("a", content), target, digest=sha256_of(content), show=show)
    assert target.read_bytes() == content
    assert host.asked[1].range == "bytes=200000-"
    assert "from the beginning" in show.said[-1]


# A file that changes between attempts


@pytest.mark.parametrize("validators", [{"etag"}, {"date"}, {"weak", "date"}])
def test_a_file_that_changed_is_fetched_anew(host, content, target, validators):
    changed = content[::-1]
    host.always = Trick(validators=frozenset(validators))
    host.tricks.append(replace(host.always, body=content, send=100_000))
    get(host.url("a", changed), target)
    assert target.read_bytes() == changed
    assert host.asked[1].if_range is not None and not host.asked[1].if_range.startswith("W/")


@pytest.mark.parametrize("validators", [NONE, frozenset({"weak"})])
def test_without_validator_and_checksum_nothing_is_resumed(host, content, target, validators):
    host.always = Trick(validators=validators)
    host.tricks.append(replace(host.always, send=100_000))
    get(host.url("a", content), target)
    assert target.read_bytes() == content
    assert [asked.range for asked in host.asked] == [None, None]


def test_pieces_of_two_versions_are_found_out_by_the_checksum(host, content, target, show):
    host.always = Trick(validators=NONE)
    host.tricks.append(replace(host.always, body=content[::-1], send=100_000))
    get(host.url("a", content), target, digest=sha256_of(content), show=show)
    assert target.read_bytes() == content
    assert [asked.range for asked in host.asked] == [None, "bytes=100000-", None]
    assert "put together from pieces" in show.said[-1]


def test_a_host_with_pieces_of_two_versions_for_ever_is_given_up(host, content, target):
    host.tricks.extend([Trick(send=100_000), Trick(), Trick(send=100_000)])
    with pytest.raises(CopyFailed, match=r"SHA256 .* where 0+ is published"):
        get(host.url("a", content), target, digest=f"sha256:{'0' * 64}")
    assert left(target.parent) == set()
    assert len(host.asked) == 4


# What an earlier call left


def part_of(target: Path, data: bytes, **note: object) -> None:
    target.with_name(target.name + ".part").write_bytes(data)
    target.with_name(target.name + ".part.json").write_text(json.dumps(note))


def test_a_part_of_another_host_is_used_where_a_checksum_is_published(host, content, target):
    digest = sha256_of(content)
    part_of(target, content[:123_456], url="https://elsewhere.example/a", digest=digest, validator='"theirs"')
    get(host.url("a", content), target, digest=digest)
    assert target.read_bytes() == content
    assert [(asked.range, asked.if_range) for asked in host.asked] == [("bytes=123456-", None)]


@pytest.mark.parametrize("digest", [None, f"sha256:{'1' * 64}"])
def test_a_part_of_another_file_is_not_used(host, content, target, digest):
    part_of(target, b"x" * 1000, url="https://elsewhere.example/a", digest=digest, validator='"theirs"')
    get(host.url("a", content), target, digest=sha256_of(content))
    assert target.read_bytes() == content
    assert host.asked[0].range is None


@pytest.mark.parametrize("note", ["", "{", "[]", '{"url": 1}', None])
def test_a_part_with_a_damaged_note_is_not_used(host, content, target, note):
    part_of(target, b"x" * 1000)
    path = target.with_name("file.zip.part.json")
    path.unlink() if note is None else path.write_text(note)
    get(host.url("a", content), target, digest=sha256_of(content))
    assert target.read_bytes() == content


def test_a_complete_part_is_verified_without_asking(host, content, target):
    url, digest = host.url("a", content), sha256_of(content)
    part_of(target, content, url=url, digest=digest, validator='"v"')
    get(url, target, size=len(content), digest=digest)
    assert target.read_bytes() == content
    assert host.asked == []


def test_a_complete_part_of_unknown_length_is_recognised(host, content, target):
    url, digest = host.url("a", content), sha256_of(content)
    part_of(target, content, url="https://elsewhere.example/a", digest=digest, validator=None)
    get(url, target, digest=digest)
    assert target.read_bytes() == content
    assert [asked.range for asked in host.asked] == [f"bytes={len(content)}-"]


@pytest.mark.parametrize("size", [None, 300_000])
def test_a_part_that_is_too_long_is_thrown_away(host, content, target, size):
    digest = sha256_of(content)
    part_of(target, content + b"more", url="https://elsewhere.example/a", digest=digest, validator=None)
    get(host.url("a", content), target, size=size, digest=digest)
    assert target.read_bytes() == content


def test_a_part_that_is_longer_than_its_file_is_thrown_away_without_a_checksum_too(host, content, target):
    url = host.url("a", content)
    part_of(target, content + b"more", url=url, digest=None, validator=f'"{hashlib.md5(content).hexdigest()}"')
    get(url, target)
    assert target.read_bytes() == content
    assert [asked.range for asked in host.asked] == ["bytes=300004-", None]


def test_a_disk_that_takes_a_piece_in_bits_gets_all_of_it(content, target):
    class Slow(io.FileIO):
        def write(self, data: bytes) -> int:
            return super().write(bytes(data)[:777])

    part = transfer._Part(target, Copy("http://localhost/a", "here"))
    with Slow(part.path, "w") as file:
        part.write(file, content)
    assert part.path.read_bytes() == content and part.size == len(content)


def test_an_answer_with_other_bytes_than_were_asked_for_is_not_used(host, content, target):
    digest = sha256_of(content)
    part_of(target, content[:1000], url="https://elsewhere.example/a", digest=digest, validator=None)
    host.tricks.append(Trick(headers={"Content-Range": f"bytes 999-299999/{len(content)}"}))
    get(host.url("a", content), target, digest=digest)
    assert target.read_bytes() == content
    assert [asked.range for asked in host.asked] == ["bytes=1000-", None]


# Refusals


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_no_is_taken_for_an_answer(host, content, target, status):
    host.always = Trick(status=status)
    with pytest.raises(CopyFailed, match=f"^it answers {status} "):
        get(host.url("a", content), target)
    assert len(host.asked) == 1
    assert left(target.parent) == set()


@pytest.mark.parametrize("status", [500, 503, 429])
def test_later_is_waited_for(host, content, target, show, status):
    host.tricks.extend([Trick(status=status)] * 2)
    get(host.url("a", content), target, show=show)
    assert target.read_bytes() == content
    assert [f"it answers {status} " in line for line in show.said] == [True, True]


def test_later_for_ever_is_given_up(host, content, target):
    host.always = Trick(status=503)
    with pytest.raises(CopyFailed, match=r"it answers 503 .*, 3 times in a row"):
        get(host.url("a", content), target)
    assert len(host.asked) == QUICK.attempts


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(transfer.time, "sleep", slept.append)
    return slept


def test_waits_grow_and_are_bounded(host, content, target, waits):
    host.tricks.extend([Trick(status=500)] * 6)
    get(host.url("a", content), target, patience=replace(QUICK, attempts=9, first_wait_s=1.0, longest_wait_s=10.0))
    assert waits == [1, 2, 4, 8, 10, 10]


@pytest.mark.parametrize(("asked", "waited"), [("7", 7), ("0", 0), ("86400", 60), ("nonsense", 1)])
def test_a_host_that_says_when_is_asked_then(host, content, target, waits, asked, waited):
    host.tricks.append(Trick(status=503, headers={"Retry-After": asked}))
    get(host.url("a", content), target, patience=replace(QUICK, first_wait_s=1.0, longest_wait_s=60.0))
    assert waits == [waited]


def test_wrong_bytes_get_no_name(host, content, target):
    wrong = content[:-1] + b"x"
    with pytest.raises(CopyFailed) as error:
        get(host.url("a", wrong), target, size=len(content), digest=f"md5:{hashlib.md5(content).hexdigest()}")
    assert hashlib.md5(content).hexdigest() in str(error.value) and hashlib.md5(wrong).hexdigest() in str(error.value)
    assert left(target.parent) == set()
    assert len(host.asked) == 1


@pytest.mark.parametrize("size", [299_999, 300_001])
def test_another_length_than_published_is_refused_before_it_is_read(host, content, target, size):
    with pytest.raises(CopyFailed, match=rf"announces 300,000 bytes where {size:,} are published"):
        get(host.url("a", content), target, size=size)
    assert left(target.parent) == set()


@pytest.mark.parametrize("trick", [Trick(length=False), Trick(chunked=True)])
def test_more_than_published_is_cut_off(host, content, target, trick, monkeypatch):
    host.always = trick
    written = []
    monkeypatch.setattr(transfer._Part, "write", _spied(transfer._Part.write, written))
    with pytest.raises(CopyFailed, match=r"it sends more than 100,000 bytes"):
        get(host.url("a", content), target, size=100_000)
    assert sum(map(len, written)) <= 100_000
    assert left(target.parent) == set()


def _spied(write, written):
    def spy(part, file, piece):
        written.append(piece)
        write(part, file, piece)

    return spy


def test_where_no_length_is_published_there_is_a_bound(host, content, target):
    with pytest.raises(CopyFailed, match=r"300,000 bytes where 299,999 are the most that this file can be"):
        get(host.url("a", content), target, most=299_999)


def test_a_body_that_ends_early_without_a_word_is_not_whole(host, content, target):
    host.always = Trick(length=False)
    host.tricks.append(Trick(length=False, send=100_000))
    get(host.url("a", content), target, size=len(content), digest=sha256_of(content))
    assert target.read_bytes() == content


def test_a_web_page_is_no_archive(host, target):
    host.always = Trick(headers={"Content-Type": "text/html; charset=utf-8"})
    with pytest.raises(CopyFailed, match="a web page in place of the file"):
        get(host.url("a", b"<html>please log in</html>"), target)
    assert left(target.parent) == set()


def test_a_body_that_is_packed_on_the_way_is_refused(host, content, target):
    host.always = Trick(headers={"Content-Encoding": "gzip"})
    with pytest.raises(CopyFailed, match="encoded as gzip"):
        get(host.url("a", content), target)


def test_a_stall_is_noticed_and_survived(host, content, target, show):
    host.tricks.append(Trick(send=200_000, stall=True))
    get(host.url("a", content), target, digest=sha256_of(content), show=show)
    assert target.read_bytes() == content
    assert host.asked[1].range == "bytes=200000-"
    assert "sent nothing for 0.4 s" in show.said[0]


def test_a_trickle_is_a_stall(host, content, target, show):
    host.tricks.append(Trick(send=200_000, trickle=True))
    patience = replace(QUICK, slowest_bytes_per_s=1e6)
    get(host.url("a", content), target, digest=sha256_of(content), show=show, patience=patience)
    assert target.read_bytes() == content
    assert "bytes a second" in show.said[0]


def test_nobody_there(target):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(CopyFailed, match=r"the connection broke \(Connection refused\), 3 times in a row"):
        get(f"http://127.0.0.1:{port}/a", target)


def test_redirects_are_followed_but_not_for_ever(host, mirror, content, target):
    url = mirror.url("a", content)
    host.tricks.append(Trick(status=302, headers={"Location": url}))
    get(f"{host.root}/old", target)
    assert target.read_bytes() == content
    host.always = Trick(status=302, headers={"Location": f"{host.root}/old"})
    with pytest.raises(CopyFailed, match="30 redirects"):
        get(f"{host.root}/old", target.with_name("other"))


# Certificates


def certificate(folder: Path, *, days: int) -> Path:
    """A certificate of our own for localhost that ends in `days`, with its key, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    alternatives = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - datetime.timedelta(days=60))
        .not_valid_after(end)
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{days}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return pem


@contextmanager
def secure_host(pem: Path) -> Iterator[Host]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    host = Host(context)
    try:
        yield host
    finally:
        host.close()


@pytest.mark.parametrize("days", [30, -1])
def test_a_certificate_must_be_valid(tmp_path, content, monkeypatch, days):
    """The same host, trusted in both cases: what refuses it is its date alone."""
    pem = certificate(tmp_path, days=days)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    with secure_host(pem) as host:
        url, target = host.url("a", content), tmp_path / "target"
        if days > 0:
            get(url, target)
            assert target.read_bytes() == content
        else:
            with pytest.raises(CopyFailed, match=r"its certificate is not valid \(certificate has expired\)"):
                get(url, target)
            assert not target.exists()
            assert host.asked == []


def test_a_certificate_that_nobody_signed_is_refused(tmp_path, content):
    with secure_host(certificate(tmp_path, days=30)) as host:
        with pytest.raises(CopyFailed, match=r"its certificate is not valid \(self.signed certificate\)"):
            get(host.url("a", content), tmp_path / "target")
        assert host.asked == []


def test_no_way_leads_from_https_to_http(tmp_path, host, content, monkeypatch):
    pem = certificate(tmp_path, days=30)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    with secure_host(pem) as secure:
        secure.always = Trick(status=302, headers={"Location": host.url("a", content)})
        with pytest.raises(CopyFailed, match=r"redirects to http://localhost.*, which is not encrypted"):
            get(f"{secure.root}/a", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_bundle_of_certificates_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nowhere.pem"))
    with pytest.raises(CopyFailed, match=r"it cannot be asked .*nowhere\.pem"):
        get("https://localhost:1/a", tmp_path / "target")


# This machine


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The system's own limit, which fails a write half-way as a full disk does (Python ignores the signal)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_named_and_the_part_kept(host, content, target):
    url, digest = host.url("a", content), sha256_of(content)
    with no_file_larger_than(100_001), pytest.raises(LocalFault, match=r"file\.zip\.part: the disk is full .*--to"):
        get(url, target, digest=digest)
    assert target.with_name("file.zip.part").read_bytes() == content[:100_001]
    get(url, target, digest=digest)
    assert target.read_bytes() == content
    assert host.asked[-1].range == "bytes=100001-"


def test_what_the_disk_cannot_hold_is_refused_before_it_is_read(host, content, target, monkeypatch):
    usage = type("Usage", (), {"free": 10_000_000})
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(LocalFault, match=r"file\.zip needs 67\.4 MB more, 10\.0 MB are free; .*--to"):
        get(host.url("a", content), target)
    assert not target.with_name("file.zip.part").exists()


@contextmanager
def as_nobody() -> Iterator[None]:
    """A user who may not write everywhere, as the superuser may."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_cannot_be_written_is_named(host, content, tmp_path):
    url = host.url("a", content)
    folder = tmp_path / "mine"
    folder.mkdir(mode=0o555)
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    with as_nobody(), pytest.raises(LocalFault, match=r"mine/.* cannot be written \(Permission denied\); .*--to"):
        get(url, folder / "file.zip")
    assert left(folder) == set()


KILLED = """
import sys
from pathlib import Path
from jaxresp.fetch.sources import Copy
from jaxresp.fetch.transfer import Patience, download
from jaxresp.fetch import Silent

url, digest, target = sys.argv[1:]
download(Copy(url, "here", None, digest), Path(target), most_bytes=10**7, patience=Patience(), show=Silent())
"""


def test_what_a_killed_process_left_is_continued(host, content, target):
    url, digest = host.url("a", content), sha256_of(content)
    host.tricks.append(Trick(send=222_222, stall=True))
    part = target.with_name("file.zip.part")
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, url, digest, str(target)], cwd=Path(transfer.__file__).parents[2]
    )
    try:
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size == 222_222):
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    host.over.set()
    assert left(target.parent) == {"file.zip.part", "file.zip.part.json"}
    get(url, target, digest=digest)
    assert target.read_bytes() == content
    assert host.asked[1].range == "bytes=222222-" and host.asked[1].if_range is not None
