"""What the readers of publishers' folders share: which files are there, what is missing, what was meant."""

from __future__ import annotations

import difflib
import filecmp
import os
import zipfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from jaxresp.corpus.archive import ZipMember, zip_members
from jaxresp.corpus.source import DatasetError, Faults, SourceFile

_MOST_FILES = 20_000  # Kaggle's ICBHI, everything twice, has 3,700, SPRSound with all later years 16,000


def files_in(source: Path, title: str, which: str, *, beside: Collection[str] = ()) -> list[SourceFile]:
    """Every file in a folder, at any depth, in order; where no sound is among them, those in the archives there too.

    Args:
        source: what the user gave: a folder or a zip file.
        title: of the dataset, for messages.
        which: which folder to give instead, for messages; a sentence without its full stop.
        beside: names of files that count too where they lie beside a zip file that is given.

    Raises:
        DatasetError: neither a folder nor a zip file, or a folder that holds far too much.
        ArchiveError: a damaged archive.
    """
    if source.is_file() and zipfile.is_zipfile(source):
        near = [path for path in sorted(source.parent.iterdir()) if path.name in beside and path.is_file()]
        return [*near, *zip_members(source)]
    if not source.is_dir():
        raise DatasetError(f"{source} is not a folder, nor a whole zip archive. {which}")
    paths = _walk(source, title, which)
    files: list[SourceFile] = list(paths)
    if not any(path.suffix.lower() == ".wav" for path in paths):
        for path in paths:
            if path.suffix.lower() == ".zip":
                files += zip_members(path)
    return files


def _walk(folder: Path, title: str, which: str) -> list[Path]:
    """Folders that vanish while we look are passed over."""
    files: list[Path] = []
    for parent, folders, names in os.walk(folder):
        # Archives made on a Mac carry "._name.wav" and __MACOSX; neither is a recording.
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        files += (Path(parent, name) for name in names if not name.startswith("."))
        if len(files) > _MOST_FILES:
            raise DatasetError(
                f"{folder} holds more than {_MOST_FILES:,} files: "
                f"it is no {title} folder, or much more than one. {which}"
            )
    return sorted(files)


def one_of_each_name(folder: Path, files: Iterable[SourceFile]) -> dict[str, SourceFile]:
    """Files by stem, in order of the stems. Identical copies count once.

    Raises:
        DatasetError: two files of one name that differ.
    """
    faults = Faults(folder)
    by_name: dict[str, SourceFile] = {}
    for file in files:
        first = by_name.setdefault(file.stem, file)
        if first is not file and not _same(first, file):
            where = f"{_within(folder, first)} and {_within(folder, file)} differ"
            faults.add(file.name, f"two files of this name: {where}", "remove the wrong one")
    faults.raise_if_any()
    return dict(sorted(by_name.items()))


def _same(a: SourceFile, b: SourceFile) -> bool:
    if isinstance(a, ZipMember) and isinstance(b, ZipMember):
        return a.checksum == b.checksum
    if isinstance(a, Path) and isinstance(b, Path):
        return filecmp.cmp(a, b, shallow=False)
    return a.read_bytes() == b.read_bytes()


def _within(folder: Path, file: SourceFile) -> str:
    return str(file.relative_to(folder)) if isinstance(file, Path) else str(file)


def is_complete(
    folder: Path, title: str, found: Mapping[str, int], published: Mapping[str, int], *, partial: bool
) -> bool:
    """Whether a folder holds what was published, count by count.

    Args:
        folder: for the message.
        title: of the dataset, for the message.
        found: counts by what is counted; one that is missing is 0.
        published: the counts that the publisher gives.
        partial: whether less will do.

    Raises:
        DatasetError: it does not and should; says what is missing or too much.
    """
    wrong = [f"{found.get(key, 0):,} of {n:,} {key}" for key, n in published.items() if found.get(key, 0) != n]
    if wrong and not partial:
        raise DatasetError(
            f"{folder} is not the whole of {title}: {'; '.join(wrong)}. Complete the folder, "
            "or say that a part is meant with --partial (partial=True)"
        )
    return not wrong


def nearest(word: str, known: Iterable[str]) -> str:
    """What an unknown spelling was perhaps meant to be, for a fault's remedy."""
    known = list(known)
    by_folded = {each.casefold(): each for each in known}
    near = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.0)
    return f"perhaps {by_folded[near[0]]!r} is meant; known are {', '.join(map(repr, known))}"
