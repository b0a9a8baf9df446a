"""ICBHI 2017 as a TFDS dataset: one example per recording, written as ArrayRecord, without TensorFlow.

Loaded from its file by `jaxresp.shipped.load_module`, only to build. `jaxresp.corpus` opens what it has built.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from jaxresp import audio
from jaxresp.audio import AudioError, read_audio
from jaxresp.corpus import SPLIT, example_sha256
from jaxresp.shipped import load_module

icbhi_folder = load_module("datasets/icbhi/icbhi_folder.py", "jaxresp._shipped_icbhi_folder")

_BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64}


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builder of the ICBHI 2017 Respiratory Sound Database from a folder that the user has.

    The folder is TFDS's `manual_dir`; it may lie in the publisher's layout or in Kaggle's.
    """

    name = "icbhi"
    pkg_dir_path = epath.Path(__file__).parent
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "One example per recording, mono int16 at 16 kHz with a scale."}  # noqa: RUF012
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name="recordings_16k", description="One example per recording, at 16 kHz."),
    ]
    RATES_HZ = {"recordings_16k": audio.RATE_HZ}  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack ICBHI_final_database.zip (bhichallenge.med.auth.gr, or doi:10.7910/DVN/HT6PKI) with the three "
        "ICBHI_*.txt files beside it, or Kaggle's copy, and give that folder as manual_dir."
    )

    def __init__(self, *, folder: Any = None, partial: bool = False, **kwargs: Any) -> None:
        """A builder.

        Args:
            folder: what `read_source` gave; without it, TFDS's manual_dir is read.
            partial: whether to build from fewer than the 920 published recordings; the metadata then says so.
            kwargs: TFDS's own.
        """
        self._folder, self._partial = folder, partial
        super().__init__(**kwargs)

    @property
    def rate_hz(self) -> int:
        """Sampling rate of this configuration's examples."""
        return self.RATES_HZ[self.builder_config.name]

    def _info(self) -> tfds.core.DatasetInfo:
        f = tfds.features
        integers = ("rate_hz", "native_rate_hz", "bits", "channels")
        floats = ("scale", "age_years", "bmi", "weight_kg", "height_cm")
        texts = (
            "recording",
            "patient",
            "index",
            "location",
            "mode",
            "stethoscope",
            "sex",
            "diagnosis",
            "official_split",
        )
        cycles = {"start_s": np.float32, "end_s": np.float32, "crackle": np.bool_, "wheeze": np.bool_}
        return self.dataset_info_from_configs(
            features=f.FeaturesDict(
                # int16 is written as bytes: TFDS would otherwise store every sample as a 64-bit integer.
                {"audio": f.Tensor(shape=(None,), dtype=np.int16, encoding="bytes")}
                | {key: f.Scalar(np.int32) for key in integers}
                | {key: f.Scalar(np.float32) for key in floats}
                | {key: f.Text() for key in texts}
                | {"cycles": f.FeaturesDict({k: f.Tensor(shape=(None,), dtype=d) for k, d in cycles.items()})}
            ),
            supervised_keys=None,
            homepage="https://bhichallenge.med.auth.gr",
            disable_shuffling=True,  # examples lie in the order of their names
            metadata=tfds.core.MetadataDict(name=self.name, version=str(self.VERSION), rate_hz=self.rate_hz),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        path = Path(dl_manager.manual_dir)
        folder = self._folder or read_source(path, partial=self._partial)
        self.info.metadata.update(
            partial=folder.partial,
            made_up=folder.made_up,
            source_sha256=source_fingerprint(folder, self.builder_config.name),
        )
        return {SPLIT: self._generate_examples(folder, path)}

    def _generate_examples(self, folder: Any, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
        faults = icbhi_folder.Faults(path)
        content, total = hashlib.sha256(), 0
        for key, entry in enumerate(folder.entries):
            try:
                recording = read_audio(entry.wav, rate_hz=self.rate_hz)
            except AudioError as error:  # told with all others at the end
                faults.add(entry.wav.name, _fault(entry.wav, error), icbhi_folder.SOUND_REMEDY)
                continue
            trouble = icbhi_folder.cycle_fault(entry.cycles, recording.facts.duration_s)
            if trouble is not None:
                faults.add(f"{entry.name}.txt", trouble, "restore the annotation that belongs to the sound")
                continue
            example = {
                "audio": recording.samples,
                "scale": np.float32(recording.scale),
                "rate_hz": np.int32(recording.rate_hz),
                "native_rate_hz": np.int32(recording.facts.native_rate_hz),
                "bits": np.int32(_BITS.get(recording.facts.subtype, 0)),
                "channels": np.int32(recording.facts.channels),
                "recording": entry.name,
                **{k: getattr(entry, k) for k in ("patient", "index", "location", "mode", "stethoscope", "diagnosis")},
                "official_split": entry.official_split,
                "sex": entry.demographics.sex,
                **{
                    k: np.float32(getattr(entry.demographics, k))
                    for k in ("age_years", "bmi", "weight_kg", "height_cm")
                },
                "cycles": {k: getattr(entry.cycles, k) for k in ("start_s", "end_s", "crackle", "wheeze")},
            }
            total += recording.samples.size
            content.update(example_sha256(example))
            yield key, example
        faults.raise_if_any()
        self.info.metadata.update(content_sha256=content.hexdigest(), total_samples=total)


def read_source(path: Path, *, partial: bool) -> Any:
    """The folder, checked (an IcbhiFolder).

    Raises:
        DatasetError: listing every fault.
    """

    def check_sound(wav: Path) -> str | None:
        try:
            read_audio(wav)
        except AudioError as error:
            return _fault(wav, error)
        return None

    return icbhi_folder.read_folder(path, partial=partial, check_sound=check_sound)


def _fault(wav: Path, error: AudioError) -> str:
    """What is wrong with a sound file, without the remedy at the end, which is meant for an upload."""
    return str(error).removeprefix(f"{wav.name}: ").rpartition("; ")[0] or str(error)


def source_fingerprint(folder: Any, config: str) -> str:
    """SHA-256 of all that decides the examples: the files, what the metadata says, and the code that makes them."""
    digest = hashlib.sha256(f"{config} {Builder.VERSION} {folder.partial} {folder.made_up}".encode())
    for code in (audio.__file__, icbhi_folder.__file__, __file__):
        digest.update(hashlib.sha256(Path(str(code)).read_bytes()).digest())
    for entry in folder.entries:
        told = (entry.name, entry.diagnosis, entry.official_split, entry.demographics, entry.sha256)
        digest.update(repr(told).encode())
    return digest.hexdigest()
