"""Where a channel listens: "unix:/run/kelian/node.sock" or "tcp:HOST:PORT"."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

SECRET_VARIABLE = "KELIAN_CHANNEL_SECRET"  # of the environment: what guards an address over TCP
CONNECT_TIMEOUT_S = 3.0  # a machine that is off answers nothing at all
SILENCE_MS = 10_000  # unanswered for so long, the other machine is gone
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S = 4, 2

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class UnixAddress:
    path: str

    async def connect(self) -> Streams:
        return await asyncio.open_unix_connection(self.path)

    async def listen(self, accept: Accept) -> asyncio.Server:
        """The socket is its owner's alone: that is what guards it. One left over is replaced."""
        mask = os.umask(0o177)
        try:
            return await asyncio.start_unix_server(accept, self.path)
        finally:
            os.umask(mask)


@dataclass(frozen=True)
class TcpAddress:
    host: str
    port: int

    async def connect(self) -> Streams:
        """Raises OSError; TimeoutError is one."""
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(self.host, self.port)
        _notice_silence(writer)
        return reader, writer

    async def listen(self, accept: Accept) -> asyncio.Server:
        async def accept_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            _notice_silence(writer)
            await accept(reader, writer)

        return await asyncio.start_server(accept_one, self.host, self.port)


def parse_address(text: str) -> UnixAddress | TcpAddress:
    """Raises ValueError with a sentence for the operator."""
    scheme, _, rest = text.partition(":")
    if scheme == "unix" and rest:
        return UnixAddress(rest)
    if scheme == "tcp":
        host, _, port = rest.rpartition(":")
        if host and port.isascii() and port.isdigit() and int(port) < 65536:
            return TcpAddress(host.removeprefix("[").removesuffix("]"), int(port))
    raise ValueError(f"a channel address is unix:/PATH or tcp:HOST:PORT, not {text!r}")


def _notice_silence(writer: asyncio.StreamWriter) -> None:
    """A machine that loses power closes nothing: the kernel asks, and ends the connection (RFC 5482)."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_MS)
