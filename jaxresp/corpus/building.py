"""A publisher's folder → a prepared dataset, built by TFDS, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import logging
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

from jaxresp.corpus.archive import ArchiveError, zip_members
from jaxresp.corpus.loading import read_metadata
from jaxresp.corpus.source import CorpusError
from jaxresp.files import whole_directory
from jaxresp.shipped import load_module

_LOG = logging.getLogger(__name__)
_MOST_FILES = 20_000  # looked at to guess a dataset


class _Dataset(NamedTuple):
    """Where a builder lies, under which module name it is loaded, and how its sound files are called."""

    file: str
    module: str
    sound_name: str


DATASETS: Mapping[str, _Dataset] = MappingProxyType(
    {
        "icbhi": _Dataset(
            "datasets/icbhi/icbhi_dataset_builder.py",
            "jaxresp._shipped_icbhi",
            r"\d{3}_\w+?_(Tc|[APL][lr])_(sc|mc)_\w+\.wav",
        ),
        "sprsound": _Dataset(
            "datasets/sprsound/sprsound_dataset_builder.py",
            "jaxresp._shipped_sprsound",
            r"\d+_\d+(\.\d+)?_[01]_p[1-4]_\d+\.wav",
        ),
        "kauh": _Dataset(
            "datasets/kauh/kauh_dataset_builder.py",
            "jaxresp._shipped_kauh",
            r"[BDE]P\d+_[^,]*(,[^,]*){4}\.wav",
        ),
    }
)
"""The datasets that can be prepared, by name."""


def builder_module(dataset: str) -> ModuleType:
    """The module of a dataset's builder.

    Raises:
        CorpusError: no such dataset.
    """
    if dataset not in DATASETS:
        raise CorpusError(f"there is no dataset {dataset!r}; choose from {', '.join(DATASETS)}")
    return load_module(DATASETS[dataset].file, DATASETS[dataset].module)


def guess_dataset(source: Path) -> str:
    """Which dataset a folder, or an archive, holds, by the names of the sound files in it.

    Raises:
        CorpusError: no sound file there is named as in any of the datasets, or an archive is damaged.
    """
    seen: Counter[str] = Counter()
    for name in _file_names(Path(source)):
        seen.update(each for each, dataset in DATASETS.items() if re.fullmatch(dataset.sound_name, name))
    if not seen:
        raise CorpusError(
            f"{source}: no sound file in it is named as in any dataset known here ({', '.join(DATASETS)}); "
            "give the folder as its publisher laid it out, or name the dataset to be told what is wrong"
        )
    return seen.most_common(1)[0][0]


def _file_names(source: Path) -> Iterator[str]:
    """Of some thousand files, in a folder and in the archives there."""
    archives = [source] if source.is_file() else []
    looked_at = 0
    for parent, _, names in os.walk(source):
        looked_at += len(names)
        archives += [Path(parent, name) for name in names if name.lower().endswith(".zip")]
        yield from names
        if looked_at > _MOST_FILES:
            break
    for archive in archives:
        try:
            yield from (member.name for member in zip_members(archive))
        except ArchiveError as error:
            raise CorpusError(str(error)) from error


def prepare(
    source: Path, data_dir: Path, *, dataset: str = "icbhi", config: str = "recordings_16k", partial: bool = False
) -> Path:
    """Build a dataset with TFDS.

    The build happens beside its place and is renamed into it, so that a build that fails or is killed leaves nothing
    that looks finished. A dataset that is there already and was built by the same code from the same files (SHA-256 of
    both, kept in its metadata.json) is left as it is; one built from others is replaced. A second build of the same
    dataset waits for the first, and then finds that there is nothing left to do.

    Args:
        source: the folder the user unpacked, or its archive.
        data_dir: where prepared datasets are kept.
        dataset: which dataset; a key of DATASETS.
        config: which of its configurations.
        partial: whether fewer recordings than were published will do.

    Returns:
        the prepared directory, for `load`.

    Raises:
        DatasetError: the folder cannot be used; lists every fault by file name.
        CorpusError: no such dataset, or no such configuration of it; or `data_dir` cannot be written to.
    """
    source, data_dir = Path(source).resolve(), Path(data_dir).resolve()
    builder_class = builder_module(dataset).Builder
    known = [each.name for each in builder_class.BUILDER_CONFIGS]
    if config not in known:
        raise CorpusError(f"{dataset} has no configuration {config!r}; choose from {', '.join(known)}")
    folder = builder_class.read_source(source, partial=partial)
    target = data_dir / dataset / config / str(builder_class.VERSION)
    with _writing(target), _sole_builder(target):
        if read_metadata(target).get("source_sha256") == builder_class.source_fingerprint(folder, config):
            return target
        with whole_directory(target) as part:
            _build(builder_class, folder, source, config, part)
    return target


@contextlib.contextmanager
def _writing(target: Path) -> Iterator[None]:
    """A disk that is full or read-only is told as such; whatever was written is gone by then."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise CorpusError(f"{target} could not be written: {reason}. {_FREE_SPACE}") from error
        raise CorpusError(
            f"{target} could not be written: {reason} ({error.filename or 'no file named'}); "
            "make that folder writable, or choose another for prepared datasets (--data)"
        ) from error
    except RuntimeError as error:  # what ArrayRecord raises
        failed = re.search(r"write\(\) failed: ([^;]+); writing ", str(error))
        if failed is None:
            raise
        raise CorpusError(f"{target} could not be written: {failed[1]}. {_FREE_SPACE}") from error


_FREE_SPACE = "Nothing was kept; make room, or choose another folder for prepared datasets (--data)"


def _build(builder_class: Any, folder: Any, source: Path, config: str, part: Path) -> None:
    """Run TFDS inside `part` and leave nothing but the dataset in it."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()  # the command line shows its own
    inner = part / "build"
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS announces itself by print()
        builder = builder_class(folder=folder, data_dir=inner, config=config, file_format="array_record")
        builder.download_and_prepare(
            download_dir=part / "download",
            download_config=tfds.download.DownloadConfig(
                manual_dir=source if source.is_dir() else source.parent,
                compute_stats=tfds.download.ComputeStatsMode.SKIP,
            ),
        )
    for file in Path(builder.data_dir).iterdir():
        file.rename(part / file.name)
    shutil.rmtree(inner)
    shutil.rmtree(part / "download", ignore_errors=True)


@contextlib.contextmanager
def _sole_builder(target: Path) -> Iterator[None]:
    """Let one process at a time build here, and clear away what a killed one left."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _LOG.warning("another process is building %s; waiting for it", target)
            fcntl.flock(lock, fcntl.LOCK_EX)  # released by the system when a process dies
        for left in target.parent.glob(f".{target.name}.*"):
            shutil.rmtree(left)
        yield
