"""Where a channel listens: "unix:/run/kelian/node.sock" or "tcp:HOST:PORT"."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

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
        return await asyncio.open_connection(self.host, self.port)

    async def listen(self, accept: Accept) -> asyncio.Server:
        return await asyncio.start_server(accept, self.host, self.port)


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
