"""The README's own commands, in order, in a clone of what is committed, as a newcomer would give them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from jaxresp import shipped

pytestmark = pytest.mark.slow

ADDRESS = "http://127.0.0.1:3000"
#: Of the quick tests; all of them, in a clone, are a step of .ci/run.
SOME_TESTS = "tests/test_taxonomy.py tests/test_window.py tests/test_splits.py"
TOO_LONG_S = 1500.0  # ends what hangs; nothing asserts how long anything takes


def commands(readme: str) -> list[str]:
    """The commands of all ```sh blocks; one that wants something from the reader is in a block of another kind."""
    found = []
    for block in re.findall(r"^```sh\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL):
        if "<your" not in block:
            found += [line for line in block.replace("\\\n", " ").splitlines() if line.strip()]
    return found


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    root = shipped.root()
    if not (root / ".git").exists():
        pytest.skip(f"{root} is no clone")
    if not shutil.which("make"):
        pytest.skip("there is no make")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 3000)) == 0:
            pytest.skip("port 3000, which the README names, is in use")
    folder = tmp_path_factory.mktemp("clone")
    (pin,) = re.findall(r"^editables==\S+", (root / "requirements.txt").read_text(), re.MULTILINE)
    probe_index = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder / "pip"), pin]
    done = subprocess.run(probe_index, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(f"no package index can be reached: {done.stderr.strip().splitlines()[-1:]}")
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(root), str(folder / "jaxresp")], check=True)
    return folder / "jaxresp"


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """A newcomer's: nothing of ours is set, and caches are empty."""
    ours = ("JAXRESP_", "BENTOML_", "MLFLOW_", "GRADIO_", "JAX_", "PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    clean["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    clean["PYTHON"] = sys.executable  # the README lets make choose; here the one that these tests are about
    # pip's cache may be used: what is tested is our set-up, and not the network.
    pip_cache = subprocess.run(
        [sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=False
    )
    if pip_cache.returncode == 0:
        clean["PIP_CACHE_DIR"] = pip_cache.stdout.strip()
    clean["ARGS"] = ""
    return clean


def answers(path: str) -> bool:
    try:
        with urllib.request.urlopen(ADDRESS + path, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def members(group: int) -> list[str]:
    """What still runs of a process group."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = (line.split(None, 2) for line in listed.splitlines())
    return [args for pgid, stat, args in rows if int(pgid) == group and not stat.startswith("Z")]


def test_the_readme_commands_work_in_a_clean_clone(clone, environment, tmp_path):
    todo = commands((clone / "README.md").read_text())
    assert todo[:2] == ["make demo", "make test"], todo
    log = tmp_path / "demo.txt"
    with log.open("wb") as out:
        demo = subprocess.Popen(todo[0], shell=True, cwd=clone, env=environment, stdout=out, stderr=out,
                                executable="/bin/bash", start_new_session=True)  # fmt: skip
    try:
        started = time.monotonic()
        while not answers("/readyz"):
            assert demo.poll() is None, log.read_text()[-4000:]
            assert time.monotonic() - started < TOO_LONG_S, log.read_text()[-4000:]
            time.sleep(1)
        print(f"make demo, set-up and all, was ready after {time.monotonic() - started:.0f} s")
        assert answers("/ui/")
        for command in todo[1:]:
            with_tests = environment | ({"ARGS": SOME_TESTS} if command == "make test" else {})
            done = subprocess.run(command, shell=True, cwd=clone, env=with_tests, capture_output=True, text=True,
                                  executable="/bin/bash", timeout=TOO_LONG_S, check=False)  # fmt: skip
            assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            if "/v1/classify" in command:
                assert '"probabilities"' in done.stdout
            if command == "make test":
                assert re.search(r"\d+ passed", done.stdout)
        os.killpg(demo.pid, signal.SIGINT)  # Ctrl-C reaches all that a terminal has started
        demo.wait(60)
        text = log.read_text()
        assert "Traceback" not in text, text[-4000:]
        assert not answers("/readyz")
        assert members(demo.pid) == []
    finally:
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGKILL)
            demo.wait()
    untracked = subprocess.run(
        ["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True
    ).stdout
    assert untracked == "", "the commands left something in the clone that git does not ignore"
