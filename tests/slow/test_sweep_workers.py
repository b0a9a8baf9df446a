"""Sweeps by several real processes, in every storage: killed and stopped; no trial is lost, and none is double."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from jaxresp import shipped
from jaxresp.sweep import storages
from jaxresp.sweep.storages import open_store
from jaxresp.sweep.study import Search, place_of, take

spec = importlib.util.spec_from_file_location("sweep_problem", Path(__file__).with_name("sweep_problem.py"))
assert spec is not None and spec.loader is not None
toy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toy)

pytestmark = pytest.mark.slow

TOO_LONG_S = 300.0  # nothing asserts how long a sweep takes; this only ends one that hangs


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of this test's own. Returns its address."""
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed: pip install jaxresp[postgres]")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [
        Path(each) for each in (shutil.which("initdb"),) if each
    ]
    if not found:
        pytest.skip("there is no PostgreSQL here: scripts/install-test-tools.sh installs it")
    programs = found[-1].parent
    # Not in pytest's own folders, whose parents nobody else may enter, and which another session may clear away.
    folder = Path(tempfile.mkdtemp(prefix="jaxresp-postgres-"))
    as_user: dict[str, int] = {}
    if os.geteuid() == 0:  # which PostgreSQL refuses
        nobody = pwd.getpwnam("nobody")
        as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid}
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    data = folder / "data"
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "tester", "-A", "trust", "--no-sync"],
        check=True, capture_output=True, cwd=folder, **as_user,
    )  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1", "-F"],
            stdout=log, stderr=log, cwd=folder, **as_user,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        ready = [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]
        while subprocess.run(ready, capture_output=True, check=False).returncode != 0:
            assert server.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        yield f"postgresql://tester@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
        shutil.rmtree(folder)


def start(folder: Path, url: str, n_trials: int, workers: int, log: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(shipped.root()), "JAX_COMPILATION_CACHE_DIR": str(log.parent / "xla")}
    words = [sys.executable, str(Path(toy.__file__)), str(folder), url, str(n_trials), str(workers)]
    with log.open("ab") as out:
        return subprocess.Popen(words, env=environment, stdout=out, stderr=out, start_new_session=True)


def wait_for(log: Path, words: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + TOO_LONG_S
    while words not in log.read_text():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.05)


def states(folder: Path, url: str) -> Counter[tuple[int, str]]:
    with closing(open_store(url, folder, "binary-toy")) as store:
        return Counter((place_of(t), t.state.name) for t in store.study.trials)


def assert_whole(folder: Path, url: str, n_trials: int) -> None:
    counted = states(folder, url)
    assert {place: n for (place, state), n in counted.items() if state == "COMPLETE"} == dict.fromkeys(
        range(n_trials), 1
    )
    assert not any(state == "RUNNING" for _, state in counted)
    assert not [path.name for path in folder.iterdir() if path.name.startswith(("running-", "workers-"))]


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [p for p in psutil.Process(process.pid).children() if "jaxresp.sweep.worker" in " ".join(p.cmdline())]


def kill_one_of(folder: Path, url: str, n_workers: int, n_trials: int, tmp_path: Path) -> None:
    """Start a sweep, kill a worker in the middle of a trial, and see that all is there in the end."""
    log = tmp_path / "log"
    process = start(folder, url, n_trials, n_workers, log)
    try:
        wait_for(log, "trial 2/", process)
        (victim, *others) = workers_of(process)
        assert len(others) == n_workers - 1
        victim.kill()
        assert process.wait(TOO_LONG_S) == 0, log.read_text()[-3000:]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert "died in trial" in log.read_text() or "died before its first trial" in log.read_text()
    assert_whole(folder, url, n_trials)


def test_a_worker_killed_in_a_postgresql_study_of_three(tmp_path: Path, postgres: str) -> None:
    kill_one_of(tmp_path / "work", postgres, 3, 7, tmp_path)
    # From the database alone, another machine has everything but the weights, which it trains again.
    elsewhere = toy.search(tmp_path / "elsewhere", postgres, 7, 1)
    assert [trial.number for trial in elsewhere] == list(range(7))
    assert 1 <= sum(trial.is_here for trial in elsewhere) <= 3


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_worker_killed_in_a_study_of_one_host(tmp_path: Path, kind: str) -> None:
    kill_one_of(tmp_path / "work", kind, 2, 5, tmp_path)


def test_ctrl_c_stops_all_and_the_same_command_goes_on(tmp_path: Path) -> None:
    folder, log = tmp_path / "work", tmp_path / "log"
    process = start(folder, "sqlite", 5, 2, log)
    wait_for(log, "trial 2/", process)
    workers = workers_of(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    assert not any(worker.is_running() for worker in workers)
    assert not any(state == "RUNNING" for _, state in states(folder, "sqlite"))
    again = start(folder, "sqlite", 5, 1, tmp_path / "again")
    assert again.wait(TOO_LONG_S) == 0, (tmp_path / "again").read_text()[-3000:]
    assert_whole(folder, "sqlite", 5)


def test_workers_do_not_outlive_a_sweep_that_is_killed(tmp_path: Path) -> None:
    folder, log = tmp_path / "work", tmp_path / "log"
    process = start(folder, "journal", 5, 2, log)
    wait_for(log, "trial 1/", process)
    workers = workers_of(process)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []


def test_a_machine_that_is_not_heard_of_loses_its_trial(
    tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storages, "GRACE_S", 2)
    with closing(open_store(postgres, tmp_path, "silent")) as store:
        at = Search(toy.problem(), tmp_path, 1, toy.SPACE)
        taken = take(at, store)
        assert taken is not None
        assert take(at, store) is None
        store.let_go(taken[0])  # its heart stops; the database still says that it is running
        assert store.is_running(taken[0].number)
        deadline = time.monotonic() + 60
        while (again := take(at, store)) is None:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert again[1:] == taken[1:]
        store.let_go(again[0])
