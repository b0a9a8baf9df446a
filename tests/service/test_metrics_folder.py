"""Two servers on one computer do not empty each other's metrics, and none leaves its folder behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bento.metrics_folder import forget_the_dead

from .conftest import environment

_SERVER = """
from bento.metrics_folder import use_own_folder
use_own_folder()
from bentoml.serving import ensure_prometheus_dir  # what `bentoml serve` asks, and empties
print(ensure_prometheus_dir(), flush=True)
input()
"""
_NOBODY = 2**22 + 1  # beyond the largest process id of Linux


def test_each_server_has_its_own_and_takes_it_along(tmp_path: Path) -> None:
    left = tmp_path / "jaxresp_metrics" / str(_NOBODY)
    left.mkdir(parents=True)
    env = environment(BENTOML_HOME=str(tmp_path))
    servers = [
        subprocess.Popen(
            [sys.executable, "-c", _SERVER], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    folders = [Path(server.stdout.readline().strip()) for server in servers if server.stdout]
    assert folders[0] != folders[1] and all(folder.is_dir() for folder in folders)
    assert not left.exists(), "what a killed server left stays for ever"
    for server in servers:
        server.communicate("\n", timeout=60)
    assert not any(folder.exists() for folder in folders)


def test_gauges_of_the_dead_are_dropped_and_their_counts_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [f"{kind}_{pid}.db" for kind in ("gauge_livesum", "counter", "histogram") for pid in (_NOBODY, os.getpid())]
    for name in files:
        (tmp_path / name).touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    forget_the_dead()
    assert {path.name for path in tmp_path.iterdir()} == set(files) - {f"gauge_livesum_{_NOBODY}.db"}
