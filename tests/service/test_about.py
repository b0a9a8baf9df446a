"""What is known about the models travels with them: exported, checked, read back as the run wrote it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import bentoml
import pytest

from bento.about import About, AboutDamaged, load_about
from bento.store import ABOUT, CONTENT, NAMES, store_classifiers, tag_name

ROWS = [{"name": name, "metrics": {"balanced_accuracy": 0.5 + i / 100}} for i, name in enumerate(NAMES)]
DATA = '<div class="jaxresp-data">ü</div>'


def stored() -> Path:
    return Path(bentoml.models.get(f"{tag_name(ABOUT)}:latest").path_of(CONTENT))


@pytest.fixture
def told(run_folder: Path, tmp_path: Path) -> Path:
    """A run that left its table and its page about the data."""
    copy = shutil.copytree(run_folder, tmp_path / "run")
    (copy / "results.json").write_text(json.dumps({"quick": NAMES[0], "results": ROWS}))
    (copy / "data.html").write_text(DATA)
    return copy


def test_what_a_run_tells_is_exported_and_read_back(told: Path) -> None:
    tags = store_classifiers(told)
    about = load_about(stored())
    assert about == About(tuple(ROWS), DATA)
    assert about.result(NAMES[2]) == ROWS[2] and about.result("none such") is None
    assert store_classifiers(told) == tags
    (told / "data.html").write_text(DATA + "changed")
    assert store_classifiers(told)[-1] != tags[-1]  # another version, and the one that is served
    assert load_about(stored()).data_html == DATA + "changed"


def test_a_run_that_tells_nothing_is_exported_all_the_same(run_folder: Path) -> None:
    store_classifiers(run_folder)
    assert load_about(stored()) == About((), None)


@pytest.mark.parametrize("results", ["{", "[]", '{"quick": "binary-mfcc", "results": [1]}'])
def test_a_damaged_table_stores_nothing(told: Path, results: str) -> None:
    store_classifiers(told)
    before = {str(model.tag) for model in bentoml.models.list()}
    (told / "results.json").write_text(results)
    (told / "data.html").write_text("other")
    with pytest.raises(AboutDamaged, match=r"results\.json.*jaxresp run.*jaxresp export"):
        store_classifiers(told)
    assert {str(model.tag) for model in bentoml.models.list()} == before
