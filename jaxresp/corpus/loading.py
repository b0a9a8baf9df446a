"""A prepared dataset → Corpus, in one pass over its files, checked against what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxresp.corpus.schema import FLOATS, INTEGERS, SPLIT, TEXTS, example_sha256, text
from jaxresp.corpus.source import Annotations, CorpusError
from jaxresp.corpus.table import Corpus


def load(prepared_dir: Path) -> Corpus:
    """Open a prepared dataset, in one pass over its files.

    Args:
        prepared_dir: what `prepare` returned.

    Raises:
        CorpusError: nothing finished is there, or it is not what was written.
    """
    prepared_dir = Path(prepared_dir)
    metadata = read_metadata(prepared_dir)
    if "content_sha256" not in metadata:
        raise CorpusError(f"{prepared_dir} holds no prepared dataset; build one with `jaxresp prepare`")
    if not is_loadable(metadata):
        what = "recordings at rates of their own" if metadata["examples"] == SPLIT else f"single {metadata['examples']}"
        raise CorpusError(
            f"{prepared_dir} holds {what}, to be read with tfds.builder_from_directory; what is loaded here is whole "
            "recordings at one rate, so prepare such a configuration (recordings_16k, for example)"
        )
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
    annotations, offsets = _annotations([row[metadata["intervals"]] for row in rows], metadata["annotation_labels"])
    return Corpus(
        name=str(metadata["name"]),
        version=str(metadata["version"]),
        partial=bool(metadata["partial"]),
        made_up=bool(metadata["made_up"]),
        findings=tuple(metadata["findings"]),
        fingerprint=str(metadata["content_sha256"]),
        rate_hz=int(metadata["rate_hz"]),
        samples=samples,
        offsets=np.array(ends, np.int64),
        annotations=annotations,
        annotation_offsets=offsets,
        corpus=np.full(len(rows), metadata["name"], np.dtype(np.str_)),
        **{key: np.array([text(row[key]) for row in rows], np.str_) for key in TEXTS},
        **{key: np.array([row[key] for row in rows], np.float32) for key in FLOATS},
        **{key: np.array([row[key] for row in rows], np.int32) for key in INTEGERS if key != "rate_hz"},
    )


def is_loadable(metadata: Mapping[str, Any]) -> bool:
    """Whether a prepared dataset holds whole recordings at one rate, so that `load` can open it."""
    return metadata["examples"] == SPLIT and metadata["rate_hz"] is not None


def read_metadata(prepared_dir: Path) -> dict[str, Any]:
    """What the builder noted about a finished build; empty where there is none."""
    file = prepared_dir / "metadata.json"
    if not file.is_file() or not (prepared_dir / "dataset_info.json").is_file():
        return {}
    try:
        return dict(json.loads(file.read_text()))
    except ValueError as error:
        raise CorpusError(f"{file} is damaged ({error}); remove {prepared_dir} and prepare it again") from error


def _examples(prepared_dir: Path) -> Iterator[dict[str, Any]]:
    """The examples of a prepared directory, in the order they were written."""
    import tensorflow_datasets as tfds

    try:
        yield from tfds.builder_from_directory(prepared_dir).as_data_source(SPLIT)
    # what TFDS and array_record raise on files that are missing, cut short or altered
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise CorpusError(f"{prepared_dir} cannot be read ({error}); prepare it again") from error


def _annotations(rows: Sequence[dict[str, Any]], labels: Sequence[str]) -> tuple[Annotations, np.ndarray]:
    """The annotations of all recordings end to end, and where each recording's begin."""
    names = np.array(labels, np.str_)

    def column(key: str, dtype: Any) -> np.ndarray:
        return np.concatenate([np.zeros(0, dtype), *(np.asarray(row[key], dtype) for row in rows)])

    joined = Annotations(
        column("start_s", np.float32),
        column("end_s", np.float32),
        names[column("label", np.int64)] if len(names) else np.zeros(0, np.str_),
        column("crackle", np.bool_),
        column("wheeze", np.bool_),
    )
    return joined, np.cumsum([0, *(len(row["start_s"]) for row in rows)]).astype(np.int64)
