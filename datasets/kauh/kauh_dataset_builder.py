"""The KAUH lung sounds as a TFDS dataset: one example per recording, as ArrayRecord, without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow_datasets as tfds
from etils import epath

from jaxresp import audio, taxonomy
from jaxresp.corpus import folder as folders
from jaxresp.corpus.source import Source, SourceRecording
from jaxresp.shipped import load_module

kauh_folder = load_module("datasets/kauh/kauh_folder.py", "jaxresp._shipped_kauh_folder")
recording_builder = load_module("datasets/recording_builder.py", "jaxresp._shipped_recording_builder")


class Builder(recording_builder.RecordingBuilder):  # type: ignore[name-defined, misc]
    """Builder of the lung sounds of King Abdullah University Hospital from a folder that the user has: `manual_dir`."""

    name = "kauh"
    pkg_dir_path = epath.Path(__file__).parent
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {  # noqa: RUF012
        "1.0.0": "One example per recording, mono int16 with a scale.",
    }
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name="recordings_16k", description="At 16 kHz, the grid that is served."),
        tfds.core.BuilderConfig(name="recordings_4k", description="At 4 kHz, the native rate: nothing is resampled."),
    ]
    RATES_HZ = {"recordings_16k": audio.RATE_HZ, "recordings_4k": 4_000}  # noqa: RUF012
    INTERVALS = "events"  # none are annotated
    LABELS = ()
    CODE = (__file__, kauh_folder.__file__, folders.__file__, taxonomy.__file__)
    HOMEPAGE = "https://data.mendeley.com/datasets/jwyy9np4gv"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack the audio files of the data set (data.mendeley.com/datasets/jwyy9np4gv) and give their folder as "
        "manual_dir."
    )

    @classmethod
    def read_source(cls, path: Path, *, partial: bool) -> Source:
        return kauh_folder.read_folder(path, partial=partial, check_sound=recording_builder.check_sound)

    @classmethod
    def left_out(cls, same: Sequence[SourceRecording]) -> Mapping[str, str]:
        return kauh_folder.left_out(same)
