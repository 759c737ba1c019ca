"""A client that counts what it hears and keeps nothing else."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Client:
    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.tallies: list[tuple[float, int]] = [(0.0, 0)]  # (when, answered)
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._next = 1

    async def connect(self, http: aiohttp.ClientSession) -> None:
        self._ws = await http.ws_connect("/ws", protocols=("kelian.v1.msgpack",), max_msg_size=0, compress=0)
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def ask(self, t: str, **body: Any) -> dict[str, Any]:
        """The reply. Raises RuntimeError when it is an error."""
        req, self._next = self._next, self._next + 1
        reply = self._pending[req] = asyncio.get_running_loop().create_future()
        await self._ws.send_bytes(_encode({"t": t, "req": req, **body}))
        got: dict[str, Any] = await reply
        if got["t"] == "error":
            raise RuntimeError(f"{t}: {got['code']}")
        return got

    async def timed(self, t: str, **body: Any) -> float:
        began = time.perf_counter()
        await self.ask(t, **body)
        return time.perf_counter() - began

    async def until(self, holds: Callable[[], bool]) -> None:
        if not holds():
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((holds, done))
            async with asyncio.timeout(30):
                await done

    async def close(self) -> None:
        await self._ws.close()
        await self._reader

    async def _read(self) -> None:
        async for message in self._ws:
            self._take(_decode(message.data))
        for reply in self._pending.values():
            reply.set_exception(ConnectionError("closed"))

    def _take(self, message: dict[str, Any]) -> None:
        reply = self._pending.pop(message.get("req", 0), None)
        if reply is not None:
            reply.set_result(message)
        elif message["t"] == "events":
            self.events.update(entry["event"]["t"] for entry in message["events"])
        elif message["t"] == "tally":
            self.tallies.append((time.perf_counter(), message["answered"]))
        for holds, done in self._waiting:
            if not done.done() and holds():
                done.set_result(None)
        self._waiting = [it for it in self._waiting if not it[1].done()]
