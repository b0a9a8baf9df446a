"""What the operating system says of a disk, in words, with a remedy; room is looked for before it is needed."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxresp.fetch import LocalFault

_SPARE_BYTES = 64 * 1024 * 1024  # left free on the disk: other programs write too


def need_room(folder: Path, more_bytes: int, what: str) -> None:
    """Refuse before writing what the disk cannot hold.

    Raises:
        LocalFault: less than `more_bytes` and some to spare are free where `folder` lies.
    """
    with faults_of_the_disk(folder):
        free = shutil.disk_usage(folder).free
    if free < more_bytes + _SPARE_BYTES:
        raise LocalFault(
            f"{folder}: {what} needs {megabytes(more_bytes + _SPARE_BYTES)} more, {megabytes(free)} are free; free "
            "some and give the same command again, which goes on from here, or choose another disk with --to"
        )


def megabytes(size_bytes: int | float) -> str:
    """A size for people, in decimal units."""
    if size_bytes < 1e6:
        return f"{max(size_bytes, 0) / 1e3:,.1f} kB"
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes < 1e8 else f"{size_bytes / 1e6:,.0f} MB"


@contextmanager
def faults_of_the_disk(path: Path) -> Iterator[None]:
    """What the operating system refuses to write, in words, with a remedy."""
    try:
        yield
    except OSError as error:
        raise local_fault(error, path) from error


def local_fault(error: OSError, path: Path) -> LocalFault:
    """The error for what the operating system refused."""
    where = error.filename or path
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return LocalFault(
            f"{where}: the disk is full ({error.strerror}); free some and give the same command again, which goes on "
            "from here, or choose another disk with --to"
        )
    return LocalFault(
        f"{where} cannot be written ({error.strerror}); make it writable, or choose another folder with --to"
    )
