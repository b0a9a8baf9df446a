"""From stored models to an Engine that answers: its processes started, the page's libraries imported meanwhile."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bentoml.exceptions import BentoMLException

from bento import metrics
from bento.about import load_about
from bento.engine import Engine
from bento.limits import LIMITS, n_cores
from bento.load import Load
from bento.pool import Pool
from bento.store import ABOUT, CONTENT, NAMES, quick_name
from jaxresp import allocator
from jaxresp.errors import JaxrespError

_LOG = logging.getLogger("bentoml.jaxresp")
PROCESSES_VARIABLE = "JAXRESP_PROCESSES"
_MOST_PROCESSES = 4


class InvalidSetting(JaxrespError, BentoMLException):
    """An environment variable that makes no sense. BentoML prints it as one line."""


def n_processes(environment: Mapping[str, str] = os.environ) -> int:
    """Processes that answer, each with the six networks (300 MB): as many as cores, up to four.

    One where an accelerator does the work, whose memory belongs to the first process that takes it. It is not looked
    for here, which would need JAX: its plugin says enough. JAXRESP_PROCESSES chooses otherwise.

    Raises:
        InvalidSetting: it is no whole number above zero.
    """
    chosen = environment.get(PROCESSES_VARIABLE)
    if chosen:
        if not (chosen.isdecimal() and int(chosen)):
            raise InvalidSetting(f"{PROCESSES_VARIABLE} is {chosen!r}; give a whole number above zero, or leave it out")
        return int(chosen)
    on_cpu = environment.get("JAX_PLATFORMS", "").startswith("cpu")
    accelerated = not on_cpu and (entry_points(group="jax_plugins") or find_spec("libtpu"))
    return 1 if accelerated else min(n_cores(), _MOST_PROCESSES)


def start_engine(stored: Mapping[str, Any], load: Load) -> Engine:
    """Everything that must be done before the first request.

    Args:
        stored: models of BentoML's store, by the names of the classifiers, and ABOUT.
        load: what the service takes on.

    Raises:
        NoStart, AboutDamaged: a model was damaged after the check before the start.
    """
    began_s = time.perf_counter()
    allocator.use_few_arenas()
    folders = {name: Path(model.path_of(CONTENT)) for name, model in stored.items()}
    processes = n_processes()
    threads = -(-LIMITS.threads // processes)
    pool = Pool({name: folders[name] for name in NAMES}, processes=processes, threads=threads)
    try:
        import_module("bento.ui")  # Gradio takes two seconds, in which the processes load and compile
        about = load_about(folders[ABOUT])
        loaded = pool.wait()
    except BaseException:
        pool.close()
        raise
    quick = quick_name(model.info.metadata for model in stored.values())
    for name, model in pool.models.items():
        metrics.MODEL_INFO.labels(model=name, version=model.version, quick=str(name == quick).lower()).set(1)
    metrics.expect({name: model.classes for name, model in pool.models.items()})
    allocator.give_back()
    gc.freeze()  # what is there now stays: a collection, in the middle of a request, need not look at it again
    seconds = {
        "models_s": round(time.perf_counter() - began_s, 2),
        "processes_s": [round(each.seconds, 2) for each in loaded],
        "cpu_s": round(time.process_time() + sum(each.cpu_s for each in loaded), 2),
        "programs": [each.programs for each in loaded],
    }
    _LOG.info("models loaded and compiled", extra={"data": seconds})
    return Engine(pool, quick, load=load, about=about)
