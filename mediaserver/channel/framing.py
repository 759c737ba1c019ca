"""Frames of the channel: a u32 length (big-endian), then one msgpack message of that length.

No I/O here: `Frames` takes bytes as they come and gives whole, typed messages. Anything else
than the agreed vocabulary is a `FrameError`; after one the stream has no known boundary any
more, so that its connection has to be closed.
"""

from collections.abc import Iterator
from typing import Generic, Literal, TypeVar

import msgspec

from mediaserver.channel.messages import FromNode, Message, ToNode

LENGTH_BYTES = 4
MAX_FRAME_BYTES = 16 * 1024 * 1024

M = TypeVar("M")

FrameErrorCode = Literal["frame_too_large", "frame_malformed"]


class FrameError(Exception):
    """The stream does not hold what both sides agreed on. `code` is stable."""

    def __init__(self, code: FrameErrorCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


_encoder = msgspec.msgpack.Encoder()


def encode(message: Message) -> bytes:
    """One frame. Raises FrameError when the message is larger than a frame may be."""
    frame = bytearray(LENGTH_BYTES)
    _encoder.encode_into(message, frame, LENGTH_BYTES)
    length = len(frame) - LENGTH_BYTES
    if length > MAX_FRAME_BYTES:
        raise FrameError("frame_too_large", f"{length} bytes to send")
    frame[:LENGTH_BYTES] = length.to_bytes(LENGTH_BYTES, "big")
    return bytes(frame)


class Frames(Generic[M]):
    """Cuts a byte stream into messages of one direction."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[M]) -> None:
        self._decoder = decoder
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[M]:
        """Yields every message that `data` completes. Raises FrameError at the first bad one."""
        self._buffer += data
        start = 0
        try:
            while len(self._buffer) - start >= LENGTH_BYTES:
                body = start + LENGTH_BYTES
                length = int.from_bytes(self._buffer[start:body], "big")
                if length > MAX_FRAME_BYTES:
                    raise FrameError("frame_too_large", f"{length} bytes announced")
                if len(self._buffer) - body < length:
                    return
                payload = bytes(self._buffer[body : body + length])
                start = body + length
                yield self._decode(payload)
        finally:
            del self._buffer[:start]

    def _decode(self, payload: bytes) -> M:
        try:
            return self._decoder.decode(payload)
        except (msgspec.DecodeError, RecursionError) as error:
            raise FrameError("frame_malformed", str(error)) from error


def to_node_frames() -> Frames[ToNode]:
    return Frames(msgspec.msgpack.Decoder(ToNode))


def from_node_frames() -> Frames[FromNode]:
    return Frames(msgspec.msgpack.Decoder(FromNode))
