"""The files of a Classifier directory: written and sealed, read and verified.

Reading and verifying them needs neither JAX nor Flax: what starts a service checks its models in a moment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jaxresp
from jaxresp.errors import JaxrespError
from jaxresp.files import sha256, whole_directory

SCHEMA_VERSION = 3  # 2: config.json tells of the cohort; 3: calibration.json of prevalence, sets and the gate

_FILES = ("config.json", "weights.npz", "calibration.json", "card.md")


class ClassifierError(JaxrespError):
    """A Classifier directory that cannot be used."""


class ClassifierMissing(ClassifierError):
    """No Classifier directory, or a file of it is gone."""


class ClassifierAltered(ClassifierError):
    """A file is not the one that training left."""


class ClassifierOfAnotherSchema(ClassifierError):
    """Written by an older or newer schema than this program reads."""


@dataclass(frozen=True)
class ClassifierFiles:
    """What a directory holds, verified.

    Attributes:
        config: of config.json.
        weights: the bytes of weights.npz.
        calibration: of calibration.json.
        card: the model card.
        provenance: of provenance.json, without the hashes.
        version: a hash of all of it.
    """

    config: Mapping[str, Any]
    weights: bytes
    calibration: Mapping[str, Any]
    card: str
    provenance: Mapping[str, Any]
    version: str


def write_files(
    directory: Path,
    *,
    config: Mapping[str, Any],
    weights: bytes,
    calibration: Mapping[str, Any],
    card: str,
    provenance: Mapping[str, Any],
) -> str:
    """Write a directory, whole or not at all. Returns its version."""
    content = {
        "config.json": json_bytes({"schema_version": SCHEMA_VERSION, **config}),
        "weights.npz": weights,
        "calibration.json": json_bytes(calibration),
        "card.md": card.encode(),
    }
    hashes = {name: sha256(data) for name, data in content.items()}
    with whole_directory(directory) as partial:
        for name, data in content.items():
            (partial / name).write_bytes(data)
        (partial / "provenance.json").write_bytes(sealed({**provenance, "files": hashes}))
    return _version(hashes)


def read_files(directory: Path) -> ClassifierFiles:
    """Read a directory and verify every file by its hash.

    Raises:
        ClassifierMissing: the directory or a file of it is not there.
        ClassifierAltered: a file differs from what training left.
        ClassifierOfAnotherSchema: another schema version.
    """
    directory = Path(directory)
    content = {name: _read(directory, name) for name in (*_FILES, "provenance.json")}
    provenance = _parsed(directory, "provenance.json", content["provenance.json"])
    provenance.pop("sha256", None)
    genuine = {"provenance.json": sealed(provenance) == content["provenance.json"]}
    hashes = provenance.pop("files", {})
    genuine |= {name: hashes.get(name) == sha256(content[name]) for name in _FILES}
    for name, is_genuine in genuine.items():
        if not is_genuine:
            raise ClassifierAltered(
                f"{directory / name} is not the file that training left "
                "(its SHA-256 differs from the one in provenance.json); "
                "restore the directory from where it was released, or train again"
            )
    config = _parsed(directory, "config.json", content["config.json"])
    if config["schema_version"] != SCHEMA_VERSION:
        raise ClassifierOfAnotherSchema(
            f"{directory} has schema version {config['schema_version']}; this jaxresp {jaxresp.__version__} reads "
            f"version {SCHEMA_VERSION}: install the version that wrote it, or train again"
        )
    return ClassifierFiles(
        config=config,
        weights=content["weights.npz"],
        calibration=_parsed(directory, "calibration.json", content["calibration.json"]),
        card=content["card.md"].decode(),
        provenance=provenance,
        version=_version(hashes),
    )


def json_bytes(data: Mapping[str, Any]) -> bytes:
    """JSON as it stands in the files: the same data is the same bytes."""
    return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def sealed(provenance: Mapping[str, Any]) -> bytes:
    """The provenance with a hash of itself: whom a Classifier was trained on must not change unseen."""
    return json_bytes({**provenance, "sha256": sha256(json_bytes(provenance))})


def _version(hashes: Mapping[str, str]) -> str:
    return sha256(json_bytes(dict(hashes)))[:12]


def _read(directory: Path, name: str) -> bytes:
    try:
        return (directory / name).read_bytes()
    except OSError as error:
        raise ClassifierMissing(
            f"{directory} is no Classifier directory: {name} cannot be read ({error.strerror}); "
            "`jaxresp run` or `jaxresp train` makes one"
        ) from error


def _parsed(directory: Path, name: str, data: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(data)
    except ValueError as error:
        raise ClassifierAltered(f"{directory / name} is not JSON: {error}; restore it or train again") from error
    if not isinstance(parsed, dict):
        raise ClassifierAltered(f"{directory / name} does not hold a JSON object; restore it or train again")
    return parsed
