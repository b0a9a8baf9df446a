"""`jaxresp space`: a folder that is a Hugging Face Space, and runs by itself anywhere else.

The code lies in it as source, since a Space installs its requirements before it sees any other file of its own.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import jaxresp
from bento.about import about_files, load_about
from bento.store import ABOUT, CONTENT, NAMES, StoredModel, check_store, classifier_folders, tag_name
from jaxresp import shipped
from jaxresp.classifier_files import ClassifierFiles, read_files
from jaxresp.errors import JaxrespError
from jaxresp.fetch.sources import SOURCES
from jaxresp.files import whole_directory

_HERE = Path(__file__).resolve().parent
_NOT_SHIPPED = ("__pycache__", "_shipped", "space", "monitoring", "clients", "*.md", "*.pyc", "requirements.txt")
_UNKNOWN = "unknown data"


class SpaceError(JaxrespError):
    """A Space that cannot be written."""


class MayNotPublish(SpaceError):
    """Models of recordings that are not free, and nobody has said that they may be published."""


def write_space(
    out: Path, run: Path | None = None, *, title: str = "Respiratory sounds", may_publish: bool = False
) -> Path:
    """Write a complete Space.

    Args:
        out: the folder; new or empty.
        run: the folder of a finished run; None takes what an export has put into the model store.
        title: of the Space.
        may_publish: whoever asks has cleared that models of recordings which are not free may be published.

    Raises:
        SpaceError: the folder holds something already.
        MayNotPublish: the models were trained on recordings of patients, or nobody knows on what.
        ModelsNotReady: a model is missing, or was altered.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SpaceError(f"{out} is there already, and not empty; name a new folder")
    folders, about = _of_run(run) if run is not None else _of_store()
    files = {name: read_files(folder) for name, folder in folders.items()}
    corpora = {name: _corpus(each) for name, each in files.items()}
    if not may_publish:
        _refuse_restricted(corpora)
    with whole_directory(out) as part:
        for name, folder in folders.items():
            shutil.copytree(folder, part / "run" / "classifiers" / name)
        for name, data in about.items():
            (part / "run" / name).write_bytes(data)
        ignored = shutil.ignore_patterns(*_NOT_SHIPPED)
        shutil.copytree(Path(jaxresp.__file__).parent, part / "jaxresp", ignore=ignored)
        shutil.copytree(shipped.root() / "bento", part / "bento", ignore=ignored)
        requirements = (_HERE / "requirements.txt").read_text()
        (part / "requirements.txt").write_text(requirements)
        shutil.copy(_HERE / "app.py", part / "app.py")
        (part / "README.md").write_text(_readme(title, files, corpora, requirements), encoding="utf-8")
        (part / ".gitattributes").write_text("*.npz filter=lfs diff=lfs merge=lfs -text\n")
    return out


def _of_run(run: Path) -> tuple[dict[str, Path], dict[str, bytes]]:
    load_about(run)
    return classifier_folders(run), about_files(run)


def _of_store() -> tuple[dict[str, Path], dict[str, bytes]]:
    check_store()
    stored = {name: StoredModel(f"{tag_name(name)}:latest").resolve() for name in (*NAMES, ABOUT)}
    folders = {name: Path(model.path_of(CONTENT)) for name, model in stored.items()}
    return {name: folders[name] for name in NAMES}, about_files(folders[ABOUT])


def _corpus(files: ClassifierFiles) -> Mapping[str, object]:
    corpus = files.provenance.get("corpus")
    return corpus if isinstance(corpus, Mapping) else {}


def _refuse_restricted(corpora: Mapping[str, Mapping[str, object]]) -> None:
    """Made-up recordings are free; about any other somebody has to think first."""
    restricted = {str(corpus.get("name", _UNKNOWN)) for corpus in corpora.values() if corpus.get("made_up") is not True}
    if not restricted:
        return
    names = sorted({part for name in restricted for part in name.split("+")})
    terms = " ".join(f"{SOURCES[name].title}: {SOURCES[name].terms}" for name in names if name in SOURCES)
    raise MayNotPublish(
        f"these models were trained on {', '.join(names)}, and a Space is public. {terms} None of the terms we know "
        "says whether a model of the recordings may be passed on, and a model names its training patients by number. "
        "If you have cleared it, say --i-may-publish; models of made-up recordings (`jaxresp demo`) are free."
    )


def _readme(
    title: str, files: Mapping[str, ClassifierFiles], corpora: Mapping[str, Mapping[str, object]], requirements: str
) -> str:
    (gradio,) = re.findall(r"^gradio==(\S+)", requirements, re.MULTILINE)
    names = sorted({str(corpus.get("name", _UNKNOWN)) for corpus in corpora.values()})
    made_up = all(corpus.get("made_up") is True for corpus in corpora.values())
    known = [SOURCES[part] for name in names for part in name.split("+") if part in SOURCES and not made_up]
    return (
        (_HERE / "README.template.md")
        .read_text(encoding="utf-8")
        .format(
            title=title,
            title_in_yaml=json.dumps(title),  # JSON is YAML
            gradio_version=gradio,
            python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
            version=jaxresp.__version__,
            models="\n".join(
                f"* `{name}`: {' / '.join(each.config['task']['classes'])}, version {each.version}"
                for name, each in files.items()
            ),
            corpora="made-up recordings: what they say is not about patients" if made_up else ", ".join(names),
            terms="\n".join(f"* {source.title}. {source.page}\n  {source.terms}" for source in known),
        )
    )
