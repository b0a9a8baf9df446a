"""What the readers of publishers' folders share: which files are there, what is missing, what was meant."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from jaxresp.corpus.source import DatasetError, Faults

_MOST_FILES = 20_000  # the largest of our datasets, unpacked with all its extras, has 11,000; a home folder has more


def files_in(folder: Path, title: str, which: str) -> list[Path]:
    """Every file in a folder, at any depth, in order. Folders that vanish while we look are passed over.

    Args:
        folder: what the user gave.
        title: of the dataset, for messages.
        which: which folder to give instead, for messages; a sentence without its full stop.

    Raises:
        DatasetError: no folder, or one that holds far too much.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder. {which}")
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


def one_of_each_name(folder: Path, paths: Iterable[Path]) -> dict[str, Path]:
    """Files by stem, in order of the stems. Identical copies count once.

    Raises:
        DatasetError: two files of one name that differ.
    """
    faults = Faults(folder)
    by_name: dict[str, Path] = {}
    for path in paths:
        first = by_name.setdefault(path.stem, path)
        if first != path and first.read_bytes() != path.read_bytes():
            where = f"{first.relative_to(folder)} and {path.relative_to(folder)} differ"
            faults.add(path.name, f"two files of this name: {where}", "remove the wrong one")
    faults.raise_if_any()
    return dict(sorted(by_name.items()))


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
