"""From stored models to an Engine that answers: its processes started, the page's libraries imported meanwhile."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from bento import metrics
from bento.about import load_about
from bento.engine import Engine
from bento.limits import LIMITS
from bento.load import Load
from bento.pool import Pool
from bento.store import ABOUT, CONTENT, NAMES, quick_name
from jaxresp import allocator

_LOG = logging.getLogger("bentoml.jaxresp")


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
    threads = -(-LIMITS.threads // LIMITS.processes)
    pool = Pool({name: folders[name] for name in NAMES}, processes=LIMITS.processes, threads=threads)
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
