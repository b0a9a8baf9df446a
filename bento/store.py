"""The six Classifiers in BentoML's model store, and what is known about them: exported, checked before every start."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLException, NotFound

from bento.about import RESULTS, about_files, load_about
from jaxresp.classifier_files import read_files
from jaxresp.errors import JaxrespError

TASKS = ("binary", "multiclass")
FEATURES = ("mfcc", "logmel", "augmented")
NAMES = tuple(f"{task}-{features}" for task in TASKS for features in FEATURES)
DEFAULT_QUICK = "multiclass-augmented"
QUICK_VARIABLE = "JAXRESP_QUICK_MODEL"
ABOUT = "about"  # the seventh stored model: no Classifier, but what is known of the six


class ModelsNotReady(JaxrespError, BentoMLException):
    """A model that the service needs is missing or was altered. BentoML prints it as one line."""


def tag_name(name: str) -> str:
    """A classifier's name, or ABOUT → its name in the model store."""
    return f"jaxresp-{name}"


def store_classifiers(run_dir: Path) -> list[str]:
    """Copy the six Classifier directories of a run, and what is known about them, into the model store.

    They become the ones that are served.

    Storing the same thing twice changes nothing.

    Args:
        run_dir: the folder of a run: classifiers/<name>/ and, if there are, results.json (the choice of the quick model
            is in it) and data.html.

    Returns:
        The tags, "jaxresp-<name>:<version>": of the six, then that of what is known about them.

    Raises:
        ModelsNotReady: a Classifier is missing. Nothing has been stored then.
        AboutDamaged: results.json or data.html is not what a run writes. Nothing has been stored then.
        ClassifierError: a Classifier is damaged, or of another schema. Nothing has been stored then.
    """
    run_dir = Path(run_dir)
    folders = classifier_folders(run_dir)
    versions = {name: read_files(folder).version for name, folder in folders.items()}
    load_about(run_dir)
    quick, about = _quick_of_run(run_dir), about_files(run_dir)
    with tempfile.TemporaryDirectory() as folder:
        for name, data in about.items():
            Path(folder, name).write_bytes(data)
        folders[ABOUT], versions[ABOUT] = Path(folder), content_hash(Path(folder))[:12]
        return [_store(name, folders[name], versions[name], quick) for name in (*NAMES, ABOUT)]


def classifier_folders(run_dir: Path) -> dict[str, Path]:
    """The six Classifier directories of a run, by name.

    Raises:
        ModelsNotReady: one is missing.
    """
    folders = {name: run_dir / "classifiers" / name for name in NAMES}
    missing = [name for name, folder in folders.items() if not folder.is_dir()]
    if missing:
        raise ModelsNotReady(
            f"{run_dir}: no Classifier for {', '.join(missing)}; train all six first with `jaxresp run`"
        )
    return folders


def _quick_of_run(run_dir: Path) -> str:
    results = run_dir / RESULTS
    quick = json.loads(results.read_text()).get("quick", DEFAULT_QUICK) if results.exists() else DEFAULT_QUICK
    if quick not in NAMES:
        raise ModelsNotReady(f"{results}: the quick model is {quick!r}; choose one of {', '.join(NAMES)}")
    return str(quick)


def _store(name: str, folder: Path, version: str, quick: str) -> str:
    tag = f"{tag_name(name)}:{re.sub(r'[^a-z0-9._-]+', '-', version.lower()).strip('-.') or '0'}"
    content = content_hash(folder)
    try:
        latest = bentoml.models.get(f"{tag_name(name)}:latest")
        if str(latest.tag) == tag and latest.info.metadata == _metadata(version, quick, content):
            return tag  # already there, and already the one that is served
        bentoml.models.delete(tag)  # an older one of this version: stored anew, it becomes the latest
    except NotFound:
        pass
    task, _, features = name.rpartition("-")
    labels = {"project": "jaxresp", "task": task, "features": features}
    with bentoml.models.create(tag, labels=labels, metadata=_metadata(version, quick, content)) as model:
        shutil.copytree(folder, model.path_of(CONTENT))
    return tag


#: Folder inside a stored model: a Classifier's directory, or what is known about all of them.
CONTENT = "content"


def _metadata(version: str, quick: str, content: str) -> dict[str, str]:
    return {"version": version, "quick": quick, "content_sha256": content}


def content_hash(folder: Path) -> str:
    """SHA-256 over the names and contents of every file of a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


class StoredModel(bentoml.models.BentoModel):
    """What an export put into the model store, refused when it is missing or was altered since.

    `bentoml serve` resolves it before it starts a worker, so a bad model ends the start with one line.
    """

    def resolve(self, *args: Any, **kwargs: Any) -> Any:
        """The stored model.

        Raises:
            ModelsNotReady: with the remedy.
        """
        stored = self.stored
        if stored is None:
            raise ModelsNotReady(
                f"model {self.tag.name} is not in the model store; train with `jaxresp run`, then `jaxresp export`"
            )
        if content_hash(Path(stored.path_of(CONTENT))) != stored.info.metadata.get("content_sha256"):
            raise ModelsNotReady(
                f"model {stored.tag} was altered after it was exported; `jaxresp export` it again from its run folder"
            )
        return super().resolve(*args, **kwargs)


def check_store() -> None:
    """Is all that is served there, unaltered, and written for this program? Is the quick model among the six?

    Nothing is loaded: this takes a moment, and no JAX.

    Raises:
        ModelsNotReady: naming the first that is not.
    """
    stored = {name: StoredModel(f"{tag_name(name)}:latest").resolve() for name in (*NAMES, ABOUT)}
    for name, model in stored.items():
        try:
            (load_about if name == ABOUT else read_files)(Path(model.path_of(CONTENT)))
        except JaxrespError as error:
            raise ModelsNotReady(f"model {model.tag} cannot be served: {error}") from error
    quick_name(model.info.metadata for model in stored.values())


def quick_name(metadata: Iterable[Mapping[str, Any]], environment: Mapping[str, str] = os.environ) -> str:
    """Which model answers quick questions: the environment's choice, else that of the export the models came from.

    Raises:
        ModelsNotReady: a choice that is none of the six.
    """
    chosen = environment.get(QUICK_VARIABLE) or next((str(m["quick"]) for m in metadata if "quick" in m), DEFAULT_QUICK)
    if chosen not in NAMES:
        raise ModelsNotReady(f"{QUICK_VARIABLE} is {chosen!r}; choose one of {', '.join(NAMES)}")
    return chosen
