"""What is shipped runs where nothing of ours is: in an empty environment, from its own requirements.

The Bento goes first. The Space pins the same packages and more (tests/test_import.py), so its requirements are then
installed over the Bento's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bento.store import NAMES
from bento.ui.examples import write_examples
from jaxresp import shipped
from jaxresp.classifier import Classifier, untrained

pytestmark = pytest.mark.slow

ROOT = shipped.root()
TOO_LONG_S = 900.0  # ends what hangs; nothing asserts how long anything takes
#: What training, drawing and testing need, and serving must not.
NOT_THERE = ("jaxresp", "bento", "mlflow", "optuna", "tensorflow_datasets", "array_record", "grain", "matplotlib",
             "sklearn", "librosa", "pytest")  # fmt: skip


def run(*command: str | Path, cwd: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=TOO_LONG_S
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def clean_environment(**more: str) -> dict[str, str]:
    """Nothing of ours is set, and Python looks nowhere but into its own environment."""
    ours = ("JAXRESP_", "BENTOML_", "GRADIO_", "JAX_", "PYTHON", "VIRTUAL_ENV", "XDG_")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)} | more


@dataclass(frozen=True)
class Shipped:
    """What was built here.

    Attributes:
        bento: the exported Bento, unpacked: the folder that a container is built from.
        space: the folder of a Space.
        answer: what each model says about the sound, offline.
        sound: the bytes of a made-up one.
    """

    bento: Path
    space: Path
    answer: dict[str, dict[str, Any]]
    sound: bytes

    @property
    def requirements(self) -> Path:
        """The Bento's own."""
        return self.bento / "env" / "python" / "requirements.txt"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    """`jaxresp export`, `bentoml build`, `jaxresp space`, as they are given here."""
    folder = tmp_path_factory.mktemp("built")
    for seed, name in enumerate(NAMES):
        classifier = untrained(name, seed)
        classifier.provenance["corpus"] = {"name": "icbhi", "made_up": True}
        classifier.save(folder / "run" / "classifiers" / name)
    (folder / "run" / "results.json").write_text(json.dumps({"quick": "binary-logmel", "results": []}))
    home = folder / "bentoml"
    environment = os.environ | {"BENTOML_HOME": str(home), "PYTHONPATH": str(ROOT), "BENTOML_DO_NOT_TRACK": "True"}
    run(sys.executable, "-m", "jaxresp.cli", "export", folder / "run", cwd=folder, environment=environment)
    bentoml = (sys.executable, "-m", "bentoml")
    run(*bentoml, "build", "--version", "tried", ".", cwd=ROOT, environment=environment)
    run(*bentoml, "export", "jaxresp:tried", folder / "jaxresp.tar", cwd=folder, environment=environment)
    shutil.unpack_archive(folder / "jaxresp.tar", folder / "bento", filter="data")
    run(sys.executable, "-m", "jaxresp.cli", "space", folder / "space", cwd=folder, environment=environment)
    sound = next(iter(write_examples(folder / "examples").values())).read_bytes()
    answers = {name: Classifier.load(folder / "run" / "classifiers" / name).predict(sound).to_json() for name in NAMES}
    return Shipped(folder / "bento", folder / "space", answers, sound)


@pytest.fixture(scope="module")
def empty(built: Shipped, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds what the Bento asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (pin,) = re.findall(r"^simple-di==\S+", built.requirements.read_text(), re.MULTILINE)
    probe = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder / "pip"), pin]
    done = subprocess.run(probe, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(f"no package index can be reached: {done.stderr.strip().splitlines()[-1:]}")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check")
    environment = clean_environment()
    run(*pip, "install", "--no-compile", "-r", built.requirements, cwd=folder, environment=environment)
    run(*pip, "check", cwd=folder, environment=environment)
    there = "import importlib.util, sys; print([n for n in sys.argv[1:] if importlib.util.find_spec(n)])"
    assert run(python, "-c", there, *NOT_THERE, cwd=folder, environment=environment).strip() == "[]"
    return python


@contextmanager
def serving(command: list[str | Path], cwd: Path, port: int, environment: Mapping[str, str]) -> Iterator[str]:
    """The service, once it is ready; stopped as Ctrl-C stops it."""
    log = cwd / "log.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(map(str, command)), cwd=cwd, env=environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + TOO_LONG_S
        while not ready(url):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-4000:]
            time.sleep(0.5)
        yield url
        process.send_signal(signal.SIGINT)
        process.wait(60)
        assert "Traceback" not in log.read_text(), log.read_text()[-4000:]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def assert_it_answers_as_offline(url: str, built: Shipped) -> None:
    answer = httpx.post(f"{url}/v1/compare", files={"audio": ("a.wav", built.sound)}, timeout=120)
    assert answer.status_code == 200, answer.text
    predictions = answer.json()["predictions"]
    assert set(predictions) == set(NAMES)
    for name, offline in built.answer.items():
        assert predictions[name]["label"] == offline["label"]
        assert predictions[name]["probabilities"] == pytest.approx(offline["probabilities"], abs=1e-5)
    assert httpx.get(f"{url}/v1/models", timeout=60).json()["quick"] == "binary-logmel"


def test_the_bento_serves_from_its_own_requirements(built: Shipped, empty: Path, tmp_path: Path) -> None:
    """As the entry point of a container built from it does: the folder is served, and no model store is there."""
    environment = clean_environment(BENTOML_HOME=str(tmp_path / "bentoml"), BENTOML_DO_NOT_TRACK="True")
    port = free_port()
    command = [empty.with_name("bentoml"), "serve", built.bento, "--host", "127.0.0.1", "--port", str(port)]
    with serving(command, tmp_path, port, environment) as url:
        assert_it_answers_as_offline(url, built)
        assert httpx.get(f"{url}/ui/", timeout=60).status_code == 200


def test_the_space_runs_by_itself_and_answers_a_browser(built: Shipped, empty: Path, tmp_path: Path) -> None:
    space = built.space.rename(tmp_path / "space")
    pip = (empty, "-m", "pip", "--quiet", "--disable-pip-version-check")
    # As the Hub does it: its own list beside the Space's, in one resolution.
    added = [
        line for line in (ROOT / "bento/space/requirements.in").read_text().splitlines() if not line.startswith("#")
    ]
    install = (*pip, "install", "--no-compile", "-r", space / "requirements.txt", *added)
    run(*install, cwd=tmp_path, environment=clean_environment())
    run(*pip, "check", cwd=tmp_path, environment=clean_environment())
    port = free_port()
    environment = clean_environment(GRADIO_SERVER_PORT=str(port), TMPDIR=str(tmp_path))
    before = {path for path in space.rglob("*") if "__pycache__" not in path.parts}
    with serving([empty, space / "app.py"], tmp_path, port, environment) as url:
        assert_it_answers_as_offline(url, built)
        # As the Hub's proxy passes on what a browser asks.
        proxied = {"x-forwarded-host": "someone-breath.hf.space", "x-forwarded-proto": "https"}
        page = httpx.get(url, headers=proxied, timeout=60, follow_redirects=True)
        assert page.status_code == 200 and "Respiratory sounds" in page.text
        assert "https://someone-breath.hf.space/ui" in page.text and "http://127.0.0.1" not in page.text
        assert "x-frame-options" not in page.headers  # the Hub shows a Space in a frame
        for name in re.findall(r'(?:src|href)="(\.?/[^"]+\.(?:js|css))"', page.text)[:3]:
            assert httpx.get(httpx.URL(f"{url}/ui/").join(name), timeout=60).status_code == 200
        config = httpx.get(f"{url}/ui/config", headers=proxied, timeout=60).json()
        sent = httpx.post(f"{url}/ui/gradio_api/upload", files={"files": ("a.wav", built.sound)}, timeout=60)
        assert sent.status_code == 200 and len(sent.json()) == 1
        assert config["components"]
    assert {path for path in space.rglob("*") if "__pycache__" not in path.parts} == before
