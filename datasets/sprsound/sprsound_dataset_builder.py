"""SPRSound (2022/2023 release) as a TFDS dataset: one example per recording, as ArrayRecord, without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial as bind
from pathlib import Path

import tensorflow_datasets as tfds
from etils import epath

from jaxresp import audio, taxonomy
from jaxresp.audio import AudioLimits
from jaxresp.corpus import folder as folders
from jaxresp.corpus.source import Source, SourceRecording
from jaxresp.shipped import load_module

sprsound_folder = load_module("datasets/sprsound/sprsound_folder.py", "jaxresp._shipped_sprsound_folder")
recording_builder = load_module("datasets/recording_builder.py", "jaxresp._shipped_recording_builder")


class Builder(recording_builder.RecordingBuilder):  # type: ignore[name-defined, misc]
    """Builder of the SJTU Paediatric Respiratory Sound Database from a folder that the user has: `manual_dir`."""

    name = "sprsound"
    pkg_dir_path = epath.Path(__file__).parent
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {  # noqa: RUF012
        "1.0.0": "One example per recording with its events, mono int16 with a scale.",
    }
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name="recordings_16k", description="At 16 kHz, the grid that is served."),
        tfds.core.BuilderConfig(name="recordings_8k", description="At 8 kHz, the native rate: nothing is resampled."),
    ]
    RATES_HZ = {"recordings_16k": audio.RATE_HZ, "recordings_8k": 8_000}  # noqa: RUF012
    INTERVALS = "events"
    LABELS = taxonomy.SPRSOUND_EVENTS
    CODE = (__file__, sprsound_folder.__file__, folders.__file__, taxonomy.__file__)
    # One of the published recordings (65039232_6.4_1_p1_373) lasts 0.30 s.
    LIMITS = AudioLimits(min_duration_s=0.25)
    HOMEPAGE = "https://github.com/SJTU-YONGFU-RESEARCH-GRP/SPRSound"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Clone or download github.com/SJTU-YONGFU-RESEARCH-GRP/SPRSound and give its BioCAS2022 folder (train2022_wav, "
        "train2022_json, test2022_wav, test2022_json), or the 2022 release (train_wav, ...), as manual_dir."
    )

    @classmethod
    def read_source(cls, path: Path, *, partial: bool) -> Source:
        check_sound = bind(recording_builder.check_sound, limits=cls.LIMITS)
        return sprsound_folder.read_folder(path, partial=partial, check_sound=check_sound)

    @classmethod
    def left_out(cls, same: Sequence[SourceRecording]) -> Mapping[str, str]:
        return sprsound_folder.left_out(same)
