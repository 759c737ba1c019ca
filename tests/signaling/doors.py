"""Clients of the lesson protocol for tests: they say what they are told and remember what they hear."""

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec

from signaling.auth import tokens
from signaling.auth.keys import Keys
from signaling.log.events import Role

PATIENCE_S = 5.0
Message = dict[str, Any]


class Client:
    """One WebSocket. `heard` is everything that came, in order."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.heard: list[Message] = []
        self.close_code: int | None = None
        self._json = ws.protocol == "kelian.v1.json"
        self._numbers = itertools.count(1)
        self._changed = asyncio.Condition()
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        async for message in self.ws:
            data = message.data
            assert isinstance(data, str) == self._json
            decoded = (
                msgspec.json.decode(data) if self._json else msgspec.msgpack.decode(data, strict=False)
            )
            async with self._changed:
                self.heard.append(decoded)
                self._changed.notify_all()
        async with self._changed:
            self.close_code = self.ws.close_code
            self._changed.notify_all()

    async def send(self, t: str, **body: Any) -> int:
        req = next(self._numbers)
        await self.send_raw({"t": t, "req": req, **body})
        return req

    async def send_raw(self, message: object) -> None:
        if self._json:
            await self.ws.send_str(msgspec.json.encode(message).decode())
        else:
            await self.ws.send_bytes(msgspec.msgpack.encode(message))

    async def ask(self, t: str, **body: Any) -> Message:
        """The reply to this request, whichever it is."""
        req = await self.send(t, **body)
        return await self.until(lambda message: message.get("req") == req)

    async def until(self, wanted: Callable[[Message], bool], *, after: int = 0) -> Message:
        """The first message of its kind, heard already or still to come."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            while True:
                for message in self.heard[after:]:
                    if wanted(message):
                        return message
                if self._reader.done():
                    raise ConnectionError(f"closed with {self.close_code}: {self.heard[-2:]}")
                await self._changed.wait()

    async def hear(self, t: str, *, after: int = 0) -> Message:
        return await self.until(lambda message: message["t"] == t, after=after)

    async def event(self, t: str, **values: Any) -> Message:
        """A log event of this kind with these values."""
        found: list[Message] = []

        def holds(message: Message) -> bool:
            for entry in message["events"] if message["t"] == "events" and "events" in message else ():
                event = entry["event"]
                if event["t"] == t and all(event.get(name) == value for name, value in values.items()):
                    found.append(entry)
                    return True
            return False

        await self.until(holds)
        return found[0]

    @property
    def events(self) -> list[Message]:
        """All log events heard."""
        lists = (message.get("events", ()) for message in self.heard if message["t"] == "events")
        return [entry for entries in lists for entry in entries]

    async def closed(self) -> int | None:
        """Waits until the server has closed; the close code."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait([self._reader])
        return self.close_code

    async def close(self) -> None:
        await self.ws.close()
        await self._reader

    def drop(self) -> None:
        """The network is gone: no closing handshake."""
        connection = self.ws._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()


class Door:
    """Opens WebSockets and HTTP requests to one server."""

    def __init__(self, url: str, keys: Keys) -> None:
        self.url = url
        self.keys = keys
        self.clients: list[Client] = []
        self.http: aiohttp.ClientSession

    async def __aenter__(self) -> "Door":
        self.http = aiohttp.ClientSession(self.url, connector=aiohttp.TCPConnector(limit=0, ssl=False))
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self.clients:
            await client.close()
        await self.http.close()

    @property
    def api(self) -> dict[str, str]:
        key, secret = next(iter(self.keys.items()))
        return {"Authorization": f"Bearer {key}:{secret}"}

    def token(
        self,
        role: Role,
        participant: str | None = None,
        *,
        lesson: str = "math",
        ttl_s: int = 600,
        now: float | None = None,
    ) -> str:
        return tokens.issue(
            self.keys, lesson=lesson, role=role, name=(participant or role).title(), ttl_s=ttl_s,
            now=now if now is not None else time.time(), participant=participant,
        )  # fmt: skip

    def bearer(self, role: Role, participant: str | None = None, **more: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(role, participant, **more)}"}

    async def connect(self, *, json: bool = False) -> Client:
        name = "kelian.v1.json" if json else "kelian.v1.msgpack"
        ws = await self.http.ws_connect("/ws", protocols=(name,), max_msg_size=0)
        client = Client(ws)
        self.clients.append(client)
        return client

    async def enter(
        self,
        role: Role,
        participant: str | None = None,
        *,
        json: bool = False,
        lesson: str = "math",
        **hello: Any,
    ) -> Client:
        """A client that has said hello; what it was answered is in `heard[0]`."""
        client = await self.connect(json=json)
        token = hello.pop("token", None) or self.token(role, participant or role, lesson=lesson)
        reply = await client.ask("hello", token=token, version=1, **hello)
        assert reply["t"] in ("welcome", "waiting"), reply
        return client
