"""What the builders of all our datasets share: from a checked folder to examples of the one schema, without TensorFlow.

Sounds are decoded in several threads (libsndfile, soxr, NumPy and hashing leave the others alone) and written in order.

A dataset is a folder datasets/<name>/ with a reader of the publisher's folder and a `Builder` derived from this one.
Loaded from its file by `jaxresp.shipped.load_module`, only to build; `jaxresp.corpus.load` opens what it has built.
"""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import tensorflow_datasets as tfds

from jaxresp import audio, audio_facts
from jaxresp.audio import DEFAULT_LIMITS, AudioError, AudioLimits, Recording, read_audio
from jaxresp.corpus import archive, findings, schema
from jaxresp.corpus import source as sources
from jaxresp.corpus.archive import ArchiveError, ZipMember
from jaxresp.corpus.source import SOUND_REMEDY, Annotations, Faults, Source, SourceFile, SourceRecording

_BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64}

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


class _Fault(NamedTuple):
    """As `Faults.add` takes it."""

    file: str
    what: str
    remedy: str


@dataclass(frozen=True)
class _Heard:
    """A recording once its sound is known: its examples, their hashes, and what the findings are drawn from."""

    examples: list[dict[str, Any]]
    sha256: list[bytes]
    sound_sha256: bytes
    duration_s: float


class RecordingBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Builder of one example per recording, or per annotated interval, from a folder that the user has.

    The folder is TFDS's `manual_dir`.
    """

    INTERVALS: ClassVar[str]  # what its annotations are: "cycles" or "events"
    LABELS: ClassVar[tuple[str, ...]]  # the names an annotation's label may have
    RATES_HZ: ClassVar[Mapping[str, int | None]]  # of each configuration; None: every recording at its own
    PER_INTERVAL: ClassVar[tuple[str, ...]] = ()  # the configurations with an example per annotated interval
    CODE: ClassVar[tuple[str, ...]]  # the dataset's own files that decide what the examples are
    HOMEPAGE: ClassVar[str]
    LIMITS: ClassVar[AudioLimits] = DEFAULT_LIMITS  # what its sounds are held to

    def __init__(self, *, folder: Source | None = None, partial: bool = False, **kwargs: Any) -> None:
        """A builder.

        Args:
            folder: what `read_source` gave; without it, TFDS's manual_dir is read.
            partial: whether to build from less than was published; the metadata then says so.
            kwargs: TFDS's own.
        """
        self._folder, self._partial = folder, partial
        super().__init__(**kwargs)

    @classmethod
    @abstractmethod
    def read_source(cls, path: Path, *, partial: bool) -> Source:
        """The folder, checked.

        Raises:
            DatasetError: listing every fault.
        """

    @classmethod
    def left_out(cls, same: Sequence[SourceRecording]) -> Mapping[str, str]:
        """Which of some recordings of one and the same sound `load` leaves out unless all are asked for, and why.

        None of them, unless a dataset says otherwise.

        Args:
            same: two or more, in order of their names.

        Returns:
            name → reason.
        """
        return {}

    @classmethod
    def source_fingerprint(cls, folder: Source, config: str) -> str:
        """SHA-256 of all that decides the examples: the files, what the metadata says, and the code that makes them."""
        digest = hashlib.sha256(f"{cls.name} {config} {cls.VERSION} {folder.partial} {folder.made_up}".encode())
        shared = (audio, audio_facts, archive, findings, schema, sources)
        for code in (*(module.__file__ for module in shared), __file__, *cls.CODE):
            digest.update(hashlib.sha256(Path(str(code)).read_bytes()).digest())
        for recording in folder.recordings:
            # the sound and its annotations are in the hash of the files' content
            told = [(f.name, getattr(recording, f.name)) for f in fields(recording) if f.name not in _IN_FILES]
            digest.update(repr(told).encode())
        return digest.hexdigest()

    @property
    def rate_hz(self) -> int | None:
        """Sampling rate of this configuration's examples; None where each has its own."""
        return self.RATES_HZ[self.builder_config.name]

    @property
    def examples(self) -> str:
        """What an example is, and the name of the TFDS split: "recordings", or what the dataset calls its intervals."""
        return self.INTERVALS if self.builder_config.name in self.PER_INTERVAL else schema.SPLIT

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=schema.example_features(self.INTERVALS, self.LABELS)
            if self.examples == schema.SPLIT
            else schema.interval_features(self.LABELS),
            supervised_keys=None,
            homepage=self.HOMEPAGE,
            disable_shuffling=True,  # examples lie in the order of their names
            metadata=tfds.core.MetadataDict(
                name=self.name,
                version=str(self.VERSION),
                examples=self.examples,
                rate_hz=self.rate_hz,
                intervals=self.INTERVALS,
                annotation_labels=list(self.LABELS),
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        path = Path(dl_manager.manual_dir)
        folder = self._folder or self.read_source(path, partial=self._partial)
        self.info.metadata.update(
            partial=folder.partial,
            version=f"{self.VERSION}+partial" if folder.partial else str(self.VERSION),
            made_up=folder.made_up,
            source_sha256=self.source_fingerprint(folder, self.builder_config.name),
        )
        return {self.examples: self._generate_examples(folder, path)}

    def _generate_examples(self, folder: Source, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
        faults = Faults(path)
        content, total, key = hashlib.sha256(), 0, 0
        sounds, durations_s = [], []
        for heard in _in_order(self._hear, folder.recordings):
            if isinstance(heard, _Fault):
                faults.add(*heard)  # told with all others at the end
                continue
            sounds.append(heard.sound_sha256)
            durations_s.append(heard.duration_s)
            for example, sha256 in zip(heard.examples, heard.sha256, strict=True):
                total += example["audio"].size
                content.update(sha256)
                yield key, example
                key += 1
        faults.raise_if_any()
        same_sounds = findings.same_sounds(folder.recordings, sounds)
        left_out = {name: why for same in same_sounds for name, why in self.left_out(same).items()}
        self.info.metadata.update(
            content_sha256=content.hexdigest(),
            total_examples=key,
            total_samples=total,
            left_out=left_out,
            findings=[
                *folder.findings,
                *findings.duplicates(same_sounds),
                *(f"{name} is left out unless everything is asked for: {why}" for name, why in left_out.items()),
                *findings.cut_annotations(folder.recordings, durations_s),
            ],
        )

    def _hear(self, recording: SourceRecording) -> _Heard | _Fault:
        try:
            sound = _read(recording.wav, self.rate_hz, self.LIMITS)
        except (AudioError, ArchiveError) as error:
            return _Fault(recording.wav.name, sound_fault(recording.wav, error), SOUND_REMEDY)
        trouble = recording.annotations.fault(sound.facts.duration_s)
        if trouble is not None:
            return _Fault(recording.annotation_file, trouble, "restore the annotation that belongs to the sound")
        examples = self._examples(recording, sound)
        hashes = [schema.example_sha256(example) for example in examples]
        return _Heard(examples, hashes, hashlib.sha256(sound.samples.data).digest(), sound.facts.duration_s)

    def _examples(self, recording: SourceRecording, sound: Recording) -> list[dict[str, Any]]:
        numbers = {
            "scale": sound.scale,
            "bandwidth_hz": sound.facts.bandwidth_hz,
            **{key: getattr(recording, key) for key in ("age_years", "bmi", "weight_kg", "height_cm")},
        }
        whole = {
            "rate_hz": sound.rate_hz,
            "native_rate_hz": sound.facts.native_rate_hz,
            "bits": _BITS.get(sound.facts.subtype, 0),
            "channels": sound.facts.channels,
        }
        told = {
            "recording": recording.name,
            **{key: getattr(recording, key) for key in schema.TEXTS if key != "recording"},
            **{key: np.float32(value) for key, value in numbers.items()},
            **{key: np.int32(value) for key, value in whole.items()},
        }
        intervals = self._intervals(recording.annotations)
        if self.examples == schema.SPLIT:
            return [told | {"audio": sound.samples, self.INTERVALS: intervals}]
        return [
            told | _interval(number, dict(zip(intervals, values, strict=True)), sound)
            for number, values in enumerate(zip(*intervals.values(), strict=True))
        ]

    def _intervals(self, annotations: Annotations) -> dict[str, Any]:
        columns = {key: getattr(annotations, key) for key in ("start_s", "end_s", "crackle", "wheeze")}
        return columns | {"label": [self.LABELS.index(label) for label in annotations.label.tolist()]}


_IN_FILES = ("wav", "annotations")


def _interval(number: int, annotation: dict[str, Any], sound: Recording) -> dict[str, Any]:
    """What an example has of one annotated interval: its sound, as it is stored in the recording's example."""
    end_s = float(annotation["end_s"])
    first, last = round(float(annotation["start_s"]) * sound.rate_hz), round(end_s * sound.rate_hz)
    cut = np.bool_(end_s > sound.facts.duration_s)
    return annotation | {"audio": sound.samples[first:last], "number": np.int32(number), "cut": cut}


def _in_order(make: Callable[[_Item], _Made], items: Iterable[_Item]) -> Iterator[_Made]:
    """`map` in threads, a few items ahead of whoever takes them: so memory does not grow with their number."""
    workers = min(8, os.cpu_count() or 1)
    ahead: deque[Future[_Made]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                ahead.append(pool.submit(make, item))
                if len(ahead) > 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _read(wav: SourceFile, rate_hz: int | None, limits: AudioLimits) -> Recording:
    if isinstance(wav, ZipMember):
        return read_audio(wav.read_bytes(), rate_hz=rate_hz, limits=limits, name=wav.name)
    return read_audio(wav, rate_hz=rate_hz, limits=limits)


def check_sound(wav: SourceFile, limits: AudioLimits = DEFAULT_LIMITS) -> str | None:
    """What is wrong with a sound file, or None."""
    try:
        _read(wav, audio.RATE_HZ, limits)
    except (AudioError, ArchiveError) as error:
        return sound_fault(wav, error)
    return None


def sound_fault(wav: SourceFile, error: AudioError | ArchiveError) -> str:
    """What is wrong with a sound file, without the remedy at the end, which is meant for an upload."""
    told = str(error).removeprefix(f"{wav.name}: ")
    return told.rpartition("; ")[0] or told
