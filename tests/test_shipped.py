"""The files beside the package: found, loaded once under our name, or a clear error."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jaxresp import shipped

NAME = "jaxresp._shipped_for_a_test"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package's folder with one shipped file in it."""
    package = tmp_path / "jaxresp"
    folder = package / "_shipped" / "datasets" / "made_up"
    folder.mkdir(parents=True)
    (folder / "builder.py").write_text(
        "from dataclasses import dataclass\n\n@dataclass\nclass Facts:\n    answer: int = 42\n"
    )
    (folder / "broken.py").write_text("raise RuntimeError('half way')\n")
    monkeypatch.setattr(shipped, "_PACKAGE", package)
    yield package / "_shipped"
    sys.modules.pop(NAME, None)


def test_an_installed_folder_wins_over_what_lies_beside_the_package(root: Path) -> None:
    (root.parent.parent / "datasets").mkdir()
    assert shipped.root() == root


def test_a_module_is_loaded_once_and_under_our_name(root: Path) -> None:
    module = shipped.load_module("datasets/made_up/builder.py", NAME)
    assert module.Facts().answer == 42
    assert sys.modules[NAME] is module
    assert module.Facts.__module__ == NAME
    assert shipped.load_module("datasets/made_up/builder.py", NAME) is module


def test_one_name_for_two_files_is_refused(root: Path) -> None:
    (root / "datasets" / "made_up" / "other.py").write_text("")
    shipped.load_module("datasets/made_up/builder.py", NAME)
    with pytest.raises(shipped.ShippedModuleClash, match=r"builder\.py"):
        shipped.load_module("datasets/made_up/other.py", NAME)
    with pytest.raises(shipped.ShippedModuleClash, match="choose another name"):
        shipped.load_module("datasets/made_up/builder.py", "json")


def test_a_missing_file_is_named(root: Path) -> None:
    with pytest.raises(shipped.ShippedFileMissing, match=r"datasets/made_up/absent\.py is missing"):
        shipped.load_module("datasets/made_up/absent.py", NAME)
    assert NAME not in sys.modules


def test_a_module_that_fails_leaves_nothing_behind(root: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"):
        shipped.load_module("datasets/made_up/broken.py", NAME)
    assert NAME not in sys.modules


def test_a_package_without_its_folders_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path / "jaxresp")
    with pytest.raises(shipped.ShippedFileMissing, match="install jaxresp again"):
        shipped.root()
