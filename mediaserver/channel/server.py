"""The media node's end of the channel.

One signaling process is served at a time: the newest that says a valid Hello wins, because
after a crash the old connection may linger while its successor already waits. Losing it
changes nothing in the node.
"""

import asyncio
import contextlib
import hmac
from collections.abc import Callable

import structlog

from mediaserver.channel.address import parse_address
from mediaserver.channel.framing import FrameError, encode, to_node_frames
from mediaserver.channel.messages import VERSION, FromNode, Hello, ToNode, Welcome

READ_BYTES = 256 * 1024
HELLO_TIMEOUT_S = 5.0
MAX_UNSENT_BYTES = 64 * 1024 * 1024  # a signaling process that reads so little is stuck

log = structlog.get_logger("channel.server")


class ChannelServer:
    def __init__(
        self,
        address: str,
        secret: str = "",
        *,
        welcome: Callable[[], Welcome],
        on_message: Callable[[ToNode], None],
    ) -> None:
        """`welcome` is asked at each connection; `on_message` runs in the loop and must not block.

        Raises ValueError when the address cannot be one.
        """
        self._address = parse_address(address)
        self._secret = secret.encode()
        self._welcome = welcome
        self._on_message = on_message
        self._server: asyncio.Server | None = None
        self._current: asyncio.StreamWriter | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._closing = False
        self.connections = 0
        self.frame_errors = 0
        self.rejected = 0
        self.handler_errors = 0

    @property
    def connected(self) -> bool:
        return self._current is not None

    @property
    def port(self) -> int:
        """The TCP port that is listened on; 0 with a Unix socket."""
        name = self._server.sockets[0].getsockname() if self._server else ""
        return name[1] if isinstance(name, tuple) else 0

    async def start(self) -> None:
        """Raises OSError when the address cannot be listened on."""
        self._server = await self._address.listen(self._serve)

    async def close(self) -> None:
        self._closing = True
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            await self._server.wait_closed()

    def send(self, message: FromNode) -> None:
        """To signaling if it is there; else it is told by the next Welcome."""
        writer = self._current
        if writer is None:
            return
        if writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            log.error("signaling does not read", unsent_bytes=writer.transport.get_write_buffer_size())
            writer.transport.abort()
            self._current = None
            return
        writer.write(encode(message))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = to_node_frames()
        self._writers.add(writer)
        greeted = False
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S) as until_hello:
                while data := await reader.read(READ_BYTES):
                    for message in frames.feed(data):
                        if greeted:
                            if self._current is not writer:
                                return  # a newer connection has taken over: nothing from here counts
                            self._handle(message)
                        elif self._admits(message):
                            greeted = True
                            until_hello.reschedule(None)
                            self._take_over(writer)
                        else:
                            self.rejected += 1
                            return
        except FrameError as error:
            self.frame_errors += 1
            log.error("signaling sent a bad frame", code=error.code, detail=error.detail)
        except TimeoutError:
            self.rejected += 1
            log.warning("no hello on a channel connection", timeout_s=HELLO_TIMEOUT_S)
        except OSError as error:
            log.info("channel broken", error=str(error))
        finally:
            self._writers.discard(writer)
            if self._current is writer:
                self._current = None
                if not self._closing:
                    log.info("signaling is gone; media goes on")
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _handle(self, message: ToNode) -> None:
        """One message that cannot be handled must not cost the others."""
        try:
            self._on_message(message)
        except Exception:
            self.handler_errors += 1
            log.exception("message not handled", message=type(message).__name__)

    def _admits(self, message: ToNode) -> bool:
        if not isinstance(message, Hello) or message.version != VERSION:
            log.error("signaling speaks another version or out of turn", got=type(message).__name__)
            return False
        if not hmac.compare_digest(message.secret.encode(), self._secret):
            log.error("signaling has the wrong secret")
            return False
        return True

    def _take_over(self, writer: asyncio.StreamWriter) -> None:
        previous, self._current = self._current, writer
        if previous is not None:
            log.warning("another signaling process takes over")
            previous.transport.abort()
        self.connections += 1
        writer.write(encode(self._welcome()))
