"""A zip archive that nobody vouches for → files inside one folder, or a refusal before the first is written.

zipfile reads the format and checks every member's CRC. What it would let pass is refused here, by the names of the
archive and of the member: paths that lead out of the folder, links and devices, two members for one file (also where
only case tells them apart, which some file systems ignore), encryption, more files or bytes than the corpus has.
"""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
import zlib
from collections import Counter
from pathlib import Path, PurePosixPath

from jaxresp.fetch import CopyFailed, Show
from jaxresp.fetch.disk import faults_of_the_disk, megabytes, need_room
from jaxresp.fetch.gittree import git_tree_id
from jaxresp.fetch.sources import Archive

_RAW = ".unpacked"
_PIECE_BYTES = 1024 * 1024
_UNSAFE = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')  # control characters, and what Windows takes for something else
_LONGEST_NAME = 255  # bytes; what common file systems take


def extract(archive: Path, folder: Path, bounds: Archive, show: Show) -> None:
    """Unpack an archive into a folder; with `bounds.trees`, only those, each where the bounds say.

    Raises:
        CopyFailed: the archive is damaged, unsafe, too large, or does not hold the published trees. What was written
            of it then lies in a hidden folder, which the next call clears.
        LocalFault: the disk is full or cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(_candidates(opened, bounds), bounds)
            total = sum(info.file_size for info in members.values())
            need_room(folder, total, f"what {archive.name} holds")
            raw = folder / _RAW
            with faults_of_the_disk(raw):
                shutil.rmtree(raw, ignore_errors=True)  # another host's archive, which was refused half-way
                raw.mkdir()
            _write(opened, members, raw, total, archive.name, show)
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise CopyFailed(f"{archive.name} is no zip archive, or a damaged one ({error})") from error
    with faults_of_the_disk(folder):
        if bounds.trees:
            _take_trees(raw, folder, bounds, archive.name)
        else:
            for path in raw.iterdir():
                path.rename(folder / path.name)
        shutil.rmtree(raw)


def _candidates(opened: zipfile.ZipFile, bounds: Archive) -> list[zipfile.ZipInfo]:
    """The members that may be needed; whatever else lies in a repository is not looked at."""
    infos = opened.infolist()
    if not bounds.trees:
        return infos
    sizes = {tree.n_files for tree in bounds.trees}
    per_folder = Counter(_folder_of(info) for info in infos if not info.is_dir())
    return [info for info in infos if not info.is_dir() and per_folder[_folder_of(info)] in sizes]


def _folder_of(info: zipfile.ZipInfo) -> str:
    return info.orig_filename.rpartition("/")[0]


def _members(infos: list[zipfile.ZipInfo], bounds: Archive) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The files by their path, all of them checked before one is written."""
    members: dict[PurePosixPath, zipfile.ZipInfo] = {}
    spelt: dict[str, PurePosixPath] = {}
    total = 0
    for info in infos:
        path = _safe_path(info)
        if info.is_dir() or path.parts[0] == "__MACOSX" or path.name.startswith(("._", ".DS_Store")):
            continue  # folders come with their files; the rest is what a Mac adds
        if info.flag_bits & 0x1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise CopyFailed(f'the archive holds "{path}" encrypted, or packed in an unusual way')
        total += info.file_size
        members[path] = info
        if len(members) > bounds.most_files or total > bounds.most_bytes:
            raise CopyFailed(
                f"the archive holds more than {bounds.most_files:,} files or {megabytes(bounds.most_bytes)}, "
                "more than this corpus can have"
            )
        other = spelt.setdefault(str(path).casefold(), path)
        if other is not path:
            raise CopyFailed(f'the archive holds "{other}" twice ("{path}")')
    for path in members:
        for parent in list(path.parents)[:-1]:
            if str(parent).casefold() in spelt:
                raise CopyFailed(f'in the archive, "{parent}" is a file and a folder')
    if not members and not bounds.trees:  # of trees, those that are missing are named later
        raise CopyFailed("the archive is empty")
    return members


def _safe_path(info: zipfile.ZipInfo) -> PurePosixPath:
    name = info.orig_filename  # filename is what zipfile has made of it: cut at a NUL
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise CopyFailed(f'the archive holds a link or a device ("{name}")')
    parts = name.rstrip("/").split("/")
    if name.startswith("/") or any(part in ("", ".", "..") for part in parts) or _UNSAFE.search(name):
        raise CopyFailed(f"the archive holds a path that is not safe to write ({name!r})")
    if any(len(part.encode()) > _LONGEST_NAME for part in parts):
        raise CopyFailed(f'the archive holds a name that is too long ("{name[:40]}…")')
    return PurePosixPath(*parts)


def _write(
    opened: zipfile.ZipFile,
    members: dict[PurePosixPath, zipfile.ZipInfo],
    folder: Path,
    total: int,
    name: str,
    show: Show,
) -> None:
    done = 0
    for path, info in members.items():
        target = folder / path
        with faults_of_the_disk(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with opened.open(info) as source, target.open("xb") as file:
                    # zipfile stops at the declared size and compares the CRC: no member grows beyond what was counted.
                    while piece := source.read(_PIECE_BYTES):
                        file.write(piece)
                        done += len(piece)
                        show.progress(f"unpacking {name}", done, total)
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise CopyFailed(f'{name} is damaged at "{path}" ({error})') from error


def _take_trees(raw: Path, folder: Path, bounds: Archive, name: str) -> None:
    """Keep the published folders, known by their content, and nothing else."""
    found = {}
    for candidate in sorted({path.parent for path in raw.rglob("*") if path.is_file()}):
        if all(path.is_file() for path in candidate.iterdir()):
            found[git_tree_id(candidate)] = candidate
    for tree in bounds.trees:
        if tree.git_id not in found:
            raise CopyFailed(
                f"the archive {name} holds no folder with the {tree.n_files:,} published files of {tree.folder} "
                f"(git tree {tree.git_id})"
            )
    for tree in bounds.trees:
        (folder / tree.folder).parent.mkdir(parents=True, exist_ok=True)
        found[tree.git_id].rename(folder / tree.folder)
