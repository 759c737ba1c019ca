"""One client over one WebSocket, from its hello to its goodbye.

Writing never waits: frames go to the socket at once, and what the client does not take piles up
in the transport's buffer. A client that lets too much pile up is told so and dropped, so that one
slow reader costs the others nothing and the server a bounded amount of memory.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from signaling import errors
from signaling.config import Limits
from signaling.lessons.encoding import Encoding
from signaling.lessons.meters import Meters
from signaling.lessons.rates import Bucket, Rates
from signaling.log.events import Role
from signaling.log.roles import Device
from signaling.protocol.replies import Ack, AnyReply, Error, Goodbye
from signaling.protocol.requests import Hello

# Close codes (RFC 6455, 7.4.1); the goodbye before says more.
NORMAL, POLICY, TOO_BIG, RESTART, TRY_AGAIN = 1000, 1008, 1009, 1012, 1013


class Wire(Protocol):
    """The part of asyncio.WriteTransport that a connection needs."""

    def write(self, data: bytes, /) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def is_closing(self) -> bool: ...


class Connection:
    def __init__(
        self,
        *,
        encoding: Encoding,
        wire: Wire,
        limits: Limits,
        meters: Meters,
        hang_up: Callable[[int], None],
        now: float,
    ) -> None:
        """`hang_up(close_code)` ends the WebSocket; it is called once at most."""
        self.encoding = encoding
        self.limits = limits
        self.rates = Rates(limits, now)
        self.closing = False
        self._patience = Bucket(limits.misbehaviour, now)
        # Set when its hello is taken:
        self.hello: Hello | None = None
        self.hello_req = 0
        self.participant = ""
        self.role: Role = "observer"
        self.name = ""
        self.device: Device = "pc"
        # The lesson's part: up to which position this client knows the log.
        self.position = 0
        self._wire = wire
        self._meters = meters
        self._hang_up = hang_up

    def misbehaved(self, code: str, now: float) -> None:
        """Notes a message that was none, or came too fast. Who goes on like that is sent away with
        this code; who slows down is forgiven."""
        if self._patience.take(now):
            self.goodbye(code, reconnect=False, close_code=POLICY)

    @property
    def queued_bytes(self) -> int:
        return 0 if self._wire.is_closing() else self._wire.get_write_buffer_size()

    def send(self, reply: AnyReply) -> None:
        self._meters.encoded_frames += 1
        self.send_frame(self.encoding.frame(reply))

    def send_frame(self, frame: bytes) -> None:
        """Sends what was encoded for many."""
        if self.closing or self._wire.is_closing():
            return
        self._wire.write(frame)
        self._meters.sent_bytes += len(frame)
        self._meters.sent_frames += 1
        if self.queued_bytes > self.limits.queue_bytes:
            self.goodbye("slow_client", reconnect=True, close_code=TRY_AGAIN)

    def ack(self, req: int, position: int = 0) -> None:
        self.send(Ack(req=req, position=position))

    def refuse(
        self,
        req: int | None,
        code: str,
        detail: Mapping[str, str | int] | None = None,
        *,
        retry_after_ms: int | None = None,
    ) -> None:
        self._meters.refusals[code] += 1
        zh, en = errors.sentence(code, **(detail or {}))
        self.send(Error(req=req, code=code, zh=zh, en=en, retry_after_ms=retry_after_ms))

    def goodbye(self, code: str, *, reconnect: bool, close_code: int) -> None:
        """The last message; the client is gone for the lesson from now on."""
        if self.closing:
            return
        self._meters.goodbyes[code] += 1
        self.closing = True
        if not self._wire.is_closing():
            zh, en = errors.sentence(code)
            self._wire.write(self.encoding.frame(Goodbye(code=code, zh=zh, en=en, reconnect=reconnect)))
        self._hang_up(close_code)
