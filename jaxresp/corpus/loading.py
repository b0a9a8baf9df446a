"""A prepared dataset → Corpus, in one pass over its files, checked against what was written."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int16

from jaxresp.corpus.recordings import Recordings
from jaxresp.corpus.schema import FLOATS, INTEGERS, SPLIT, TEXTS, example_sha256, text
from jaxresp.corpus.source import Annotations, CorpusError
from jaxresp.corpus.table import Corpus


def load(prepared_dir: Path, *, everything: bool = False) -> Corpus:
    """Open a prepared dataset, in one pass over its files.

    Args:
        prepared_dir: what `prepare` returned.
        everything: also the recordings that its builder advises to leave out, such as copies of others and one sound
            under contradicting labels; `findings` tells which they are and why.

    Raises:
        CorpusError: nothing finished is there, or it is not what was written.
    """
    prepared_dir = Path(prepared_dir)
    samples = np.empty(int(read_metadata(prepared_dir).get("total_samples", 0)), np.int16)
    columns, _ = read(prepared_dir, everything, samples)
    samples.resize(int(columns["offsets"][-1]), refcheck=False)  # shorter by what is left out; nothing is copied
    return Corpus(samples=samples, **columns)


def load_recordings(prepared_dir: Path, *, everything: bool = False) -> Recordings:
    """What `load` gives, without the sound: the same pass and the same checks in little memory.

    Raises:
        CorpusError: as `load` does.
    """
    columns, _ = read(Path(prepared_dir), everything, None)
    return Recordings(**columns)


def read(
    prepared_dir: Path, everything: bool, samples: Int16[np.ndarray, " total"] | None
) -> tuple[dict[str, Any], list[int]]:
    """The fields of Recordings, and which example of the files each row is; the sound goes into `samples`, if given."""
    metadata = _metadata_of_recordings(prepared_dir)
    left_out = {} if everything else metadata["left_out"]
    content, total, ends, numbers, rows = hashlib.sha256(), 0, [0], [], []
    for number, example in enumerate(_examples(prepared_dir)):
        content.update(example_sha256(example))
        length = len(example["audio"])
        total += length
        if total > metadata["total_samples"] or int(example["rate_hz"]) != metadata["rate_hz"]:
            break  # the fingerprint then differs as well
        if text(example["recording"]) in left_out:
            continue
        if samples is not None:
            samples[ends[-1] : ends[-1] + length] = example["audio"]
        ends.append(ends[-1] + length)
        numbers.append(number)
        rows.append({key: value for key, value in example.items() if key != "audio"})
    fingerprint = content.hexdigest()
    if fingerprint != metadata["content_sha256"] or total != metadata["total_samples"]:
        raise CorpusError(f"{prepared_dir} is not what was written there (its fingerprint differs); prepare it again")
    if left_out:
        fingerprint = hashlib.sha256(f"{fingerprint} without {sorted(left_out)}".encode()).hexdigest()
    annotations, offsets = _annotations([row[metadata["intervals"]] for row in rows], metadata["annotation_labels"])
    columns = {
        "name": str(metadata["name"]),
        "version": str(metadata["version"]),
        "partial": bool(metadata["partial"]),
        "made_up": bool(metadata["made_up"]),
        "findings": tuple(metadata["findings"]),
        "fingerprint": fingerprint,
        "rate_hz": int(metadata["rate_hz"]),
        "offsets": np.array(ends, np.int64),
        "annotations": annotations,
        "annotation_offsets": offsets,
        "corpus": np.full(len(rows), str(metadata["name"])),
        **{key: np.array([text(row[key]) for row in rows], np.str_) for key in TEXTS},
        **{key: np.array([row[key] for row in rows], np.float32) for key in FLOATS},
        **{key: np.array([row[key] for row in rows], np.int32) for key in INTEGERS if key != "rate_hz"},
    }
    return columns, numbers


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


def _metadata_of_recordings(prepared_dir: Path) -> dict[str, Any]:
    """What was noted of a finished build, if it is one example per recording, all at one rate."""
    metadata = read_metadata(prepared_dir)
    if "content_sha256" not in metadata:
        raise CorpusError(f"{prepared_dir} holds no prepared dataset; build one with `jaxresp prepare`")
    if not is_loadable(metadata):
        what = "recordings at rates of their own" if metadata["examples"] == SPLIT else f"single {metadata['examples']}"
        raise CorpusError(
            f"{prepared_dir} holds {what}, to be read with tfds.builder_from_directory; what is loaded here is whole "
            "recordings at one rate, so prepare such a configuration (recordings_16k, for example; "
            "Corpus.intervals cuts it)"
        )
    return metadata


def data_source(prepared_dir: Path) -> Any:
    """The examples of a prepared directory by number, in the order they were written."""
    import tensorflow_datasets as tfds

    with _damage_named(prepared_dir):
        return tfds.builder_from_directory(prepared_dir).as_data_source(SPLIT)


def _examples(prepared_dir: Path) -> Iterator[dict[str, Any]]:
    source = data_source(prepared_dir)
    with _damage_named(prepared_dir):
        yield from source


@contextlib.contextmanager
def _damage_named(prepared_dir: Path) -> Iterator[None]:
    try:
        yield
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
