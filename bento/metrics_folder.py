"""Where the workers of one server keep their metrics: a folder of its own.

BentoML has one such folder per computer and empties it at every start, so a second server at another port takes the
first one's metrics away. The folder's name is the process id of the server that made it.
"""

from __future__ import annotations

import atexit
import os
import shutil
from pathlib import Path

import psutil
from bentoml._internal.configuration.containers import BentoMLContainer  # there is no public setting
from prometheus_client import multiprocess

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # set by BentoML for its workers


def multiprocess_folder() -> Path | None:
    """Where this worker and its siblings keep their metrics, or None outside BentoML's server."""
    folder = os.environ.get(_VARIABLE)
    return Path(folder) if folder else None


def use_own_folder() -> None:
    """In the process that starts workers: give them a folder that no other server uses, and delete it at the end."""
    if multiprocess_folder() is not None:
        return  # a worker: it has been told
    folders = Path(BentoMLContainer.bentoml_home.get()) / "jaxresp_metrics"
    for left in folders.glob("[0-9]*"):
        if not psutil.pid_exists(int(left.name)):
            shutil.rmtree(left, ignore_errors=True)  # another server may be doing the same
    own = folders / str(os.getpid())
    BentoMLContainer.prometheus_multiproc_dir.set(str(own))
    atexit.register(shutil.rmtree, own, ignore_errors=True)


def forget_the_dead() -> None:
    """Drop the gauges of workers that were killed: nobody else does, and their queues would count for ever."""
    if (folder := multiprocess_folder()) is None:
        return
    for pid in {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_live*_*.db")}:
        if not psutil.pid_exists(pid):
            multiprocess.mark_process_dead(pid, str(folder))
