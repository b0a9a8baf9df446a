"""A made-up ICBHI folder: to read, to spoil, and prepared."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType

import pytest

from jaxresp.corpus import prepare
from jaxresp.shipped import load_module
from jaxresp.synthetic import SyntheticConfig, write_corpus

CONFIG = SyntheticConfig(patients_per_group=2, recordings_per_patient=(1, 2), duration_s=(2.0, 4.0))


@pytest.fixture(scope="session")
def made_up() -> SyntheticConfig:
    return CONFIG


@pytest.fixture(scope="session")
def builder_module() -> ModuleType:
    return load_module("datasets/icbhi/icbhi_dataset_builder.py", "jaxresp._shipped_icbhi")


@pytest.fixture(scope="session")
def folder_module(builder_module) -> ModuleType:
    return builder_module.icbhi_folder


@pytest.fixture(scope="session")
def pristine(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("pristine") / "corpus", CONFIG)


@pytest.fixture
def folder(pristine, tmp_path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(pristine, tmp_path / "corpus")


@pytest.fixture(scope="session")
def prepared(pristine, tmp_path_factory) -> Path:
    return prepare(pristine, tmp_path_factory.mktemp("prepared"), partial=True)
