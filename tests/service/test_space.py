"""A Space holds all that it needs and nothing that it should not, and is not written by mistake."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from bento.about import load_about
from bento.space import MayNotPublish, SpaceError, write_space
from bento.store import NAMES, ModelsNotReady, store_classifiers
from jaxresp import shipped
from jaxresp.classifier import Classifier, untrained

MADE_UP = {"name": "icbhi", "made_up": True}
REAL = {"name": "icbhi+kauh", "made_up": False}


def trained_on(folder: Path, corpus: dict[str, object], names: tuple[str, ...] = NAMES) -> Path:
    """Six Classifiers that say they were trained on a corpus."""
    for seed, name in enumerate(names):
        classifier = untrained(name, seed)
        classifier.provenance["corpus"] = corpus
        classifier.save(folder / "classifiers" / name)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = trained_on(tmp_path_factory.mktemp("made-up"), MADE_UP)
    (folder / "results.json").write_text(json.dumps({"quick": NAMES[1], "results": [{"name": NAMES[1]}]}))
    (folder / "data.html").write_text("<div></div>")
    return folder


@pytest.fixture(scope="module")
def space(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_space(tmp_path_factory.mktemp("space") / "out", run, title='A "title": with signs')


def header(space: Path) -> dict[str, str]:
    """The YAML header's plain entries."""
    _, text, _ = (space / "README.md").read_text().split("---\n", 2)
    return dict(re.findall(r"^(\w+): (.+)$", text, re.MULTILINE))


def test_it_is_complete(space: Path, run: Path) -> None:
    for name in NAMES:
        ours = Classifier.load(space / "run" / "classifiers" / name)
        assert ours.version == Classifier.load(run / "classifiers" / name).version
    assert load_about(space / "run") == load_about(run)
    told = header(space)
    assert json.loads(told["title"]) == 'A "title": with signs'
    assert told["sdk"] == "gradio" and (space / told["app_file"]).is_file()
    requirements = (space / "requirements.txt").read_text()
    assert f"\ngradio=={told['sdk_version']}\n" in requirements  # a Space installs both
    assert not re.search(r"(?i)mlflow|optuna|tensorflow|matplotlib|--hash|://", requirements)
    assert len(told["short_description"]) <= 60  # the Hub refuses longer ones


def test_it_holds_our_code_and_nothing_of_this_machine(space: Path) -> None:
    here = [str(shipped.root()), str(Path.home()), str(space.parent)]
    for path in space.rglob("*"):
        assert "__pycache__" not in path.parts
        assert path.suffix not in {".wav", ".flac", ".pyc"}
        if path.is_file() and path.suffix != ".npz":
            text = path.read_text()
            assert [place for place in here if place in text] == [], path
    for module in (shipped.root() / "bento").glob("*.py"):
        assert (space / "bento" / module.name).read_bytes() == module.read_bytes()
    assert not (space / "bento" / "space").exists()


def test_models_of_patients_are_not_published_by_mistake(tmp_path: Path, run: Path) -> None:
    real = shutil.copytree(run, tmp_path / "real")
    shutil.rmtree(real / "classifiers" / NAMES[3])
    trained_on(real, REAL, NAMES[3:4])  # one is enough
    with pytest.raises(MayNotPublish, match=r"icbhi, kauh.*do not redistribute.*CC BY 4.0.*--i-may-publish"):
        write_space(tmp_path / "space", real)
    assert not (tmp_path / "space").exists()
    readme = write_space(tmp_path / "space", real, may_publish=True) / "README.md"
    assert "Rocha et al." in readme.read_text() and "Fraiwan et al." in readme.read_text()


def test_models_of_which_nothing_is_known_are_not_published_by_mistake(tmp_path: Path, run_folder: Path) -> None:
    with pytest.raises(MayNotPublish, match=r"unknown data.*--i-may-publish"):
        write_space(tmp_path / "space", run_folder)


def test_what_was_exported_is_taken_when_no_run_is_named(tmp_path: Path, run: Path) -> None:
    store_classifiers(run)
    space = write_space(tmp_path / "space")
    assert load_about(space / "run") == load_about(run)
    for name in NAMES:
        assert (space / "run" / "classifiers" / name / "card.md").is_file()
    with pytest.raises(SpaceError, match="not empty"):
        write_space(space)


def test_an_incomplete_run_makes_no_space(tmp_path: Path, run: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(copy / "classifiers" / NAMES[0])
    with pytest.raises(ModelsNotReady, match=NAMES[0]):
        write_space(tmp_path / "space", copy)
    assert not (tmp_path / "space").exists()
