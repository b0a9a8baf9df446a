"""A sweep by several processes: this one starts them, shows what they do, and notices when one dies.

Each trains whole trials, on its share of the processor's cores. The features are written once and mapped by all, so
they lie in memory once. A worker that is killed gives its trial back at once, and is replaced.
"""

from __future__ import annotations

import copyreg
import io
import json
import os
import pickle
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from jaxresp.errors import JaxrespError
from jaxresp.models import NETWORKS
from jaxresp.sweep.banks import save_array
from jaxresp.sweep.storages import Store
from jaxresp.sweep.study import Known, Report, Search

#: A trial whose worker died so often is what kills them.
MOST_DEATHS = 3
#: Seconds that a worker has to give its trial back when it is stopped.
_STOP_S = 15.0


class WorkerDied(JaxrespError):
    """A worker that could not go on."""


@dataclass
class _Worker:
    """One process, and what it last said."""

    number: int
    process: subprocess.Popen[bytes]
    log: Path
    what: str = "starting"
    part: float = 0.0
    trial: int | None = None
    optunas: int | None = None
    mistake: str | None = None
    thread: threading.Thread | None = field(default=None, repr=False)


def work(
    search: Search, store: Store, known: Known, report: Report, n_workers: int, storage_url: str | None, name: str
) -> None:
    """Let `n_workers` processes fill the places of the study.

    Raises:
        WorkerDied: one stopped with an error, or died of the same trial `MOST_DEATHS` times.
    """
    known.look()
    if known.all:
        return
    folder = Path(tempfile.mkdtemp(dir=search.folder, prefix="workers-"))
    try:
        job = _job(search, folder, storage_url, name)
        _Crew(search, store, known, report, folder, job, n_workers).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # what is left of it is swept away by the next


def _job(search: Search, folder: Path, storage_url: str | None, name: str) -> bytes:
    """What a worker must know, without the features: those it maps."""
    problem = search.problem
    save_array(folder / "bank.npy", problem.bank.features)
    nothing = replace(problem.bank, features=np.zeros((0, 0, 0, 0), np.float32))
    banks = problem.banks
    if banks is not None:
        banks.build_all(search.space)
        banks = replace(banks, build=None)
    job = io.BytesIO()
    _Pickler(job).dump(
        {
            "search": replace(search, problem=replace(problem, bank=nothing, banks=banks)),
            "bank": folder / "bank.npy",
            "storage_url": storage_url,  # by the pipe: a password in it is in no list of processes and in no file
            "name": name,
            "networks": dict(NETWORKS),
        }
    )
    return job.getvalue()


class _Pickler(pickle.Pickler):
    """Read-only mappings too, as in a Task."""

    dispatch_table = copyreg.dispatch_table | {MappingProxyType: lambda view: (_read_only, (dict(view),))}


def _read_only(values: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(values)


class _Crew:
    """The workers of one sweep."""

    def __init__(
        self, search: Search, store: Store, known: Known, report: Report, folder: Path, job: bytes, n_workers: int
    ):
        self._search, self._store, self._known, self._report = search, store, known, report
        self._folder, self._job = folder, job
        self._said: queue.Queue[tuple[_Worker, dict[str, Any] | None]] = queue.Queue()
        self._deaths: Counter[int | None] = Counter()
        self._n_workers, self._started = n_workers, 0
        self._workers: list[_Worker] = []

    def run(self) -> None:
        try:
            for number in range(self._n_workers):
                self._workers.append(self._start(number))
            while not self._known.all:
                worker, message = self._said.get()
                if message is None:
                    self._ended(worker)
                else:
                    self._heard(worker, message)
        finally:
            self._stop()

    def _start(self, number: int) -> _Worker:
        log = self._folder / f"worker-{number}-{self._started}.log"
        self._started += 1
        with log.open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "jaxresp.sweep.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                env=os.environ | _share(number, self._n_workers),
                start_new_session=True,  # Ctrl-C comes here, and from here to them
            )
        worker = _Worker(number, process, log)
        worker.thread = threading.Thread(target=self._listen, args=(worker,), daemon=True)
        worker.thread.start()
        return worker

    def _listen(self, worker: _Worker) -> None:
        """In a thread of its own: hand over the job, then every line that comes, then that it has ended."""
        assert worker.process.stdin is not None and worker.process.stdout is not None
        try:
            worker.process.stdin.write(len(self._job).to_bytes(8, "big") + self._job)
            worker.process.stdin.flush()  # and left open: when it closes, this process is gone
        except BrokenPipeError:
            pass  # it died at once; its log says why
        for line in worker.process.stdout:
            self._said.put((worker, json.loads(line)))
        worker.process.wait()
        self._said.put((worker, None))

    def _heard(self, worker: _Worker, message: dict[str, Any]) -> None:
        worker.what, worker.part = message.get("what", worker.what), message.get("part", worker.part)
        if "taken" in message:
            worker.trial, worker.optunas = message["taken"]
        if "mistake" in message:
            worker.mistake = message["mistake"]
        if message.get("part") == 0.0:  # between two trials
            worker.trial, worker.optunas = None, None
            self._known.look()
        if "what" in message:
            self._tell(worker.what)

    def _tell(self, what: str) -> None:
        self._report(what, sum(worker.part for worker in self._workers))

    def _ended(self, worker: _Worker) -> None:
        self._known.look()
        if worker.process.returncode == 0 or self._known.all:
            return
        trial = "before its first trial" if worker.trial is None else f"in trial {worker.trial + 1}"
        if worker.mistake is not None or worker.process.returncode > 0:
            told = worker.mistake or _tail(worker.log)
            raise WorkerDied(f"worker {worker.number + 1} stopped {trial}: {told}")
        self._deaths[worker.trial] += 1
        if self._deaths[worker.trial] >= MOST_DEATHS:
            raise WorkerDied(
                f"a worker died {trial} {MOST_DEATHS} times (signal {-worker.process.returncode}); if memory is short, "
                "try fewer workers, or a smaller space"
            )
        if worker.optunas is not None:
            with self._store.locked():
                self._store.fail(worker.optunas)
        self._tell(f"worker {worker.number + 1} died {trial} (signal {-worker.process.returncode}); it is done again")
        self._workers[self._workers.index(worker)] = self._start(worker.number)

    def _stop(self) -> None:
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.process.terminate()
        for worker in self._workers:
            try:
                worker.process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            assert worker.process.stdin is not None and worker.thread is not None
            worker.process.stdin.close()
            worker.thread.join()
            assert worker.process.stdout is not None
            worker.process.stdout.close()


def _share(number: int, n_workers: int) -> dict[str, str]:
    """What of the machine a worker gets: its cores, and its part of an accelerator's memory."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    share = {"JAXRESP_WORKER_CORES": ",".join(map(str, cores[number % len(cores) :: n_workers]))} if cores else {}
    if "XLA_PYTHON_CLIENT_MEM_FRACTION" not in os.environ:
        share["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 / n_workers:.3f}"
    return share


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return "\n".join(lines[-15:]) or "it said nothing"
