"""Processes that answer, for the one that serves: each sound goes to the one with the least in hand.

Decoding, features and answers hold Python's interpreter lock for a good part of their time, so that threads of one
process do not fill two cores; and what a broken file may bring down is a process that is replaced, not the service.
Nothing of JAX is imported here.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from bento import channel
from bento.answers import CANCEL, Answer, Explained, Failed, Loaded, Model
from bento.channel import Channel
from bento.errors import ProcessLost
from bento.metrics_folder import forget_the_dead
from jaxresp import shipped
from jaxresp.errors import JaxrespError

_LOG = logging.getLogger("bentoml.jaxresp")
_MODULE = "bento.process"
#: Seconds until a process that could not be replaced is tried again, doubled each time, up to the second.
_FIRST_S, _LONGEST_S = 1.0, 60.0
_ENDS_S = 5.0  # in which a process whose socket was closed is gone


class NoStart(JaxrespError):
    """A process that answers has ended before it could; its own words are in the log."""


class WorkFailed(RuntimeError):
    """A fault of ours in a process that answers, with its traceback."""


@dataclass(eq=False)
class _Process:
    popen: subprocess.Popen[bytes]
    end: socket.socket
    channel: Channel | None = None  # None until an event loop uses it
    asked: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    attached: bool = False  # to an event loop, which has closed the socket when it ends

    def stop(self) -> None:
        """Let it go: it ends when its socket does. At once, where closing would wait for the event loop's next turn."""
        with contextlib.suppress(OSError):  # it has gone
            self.end.shutdown(socket.SHUT_RDWR)
        if self.channel is not None:
            self.channel.close()

    def wait(self) -> int:
        """Its exit status, once it is gone."""
        try:
            return self.popen.wait(_ENDS_S)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait()
        finally:
            if not self.attached:
                self.end.close()


class Pool:
    """An `Answering` that has it done by processes. They are started at once; `wait` until they can answer.

    Args:
        folders: of the Classifiers, by name.
        processes: how many.
        threads: sounds that each works on at a time.
    """

    def __init__(self, folders: Mapping[str, Path], *, processes: int, threads: int) -> None:
        self.models: Mapping[str, Model] = {}
        self._folders, self._threads = folders, threads
        self._numbers, self._closing = count(), asyncio.Event()
        self._attached: asyncio.Task[None] | None = None
        self._replacing = set[asyncio.Task[None]]()
        self._any = asyncio.Event()  # at least one can be asked
        self._processes = [self._start(k, processes) for k in range(processes)]

    def wait(self) -> list[Loaded]:
        """What each process has loaded, once all of them can answer.

        Raises:
            NoStart: one has ended instead.
        """
        told = [_told(process) for process in self._processes]
        self.models = told[0].models
        return told

    def close(self) -> None:
        """End the processes. What they still work on is not answered."""
        self._closing.set()
        for process in self._processes:
            process.stop()
        for process in self._processes:
            process.wait()

    async def ready(self) -> bool:
        """Whether a process is there."""
        await self._attend()
        return self._any.is_set()

    async def classify(self, sound: bytes, name: str, age_years: float | None, *, keep: bool) -> Answer:
        """See `Answering`."""
        answer: Answer = await self._ask("classify", sound, name=name, age_years=age_years, keep=keep)
        return answer

    async def compare(self, sound: bytes, age_years: float | None, *, keep: bool) -> dict[str, Answer]:
        """See `Answering`."""
        answers: dict[str, Answer] = await self._ask("compare", sound, age_years=age_years, keep=keep)
        return answers

    async def explain(self, sound: bytes, name: str, of_class: str | None) -> Explained:
        """See `Answering`."""
        explained: Explained = await self._ask("explain", sound, name=name, of_class=of_class)
        return explained

    async def explain_answer(self, answer: Answer, name: str) -> Explained:
        """See `Answering`."""
        explained: Explained = await self._ask("explain_answer", None, answer=answer, name=name)
        return explained

    async def _ask(self, method: str, sound: bytes | None, **arguments: Any) -> Any:
        """Have a method of `Computing` called.

        Raises:
            JaxrespError: what it raises.
            ProcessLost: the process ended over it, or beside it.
            WorkFailed: it raised anything else.
        """
        await self._attend()
        await self._any.wait()  # at most until the request's deadline
        process = min((each for each in self._processes if each.channel), key=lambda each: len(each.asked))
        assert process.channel is not None
        number, answered = next(self._numbers), asyncio.get_running_loop().create_future()
        process.asked[number] = answered
        process.channel.send((number, method, arguments, sound is not None), sound or b"")
        try:
            answer = await answered
        except asyncio.CancelledError:
            process.channel.send((number, CANCEL, {}, False))
            raise
        finally:
            process.asked.pop(number, None)
        if isinstance(answer, JaxrespError):
            raise answer
        return answer

    # Processes come and go

    def _start(self, k: int, of: int) -> _Process:
        """The k-th process. Each begins with another model: what one has compiled the next ones find in the cache."""
        names = sorted(self._folders, key=lambda name: name.rpartition("-")[2])  # by front end, which models share
        first = k * len(names) // of
        folders = {name: str(folder) for name, folder in self._folders.items()}
        ours, theirs = channel.pair()
        with theirs:
            asked = {"end": theirs.fileno(), "folders": folders, "order": names[first:] + names[:first]}
            command = [sys.executable, "-m", _MODULE, json.dumps(asked | {"threads": self._threads})]
            popen = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=shipped.root())
        return _Process(popen, ours)

    async def _attend(self) -> None:
        """From the first question on, be it whether anybody is there, the event loop hears of what becomes of them."""
        if self._attached is None:
            self._attached = asyncio.create_task(self._attach(self._processes), context=Context())
        await asyncio.shield(self._attached)

    async def _attach(self, processes: Sequence[_Process]) -> None:
        for process in processes:
            process.attached = True
            process.channel = await Channel.over(
                process.end, functools.partial(_answered, process), functools.partial(self._lost, process)
            )
            self._any.set()

    def _lost(self, process: _Process) -> None:
        """Its socket was closed: by us, or because it is gone."""
        process.channel = None
        if not any(each.channel for each in self._processes):
            self._any.clear()
        for answered in process.asked.values():
            if not answered.done():
                answered.set_exception(
                    ProcessLost("the process that worked on this recording was lost; try again in a few seconds")
                )
        if not self._closing.is_set():
            task = asyncio.create_task(self._replace(process), context=Context())  # it belongs to no request
            self._replacing.add(task)
            task.add_done_callback(self._replacing.discard)

    async def _replace(self, lost: _Process) -> None:
        """Start another in its place, however often it takes."""
        status = await asyncio.to_thread(lost.wait)
        _LOG.error("a process that answers was lost", extra={"data": {"pid": lost.popen.pid, "status": status}})
        forget_the_dead()
        k, wait_s = self._processes.index(lost), _FIRST_S
        while not self._closing.is_set():
            new = self._start(k, len(self._processes))
            self._processes[k] = new
            try:
                await asyncio.to_thread(_told, new)
            except NoStart:
                if self._closing.is_set():
                    return
                _LOG.exception("a process that answers could not be replaced")
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_S)
            else:
                await self._attach([new])
                return


def _told(process: _Process) -> Loaded:
    try:
        loaded: Loaded = channel.receive_now(process.end)
    except (EOFError, OSError) as error:
        raise NoStart(f"a process that answers ended with status {process.wait()} before it could") from error
    return loaded


def _answered(process: _Process, message: tuple[int, Any], _: bytearray) -> None:
    number, answer = message
    answered = process.asked.get(number)
    if answered is None or answered.done():
        return  # nobody waits for it any more
    if isinstance(answer, Failed):
        answered.set_exception(WorkFailed(answer.traceback))
    else:
        answered.set_result(answer)
