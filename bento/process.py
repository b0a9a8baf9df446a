"""A process that answers: the six Classifiers, loaded, verified and compiled, asked over a socket by the service.

    python -m bento.process '{"end": 5, "folders": {"binary-mfcc": "…", …}, "order": ["binary-mfcc", …], "threads": 1}'

It loads and compiles in the given order, says what it has loaded, then answers until the socket is closed. A file that
brings down a decoder brings down this process and not the service.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax

from bento import metering, metrics
from bento.answers import CANCEL, Failed, Loaded
from bento.channel import Channel, send_now
from bento.computing import Computing
from bento.logs import log_json
from jaxresp import allocator
from jaxresp.classifier import Classifier
from jaxresp.compilation import use_persistent_cache
from jaxresp.errors import JaxrespError


def main() -> None:
    """Load, tell, answer."""
    began_s = time.perf_counter()
    for stop in (signal.SIGINT, signal.SIGTERM):  # the service's affair: it answers what is under way, then closes
        signal.signal(stop, signal.SIG_IGN)
    asked = json.loads(sys.argv[1])
    end = socket.socket(fileno=asked["end"])
    log_json()
    allocator.use_few_arenas()
    metering.watch()
    compute_in_callers_thread()
    use_persistent_cache()
    metrics.count_compilations()
    folders = {name: Path(folder) for name, folder in asked["folders"].items()}
    with ThreadPoolExecutor(asked["threads"]) as threads:
        ready = dict(zip(asked["order"], threads.map(_ready, map(folders.__getitem__, asked["order"])), strict=True))
    classifiers = {name: ready[name] for name in folders}
    programs = sum(classifier.trace_count() for classifier in classifiers.values())
    computing = Computing(classifiers, asked["threads"])
    allocator.give_back()
    gc.freeze()  # what is there now stays: a collection, in the middle of an answer, need not look at it again
    metrics.READY.set(1)
    send_now(end, Loaded(computing.models, time.perf_counter() - began_s, time.process_time(), programs))
    asyncio.run(_answer(end, computing))


def _ready(folder: Path) -> Classifier:
    classifier = Classifier.load(folder)
    if jax.default_backend() == "cpu":
        classifier.buckets = (1,)  # one thread takes one window after another; more shapes would only take to compile
    classifier.warm_up()
    return classifier


async def _answer(end: socket.socket, computing: Computing) -> None:
    """Answer what is asked until the other end is closed; nobody waits for an answer then."""
    ended, tasks = asyncio.Event(), dict[int, asyncio.Task[None]]()

    async def one(number: int, method: str, arguments: dict[str, Any]) -> None:
        try:
            answer = await getattr(computing, method)(**arguments)
        except JaxrespError as error:
            answer = error
        except Exception:
            answer = Failed(traceback.format_exc())
        finally:
            del tasks[number]
        channel.send((number, answer))

    def heard(message: tuple[int, str, dict[str, Any], bool], body: bytearray) -> None:
        number, method, arguments, with_sound = message
        if with_sound:
            arguments["sound"] = bytes(body)
        if method != CANCEL:
            tasks[number] = asyncio.create_task(one(number, method, arguments))
        elif number in tasks:
            tasks[number].cancel()

    channel = await Channel.over(end, heard, ended.set)
    await ended.wait()
    os._exit(0)  # threads may still be computing


def compute_in_callers_thread() -> None:
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


if __name__ == "__main__":
    main()
