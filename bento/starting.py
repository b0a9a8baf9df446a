"""From stored models to an Engine that answers: loaded, verified, compiled; the page's libraries imported meanwhile.

Only the process that answers imports this: `bentoml serve`'s own process, which starts and watches it, needs no JAX.
"""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import jax

from bento import metrics
from bento.about import load_about
from bento.engine import Engine
from bento.load import Load
from bento.store import ABOUT, CONTENT, NAMES, quick_name
from jaxresp import allocator
from jaxresp.classifier import Classifier
from jaxresp.compilation import use_persistent_cache

_LOG = logging.getLogger("bentoml.jaxresp")


def start_engine(stored: Mapping[str, Any], load: Load) -> Engine:
    """Everything that must be done before the first request.

    Args:
        stored: models of BentoML's store, by the names of the classifiers, and ABOUT.
        load: what the service takes on.

    Raises:
        ClassifierError, AboutDamaged: a model was damaged after the check before the start.
    """
    began_s = time.perf_counter()
    allocator.use_few_arenas()
    _compute_in_callers_thread()
    use_persistent_cache()
    metrics.count_compilations()
    folders = {name: Path(model.path_of(CONTENT)) for name, model in stored.items()}
    # Compiling is most of a first start and releases the interpreter lock; importing Gradio takes two seconds and holds
    # it. As many threads as cores: more would only hold more memory. The names go through the front ends first, so that
    # the features of one are compiled by the time the second task asks for them.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        compiled = threads.map(_ready, (folders[name] for name in NAMES))
        import_module("bento.ui")
        classifiers = dict(zip(NAMES, compiled, strict=True))
    allocator.give_back()
    quick = quick_name(model.info.metadata for model in stored.values())
    for name, classifier in classifiers.items():
        metrics.MODEL_INFO.labels(model=name, version=classifier.version, quick=str(name == quick).lower()).set(1)
    metrics.expect({name: classifier.classes for name, classifier in classifiers.items()})
    engine = Engine(classifiers, quick, load=load, about=load_about(folders[ABOUT]))
    gc.freeze()  # what is there now stays: a collection, in the middle of an answer, need not look at it again
    seconds = {
        "models_s": round(time.perf_counter() - began_s, 2),
        "cpu_s": round(time.process_time(), 2),
        "programs": sum(classifier.trace_count() for classifier in classifiers.values()),
    }
    _LOG.info("models loaded and compiled", extra={"data": seconds})
    return engine


def _ready(folder: Path) -> Classifier:
    classifier = Classifier.load(folder)
    classifier.warm_up()
    return classifier


def _compute_in_callers_thread() -> None:
    """A call of a network runs in the thread that makes it. Before JAX's first use.

    As many sounds are worked on at a time as there are cores. XLA's own threads beside them would only take turns with
    them, and each hand-over costs: without, a network takes a fifth less processor time, and a lone sound at most 1 ms
    longer. XLA has no setting for it but this variable, which it reads once (xla/pjrt/utils.cc).
    """
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    before = os.environ.get("NPROC")
    os.environ.setdefault("NPROC", "1")
    jax.devices()
    if before is None:
        del os.environ["NPROC"]
