"""The three ways in which jaxresp is run, each with Hugging Face's `datasets` installed beside it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ("datasets", "bento")
BUILDER = "datasets/icbhi/icbhi_dataset_builder.py"

PROBE = """
import json, sys
import datasets
import jaxresp
from jaxresp import shipped

builder = sys.argv[1]
module = shipped.load_module(builder, "jaxresp._shipped_icbhi")
print(json.dumps({
    "hugging_face": hasattr(datasets, "load_dataset"),
    "jaxresp": jaxresp.__file__,
    "root": str(shipped.root()),
    "builder": module.__file__,
    "datasets_is_ours": str(shipped.root()) in str(getattr(datasets, "__file__", None)),
}))
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=clean | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is committed or about to be, so that building leaves nothing in the repository."""
    copy = tmp_path_factory.mktemp("checkout") / "jaxresp-source"
    copy.mkdir()
    skip = shutil.ignore_patterns("__pycache__")
    for name in ("jaxresp", *SHIPPED):
        shutil.copytree(ROOT / name, copy / name, ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built the long way, sdist first, as an index would serve it."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, cwd=checkout)
    (built,) = out.glob("*.whl")
    return built


def environment_with_our_libraries(folder: Path) -> Path:
    """A new environment which sees every installed library, but not this environment's own jaxresp."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    purelib = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    # A plain path entry: its own .pth files are not read, so this environment's editable jaxresp stays out.
    Path(purelib, "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(python, "-c", "import pip", cwd=folder)
    return python


def look(python: Path | str, cwd: Path, **environment: str) -> dict[str, str | bool]:
    return json.loads(run(python, "-c", PROBE, BUILDER, cwd=cwd, **environment))


def check(facts: dict[str, str | bool], *, package: Path, root: Path) -> None:
    assert facts["hugging_face"]
    assert not facts["datasets_is_ours"]
    assert Path(str(facts["jaxresp"])).parent.resolve() == package.resolve()
    assert Path(str(facts["root"])).resolve() == root.resolve()
    assert Path(str(facts["builder"])).resolve() == (root / BUILDER).resolve()
    for name in SHIPPED:
        assert (root / name).is_dir()


def test_the_repository_root_as_working_directory(tmp_path: Path, checkout: Path) -> None:
    python = environment_with_our_libraries(tmp_path / "env")
    check(look(python, cwd=checkout), package=checkout / "jaxresp", root=checkout)


def test_the_wheel_carries_both_folders_and_nothing_at_the_top_level(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"jaxresp"}
    assert f"jaxresp/_shipped/{BUILDER}" in names
    for folder in SHIPPED:
        ours = {p.relative_to(ROOT).as_posix() for p in (ROOT / folder).rglob("*") if p.is_file()}
        missing = {name for name in ours if f"jaxresp/_shipped/{name}" not in names and "__pycache__" not in name}
        assert missing == set()
    assert not any("__pycache__" in name or name.endswith((".pyc", ".wav")) for name in names)


def test_an_installed_wheel(tmp_path: Path, wheel: Path) -> None:
    python = environment_with_our_libraries(tmp_path / "env")
    run(python, "-m", "pip", "install", "--no-index", "--no-deps", "--force-reinstall", wheel, cwd=tmp_path)
    package = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    check(look(python, cwd=tmp_path), package=package / "jaxresp", root=package / "jaxresp" / "_shipped")


def test_an_editable_install(tmp_path: Path, checkout: Path) -> None:
    python = environment_with_our_libraries(tmp_path / "env")
    install = ("install", "--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed", "--editable")
    run(python, "-m", "pip", *install, checkout, cwd=tmp_path)
    for cwd in (tmp_path, checkout):
        check(look(python, cwd=cwd), package=checkout / "jaxresp", root=checkout)
    copied = list((tmp_path / "env").rglob("_shipped"))
    assert copied == []  # an edit in the checkout is seen: nothing was copied


def test_the_bento_and_the_space_hold_every_module_that_serving_imports(tmp_path: Path) -> None:
    """By the patterns of bentofile.yaml, in a folder of their own: datasets/ and the rest are not there."""
    included = re.findall(r'^  - "([^"]+)"$', (ROOT / "bentofile.yaml").read_text(), re.MULTILINE)
    assert "jaxresp/**/*.py" in included
    for pattern in included:
        for path in ROOT.glob(pattern):
            if path.is_file() and "__pycache__" not in path.parts:
                (tmp_path / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, tmp_path / path.relative_to(ROOT))
    code = "import bento.service, bento.starting, bento.ui; print(bento.ui.__file__)"
    said = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(tmp_path), BENTOML_DO_NOT_TRACK="True")
    assert said.strip() == str(tmp_path / "bento" / "ui" / "__init__.py")
