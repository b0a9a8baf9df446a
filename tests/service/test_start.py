"""What keeps the service from starting, and how it says so."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import bentoml
import pytest

from bento.serve import PortInUse, check_port, serve
from bento.starting import InvalidSetting, n_processes
from bento.store import ABOUT, CONTENT, NAMES, ModelsNotReady, content_hash, quick_name, store_classifiers
from jaxresp.classifier import ClassifierAltered

from .conftest import environment, free_port


def test_storing_twice_changes_nothing(run_folder: Path) -> None:
    tags = store_classifiers(run_folder)
    assert [tag.split(":")[0] for tag in tags] == [f"jaxresp-{name}" for name in (*NAMES, ABOUT)]
    created = [bentoml.models.get(tag).info.creation_time for tag in tags]
    assert store_classifiers(run_folder) == tags
    assert [bentoml.models.get(tag).info.creation_time for tag in tags] == created
    for name, tag in zip(NAMES, tags[:-1], strict=True):
        stored = Path(bentoml.models.get(tag).path_of(CONTENT))
        assert content_hash(stored) == content_hash(run_folder / "classifiers" / name)


def test_a_missing_classifier_stores_nothing(run_folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run_folder, tmp_path / "run")
    shutil.rmtree(copy / "classifiers" / "binary-logmel")
    with pytest.raises(ModelsNotReady, match=r"binary-logmel.*jaxresp run"):
        store_classifiers(copy)


def test_an_altered_classifier_stores_nothing(run_folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run_folder, tmp_path / "run")
    weights = copy / "classifiers" / NAMES[-1] / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    before = {str(model.tag) for model in bentoml.models.list()}
    with pytest.raises(ClassifierAltered):
        store_classifiers(copy)
    assert {str(model.tag) for model in bentoml.models.list()} == before


def test_the_quick_model_can_be_chosen() -> None:
    stored = [{"quick": "binary-mfcc"}]
    assert quick_name(stored, {}) == "binary-mfcc"
    assert quick_name(stored, {"JAXRESP_QUICK_MODEL": "binary-logmel"}) == "binary-logmel"
    with pytest.raises(ModelsNotReady, match="multiclass-mfcc"):
        quick_name(stored, {"JAXRESP_QUICK_MODEL": "mfcc"})


def test_the_number_of_processes_can_be_chosen() -> None:
    assert n_processes({"JAXRESP_PROCESSES": "7"}) == 7
    assert 1 <= n_processes({"JAX_PLATFORMS": "cpu"}) <= 4
    for nonsense in ("0", "two", "-1", "1.5"):
        with pytest.raises(InvalidSetting, match=r"JAXRESP_PROCESSES is .* whole number"):
            n_processes({"JAXRESP_PROCESSES": nonsense})


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=rf"port {port} .*--port"):
            serve(port)
    check_port(free_port(), "127.0.0.1")


def _refusal(home: Path, **settings: str) -> str:
    """What `bentoml serve` says when it refuses to start."""
    command = [sys.executable, "-m", "bentoml", "serve", "bento.service:Jaxresp", "--port", str(free_port())]
    environ = environment(**{"BENTOML_HOME": str(home)} | settings)
    done = subprocess.run(command, env=environ, cwd=home, capture_output=True, text=True, timeout=240)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_setting_that_makes_no_sense_keeps_it_from_starting(run_folder: Path, tmp_path: Path) -> None:
    store_classifiers(run_folder)
    said = _refusal(tmp_path, BENTOML_HOME=os.environ["BENTOML_HOME"], JAXRESP_PROCESSES="two")
    assert "JAXRESP_PROCESSES is 'two'" in said


def test_missing_models_keep_it_from_starting(tmp_path: Path) -> None:
    said = _refusal(tmp_path)
    assert "is not in the model store" in said
    assert "jaxresp export" in said


def test_an_altered_weight_file_keeps_it_from_starting(run_folder: Path, tmp_path: Path) -> None:
    (tag,) = (tag for tag in store_classifiers(run_folder) if "multiclass-logmel" in tag)
    stored = Path(bentoml.models.get(tag).path)  # of several versions, the one that is served
    home = stored.parents[2]
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    weights = next((tmp_path / stored.relative_to(home)).rglob("weights.npz"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    said = _refusal(tmp_path)
    assert "jaxresp-multiclass-logmel" in said
    assert "was altered" in said
    assert "jaxresp export" in said


def test_the_process_that_takes_requests_needs_no_jax(tmp_path: Path) -> None:
    """Its page and API share the interpreter with nothing that computes."""
    code = "import sys; import bento.service, bento.starting, bento.ui; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"jax", "flax", "scipy.signal", "matplotlib"}.isdisjoint(done.stdout.split())


def test_the_process_that_only_watches_needs_no_jax(run_folder: Path, tmp_path: Path) -> None:
    """It holds a quarter of the memory then, and starts in a third of the time."""
    store_classifiers(run_folder)
    code = "import sys; import bento.service; from bento.store import check_store; check_store(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"jax", "flax", "gradio", "pandas", "matplotlib"}.isdisjoint(done.stdout.split())
