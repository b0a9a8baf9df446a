"""Files that are either whole or absent: written beside their place, then renamed into it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sha256(data: bytes | Path) -> str:
    """Hexadecimal SHA-256 of bytes or of a file's content."""
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    with data.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, data: bytes | str) -> None:
    """Write a file so that a reader, or a crash, never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).chmod(0o644)
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


_PARTIAL_NAME = re.compile(r"\..+\.[a-z0-9_]{8}")  # the prefix given below and what tempfile puts after it


def clear_partial(folder: Path, of: str = "") -> None:
    """Remove what killed writers left half-done in a folder, or of one file in it. Nobody may be writing that now."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if _PARTIAL_NAME.fullmatch(path.name) and (not of or path.stem == f".{of}"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """A folder to fill that takes the place of `path` once the block ends, and vanishes if it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        partial.chmod(0o755)
        yield partial
        if path.exists():
            retired = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.")) / "old"
            try:
                os.rename(path, retired)
                os.rename(partial, path)
            except BaseException:
                if retired.exists() and not path.exists():  # between the two renames: the old one goes back
                    os.rename(retired, path)
                raise
            finally:
                if path.exists():  # never the only copy
                    shutil.rmtree(retired.parent, ignore_errors=True)
        else:
            os.rename(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
