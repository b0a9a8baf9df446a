"""From a publisher's host to a folder as the builders read it: `jaxresp data fetch`.

sources    what is published where: addresses, sizes, checksums, terms of use
transfer   one file from one address: resumed, retried, bounded, verified (the only module that needs requests)
extract    an archive that nobody vouches for → files that cannot lie outside their folder
gittree    the id by which git names the content of a folder
folder     a corpus: lock, room on the disk, mirrors, receipt, and one rename at the end
progress   what is shown meanwhile
disk       what the operating system says of it, in words; room looked for before it is needed
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxresp.errors import JaxrespError


class FetchError(JaxrespError):
    """A corpus could not be fetched."""


class CopyFailed(FetchError):
    """One host did not give the published file; another may."""


class LocalFault(FetchError):
    """This machine is in the way (disk full, no permission): no mirror helps."""


class FetchInUse(FetchError):
    """Another process is fetching the same corpus into the same folder."""


@runtime_checkable
class Show(Protocol):
    """Where a fetch tells what it does."""

    def say(self, text: str) -> None:
        """A line worth keeping: a retry and its reason, another host, a checksum."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """How far it is, in bytes; called often. `total` is None where the host does not tell."""


class Silent:
    """Shows nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Nothing."""
