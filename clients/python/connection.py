"""One WebSocket to `/ws`: typed messages in, typed messages out. Knows nothing of lessons."""

import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import msgspec

from clients.python.errors import line_lost, not_reached
from signaling.protocol.replies import AnyReply
from signaling.protocol.requests import AnyRequest

SUBPROTOCOL = "kelian.v1.msgpack"
LARGEST = 4 * 1024 * 1024  # bytes; the state of a lesson with a thousand participants fits
OPEN_S = 10.0
HEARTBEAT_S = 10.0

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(AnyReply).decode

VerifyTls = bool | str | ssl.SSLContext
"""True: the system's authorities; False: none (a server's own certificate); a PEM file; a context."""


class Connection:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, request: AnyRequest) -> None:
        """Raises ConnectionLost."""
        try:
            await self._socket.send_bytes(_encode(request))
        except (ConnectionError, aiohttp.ClientError) as error:
            raise line_lost() from error

    async def replies(self) -> AsyncIterator[AnyReply]:
        """Until the connection closes."""
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.BINARY:
                continue
            try:
                reply = _decode(message.data)
            except msgspec.DecodeError as error:
                _log.warning("a reply that this version does not know: %s", error)
                continue
            yield reply

    async def close(self) -> None:
        await self._socket.close()


@contextlib.asynccontextmanager
async def connect(url: str, verify_tls: VerifyTls) -> AsyncIterator[Connection]:
    """`url` is the server's, as in https://school.example:7880. Raises ConnectionLost."""
    async with aiohttp.ClientSession() as session:
        try:
            socket = await session.ws_connect(
                websocket_url(url),
                protocols=[SUBPROTOCOL],
                ssl=tls_context(verify_tls),
                max_msg_size=LARGEST,
                heartbeat=HEARTBEAT_S,
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
            )
        except (aiohttp.ClientError, OSError, TimeoutError, ssl.SSLError) as error:
            raise not_reached(url, error) from error
        try:
            yield Connection(socket)
        finally:
            await socket.close()


def websocket_url(url: str) -> str:
    parts = urlsplit(url)
    scheme = {"https": "wss", "http": "ws"}.get(parts.scheme, parts.scheme)
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/ws"


def tls_context(verify_tls: VerifyTls) -> ssl.SSLContext | bool:
    """As aiohttp wants it."""
    if isinstance(verify_tls, str):
        return ssl.create_default_context(cafile=verify_tls)
    return verify_tls
