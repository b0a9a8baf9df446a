"""The id by which git names the content of a folder (Chacon and Straub, Pro Git, chapter 10.2).

A publisher who keeps data in a git repository publishes with it a checksum of every folder: the same names with the
same bytes have the same id, in whatever archive or mirror they come.
"""

from __future__ import annotations

import hashlib
from pathlib import Path


def git_tree_id(folder: Path) -> str:
    """The hexadecimal id of a folder of plain files.

    Only flat folders of files without the executable bit are described, as a publisher of recordings has them; a folder
    in it makes an IsADirectoryError.
    """
    entries = b"".join(
        b"100644 " + path.name.encode() + b"\0" + _blob_digest(path)
        for path in sorted(folder.iterdir(), key=lambda path: path.name.encode())
    )
    return _digest(b"tree", entries).hex()


def _blob_digest(path: Path) -> bytes:
    return _digest(b"blob", path.read_bytes())


def _digest(kind: bytes, content: bytes) -> bytes:
    # SHA-1 because that is what git publishes: proof against damage and mix-ups, as strong against forgers as git is.
    return hashlib.sha1(kind + b" %d\0" % len(content) + content, usedforsecurity=False).digest()
