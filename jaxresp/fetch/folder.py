"""A whole corpus: every file from the first host that gives it, then the folder appears at once, or not at all.

TO/.icbhi.lock                          one fetch of a corpus at a time
TO/icbhi.partial/NAME.part, .part.json  what a killed fetch leaves, and the next one goes on from
TO/icbhi.partial/NAME                   whole and verified; or saved there by hand
TO/icbhi.partial/unpacked/              becomes TO/icbhi when everything is in it
TO/icbhi/FETCHED.json                   the receipt: what came from where, when, with which checksums
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import jaxresp
from jaxresp.fetch import CopyFailed, FetchError, FetchInUse, Show
from jaxresp.fetch.disk import faults_of_the_disk, need_room
from jaxresp.fetch.extract import extract
from jaxresp.fetch.sources import File, Source
from jaxresp.fetch.transfer import Patience, download, fault_of
from jaxresp.files import sha256, write_whole

RECEIPT = "FETCHED.json"


@dataclass(frozen=True)
class Obtained:
    """A file, as the receipt tells of it.

    Attributes:
        file: its name.
        url: whence.
        size_bytes: of the file, or of the archive that was unpacked.
        sha256: likewise, hexadecimal.
        vouched_by: the published checksum that was compared; "" where there is none.
    """

    file: str
    url: str
    size_bytes: int
    sha256: str
    vouched_by: str


def fetch(source: Source, to: Path, *, show: Show, patience: Patience | None = None) -> Path:
    """Fetch a corpus into the folder `to / source.name`, and return that folder.

    A corpus that an earlier call has fetched is left as it is. A call that was killed is continued.

    Raises:
        FetchError: no host gives a file, with the reason of each; or the folder is there and is not ours.
        FetchInUse: another process is at it.
        LocalFault: the disk is full or cannot be written.
    """
    target, work = to / source.name, to / f"{source.name}.partial"
    with faults_of_the_disk(to):
        to.mkdir(parents=True, exist_ok=True)
    with _sole_fetch(to / f".{source.name}.lock", source.name, to):
        if (target / RECEIPT).is_file():
            show.say(f"{target} is there already, see {RECEIPT} in it")
            return target
        with faults_of_the_disk(target):
            if target.exists() and (not target.is_dir() or any(target.iterdir())):
                raise FetchError(
                    f"{target} is there already and was not made by this command (no {RECEIPT} in it), so it stays as "
                    "it is; move it away, or choose another folder with --to"
                )
            unpacked = work / "unpacked"
            shutil.rmtree(unpacked, ignore_errors=True)  # the archives are kept, what came out of them is made anew
            unpacked.mkdir(parents=True)
        here = sum(path.stat().st_size for path in work.iterdir() if path.is_file())
        need_room(work, max(source.download_bytes - here, 0) + source.unpacked_bytes, source.name)
        patience, failed = patience or Patience(), set[str]()
        obtained = [_obtain(file, source, work, unpacked, failed, patience, show) for file in source.files]
        with faults_of_the_disk(target):
            write_whole(unpacked / RECEIPT, _receipt(source, [one for one in obtained if one is not None]))
            os.rename(unpacked, target)
            shutil.rmtree(work)
    return target


def _obtain(
    file: File, source: Source, work: Path, unpacked: Path, failed: set[str], patience: Patience, show: Show
) -> Obtained | None:
    """A file in its place in `unpacked`, from the first copy that holds what it should.

    Hosts in `failed` have failed before and are asked last: a dead one costs minutes, which once is enough.
    """
    path = work / file.name
    if path.is_file():
        return _found(file, path, unpacked, show)
    reasons = []
    copies = sorted(file.copies, key=lambda copy: copy.host in failed)
    for copy, following in zip(copies, [*copies[1:], None], strict=True):
        try:
            download(copy, path, most_bytes=file.most_bytes, patience=patience, show=show)
            return _place(file, copy.url, copy.digest, path, unpacked, show)
        except CopyFailed as reason:
            if path.is_file() and copy.digest is not None:  # what vouches for it is right, so no mirror has better
                raise FetchError(f"{path} is the published file, and still: {reason}; please report it") from reason
            path.unlink(missing_ok=True)
            failed.add(copy.host)
            reasons.append(f"{copy.host}: {reason}")
            show.say(f"{file.name}: {reasons[-1]}" + (f"; now from {following.host}" if following else ""))
    if file.optional:
        show.say(f"{file.name} is left out: it could not be had, and the corpus is whole without it")
        return None
    remedy = (
        "what is here is kept, and the same command goes on from it later; or download the file with a browser from "
        f"{source.page}, save it as {path}, and give the same command again"
    )
    raise FetchError("\n  ".join([f"{file.name} could not be had:", *reasons, remedy]))


def _found(file: File, path: Path, unpacked: Path, show: Show) -> Obtained:
    """A file that is whole already: saved there by hand, or by a call that was killed later."""
    faults = {fault_of(path, copy): copy for copy in reversed(file.copies)}
    try:
        if None not in faults:
            raise CopyFailed(f"it {next(iter(faults))}")
        return _place(file, f"found in {path.parent.name}", faults[None].digest, path, unpacked, show)
    except CopyFailed as reason:
        raise FetchError(
            f"{path} was here already and is not the published file: {reason}; delete it and give the same command "
            "again"
        ) from reason


def _place(file: File, url: str, digest: str | None, path: Path, unpacked: Path, show: Show) -> Obtained:
    """Unpack an archive, or copy a file to where it belongs, and say what vouches for it."""
    with faults_of_the_disk(path):
        sha, size_bytes = sha256(path), path.stat().st_size
    trees = file.archive.trees if file.archive is not None else ()
    vouched_by = ", ".join(f"git tree {tree.git_id}" for tree in trees) or digest or ""
    if file.archive is not None:
        extract(path, unpacked, file.archive, show)
    else:
        with faults_of_the_disk(unpacked):
            shutil.copyfile(path, unpacked / file.name)
    if not vouched_by:
        show.say(
            f"{file.name}: no checksum is published, so this one is taken on trust. Its SHA-256 is {sha}: compare it "
            f"with a colleague's; {RECEIPT} keeps it"
        )
    return Obtained(file.name, url, size_bytes, sha, vouched_by)


def _receipt(source: Source, obtained: list[Obtained]) -> str:
    """What a later reader needs to know about where the folder came from."""
    return (
        json.dumps(
            {
                "corpus": source.title,
                "page": source.page,
                "terms": source.terms,
                "fetched": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "by": f"jaxresp {jaxresp.__version__}",
                "files": [asdict(one) for one in obtained],
            },
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
    )


@contextmanager
def _sole_fetch(lock: Path, name: str, to: Path) -> Iterator[None]:
    """Two fetches would write into each other's parts."""
    with faults_of_the_disk(lock):
        opened = lock.open("w")
    with opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released by the system when a process dies
        except BlockingIOError as error:
            raise FetchInUse(
                f"another jaxresp is fetching {name} into {to}; wait until it has ended, or choose another folder with "
                "--to"
            ) from error
        yield
