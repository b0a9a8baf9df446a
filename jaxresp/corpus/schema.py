"""The example that every dataset writes, one per recording, and that `load` reads back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SPLIT = "recordings"
"""The one TFDS split of a dataset of recordings; sides are drawn by patient, in jaxresp.splits."""

TEXTS = (
    "recording",
    "patient",
    "index",
    "location",
    "mode",
    "stethoscope",
    "stethoscope_disputed",
    "sex",
    "diagnosis",
    "diagnosis_published",
    "sound_label",
    "official_split",
)
FLOATS = ("scale", "age_years", "bmi", "weight_kg", "height_cm", "bandwidth_hz")
INTEGERS = ("rate_hz", "native_rate_hz", "bits", "channels")


def example_features(intervals: str, labels: Sequence[str]) -> Any:
    """The TFDS features of an example that is a recording.

    Args:
        intervals: what the dataset calls its annotations, "cycles" or "events".
        labels: the names that an annotation's label may have.
    """
    import tensorflow_datasets as tfds

    f = tfds.features
    return f.FeaturesDict(
        _sound_features(f)
        | {
            intervals: f.FeaturesDict(
                {key: f.Tensor(shape=(None,), dtype=np.float32) for key in ("start_s", "end_s")}
                | {key: f.Tensor(shape=(None,), dtype=np.bool_) for key in ("crackle", "wheeze")}
                | {"label": f.Sequence(f.ClassLabel(names=list(labels)))}
            )
        }
    )


def interval_features(labels: Sequence[str]) -> Any:
    """The TFDS features of an example that is one annotated interval: its sound, and all that the recording's has.

    `number` counts the recording's intervals from 0; `cut` says that the sound ended before the annotation did.
    """
    import tensorflow_datasets as tfds

    f = tfds.features
    return f.FeaturesDict(
        _sound_features(f)
        | {key: f.Scalar(np.float32) for key in ("start_s", "end_s")}
        | {key: f.Scalar(np.bool_) for key in ("crackle", "wheeze", "cut")}
        | {"number": f.Scalar(np.int32), "label": f.ClassLabel(names=list(labels))}
    )


def _sound_features(f: Any) -> dict[str, Any]:
    # int16 is written as bytes: TFDS would otherwise store every sample as a 64-bit integer.
    return (
        {"audio": f.Tensor(shape=(None,), dtype=np.int16, encoding="bytes")}
        | {key: f.Scalar(np.int32) for key in INTEGERS}
        | {key: f.Scalar(np.float32) for key in FLOATS}
        | {key: f.Text() for key in TEXTS}
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
            part = text(value).encode()
        elif isinstance(value, list):  # a sequence of class labels: TFDS reads it as a list of integers
            part = np.asarray(value, "<i8").tobytes()
        elif np.ndim(value) == 0:  # TFDS reads float32 and int32 scalars as Python's
            array = np.asarray(value)
            part = array.astype("<f4" if array.dtype.kind == "f" else "<i8").tobytes()
        else:
            part = np.ascontiguousarray(value).data.cast("B") if np.size(value) else b""
        digest.update(f"{key} {len(part)} ".encode())
        digest.update(part)
    return digest.digest()


def text(value: str | bytes) -> str:
    """TFDS reads texts as bytes."""
    return value.decode() if isinstance(value, bytes) else value
