"""One file from one address: resumed, retried, bounded in size, and verified before it gets its name.

HTTP is left to requests and urllib3: redirects, proxies, certificates, timeouts, chunked bodies, bodies that end early.
Both come with TFDS and MLflow anyway. Of the libraries that would do more, pooch verifies and retries but begins a
2 GB archive again after every dropped connection, knows no second host and bounds no size; httpx resumes no more than
requests does; huggingface_hub resumes, for its own hub. So what is written here is the part they lack: Range and
If-Range (RFC 9110, sections 13 and 14), the patience to go on as long as bytes arrive, and the refusals.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import requests
import urllib3

import jaxresp
from jaxresp.fetch import CopyFailed, Show
from jaxresp.fetch.disk import faults_of_the_disk, need_room
from jaxresp.fetch.sources import Copy
from jaxresp.files import write_whole

_PIECE_BYTES = 256 * 1024
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})  # statuses that say "later", not "no"


@dataclass(frozen=True)
class Patience:
    """How long to wait for a host.

    Attributes:
        attempts: given up after so many in a row that brought less than `gain_bytes`.
        gain_bytes: what an attempt must bring to count as progress; else a host that sends a byte and hangs up would
            be asked for ever.
        first_wait_s: before the second attempt; doubled each time.
        longest_wait_s: no wait is longer, whatever the host asks for.
        connect_s: to be let in.
        silence_s: without a byte, after which the host is taken to have stalled.
        slowest_bytes_per_s: over `silence_s`; a trickle below it is a stall too.
    """

    attempts: int = 5
    gain_bytes: int = 1_000_000
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    connect_s: float = 20.0
    silence_s: float = 60.0
    slowest_bytes_per_s: float = 1_000.0


class _Interrupted(Exception):
    """An attempt that ended early; the next may go on from there."""

    def __init__(self, why: str, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.wait_s = wait_s


def download(copy: Copy, target: Path, *, most_bytes: int, patience: Patience, show: Show) -> None:
    """Bring the file at `copy.url` to `target`, verified.

    Until then it is `target` with `.part` behind it, and beside that a note (`.part.json`) of what it is a part of;
    the next call, in this process or after a kill, goes on from there where the host allows it and the file is still
    the same: by its validator (ETag or date), or by a published checksum, which is compared at the end.

    Raises:
        CopyFailed: the host refuses, stalls, vanishes, is not who it says it is, or sends something else.
        LocalFault: the disk is full or cannot be written.
    """
    part = _Part(target, copy)
    limit = copy.size_bytes if copy.size_bytes is not None else most_bytes
    in_pieces = _until_complete(part, limit, patience, show)
    wrong = fault_of(part.path, copy)
    if wrong is not None and in_pieces:
        # Pieces of two versions, or a part that was damaged on the disk: once more, from one mould.
        show.say(f"{target.name}: put together from pieces, it {wrong}; once more from the beginning")
        part.discard()
        _until_complete(part, limit, patience, show)
        wrong = fault_of(part.path, copy)
    if wrong is not None:
        part.discard()
        raise CopyFailed(f"the file it sent {wrong}")
    part.finish(target)


def _until_complete(part: _Part, limit: int, patience: Patience, show: Show) -> bool:
    """Ask until the body is whole. True if it came in more than one piece."""
    failures, best = 0, part.size
    with requests.Session() as session:
        session.headers.update({"User-Agent": f"jaxresp/{jaxresp.__version__}", "Accept-Encoding": "identity"})
        while True:
            try:
                return _attempt(session, part, limit, patience, show)
            except _Interrupted as fault:
                failures = 1 if part.size >= best + patience.gain_bytes else failures + 1
                best = max(best, part.size)
                if failures >= patience.attempts:
                    raise CopyFailed(f"{fault}, {failures} times in a row") from fault
                wait_s = fault.wait_s if fault.wait_s is not None else patience.first_wait_s * 2 ** (failures - 1)
                wait_s = min(wait_s, patience.longest_wait_s)
                show.say(f"{part.copy.host}: {fault}; trying again in {wait_s:.0f} s")
                time.sleep(wait_s)


def _attempt(session: requests.Session, part: _Part, limit: int, patience: Patience, show: Show) -> bool:
    """One request. True if it went on from what was there, False if it began anew."""
    headers = part.range_headers()
    if not headers:
        part.discard()
    elif part.size == part.copy.size_bytes:
        return True  # killed between the last byte and the check
    with (
        _faults_of_the_host(patience),
        session.get(
            part.copy.url, headers=headers, stream=True, timeout=(patience.connect_s, patience.silence_s)
        ) as response,
    ):
        _refuse_detours(response)
        goes_on, total = _read_head(response, part)
        if total is not None and total > limit:
            published = part.copy.size_bytes is not None
            raise CopyFailed(
                f"it announces {total:,} bytes where {limit:,} are "
                + ("published" if published else "the most that this file can be")
            )
        if total is not None and part.copy.size_bytes is not None and total < limit:
            raise CopyFailed(f"it announces {total:,} bytes where {limit:,} are published")
        if not goes_on:
            if part.size:
                show.say(f"{part.name}: the host does not resume, or has another file now; from the beginning")
            part.discard()
        if goes_on and part.size == total:
            return True
        part.begin(response.headers)
        expected = total if total is not None else part.copy.size_bytes
        need_room(part.path.parent, (expected if expected is not None else limit) - part.size, part.name)
        _receive(response, part, limit, expected, patience, show)
        if expected is None:
            show.progress(part.name, part.size, part.size)
    if expected is not None and part.size < expected:
        raise _Interrupted(f"the body ended at {part.size:,} of {expected:,} bytes")
    return goes_on


def _read_head(response: requests.Response, part: _Part) -> tuple[bool, int | None]:
    """Whether the body goes on from the part, and the length of the whole file."""
    status = response.status_code
    if status in _BUSY:
        raise _Interrupted(f"it answers {status} {response.reason}", _retry_after_s(response))
    if status == 416:  # nothing lies beyond what is here
        if response.headers.get("Content-Range") == f"bytes */{part.size}":
            return True, part.size
        part.discard()
        raise _Interrupted("its file is shorter than what is here")
    if status not in (200, 206):
        raise CopyFailed(f"it answers {status} {response.reason}")
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == "text/html":  # "log in", "not found" and "we are moving", sent as a success
        raise CopyFailed("it answers with a web page in place of the file")
    coding = response.headers.get("Content-Encoding", "identity")
    if coding != "identity":
        raise CopyFailed(f"it sends the file encoded as {coding}, which was not asked for")
    if status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != part.size:
            part.discard()
            raise _Interrupted(
                f"it sends bytes {response.headers.get('Content-Range', 'unnamed')}, not those asked for"
            )
        return True, None if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length")
    return False, int(length) if length is not None and length.isdigit() else None


def _receive(
    response: requests.Response, part: _Part, limit: int, expected: int | None, patience: Patience, show: Show
) -> None:
    window_start_s, window_bytes = time.monotonic(), 0
    with part.appending() as file:
        # read1 gives what has arrived; read would wait for a whole piece, which a trickle can draw out for days.
        while piece := response.raw.read1(_PIECE_BYTES, decode_content=False):
            if part.size + len(piece) > limit:
                part.discard()
                raise CopyFailed(f"it sends more than {limit:,} bytes")
            part.write(file, piece)
            show.progress(part.name, part.size, expected)
            window_bytes += len(piece)
            now_s = time.monotonic()
            if now_s - window_start_s >= patience.silence_s:
                rate = window_bytes / (now_s - window_start_s)
                if rate < patience.slowest_bytes_per_s:
                    raise _Interrupted(f"it sends {rate:,.0f} bytes a second")
                window_start_s, window_bytes = now_s, 0


class _Part:
    """A file on its way: `NAME.part`, and `NAME.part.json`, which tells what it is a part of."""

    def __init__(self, target: Path, copy: Copy) -> None:
        self.copy = copy
        self.name = target.name
        self.path = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")
        with faults_of_the_disk(self.path):
            self.size = self.path.stat().st_size if self.path.exists() else 0

    def range_headers(self) -> dict[str, str]:
        """What to ask for; {} for all of it."""
        if self.size == 0:
            return {}
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            url, digest, validator = note["url"], note["digest"], note["validator"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {}
        headers = {"Range": f"bytes={self.size}-"}
        if url == self.copy.url and validator:
            return {**headers, "If-Range": validator}
        # Another host's validators mean nothing here, but a published checksum will tell.
        return headers if digest is not None and digest == self.copy.digest else {}

    def begin(self, headers: Mapping[str, str]) -> None:
        """Note what is coming, before its first byte."""
        etag = headers.get("ETag", "")
        # A weak ETag vouches for the meaning, not for the bytes (RFC 9110, 13.1.5).
        validator = etag if etag.startswith('"') else headers.get("Last-Modified")
        note = {"url": self.copy.url, "digest": self.copy.digest, "validator": validator}
        with faults_of_the_disk(self.path):
            write_whole(self._note, json.dumps(note, indent=1) + "\n")

    @contextmanager
    def appending(self) -> Iterator[BinaryIO]:
        """The file, open for what comes next; on the disk when the block ends."""
        with faults_of_the_disk(self.path):
            file = self.path.open("ab", buffering=0)
        with file:
            yield file
            with faults_of_the_disk(self.path):
                os.fsync(file.fileno())

    def write(self, file: BinaryIO, piece: bytes) -> None:
        """Append a piece, all of it: near a full disk, a single write may take only a part."""
        view = memoryview(piece)
        with faults_of_the_disk(self.path):
            while view:
                written = file.write(view)
                self.size += written
                view = view[written:]

    def discard(self) -> None:
        """Begin again from nothing."""
        with faults_of_the_disk(self.path):
            self.path.unlink(missing_ok=True)
            self._note.unlink(missing_ok=True)
        self.size = 0

    def finish(self, target: Path) -> None:
        """Give it its name."""
        with faults_of_the_disk(target):
            os.replace(self.path, target)
            self._note.unlink(missing_ok=True)


def fault_of(path: Path, copy: Copy) -> str | None:
    """In what a file differs from what is published of this copy, in words; None if in nothing."""
    with faults_of_the_disk(path):
        size = path.stat().st_size
        if copy.size_bytes is not None and size != copy.size_bytes:
            return f"has {size:,} bytes where {copy.size_bytes:,} are published"
        if copy.digest is None:
            return None
        kind, _, published = copy.digest.partition(":")
        with path.open("rb") as file:
            # MD5 is what ICBHI's mirrors publish. It is proof against damage; a forger could match it, with effort.
            found = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
    return None if found == published else f"has {kind.upper()} {found} where {published} is published"


def _refuse_detours(response: requests.Response) -> None:
    """A redirect from https to http would let anyone on the way change the file."""
    hops = [*response.history, response]
    if urlsplit(hops[0].url).scheme != "https":
        return
    for hop in hops:
        if urlsplit(hop.url).scheme != "https":
            raise CopyFailed(f"it redirects to {hop.url}, which is not encrypted")


def _retry_after_s(response: requests.Response) -> float | None:
    try:
        wait_s = urllib3.Retry().get_retry_after(response.raw)
    except urllib3.exceptions.InvalidHeader:
        return None
    return None if wait_s is None else float(wait_s)


@contextmanager
def _faults_of_the_host(patience: Patience) -> Iterator[None]:
    """What requests and urllib3 raise, sorted: worth another attempt at this host, or not."""
    try:
        yield
    except (requests.exceptions.SSLError, urllib3.exceptions.SSLError) as error:
        certificate = _certificate_fault(error)
        if certificate is not None:
            raise CopyFailed(
                f"its certificate is not valid ({certificate}), so anyone could be answering in its name"
            ) from error
        raise _Interrupted(f"the encrypted connection broke ({_innermost(error)})") from error
    except (
        requests.exceptions.ConnectTimeout,
        requests.exceptions.ReadTimeout,
        urllib3.exceptions.TimeoutError,
    ) as error:
        connecting = isinstance(error, (requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError))
        what = (
            f"let nobody in for {patience.connect_s:g} s"
            if connecting
            else f"sent nothing for {patience.silence_s:g} s"
        )
        raise _Interrupted(f"it {what}") from error
    except (
        requests.exceptions.ConnectionError,
        requests.exceptions.ChunkedEncodingError,
        urllib3.exceptions.ProtocolError,
    ) as error:
        raise _Interrupted(f"the connection broke ({_innermost(error)})") from error
    except OSError as error:  # RequestException is one: too many redirects, an address that is none; no CA bundle
        raise CopyFailed(f"it cannot be asked ({error})") from error


def _certificate_fault(error: BaseException) -> str | None:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message or "verification failed"
    return None


def _innermost(error: BaseException) -> str:
    """The operating system's word for it, out of the layers around it."""
    last = [*_causes(error)][-1]
    return getattr(last, "strerror", None) or str(last) or type(last).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from; requests and urllib3 hide the cause in `args` or `reason` too."""
    seen: set[int] = set()
    queue: list[BaseException | None] = [error]
    while queue:
        cause = queue.pop(0)
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = [getattr(cause, "reason", None), *cause.args, cause.__cause__, cause.__context__]
        queue += [e for e in inner if isinstance(e, BaseException)]
