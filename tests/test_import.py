"""What an import pulls in, and what the lock pins."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]

#: Each framework lives in one room; librosa and matplotlib only cross-check and draw.
FRAMEWORKS = {
    "bentoml",
    "gradio",
    "grain",
    "librosa",
    "matplotlib",
    "mlflow",
    "optuna",
    "prometheus_client",
    "tensorflow",
    "tensorflow_datasets",
}
#: The modules that may import a framework at the top, and which are there when they do.
ROOMS = {
    "jaxresp.corpus": {"tensorflow_datasets"},
    "jaxresp.sweep": {"optuna"},
    "jaxresp.tracking.finishing": {"mlflow", "matplotlib"},
    "jaxresp.tracking.outbox": {"mlflow", "matplotlib"},
    "jaxresp.tracking.pyfunc": {"mlflow", "matplotlib"},
    "jaxresp.tracking.store": {"mlflow", "matplotlib"},
}
#: What stands on the rooms and asks for no framework itself: it conducts the training, or is the file that MLflow
#: runs to load a logged model. Every other module loads with no framework installed; so a Classifier does anywhere.
ABOVE_THE_ROOMS = {
    "jaxresp.common_band",
    "jaxresp.design",
    "jaxresp.display",
    "jaxresp.judging",
    "jaxresp.run",
    "jaxresp.run_config",
    "jaxresp.tracking.model",
}
PROBE = """
import importlib, json, sys

seen = {}
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
    seen[name] = sorted(sys.modules)
print(json.dumps(seen))
"""


def modules() -> list[str]:
    found = []
    for path in sorted((ROOT / "jaxresp").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "_shipped" not in parts and path.name != "__main__.py":
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


def imported_in_a_fresh_interpreter(names: list[str], without: Collection[str] = ()) -> dict[str, set[str]]:
    """Module → every module loaded once it is imported, in this order, in a process where `without` do not exist."""
    block = f"import sys; sys.modules.update(dict.fromkeys({sorted(without)!r}))\n" if without else ""
    done = subprocess.run(
        [sys.executable, "-c", block + PROBE, json.dumps(names)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name: {m.partition(".")[0] for m in loaded} for name, loaded in json.loads(done.stdout).items()}


def room_of(module: str) -> str | None:
    """The room that a module is in; a room may have several."""
    return next((room for room in ROOMS if module == room or module.startswith(f"{room}.")), None)


def test_importing_jaxresp_pulls_in_no_framework() -> None:
    assert imported_in_a_fresh_interpreter(["jaxresp"])["jaxresp"].isdisjoint(FRAMEWORKS)


def test_every_module_outside_the_rooms_imports_with_no_framework_installed() -> None:
    names = [name for name in modules() if name not in ABOVE_THE_ROOMS and room_of(name) is None]
    assert {"jaxresp.classifier", "jaxresp.cli"} <= set(names)
    loaded = imported_in_a_fresh_interpreter(names, without=FRAMEWORKS)
    assert set(loaded) == set(names)


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_with_its_own_framework_only(room: str) -> None:
    assert room in imported_in_a_fresh_interpreter([room], without=FRAMEWORKS - ROOMS[room])


def test_only_a_room_asks_for_a_framework_when_imported() -> None:
    strangers = []
    for path in sorted((ROOT / "jaxresp").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for statement in ast.parse(path.read_text()).body:
            match statement:
                case ast.Import(names=names):
                    asked = {alias.name for alias in names}
                case ast.ImportFrom(module=str(name), level=0):
                    asked = {name}
                case _:
                    continue
            tops = {name.partition(".")[0] for name in asked}
            strangers += [(module, name) for name in tops & (FRAMEWORKS - ROOMS.get(room_of(module) or "", set()))]
    assert strangers == []


def lock_entries(path: Path) -> list[str]:
    """The requirements of a lock file, each on one line with its hashes."""
    text = re.sub(r"\\\n\s*", " ", path.read_text())
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def test_every_locked_requirement_is_pinned_and_hashed() -> None:
    entries = lock_entries(ROOT / "requirements.txt")
    assert len(entries) > 100
    unlocked = [e for e in entries if not re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+ .*--hash=sha256:[0-9a-f]{64}", e)]
    assert unlocked == []


@pytest.mark.parametrize("name", ["requirements.txt", "bento/requirements.txt", "bento/space/requirements.txt"])
def test_a_lock_names_no_download_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-(i|f|-index-url|-extra-index-url|-find-links|-trusted-host)\b", text, re.MULTILINE)
    assert not re.search(r"^[^#\n]*\s@\s", text, re.MULTILINE)


def test_what_is_served_is_what_is_tested() -> None:
    """The Bento's list is the part of the lock that serving needs, at the same versions, without training's."""

    def pins(path: Path) -> dict[tuple[str, str], str]:
        requirements = [Requirement(entry.partition(" --hash")[0]) for entry in lock_entries(path)]
        return {(r.name, str(r.specifier)): str(r.marker) for r in requirements}

    served, tested = pins(ROOT / "bento" / "requirements.txt"), pins(ROOT / "requirements.txt")
    assert set(served) <= set(tested)
    names = {name for name, _ in served}
    assert {"jax", "flax", "bentoml", "gradio"} <= names
    assert names.isdisjoint({"mlflow", "optuna", "tensorflow-datasets", "pytest"})


def test_the_jax_releases_that_compute_wrong_numbers_are_excluded() -> None:
    """0.10.2 and 0.11.0 are wrong under jit on the CPU (jax issues 39103, 39257)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (jax,) = [r for r in map(Requirement, project["dependencies"]) if r.name == "jax"]
    wrong = {Version("0.10.2"), Version("0.11.0")}
    assert not any(version in jax.specifier for version in wrong)
    assert Version("0.10.1") in jax.specifier
    for name in ("requirements.txt", "bento/requirements.txt"):
        entries = [Requirement(e.partition(" --hash")[0]) for e in lock_entries(ROOT / name)]
        pinned = {Version(next(iter(r.specifier)).version) for r in entries if r.name in ("jax", "jaxlib")}
        assert pinned
        assert pinned.isdisjoint(wrong)


def test_a_space_installs_what_serving_needs_and_what_the_hub_adds() -> None:
    """The Hub installs its own list beside the Space's, in one resolution: what is pinned must allow for it."""
    bento, space = ROOT / "bento", ROOT / "bento" / "space"
    served = {Requirement(entry).name for entry in lock_entries(bento / "requirements.txt")}
    pinned: dict[str, set[Version]] = {}
    for requirement in map(Requirement, lock_entries(space / "requirements.txt")):
        (pin,) = requirement.specifier
        assert pin.operator == "=="
        pinned.setdefault(requirement.name, set()).add(Version(pin.version))
    assert served <= set(pinned)
    for asked in map(Requirement, lock_entries(space / "requirements.in")):
        assert all(version in asked.specifier for version in pinned[asked.name])
    assert {"authlib", "mcp"} <= set(pinned)  # of gradio's extras
