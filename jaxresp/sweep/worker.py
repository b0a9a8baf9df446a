"""`python -m jaxresp.sweep.worker`: one of the processes that jaxresp.sweep.workers starts."""

from __future__ import annotations

import _thread
import json
import os
import pickle
import signal
import sys
import threading
from contextlib import closing
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from jaxresp import models
from jaxresp.allocator import keep_freed
from jaxresp.compilation import use_persistent_cache
from jaxresp.errors import JaxrespError
from jaxresp.sweep.storages import open_store
from jaxresp.sweep.study import Known, work


def main() -> None:
    """Train trials as long as there are any, or until the process that started this one is gone."""
    cores = os.environ.get("JAXRESP_WORKER_CORES")
    if cores:  # before JAX counts them: it makes a thread for each
        os.sched_setaffinity(0, set(map(int, cores.split(","))))
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to the log
    signal.signal(signal.SIGTERM, _interrupt)
    job = pickle.loads(sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(8), "big")))
    threading.Thread(target=_stop_when_orphaned, daemon=True).start()

    def say(**message: Any) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    try:
        _work(job, say)
    except JaxrespError as error:
        say(mistake=str(error))
        sys.exit(2)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)


def _work(job: dict[str, Any], say: Any) -> None:
    keep_freed()
    use_persistent_cache()
    for name, build in job["networks"].items():
        models.register_network(name, build)
    search = job["search"]
    bank = replace(search.problem.bank, features=np.load(job["bank"], mmap_mode="r"))
    search = replace(search, problem=replace(search.problem, bank=bank))
    with closing(open_store(job["storage_url"], search.folder, job["name"])) as store:
        work(
            search,
            store,
            Known(search, store),
            lambda what, part: say(what=what, part=part),
            lambda number, optunas: say(taken=[number, optunas]),
        )


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _stop_when_orphaned() -> None:
    sys.stdin.buffer.read()  # ends when the other end does
    _thread.interrupt_main()


if __name__ == "__main__":
    main()
