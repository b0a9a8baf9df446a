"""What the builders of all our datasets share: from a checked folder to examples of the one schema, without TensorFlow.

A dataset is a folder datasets/<name>/ with a reader of the publisher's folder and a `Builder` derived from this one.
Loaded from its file by `jaxresp.shipped.load_module`, only to build; `jaxresp.corpus.load` opens what it has built.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxresp import audio
from jaxresp.audio import DEFAULT_LIMITS, AudioError, AudioLimits, read_audio
from jaxresp.corpus import schema
from jaxresp.corpus import source as sources
from jaxresp.corpus.source import SOUND_REMEDY, Annotations, Faults, Source, SourceRecording

_BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64}


class RecordingBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Builder of one example per recording from a folder that the user has: TFDS's `manual_dir`."""

    INTERVALS: ClassVar[str]  # what its annotations are: "cycles" or "events"
    LABELS: ClassVar[tuple[str, ...]]  # the names an annotation's label may have
    RATES_HZ: ClassVar[Mapping[str, int]]  # of each configuration
    CODE: ClassVar[tuple[str, ...]]  # the files, beside this one and audio.py, that decide what the examples are
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
    def source_fingerprint(cls, folder: Source, config: str) -> str:
        """SHA-256 of all that decides the examples: the files, what the metadata says, and the code that makes them."""
        digest = hashlib.sha256(f"{cls.name} {config} {cls.VERSION} {folder.partial} {folder.made_up}".encode())
        for code in (audio.__file__, schema.__file__, sources.__file__, __file__, *cls.CODE):
            digest.update(hashlib.sha256(Path(str(code)).read_bytes()).digest())
        for recording in folder.recordings:
            told = asdict(recording) | {"wav": "", "annotations": ""}  # both are in the hash of the files' content
            digest.update(repr(sorted(told.items())).encode())
        return digest.hexdigest()

    @property
    def rate_hz(self) -> int:
        """Sampling rate of this configuration's examples."""
        return self.RATES_HZ[self.builder_config.name]

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=schema.example_features(self.INTERVALS, self.LABELS),
            supervised_keys=None,
            homepage=self.HOMEPAGE,
            disable_shuffling=True,  # examples lie in the order of their names
            metadata=tfds.core.MetadataDict(
                name=self.name,
                version=str(self.VERSION),
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
            made_up=folder.made_up,
            findings=list(folder.findings),
            excluded=dict(folder.excluded),
            source_sha256=self.source_fingerprint(folder, self.builder_config.name),
        )
        return {schema.SPLIT: self._generate_examples(folder, path)}

    def _generate_examples(self, folder: Source, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
        faults = Faults(path)
        content, total = hashlib.sha256(), 0
        for key, recording in enumerate(folder.recordings):
            example = self._example(recording, faults)
            if example is None:  # told with all others at the end
                continue
            total += example["audio"].size
            content.update(schema.example_sha256(example))
            yield key, example
        faults.raise_if_any()
        self.info.metadata.update(content_sha256=content.hexdigest(), total_samples=total)

    def _example(self, recording: SourceRecording, faults: Faults) -> dict[str, Any] | None:
        try:
            sound = read_audio(recording.wav, rate_hz=self.rate_hz, limits=self.LIMITS)
        except AudioError as error:
            faults.add(recording.wav.name, sound_fault(recording.wav, error), SOUND_REMEDY)
            return None
        trouble = recording.annotations.fault(sound.facts.duration_s)
        if trouble is not None:
            faults.add(recording.annotation_file, trouble, "restore the annotation that belongs to the sound")
            return None
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
        return {
            "audio": sound.samples,
            "recording": recording.name,
            **{key: getattr(recording, key) for key in schema.TEXTS if key != "recording"},
            **{key: np.float32(value) for key, value in numbers.items()},
            **{key: np.int32(value) for key, value in whole.items()},
            self.INTERVALS: self._intervals(recording.annotations),
        }

    def _intervals(self, annotations: Annotations) -> dict[str, Any]:
        columns = {key: getattr(annotations, key) for key in ("start_s", "end_s", "crackle", "wheeze")}
        return columns | {"label": [self.LABELS.index(label) for label in annotations.label.tolist()]}


def check_sound(wav: Path, limits: AudioLimits = DEFAULT_LIMITS) -> str | None:
    """What is wrong with a sound file, or None."""
    try:
        read_audio(wav, limits=limits)
    except AudioError as error:
        return sound_fault(wav, error)
    return None


def sound_fault(wav: Path, error: AudioError) -> str:
    """What is wrong with a sound file, without the remedy at the end, which is meant for an upload."""
    return str(error).removeprefix(f"{wav.name}: ").rpartition("; ")[0] or str(error)
