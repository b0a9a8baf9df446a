"""Messages between two processes come whole and in order, whatever becomes of who sends them."""

from __future__ import annotations

import asyncio
import pickle
import socket
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import uvloop

from bento import channel, errors
from bento.channel import Channel
from jaxresp.errors import JaxrespError

RUNNERS = [pytest.param(asyncio.run, id="asyncio"), pytest.param(uvloop.run, id="uvloop")]


def _echo(end: socket.socket) -> threading.Thread:
    """The other process, as a thread: it sends back what it hears, and how long the sound was."""

    async def run() -> None:
        ended = asyncio.Event()
        there: Channel

        def heard(message: Any, body: bytearray) -> None:
            there.send((message, len(body), body[:3]), bytes(body))

        there = await Channel.over(end, heard, ended.set)
        await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    return thread


@pytest.mark.parametrize("run", RUNNERS)
def test_messages_come_whole_and_in_order(run: Callable[[Any], Any]) -> None:
    ours, theirs = channel.pair()
    other = _echo(theirs)
    sounds = [b"", b"abc", bytes(3_000_000), b"x", np.arange(500_000, dtype=np.int32).tobytes(), b""]

    async def story() -> list[Any]:
        got: list[Any] = []
        ended, enough = asyncio.Event(), asyncio.Event()

        def heard(message: Any, body: bytearray) -> None:
            got.append((message, bytes(body)))
            if len(got) == len(sounds):
                enough.set()

        here = await Channel.over(ours, heard, ended.set)
        for i, sound in enumerate(sounds):  # all at once: far more than a socket holds
            here.send({"number": i}, sound)
        await asyncio.wait_for(enough.wait(), 20)
        here.close()
        await asyncio.wait_for(ended.wait(), 20)
        here.send("nobody hears this", b"and nothing fails")
        return got

    got = run(story())
    other.join(20)
    assert not other.is_alive(), "it was not told that we have closed"
    expected = [(({"number": i}, len(sound), sound[:3]), sound) for i, sound in enumerate(sounds)]
    assert got == expected


def test_before_there_is_a_loop() -> None:
    ours, theirs = channel.pair()
    with ours, theirs:
        large = {"card": "x" * 1_000_000}
        sender = threading.Thread(target=channel.send_now, args=(theirs, large))
        sender.start()
        assert channel.receive_now(ours) == large
        sender.join()
        theirs.shutdown(socket.SHUT_RDWR)
        with pytest.raises(EOFError):
            channel.receive_now(ours)


@pytest.mark.parametrize("kind", errors.ANSWERS, ids=lambda kind: kind.__name__)
def test_every_named_error_comes_across(kind: type[JaxrespError]) -> None:
    error = kind("the file: what is wrong; what to do")
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is kind
    assert str(arrived) == str(error)
    assert errors.response_to(arrived).headers == errors.response_to(error).headers
