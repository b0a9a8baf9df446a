"""A work folder: one user at a time, and one configuration for good, so that what it holds can be continued."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxresp.errors import JaxrespError
from jaxresp.files import clear_partial, write_whole


class WorkdirMismatch(JaxrespError):
    """A work folder that belongs to another configuration or corpus."""


class WorkdirInUse(JaxrespError):
    """A work folder that another process is working in."""


@contextmanager
def sole_user(work: Path, *folders: Path) -> Iterator[None]:
    """Two processes in one folder would take each other's work for their own.

    Args:
        work: the folder; made where it is not there.
        folders: those in it where a killed process may have left half-written files, which are removed.

    Raises:
        WorkdirInUse: another process is at work in it.
    """
    work.mkdir(parents=True, exist_ok=True)
    with (work / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released by the system when a process dies
        except BlockingIOError as error:
            raise WorkdirInUse(
                f"another jaxresp is at work in {work}; wait until it has ended, or choose another work folder"
            ) from error
        for folder in (work, *folders):
            clear_partial(folder)
        yield


def in_use(work: Path) -> bool:
    """Whether a process is at work in the folder now."""
    try:
        with (work / ".lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def claim(file: Path, mine: Mapping[str, Any]) -> None:
    """Write down whose the folder of `file` is, or see that it is ours already.

    Raises:
        WorkdirMismatch: it is another's; says what differs.
    """
    work, mine = file.parent, json.loads(json.dumps(mine))
    if not file.is_file():
        write_whole(file, json.dumps(mine, indent=2) + "\n")
        return
    try:
        theirs = json.loads(file.read_text())
    except ValueError as error:
        raise WorkdirMismatch(f"{file} is damaged ({error}); choose another work folder, or remove {work}") from error
    if theirs != mine:
        changed = [key for key in mine if theirs.get(key) != mine[key]]
        raise WorkdirMismatch(
            f"{work} belongs to another run (its {' and '.join(changed)} differ, see {file}); "
            "choose another work folder, or remove this one"
        )
