"""The two subprotocols: typed messages to WebSocket frames and back.

A server's frames are not masked (RFC 6455, 5.3), so that one encoded frame serves every client
of a subprotocol: a message to a thousand clients is encoded and framed once.
"""

from collections.abc import Callable
from typing import Any, get_args

import msgspec

from signaling.protocol.replies import AnyReply
from signaling.protocol.requests import AnyRequest

TEXT, BINARY, CLOSE = 0x1, 0x2, 0x8


class BadMessage(Exception):
    """What came is no message of this protocol. `req` is its number if that much could be read."""

    def __init__(self, code: str, detail: str, req: int | None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.req = req


class _Envelope(msgspec.Struct):
    """The least that a message must be for its refusal to name it."""

    t: Any = None
    req: Any = None


class Encoding:
    """One subprotocol. `decode` raises BadMessage and nothing else."""

    def __init__(
        self,
        name: str,
        opcode: int,
        encode: Callable[[AnyReply], bytes],
        decode: Callable[[bytes], AnyRequest],
        envelope: Callable[[bytes], _Envelope],
    ) -> None:
        self.name = name
        self.opcode = opcode
        self._encode = encode
        self._decode = decode
        self._envelope = envelope

    def frame(self, reply: AnyReply) -> bytes:
        return frame(self._encode(reply), self.opcode)

    def decode(self, data: bytes) -> AnyRequest:
        try:
            return self._decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise self._explain(data, str(error)) from error

    def _explain(self, data: bytes, detail: str) -> BadMessage:
        try:
            envelope = self._envelope(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return BadMessage("bad_message", detail, None)
        req = envelope.req
        known_req = req if isinstance(req, int) and not isinstance(req, bool) and 0 <= req <= 2**53 else None
        if isinstance(envelope.t, str) and envelope.t not in TAGS:
            return BadMessage("unknown_type", f"no request is called {envelope.t[:40]!r}", known_req)
        return BadMessage("bad_message", detail, known_req)


def frame(payload: bytes, opcode: int) -> bytes:
    """One whole, unmasked frame (RFC 6455, 5.2)."""
    length = len(payload)
    if length < 126:
        return bytes((0x80 | opcode, length)) + payload
    if length < 65536:
        return bytes((0x80 | opcode, 126)) + length.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + length.to_bytes(8, "big") + payload


TAGS: frozenset[str] = frozenset(
    str(kind.__struct_config__.tag) for kind in get_args(AnyRequest)
)

MSGPACK = Encoding(
    "kelian.v1.msgpack",
    BINARY,
    msgspec.msgpack.Encoder().encode,
    msgspec.msgpack.Decoder(AnyRequest).decode,
    msgspec.msgpack.Decoder(_Envelope).decode,
)
JSON = Encoding(
    "kelian.v1.json",
    TEXT,
    msgspec.json.Encoder().encode,
    msgspec.json.Decoder(AnyRequest).decode,
    msgspec.json.Decoder(_Envelope).decode,
)
ENCODINGS = {encoding.name: encoding for encoding in (MSGPACK, JSON)}
