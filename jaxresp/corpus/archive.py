"""Files inside a zip archive, read where they are: nothing is unpacked, so nothing can land where it should not."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from jaxresp.errors import JaxrespError

_MOST_BYTES = 1 << 28  # ten minutes at 192 kHz and 16 bits; the largest recording of ICBHI has 12 MB


class ArchiveError(JaxrespError):
    """An archive, or a file in one, that cannot be read."""


@dataclass(frozen=True)
class ZipMember:
    """One file of an archive, with what the readers of folders use of a pathlib.Path.

    Attributes:
        archive: the zip file.
        inner: its path in there.
    """

    archive: Path
    inner: PurePosixPath
    _zip: zipfile.ZipFile = field(repr=False, compare=False)
    _info: zipfile.ZipInfo = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """File name with suffix."""
        return self.inner.name

    @property
    def stem(self) -> str:
        """File name without suffix."""
        return self.inner.stem

    @property
    def suffix(self) -> str:
        """From the last dot on."""
        return self.inner.suffix

    @property
    def parent(self) -> PurePosixPath:
        """The folder in the archive."""
        return self.inner.parent

    @property
    def checksum(self) -> tuple[int, int]:
        """Size and CRC-32 as the archive states them; `read_bytes` fails where they are not true."""
        return self._info.file_size, self._info.CRC

    def is_file(self) -> bool:
        """Folders are not listed."""
        return True

    def read_bytes(self) -> bytes:
        """The whole content, checked against its size and CRC-32.

        Raises:
            ArchiveError: damaged, encrypted, packed in a way that zipfile does not know, or larger than any recording.
        """
        if self._info.file_size > _MOST_BYTES:
            raise ArchiveError(f"{self.name}: {self._info.file_size:,} bytes are more than any recording has")
        try:
            with self._zip.open(self._info) as file:
                return file.read()
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError) as error:
            raise ArchiveError(f"{self.name}: cannot be read from {self.archive.name} ({error})") from error

    def __str__(self) -> str:
        return f"{self.archive.name}:{self.inner}"


def zip_members(archive: Path) -> list[ZipMember]:
    """The files in an archive, in order; hidden ones and the shadows that a Mac adds are left out.

    Raises:
        ArchiveError: no zip archive, or a damaged one.
    """
    try:
        opened = zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, NotImplementedError, OSError) as error:
        raise ArchiveError(
            f"{archive} is no whole zip archive ({error}); download it again, or give the unpacked folder"
        ) from error
    members = [
        ZipMember(archive, PurePosixPath(info.filename), opened, info)
        for info in opened.infolist()
        if not info.is_dir()
    ]
    hidden = (".", "__MACOSX")
    return sorted(
        (each for each in members if not any(part.startswith(hidden) for part in each.inner.parts)),
        key=lambda each: each.inner,
    )
