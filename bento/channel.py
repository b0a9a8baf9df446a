"""Whole messages between two processes over a pair of sockets: an object, and the bytes of a sound apart from it.

A sound is neither pickled nor copied on its way into the socket. Both ends are ours: nothing from outside is unpickled.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from collections.abc import Callable
from typing import Any, cast

_HEAD = struct.Struct("!QQ")  # bytes of the object, bytes of the sound
_BUFFER_BYTES = 4 * 2**20  # asked for; the system gives what it allows
_PROTOCOL = 5


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends. The second one can be given to a child process."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
    return ours, theirs


def send_now(end: socket.socket, message: object) -> None:
    """Send a message, and wait until it is on its way. Before a Channel has the socket."""
    packed = pickle.dumps(message, _PROTOCOL)
    end.sendall(_HEAD.pack(len(packed), 0) + packed)


def receive_now(end: socket.socket) -> Any:
    """Wait for a message. Before a Channel has the socket.

    Raises:
        EOFError: the other end was closed.
    """

    def exactly(n: int) -> bytearray:
        data = bytearray(n)
        view = memoryview(data)
        while view:
            got = end.recv_into(view)
            if not got:
                raise EOFError("the other end was closed")
            view = view[got:]
        return data

    n_packed, n_body = _HEAD.unpack(exactly(_HEAD.size))
    message = pickle.loads(exactly(n_packed))
    exactly(n_body)
    return message


class Channel(asyncio.BufferedProtocol):
    """One end, in an event loop.

    Args:
        on_message: called with the object and the sound of each message.
        on_end: called once, when the other end is closed or lost.
    """

    def __init__(self, on_message: Callable[[Any, bytearray], None], on_end: Callable[[], None]) -> None:
        self._on_message, self._on_end = on_message, on_end
        self._transport: asyncio.WriteTransport | None = None
        self._parts: list[bytearray] = []
        self._expect(_HEAD.size)

    @classmethod
    async def over(
        cls, end: socket.socket, on_message: Callable[[Any, bytearray], None], on_end: Callable[[], None]
    ) -> Channel:
        """A channel over a connected socket, which belongs to it from now on."""
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: cls(on_message, on_end), sock=end)
        return channel

    def send(self, message: object, body: bytes = b"") -> None:
        """Send a message, in order, whole whatever becomes of the sender. What does not go at once waits here."""
        packed = pickle.dumps(message, _PROTOCOL)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_HEAD.pack(len(packed), len(body)) + packed)
            if body:
                self._transport.write(body)

    def close(self) -> None:
        """Close this end, after what waits has gone."""
        if self._transport is not None:
            self._transport.close()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ours."""
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by its class

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing comes any more."""
        self._on_end()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go: straight into the part that is on its way."""
        return memoryview(self._part)[self._have :]

    def buffer_updated(self, nbytes: int) -> None:
        """Some have come."""
        self._have += nbytes
        while self._have == len(self._part):
            self._parts.append(self._part)
            if len(self._parts) == 1:
                self._lengths = _HEAD.unpack(self._part)
            if len(self._parts) <= 2:
                self._expect(self._lengths[len(self._parts) - 1])
                continue
            _, packed, body = self._parts
            self._parts = []
            self._expect(_HEAD.size)
            self._on_message(pickle.loads(packed), body)

    def _expect(self, n_bytes: int) -> None:
        self._part, self._have = bytearray(n_bytes), 0
