"""A prepared dataset ⇄ arrays ready for the device.

`prepare` builds a dataset with TFDS from a publisher's folder; `load` opens what was built, by its directory and
without the builder. TFDS is imported inside these two only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int16, Int32, Int64, Shaped

from jaxresp.errors import JaxrespError
from jaxresp.files import whole_directory
from jaxresp.shipped import load_module
from jaxresp.taxonomy import Task
from jaxresp.window import WindowConfig, cut_windows, window_starts

SPLIT = "recordings"
"""The one TFDS split of a prepared dataset; sides are drawn by patient, in jaxresp.splits."""

_BUILDERS = {"icbhi": ("datasets/icbhi/icbhi_dataset_builder.py", "jaxresp._shipped_icbhi", "recordings_16k")}
_TEXTS = ("recording", "patient", "diagnosis", "stethoscope", "location", "mode", "sex", "official_split")


class CorpusError(JaxrespError):
    """A prepared dataset that is missing, damaged or not what it should be."""


class DatasetError(CorpusError):
    """A publisher's folder that a dataset cannot be built from; the message lists every fault by file."""


@dataclass(frozen=True)
class Windows:
    """Windows cut from the recordings of a corpus.

    Attributes:
        samples: int16, one row per window.
        scale: what one step of a window's samples is worth.
        recording: the row in the corpus that a window comes from.
        start_s: where in the recording it begins, seconds.
    """

    samples: Int16[np.ndarray, "windows length"]
    scale: Float32[np.ndarray, " windows"]
    recording: Int32[np.ndarray, " windows"]
    start_s: Float32[np.ndarray, " windows"]

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True)
class Corpus:
    """All recordings of a prepared dataset, in order of their names.

    Attributes:
        name: the dataset, such as "icbhi".
        version: version of its builder.
        partial: fewer recordings than were published.
        fingerprint: SHA-256 of everything in it (of a selection: of that and of what was selected).
        rate_hz: of all recordings.
        samples: all recordings end to end.
        offsets: recording i is samples[offsets[i]:offsets[i + 1]].
        scale: what one step of a recording's samples is worth.
        recording, patient, diagnosis, stethoscope, location, mode: as published.
        sex: "F", "M" or "" where unknown.
        official_split: "train", "test" or "" where unknown.
        age_years: NaN where unknown.
        native_rate_hz, bits: of the published file.
        made_up: written by jaxresp.synthetic; nothing measured on it says anything about patients.
    """

    name: str
    version: str
    partial: bool
    fingerprint: str
    rate_hz: int
    samples: Int16[np.ndarray, " total"]
    offsets: Int64[np.ndarray, " recordings_plus_1"]
    scale: Float32[np.ndarray, " recordings"]
    recording: Shaped[np.ndarray, " recordings"]
    patient: Shaped[np.ndarray, " recordings"]
    diagnosis: Shaped[np.ndarray, " recordings"]
    stethoscope: Shaped[np.ndarray, " recordings"]
    location: Shaped[np.ndarray, " recordings"]
    mode: Shaped[np.ndarray, " recordings"]
    sex: Shaped[np.ndarray, " recordings"]
    official_split: Shaped[np.ndarray, " recordings"]
    age_years: Float32[np.ndarray, " recordings"]
    native_rate_hz: Int32[np.ndarray, " recordings"]
    bits: Int32[np.ndarray, " recordings"]
    made_up: bool = False

    def __post_init__(self) -> None:
        n = len(self.recording)
        lengths = {f.name: len(getattr(self, f.name)) for f in _per_recording()}
        for wrong, what in (
            (n == 0, "it holds no recording"),
            (any(length != n for length in lengths.values()), f"its columns differ in length ({lengths})"),
            (len(self.offsets) != n + 1, f"it has {len(self.offsets)} offsets for {n} recordings"),
            (len(np.unique(self.recording)) != n, "a recording is in it twice"),
        ):
            if wrong:
                raise CorpusError(f"corpus {self.name}: {what}; prepare it again")
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.samples) or np.any(np.diff(self.offsets) <= 0):
            raise CorpusError(f"corpus {self.name}: the recordings do not lie end to end; prepare it again")
        owners = set(zip(self.patient.tolist(), self.diagnosis.tolist(), strict=True))
        if self.name == "icbhi" and len(owners) != len(set(self.patient.tolist())):
            raise CorpusError(f"corpus {self.name}: a patient has two diagnoses; prepare it again")

    def __len__(self) -> int:
        return len(self.recording)

    def waveform(self, i: int) -> Float32[np.ndarray, " time"]:
        """Recording i at its own level: samples times scale, in float32 arithmetic."""
        return self._samples(i).astype(np.float32) * self.scale[i]

    def labels(self, task: Task) -> Int32[np.ndarray, " recordings"]:
        """The class index of every recording.

        Raises:
            UnknownLabel: a diagnosis that the task has no class for.
        """
        return task.encode(self.diagnosis.tolist())

    def select(self, rows: Shaped[np.ndarray, " selected"] | Sequence[int]) -> Corpus:
        """The corpus of some rows, in the order given."""
        rows = np.asarray(rows)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        names = "\n".join(self.recording[rows].tolist())
        return dataclasses.replace(
            self,
            fingerprint=hashlib.sha256(f"{self.fingerprint}\n{names}".encode()).hexdigest(),
            samples=np.concatenate([self._samples(i) for i in rows.tolist()]) if len(rows) else self.samples[:0],
            offsets=np.concatenate([[0], np.cumsum(np.diff(self.offsets)[rows])]).astype(np.int64),
            **{f.name: getattr(self, f.name)[rows] for f in _per_recording()},
        )

    def windows(self, config: WindowConfig) -> Windows:
        """Cut every recording as a served one is cut."""
        starts = [window_starts(int(n), self.rate_hz, config) for n in np.diff(self.offsets)]
        count = np.array([len(s) for s in starts])
        out = np.empty((int(count.sum()), config.length_samples(self.rate_hz)), np.int16)
        at = 0
        for i, n in enumerate(count):
            out[at : at + n] = cut_windows(self._samples(i), self.rate_hz, config)
            at += n
        recording = np.repeat(np.arange(len(self), dtype=np.int32), count)
        start_s = (np.concatenate(starts) / self.rate_hz).astype(np.float32)
        return Windows(out, self.scale[recording], recording, start_s)

    def patients_per_class(self, task: Task) -> dict[str, int]:
        """Number of patients of every class of a task."""
        labels = self.labels(task)
        return {name: len(set(self.patient[labels == i].tolist())) for i, name in enumerate(task.classes)}

    def recordings_per_class(self, task: Task) -> dict[str, int]:
        """Number of recordings of every class of a task."""
        counts = np.bincount(self.labels(task), minlength=len(task.classes))
        return dict(zip(task.classes, counts.tolist(), strict=True))

    def _samples(self, i: int) -> Int16[np.ndarray, " time"]:
        return self.samples[self.offsets[i] : self.offsets[i + 1]]


def _per_recording() -> list[dataclasses.Field[Any]]:
    """The fields of a Corpus with one entry per recording."""
    whole = {"name", "version", "partial", "fingerprint", "rate_hz", "samples", "offsets", "made_up"}
    return [f for f in dataclasses.fields(Corpus) if f.name not in whole]


def prepare(source: Path, data_dir: Path, *, dataset: str = "icbhi", partial: bool = False) -> Path:
    """Build a dataset with TFDS.

    The build happens beside its place and is renamed into it, so that a build that fails or is killed leaves nothing
    that looks finished. A dataset that is there already and was built by the same code from the same files (SHA-256 of
    both, kept in its metadata.json) is left as it is; one built from others is replaced.

    Args:
        source: the folder the user unpacked.
        data_dir: where prepared datasets are kept.
        dataset: which dataset; "icbhi".
        partial: whether fewer recordings than were published will do.

    Returns:
        the prepared directory, for `load`.

    Raises:
        DatasetError: the folder cannot be used; lists every fault by file name.
        CorpusError: no such dataset.
    """
    if dataset not in _BUILDERS:
        raise CorpusError(f"there is no dataset {dataset!r}; choose from {', '.join(_BUILDERS)}")
    source, data_dir = Path(source).resolve(), Path(data_dir).resolve()
    file, module_name, config = _BUILDERS[dataset]
    module = load_module(file, module_name)
    folder = module.read_source(source, partial=partial)
    target = data_dir / dataset / config / str(module.Builder.VERSION)
    with _sole_builder(target):
        if _metadata(target).get("source_sha256") == module.source_fingerprint(folder, config):
            return target
        with whole_directory(target) as part:
            _build(module.Builder, folder, source, config, part)
    return target


def load(prepared_dir: Path) -> Corpus:
    """Open a prepared dataset, in one pass over its files.

    Args:
        prepared_dir: what `prepare` returned.

    Raises:
        CorpusError: nothing finished is there, or it is not what was written.
    """
    prepared_dir = Path(prepared_dir)
    metadata = _metadata(prepared_dir)
    if "content_sha256" not in metadata:
        raise CorpusError(f"{prepared_dir} holds no prepared dataset; build one with `jaxresp prepare`")
    samples = np.empty(int(metadata["total_samples"]), np.int16)
    content, ends, rows = hashlib.sha256(), [0], []
    for example in _examples(prepared_dir):
        content.update(example_sha256(example))
        end = ends[-1] + len(example["audio"])
        if end > len(samples) or int(example["rate_hz"]) != metadata["rate_hz"]:
            break  # the fingerprint then differs as well
        samples[ends[-1] : end] = example["audio"]
        ends.append(end)
        rows.append({key: value for key, value in example.items() if key != "audio"})
    if content.hexdigest() != metadata["content_sha256"] or ends[-1] != len(samples):
        raise CorpusError(f"{prepared_dir} is not what was written there (its fingerprint differs); prepare it again")
    return Corpus(
        name=str(metadata["name"]),
        version=str(metadata["version"]),
        partial=bool(metadata["partial"]),
        fingerprint=str(metadata["content_sha256"]),
        rate_hz=int(metadata["rate_hz"]),
        samples=samples,
        offsets=np.array(ends, np.int64),
        scale=np.array([row["scale"] for row in rows], np.float32),
        age_years=np.array([row["age_years"] for row in rows], np.float32),
        native_rate_hz=np.array([row["native_rate_hz"] for row in rows], np.int32),
        bits=np.array([row["bits"] for row in rows], np.int32),
        made_up=bool(metadata["made_up"]),
        **{key: np.array([_text(row[key]) for row in rows], np.str_) for key in _TEXTS},
    )


def example_sha256(example: Mapping[str, Any]) -> bytes:
    """SHA-256 of the values of an example, the same before it is written and after it is read."""
    digest = hashlib.sha256()
    for key in sorted(example):
        value = example[key]
        part: bytes | memoryview
        if isinstance(value, Mapping):
            part = example_sha256(value)
        elif isinstance(value, str | bytes):
            part = _text(value).encode()
        elif np.ndim(value) == 0:  # TFDS reads float32 and int32 scalars as Python's
            array = np.asarray(value)
            part = array.astype("<f4" if array.dtype.kind == "f" else "<i8").tobytes()
        else:
            part = np.ascontiguousarray(value).data.cast("B") if np.size(value) else b""
        digest.update(f"{key} {len(part)} ".encode())
        digest.update(part)
    return digest.digest()


def _examples(prepared_dir: Path) -> Iterator[dict[str, Any]]:
    """The examples of a prepared directory, in the order they were written."""
    import tensorflow_datasets as tfds

    try:
        yield from tfds.builder_from_directory(prepared_dir).as_data_source(SPLIT)
    # what TFDS and array_record raise on files that are missing, cut short or altered
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise CorpusError(f"{prepared_dir} cannot be read ({error}); prepare it again") from error


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _metadata(prepared_dir: Path) -> dict[str, Any]:
    """What the builder noted about a finished build; empty where there is none."""
    file = prepared_dir / "metadata.json"
    if not file.is_file() or not (prepared_dir / "dataset_info.json").is_file():
        return {}
    try:
        return dict(json.loads(file.read_text()))
    except ValueError as error:
        raise CorpusError(f"{file} is damaged ({error}); remove {prepared_dir} and prepare it again") from error


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
