"""VP8 in RTP (RFC 7741): the payload descriptor, and what a key frame's header says (RFC 6386)."""

from typing import NamedTuple

from mediaserver.journal.errors import Malformed

KEY_START = b"\x9d\x01\x2a"


class Descriptor(NamedTuple):
    begins_frame: bool  # S set, partition 0
    size: int  # bytes before the VP8 payload


def descriptor(payload: bytes) -> Descriptor:
    """Raises Malformed if nothing follows it."""
    first, size = payload[0], 1
    if first & 0x80:
        extension, size = int.from_bytes(payload[1:2], "big"), 2
        if extension & 0x80:
            size += 2 if payload[2:3] >= b"\x80" else 1
        size += bool(extension & 0x40) + bool(extension & 0x30)
    if size >= len(payload):
        raise Malformed("a payload that ends with its descriptor")
    return Descriptor(bool(first & 0x10) and not first & 0x07, size)


def is_key(frame: bytes) -> bool:
    return not frame[0] & 1


def key_size(frame: bytes) -> tuple[int, int]:
    """A key frame's (width, height). Raises Malformed."""
    if len(frame) < 10 or frame[3:6] != KEY_START:
        raise Malformed("a key frame without its start code")
    width = int.from_bytes(frame[6:8], "little") & 0x3FFF
    height = int.from_bytes(frame[8:10], "little") & 0x3FFF
    if not width or not height:
        raise Malformed(f"pictures of {width} × {height}")
    return width, height
