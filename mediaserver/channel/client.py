"""Signaling's end of the channel to one media node.

The client keeps trying to reach the node and says when it has (`on_connected`, with the node's
Welcome) and when it has lost it (`on_lost`). Callbacks run in the event loop, in the order of
the node's messages, and must not block. Nothing is queued while the node is away: what
signaling wants is state, so it is stated anew after each `on_connected`. A Welcome with
another `epoch` than the one before means that the node's sessions are gone.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import overload

import msgspec
import structlog

from mediaserver.channel.address import parse_address
from mediaserver.channel.framing import FrameError, encode, from_node_frames
from mediaserver.channel.messages import (
    VERSION,
    FromNode,
    GetStats,
    Hello,
    OpenSession,
    Refused,
    RestartIce,
    SessionAnswered,
    Stats,
    ToNode,
    Welcome,
)

READ_BYTES = 256 * 1024
WELCOME_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 10.0
RETRY_S = 0.05  # nobody listens: the node is being started again, and every page waits for it
UNWELCOME_FIRST_S, UNWELCOME_MAX_S = 0.1, 5.0  # it listens, and speaks another version or secret
MAX_UNSENT_BYTES = 64 * 1024 * 1024  # a node that reads so little is as good as gone

log = structlog.get_logger("channel.client")


class NodeRefused(Exception):
    """The node answered a request with a refusal. `code` is stable, `detail` is English."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class NodeUnavailable(Exception):
    """No node to ask, or it went away or stayed silent before it answered."""

    code = "node_unavailable"


class NodeClient:
    def __init__(
        self,
        address: str,
        secret: str = "",
        *,
        on_message: Callable[[FromNode], None],
        on_connected: Callable[[Welcome], None],
        on_lost: Callable[[], None],
    ) -> None:
        """`on_message` gets reports only: Welcome and replies to requests go their own ways.

        Raises ValueError when the address cannot be one.
        """
        self._address = parse_address(address)
        self._secret = secret
        self._on_message = on_message
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._writer: asyncio.StreamWriter | None = None
        self._pending: dict[int, asyncio.Future[SessionAnswered | Stats]] = {}
        self._next_req = 1
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.frame_errors = 0

    @property
    def connected(self) -> bool:
        return self._writer is not None

    def start(self) -> None:
        """Runs in a task of its own until `close`."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self.run(), name="node-client")

    async def close(self) -> None:
        """Ends the connection; `on_lost` is not called, for nothing was lost."""
        self._closing = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def send(self, message: ToNode) -> bool:
        """Says something that needs no reply. False: nobody is there to hear it."""
        writer = self._writer
        if writer is None:
            return False
        frame = encode(message)
        if writer.transport.get_write_buffer_size() + len(frame) > MAX_UNSENT_BYTES:
            log.error("node does not read", unsent_bytes=writer.transport.get_write_buffer_size())
            writer.transport.abort()
            return False
        writer.write(frame)
        return True

    @overload
    async def request(self, message: OpenSession | RestartIce) -> SessionAnswered: ...
    @overload
    async def request(self, message: GetStats) -> Stats: ...
    async def request(self, message: OpenSession | RestartIce | GetStats) -> SessionAnswered | Stats:
        """Asks and waits. The client numbers requests: `req` as given is replaced.

        Raises NodeRefused, or NodeUnavailable (not connected, lost meanwhile, 10 s of silence).
        """
        req, self._next_req = self._next_req, self._next_req + 1
        reply: asyncio.Future[SessionAnswered | Stats] = asyncio.get_running_loop().create_future()
        self._pending[req] = reply
        try:
            if not self.send(msgspec.structs.replace(message, req=req)):
                raise NodeUnavailable("not connected to the media node")
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return await reply
        except TimeoutError as error:
            raise NodeUnavailable(f"no reply within {REQUEST_TIMEOUT_S:.0f} s") from error
        finally:
            self._pending.pop(req, None)

    async def run(self) -> None:
        """Connects, serves, and connects again, until cancelled."""
        unwelcome_s = UNWELCOME_FIRST_S
        while True:
            wait_s = RETRY_S
            with contextlib.suppress(OSError):
                reader, writer = await self._address.connect()
                if await self._serve(reader, writer):
                    unwelcome_s = UNWELCOME_FIRST_S
                else:
                    wait_s = unwelcome_s
                    unwelcome_s = min(unwelcome_s * 2, UNWELCOME_MAX_S)
            await asyncio.sleep(wait_s)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One connection from Hello to its end. True when the node welcomed us."""
        frames = from_node_frames()
        welcomed = False
        try:
            writer.write(encode(Hello(secret=self._secret)))
            async with asyncio.timeout(WELCOME_TIMEOUT_S) as until_welcome:
                while data := await reader.read(READ_BYTES):
                    for message in frames.feed(data):
                        if welcomed:
                            self._take(message)
                        elif isinstance(message, Welcome) and message.version == VERSION:
                            welcomed = True
                            until_welcome.reschedule(None)
                            self._writer = writer
                            self._on_connected(message)
                        else:
                            log.error(
                                "node speaks another version or out of turn", got=type(message).__name__
                            )
                            return False
        except FrameError as error:
            self.frame_errors += 1
            log.error("node sent a bad frame", code=error.code, detail=error.detail)
        except TimeoutError:
            log.warning("node did not welcome us", timeout_s=WELCOME_TIMEOUT_S)
        except OSError as error:
            log.info("channel broken", error=str(error))
        finally:
            self._writer = None
            writer.transport.abort()
            if welcomed:
                self._lose()
        return welcomed

    def _take(self, message: FromNode) -> None:
        match message:
            case SessionAnswered() | Stats():
                if (reply := self._pending.get(message.req)) and not reply.done():
                    reply.set_result(message)
            case Refused():
                if (reply := self._pending.get(message.req)) and not reply.done():
                    reply.set_exception(NodeRefused(message.code, message.detail))
            case _:
                self._on_message(message)

    def _lose(self) -> None:
        for reply in self._pending.values():
            if not reply.done():
                reply.set_exception(NodeUnavailable("the media node went away"))
        if not self._closing:
            self._on_lost()
