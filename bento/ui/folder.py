"""The folder of visitors' sounds: gone with its service, and swept by the next one when that was killed."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

if sys.platform != "win32":
    import fcntl

_PREFIX = "jaxresp-ui-"
_OWNER = "owner"  # a file that a living service holds locked; the system lets go of it however the service ends


@contextlib.contextmanager
def own_folder(parent: Path | None = None) -> Iterator[Path]:
    """A new folder, deleted in the end; those that a killed service has left are deleted first.

    Args:
        parent: where; the system's folder of temporary files unless given.
    """
    parent = parent or Path(tempfile.gettempdir())
    for left in parent.glob(f"{_PREFIX}*/{_OWNER}"):
        _sweep(left)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (folder / "owner-to-be").open("wb") as owner:
            if sys.platform != "win32":
                _lock(owner)
            (folder / "owner-to-be").rename(folder / _OWNER)  # never there without its lock
            yield folder


def _sweep(owner: Path) -> None:
    """Delete the folder of a service that is no more."""
    # Suppressed: it is another's and locked, or another deletes it just now.
    with contextlib.suppress(OSError), owner.open("r+b") as file:
        _lock(file)
        shutil.rmtree(owner.parent)


def _lock(file: IO[bytes]) -> None:
    """Hold a file until it is closed.

    Raises:
        OSError: another process holds it, or this system has no such locks, so that nothing is swept.
    """
    if sys.platform == "win32":
        raise OSError("no locks that end with their process")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
