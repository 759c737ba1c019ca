"""`/ws`: the lesson protocol over one WebSocket (docs/protocol.md)."""

import asyncio
import contextlib
import socket
import time

import structlog
from aiohttp import WSMsgType, web

from signaling.auth import tokens
from signaling.errors import KelianError
from signaling.lessons.connection import POLICY, RESTART, Connection
from signaling.lessons.desk import Desk
from signaling.lessons.encoding import ENCODINGS, BadMessage, Encoding
from signaling.lessons.lesson import RunningLesson
from signaling.protocol import SUBPROTOCOLS, VERSION
from signaling.protocol import requests as rq
from signaling.web.context import Context, context
from signaling.web.problems import problem

log = structlog.get_logger("signaling.ws")

CLOSE_TIMEOUT_S = 3.0  # for the client's half of the closing handshake, and for what it has not read


async def serve(request: web.Request) -> web.StreamResponse:
    """One client, as long as it stays."""
    found = context(request)
    encoding = _encoding(request)
    if encoding is None:
        return problem("unsupported_version", detail=f"subprotocols: {', '.join(SUBPROTOCOLS)}")
    settings = found.settings
    ws = web.WebSocketResponse(
        protocols=(encoding.name,),
        heartbeat=settings.heartbeat_ms / 1000,
        max_msg_size=settings.limits.message_bytes,
        timeout=CLOSE_TIMEOUT_S,
        compress=False,
        decode_text=False,
    )
    await ws.prepare(request)
    transport = request.transport
    if transport is None or transport.is_closing():
        return ws
    _bound_send_buffer(transport, settings.limits.send_buffer_bytes)
    await _Visit(ws, transport, encoding, found).run()
    return ws


def _encoding(request: web.Request) -> Encoding | None:
    offered = request.headers.getall("Sec-WebSocket-Protocol", [])
    for name in (part.strip() for header in offered for part in header.split(",")):
        if name in ENCODINGS:
            return ENCODINGS[name]
    return None


def _bound_send_buffer(transport: asyncio.Transport, size: int) -> None:
    """Without a bound the kernel keeps megabytes for a client that reads nothing."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)


class _Visit:
    """From the first byte of one WebSocket to its last."""

    def __init__(
        self,
        ws: "web.WebSocketResponse[bool]",
        transport: asyncio.Transport,
        encoding: Encoding,
        found: Context,
    ) -> None:
        self._ws = ws
        self._transport = transport
        self._context = found
        self._loop = asyncio.get_running_loop()
        self._lesson: RunningLesson | None = None
        self._desk: Desk | None = None
        self._closing: asyncio.Task[None] | None = None
        self._connection = Connection(
            encoding=encoding,
            wire=transport,
            limits=found.settings.limits,
            meters=found.meters,
            hang_up=self._hang_up,
            now=self._loop.time(),
        )

    async def run(self) -> None:
        connection, meters = self._connection, self._context.meters
        self._context.connections.add(connection)
        meters.connections += 1
        until_hello = self._loop.call_later(
            self._context.settings.hello_timeout_ms / 1000, self._no_hello
        )
        try:
            async for message in self._ws:
                if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                    break  # an error of the framing, after which aiohttp has closed
                meters.received_bytes += len(message.data)
                await self._take(message.data)
                if self._desk is not None:
                    until_hello.cancel()
        finally:
            until_hello.cancel()
            connection.closing = True
            meters.connections -= 1
            self._context.connections.discard(connection)
            if self._lesson is not None:
                self._lesson.dropped(connection)
        if self._closing is not None:
            await asyncio.wait([self._closing])

    async def _take(self, data: bytes) -> None:
        connection = self._connection
        if connection.closing:
            return
        try:
            request = connection.encoding.decode(data)
        except BadMessage as bad:
            self._context.meters.requests["?", "refused"] += 1
            connection.refuse(bad.req, bad.code, {"why": bad.detail})
            connection.misbehaved("bad_message", self._loop.time())
            return
        tag = str(request.__struct_config__.tag)
        wait_s = connection.rates.take(tag, self._loop.time())
        if wait_s:
            self._context.meters.requests[tag, "refused"] += 1
            connection.refuse(request.req, "rate_limited", retry_after_ms=int(wait_s * 1000) + 1)
            connection.misbehaved("rate_limited", self._loop.time())
            return
        if self._desk is not None:
            self._desk.take(request)
        elif isinstance(request, rq.Hello):
            await self._hello(request)
        elif isinstance(request, rq.Ping):
            connection.ack(request.req)
        else:
            connection.refuse(request.req, "not_hello")
            connection.misbehaved("not_hello", self._loop.time())

    async def _hello(self, hello: rq.Hello) -> None:
        """Whoever shows no good token is told why, and goes."""
        connection, registry = self._connection, self._context.registry
        try:
            if hello.version != VERSION:
                raise KelianError("unsupported_version", version=hello.version)
            grant = tokens.verify(self._context.keys, hello.token, time.time())
            lesson = await registry.get(grant.lesson)
        except KelianError as error:
            later = 1000 if error.code.startswith("store_") else None
            self._context.meters.requests["hello", "refused"] += 1
            connection.refuse(hello.req, error.code, error.detail, retry_after_ms=later)
            connection.goodbye(error.code, reconnect=later is not None, close_code=POLICY)
            return
        self._context.meters.requests["hello", "ok"] += 1
        connection.hello_req = hello.req
        connection.participant = grant.participant
        connection.role = grant.role
        connection.name = grant.name
        connection.device = hello.device
        self._lesson = lesson
        self._desk = Desk(connection, lesson, registry.media, self._context.meters)
        log.info(
            "hello", lesson=grant.lesson, participant=grant.participant, role=grant.role,
            device=hello.device, client=hello.client, resume=hello.resume is not None,
        )  # fmt: skip
        await lesson.hello(connection, hello)

    def _no_hello(self) -> None:
        self._connection.goodbye("hello_timeout", reconnect=False, close_code=POLICY)

    def _hang_up(self, code: int) -> None:
        """The closing handshake, and an end to it: who does not read never answers it."""
        self._closing = self._loop.create_task(self._close(code))
        self._loop.call_later(CLOSE_TIMEOUT_S, self._transport.abort)

    async def _close(self, code: int) -> None:
        with contextlib.suppress(Exception):
            await self._ws.close(code=code, drain=False)


async def say_goodbye(connections: set[Connection]) -> None:
    """The server stops: everybody is sent to reconnect."""
    for connection in list(connections):
        connection.goodbye("server_restarting", reconnect=True, close_code=RESTART)
    await asyncio.sleep(0)


