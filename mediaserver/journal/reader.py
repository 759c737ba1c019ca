"""Reads one journal file: pcapng with an interface for each source (docs/journal.md).

Blocks are read one after the other, so memory does not grow with the file. Unknown blocks are
skipped. A file whose end is torn off, as a killed process or a power cut leaves it, is a journal
like any other; a block that contradicts itself is a `JournalError` with its position.
"""

import json
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

from mediaserver.journal.errors import JournalError

SECTION, INTERFACE, STATISTICS, PACKET = 0x0A0D0D0A, 1, 5, 6
BYTE_ORDER = 0x1A2B3C4D  # little-endian, which is all that the engine writes
LINK_UPPER_PDU = 252
BLOCK_MAX = 1 << 20  # bytes: a datagram and its options are far below

END_OF_OPTIONS, COMMENT = 0, 1
APPLICATION = 4  # in a section
NAME, DESCRIPTION, RESOLUTION = 2, 3, 9  # of an interface
DROPPED = 7  # in statistics: isb_osdrop
DISSECTOR_NAME = 12  # EXP_PDU_TAG_DISSECTOR_NAME

_CHUNK = 1 << 16
_KNOWN_TYPE = re.compile(rb"[\x01\x05\x06]\0\0\0|\x0a\x0d\x0d\x0a")

_HEADER = struct.Struct("<II")
_U32 = struct.Struct("<I")
_PACKET = struct.Struct("<IIIII")
_TAG = struct.Struct(">HH")


class Section(NamedTuple):
    application: str  # "Kelian <version>"
    comments: tuple[str, ...]


class Interface(NamedTuple):
    """One source, as its journal describes it."""

    source: int
    kind: str  # "audio" or "video"
    codec: str  # "opus", "h264" or "vp8"
    clock_rate: int  # Hz
    payload_type: int | None
    label: dict[str, str]  # what the node said of it: use, participant, session


class Captured(NamedTuple):
    """One packet as it arrived."""

    interface: Interface
    protocol: str  # "rtp" or "rtcp"
    arrival_ns: int  # UTC
    data: bytes
    position: int  # of `data` in the file


class Dropped(NamedTuple):
    """Packets that arrived and could not be kept, as the writer says."""

    path: Path
    interface: Interface
    at_ns: int
    packets: int
    comment: str


class Torn(NamedTuple):
    """The file's last block is not whole; always the last record."""

    position: int


Record = Section | Interface | Captured | Dropped | Torn
OnDamage = Callable[[JournalError], None]


def read(path: Path, on_damage: OnDamage | None = None) -> Iterator[Record]:
    """The file's records. Raises JournalError at the first damage.

    With `on_damage`, damage is told to it instead, and reading goes on at the next block that makes
    sense; only a file that cannot be read at all raises.
    """
    try:
        with path.open("rb", buffering=1 << 20) as file:
            yield from _Reader(path, file, on_damage).records()
    except OSError as error:
        raise JournalError("journal_unreadable", path, 0, error.strerror or str(error)) from error


class _Described(NamedTuple):
    interface: Interface
    ticks_per_s: int


class _Reader:
    def __init__(self, path: Path, file: BinaryIO, on_damage: OnDamage | None) -> None:
        self._path = path
        self._file = file
        self._on_damage = on_damage
        self._position = 0  # of the block being read
        self._after = 0  # it
        self._interfaces: list[_Described] = []  # of this section, by number

    def records(self) -> Iterator[Record]:
        begun = False
        while True:
            try:
                if not begun:
                    begun = True
                    if self._is_empty():
                        return
                block = self._block()
                if isinstance(block, Torn):
                    yield block
                    return
                if block is None:
                    return
                record = self._record(*block)
            except JournalError as error:
                if self._on_damage is None:
                    raise
                self._on_damage(error)
                self._find_next_block()
                continue
            self._position = self._after
            if record is not None:
                yield record

    def _is_empty(self) -> bool:
        """The process died before its first block. Raises JournalError if another format begins."""
        start = self._file.read(12)
        self._file.seek(0)
        if not start.strip(b"\0"):
            return True
        whole = _HEADER.pack(SECTION, 0)[:4] + start[4:8] + _U32.pack(BYTE_ORDER)
        if start != whole[: len(start)]:
            raise JournalError("journal_foreign", self._path, 0, "no pcapng section in little-endian order")
        return False

    def _block(self) -> tuple[int, bytes] | Torn | None:
        """The next block's type and body, without its lengths; None at the end of the file."""
        header = self._file.read(8)
        if not header:
            return None
        if len(header) < 8:
            return Torn(self._position)
        kind, length = _HEADER.unpack(header)
        if kind == 0 and length == 0 and self._only_zeros_follow():
            return Torn(self._position)  # a power cut: the file had grown, its data had not come
        if length < 12 or length % 4 or length > BLOCK_MAX:
            self._damaged(f"a block of {length} bytes")
        body = self._file.read(length - 8)
        if len(body) < length - 8:
            return Torn(self._position)
        if _U32.unpack_from(body, length - 12)[0] != length:
            self._damaged("a block whose two lengths differ")
        self._after = self._position + length
        return kind, body[:-4]

    def _record(self, kind: int, body: bytes) -> Record | None:
        if kind == PACKET:
            return self._packet(body)
        if kind == INTERFACE:
            return self._interface(body)
        if kind == SECTION:
            return self._section(body)
        if kind == STATISTICS:
            return self._statistics(body)
        return None

    def _section(self, body: bytes) -> Section:
        if len(body) < 16 or _U32.unpack_from(body)[0] != BYTE_ORDER:
            self._damaged("a section of another byte order")
        self._interfaces.clear()
        options = self._options(body, 16)
        application = next((value for code, value in options if code == APPLICATION), b"")
        return Section(_text(application), tuple(_text(value) for code, value in options if code == COMMENT))

    def _interface(self, body: bytes) -> Interface:
        if len(body) < 8:
            self._damaged("a short interface description")
        link_type = int.from_bytes(body[:2], "little")
        if link_type != LINK_UPPER_PDU:
            self._damaged(f"an interface of link type {link_type}")
        options = dict(self._options(body, 8))
        resolution = options.get(RESOLUTION, b"\x06")[:1] or b"\x06"
        base, exponent = (2 if resolution[0] & 0x80 else 10), resolution[0] & 0x7F
        try:
            interface = described(_text(options.get(DESCRIPTION, b"")))
        except ValueError as error:
            self._damaged(f"an interface without a usable description ({error})")
        self._interfaces.append(_Described(interface, base**exponent))
        return interface

    def _packet(self, body: bytes) -> Captured:
        if len(body) < 20:
            self._damaged("a short packet block")
        number, high, low, size, _original = _PACKET.unpack_from(body)
        source = self._source(number)
        if size > len(body) - 20:
            self._damaged("a packet larger than its block")
        protocol = ""
        at, end = 20, 20 + size
        while True:  # exported-PDU tags, up to the tag 0
            if at + 4 > end:
                self._damaged("a packet whose tags do not end")
            tag, length = _TAG.unpack_from(body, at)
            at += 4
            if tag == 0:
                break
            if tag == DISSECTOR_NAME:
                protocol = _text(body[at : at + length].rstrip(b"\0"))
            at += length + -length % 4
        at = min(at, end)
        return Captured(
            source.interface,
            protocol,
            _nanoseconds(high, low, source.ticks_per_s),
            body[at:end],
            self._position + 8 + at,
        )

    def _statistics(self, body: bytes) -> Dropped | None:
        if len(body) < 12:
            self._damaged("short interface statistics")
        number, high, low = struct.unpack_from("<III", body)
        source = self._source(number)
        options = dict(self._options(body, 12))
        packets = int.from_bytes(options.get(DROPPED, b"\0"), "little")
        if not packets:
            return None
        at_ns = _nanoseconds(high, low, source.ticks_per_s)
        return Dropped(self._path, source.interface, at_ns, packets, _text(options.get(COMMENT, b"")))

    def _source(self, number: int) -> _Described:
        if number >= len(self._interfaces):
            self._damaged(f"interface {number}, which was not described")
        return self._interfaces[number]

    def _options(self, body: bytes, at: int) -> list[tuple[int, bytes]]:
        options = []
        while at + 4 <= len(body):
            code, length = struct.unpack_from("<HH", body, at)
            if code == END_OF_OPTIONS:
                break
            at += 4
            if at + length > len(body):
                self._damaged("an option longer than its block")
            options.append((code, body[at : at + length]))
            at += length + -length % 4
        return options

    def _damaged(self, reason: str) -> NoReturn:
        raise JournalError("journal_damaged", self._path, self._position, reason)

    def _only_zeros_follow(self) -> bool:
        here = self._file.tell()
        while chunk := self._file.read(1 << 16):
            if chunk.strip(b"\0"):
                self._file.seek(here)
                return False
        return True

    def _find_next_block(self) -> None:
        """Goes to the next place that looks like a block of ours: known type, two equal lengths."""
        start = self._position + 4  # all blocks are multiples of four
        while True:
            self._file.seek(start)
            chunk = self._file.read(_CHUNK)
            for found in _KNOWN_TYPE.finditer(chunk):
                at = start + found.start()
                if at % 4 == 0 and self._is_block(at):
                    self._file.seek(at)
                    self._position = at
                    return
            if len(chunk) < _CHUNK:
                self._file.seek(0, 2)
                return
            start += _CHUNK - 4

    def _is_block(self, at: int) -> bool:
        self._file.seek(at + 4)
        length = int.from_bytes(self._file.read(4), "little")
        if length < 12 or length % 4 or length > BLOCK_MAX:
            return False
        self._file.seek(at + length - 4)
        return self._file.read(4) == _U32.pack(length)


def described(text: str) -> Interface:
    """An interface from the JSON in its description. ValueError says what is wrong with it."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    source, clock_rate, payload_type = value.get("source"), value.get("clock_rate"), value.get("payload_type")
    kind, codec, label = value.get("kind"), value.get("codec"), value.get("label") or ""
    if type(source) is not int or type(clock_rate) is not int or source < 0 or clock_rate < 1:
        raise ValueError("source and clock_rate are numbers")
    if not isinstance(kind, str) or not isinstance(codec, str) or not isinstance(label, str):
        raise ValueError("kind, codec and label are texts")
    if payload_type is not None and type(payload_type) is not int:
        raise ValueError("payload_type is a number")
    fields = dict(part.split("=", 1) for part in label.split(";") if "=" in part)
    if isinstance(value.get("participant"), str):
        fields.setdefault("participant", value["participant"])
    return Interface(source, kind, codec, clock_rate, payload_type, fields)


def _nanoseconds(high: int, low: int, ticks_per_s: int) -> int:
    ticks = high << 32 | low
    return ticks if ticks_per_s == 1_000_000_000 else ticks * 1_000_000_000 // ticks_per_s


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
