"""ICBHI 2017 as a TFDS dataset: one example per recording, or per breath cycle, as ArrayRecord, without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import tensorflow_datasets as tfds
from etils import epath

from jaxresp import audio
from jaxresp.corpus import folder as folders
from jaxresp.corpus.source import Source
from jaxresp.shipped import load_module

icbhi_folder = load_module("datasets/icbhi/icbhi_folder.py", "jaxresp._shipped_icbhi_folder")
recording_builder = load_module("datasets/recording_builder.py", "jaxresp._shipped_recording_builder")


class Builder(recording_builder.RecordingBuilder):  # type: ignore[name-defined, misc]
    """Builder of the ICBHI 2017 Respiratory Sound Database from a folder that the user has.

    The folder is TFDS's `manual_dir`; it may lie in the publisher's layout or in Kaggle's.
    """

    name = "icbhi"
    pkg_dir_path = epath.Path(__file__).parent
    VERSION = tfds.core.Version("2.0.0")
    RELEASE_NOTES = {  # noqa: RUF012
        "2.0.0": "The example that all our datasets share: bandwidth, disputed stethoscope, labels of the cycles; "
        "4 and 8 kHz, native rates, cycles.",
        "1.0.0": "One example per recording, mono int16 at 16 kHz with a scale.",
    }
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name="recordings_16k", description="One example per recording, at 16 kHz."),
        tfds.core.BuilderConfig(name="recordings_8k", description="One example per recording, at 8 kHz."),
        tfds.core.BuilderConfig(name="recordings_4k", description="One example per recording, at 4 kHz."),
        tfds.core.BuilderConfig(
            name="recordings_native", description="One example per recording, at its own rate (4, 10 or 44.1 kHz)."
        ),
        tfds.core.BuilderConfig(name="cycles_16k", description="One example per breath cycle, at 16 kHz."),
    ]
    RATES_HZ = {  # noqa: RUF012
        "recordings_16k": audio.RATE_HZ,
        "recordings_8k": 8_000,
        "recordings_4k": 4_000,
        "recordings_native": None,
        "cycles_16k": audio.RATE_HZ,
    }
    PER_INTERVAL = ("cycles_16k",)
    INTERVALS = "cycles"
    LABELS = icbhi_folder.published.LABELS
    CODE = (
        __file__,
        folders.__file__,
        icbhi_folder.__file__,
        icbhi_folder.tables.__file__,
        icbhi_folder.published.__file__,
    )
    HOMEPAGE = "https://bhichallenge.med.auth.gr"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Get ICBHI_final_database.zip (bhichallenge.med.auth.gr, or doi:10.7910/DVN/HT6PKI) with the three "
        "ICBHI_*.txt files beside it, or Kaggle's copy, unpacked or not, and give that folder as manual_dir."
    )

    @classmethod
    def read_source(cls, path: Path, *, partial: bool) -> Source:
        return icbhi_folder.read_folder(path, partial=partial, check_sound=recording_builder.check_sound)
