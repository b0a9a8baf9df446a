"""A publisher's folder → a prepared dataset, built by TFDS, whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import io
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

from jaxresp.corpus.loading import read_metadata
from jaxresp.corpus.source import CorpusError
from jaxresp.files import whole_directory
from jaxresp.shipped import load_module


class _Dataset(NamedTuple):
    """Where a builder lies, and under which module name it is loaded."""

    file: str
    module: str


DATASETS: Mapping[str, _Dataset] = MappingProxyType(
    {
        name: _Dataset(f"datasets/{name}/{name}_dataset_builder.py", f"jaxresp._shipped_{name}")
        for name in ("icbhi", "sprsound", "kauh")
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
    return load_module(*DATASETS[dataset])


def prepare(
    source: Path, data_dir: Path, *, dataset: str = "icbhi", config: str = "recordings_16k", partial: bool = False
) -> Path:
    """Build a dataset with TFDS.

    The build happens beside its place and is renamed into it, so that a build that fails or is killed leaves nothing
    that looks finished. A dataset that is there already and was built by the same code from the same files (SHA-256 of
    both, kept in its metadata.json) is left as it is; one built from others is replaced.

    Args:
        source: the folder the user unpacked.
        data_dir: where prepared datasets are kept.
        dataset: which dataset; a key of DATASETS.
        config: which of its configurations.
        partial: whether fewer recordings than were published will do.

    Returns:
        the prepared directory, for `load`.

    Raises:
        DatasetError: the folder cannot be used; lists every fault by file name.
        CorpusError: no such dataset, or no such configuration of it.
    """
    source, data_dir = Path(source).resolve(), Path(data_dir).resolve()
    builder_class = builder_module(dataset).Builder
    known = [each.name for each in builder_class.BUILDER_CONFIGS]
    if config not in known:
        raise CorpusError(f"{dataset} has no configuration {config!r}; choose from {', '.join(known)}")
    folder = builder_class.read_source(source, partial=partial)
    target = data_dir / dataset / config / str(builder_class.VERSION)
    with _sole_builder(target):
        if read_metadata(target).get("source_sha256") == builder_class.source_fingerprint(folder, config):
            return target
        with whole_directory(target) as part:
            _build(builder_class, folder, source, config, part)
    return target


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
                manual_dir=source, compute_stats=tfds.download.ComputeStatsMode.SKIP
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
        fcntl.flock(lock, fcntl.LOCK_EX)  # released by the system when a process dies
        for left in target.parent.glob(f".{target.name}.*"):
            shutil.rmtree(left)
        yield
