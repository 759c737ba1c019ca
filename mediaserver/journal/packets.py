"""All journal files of a lesson as streams of RTP packets: in order, each once, with what is missing.

`scan` reads the files once and keeps 29 bytes for each packet, never its payload; payloads are
read again when a stream is gone through. A packet's key is (source, SSRC, extended sequence number).
"""

import contextlib
import os
import struct
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mediaserver.journal.errors import JournalError
from mediaserver.journal.reader import Captured, Dropped, Interface, Torn, read

SENDER_REPORT = 200
SILENCE_NS = 10_000_000_000  # after this, no older packet is still on its way
NTP_TO_UNIX_S = 2_208_988_800

_FIXED = struct.Struct(">BBHII")
_REPORT = struct.Struct(">BBHIIII")

Numbers = NDArray[np.int64]


class Key(NamedTuple):
    source: int
    ssrc: int


class RtpPacket(NamedTuple):
    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    start: int  # of the payload in the packet
    end: int  # its end, without padding


class Report(NamedTuple):
    """A sender report (RFC 3550 section 6.4.1): one instant in two clocks."""

    ssrc: int
    arrival_ns: int
    ntp_ns: int  # by the sender's clock, since 1970
    timestamp: int  # by the stream's clock


class Packet(NamedTuple):
    """One packet of a stream in order; `number` and `timestamp` do not wrap."""

    number: int
    timestamp: int
    arrival_ns: int
    marker: bool
    payload: bytes  # empty: padding, or not of the stream's codec


class Gap(NamedTuple):
    """Packets that never came, between two that did."""

    packets: int
    from_ns: int  # arrival of the last before
    to_ns: int  # and of the first after


def parse_rtp(data: bytes) -> RtpPacket | None:
    """The header of RFC 3550 section 5.1; None if it is malformed."""
    if len(data) < 12:
        return None
    first, second, sequence, timestamp, ssrc = _FIXED.unpack_from(data)
    if first >> 6 != 2:
        return None
    start, end = 12 + 4 * (first & 0x0F), len(data)
    if first & 0x10:
        if start + 4 > end:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    if first & 0x20:
        end -= data[-1]
        if not data[-1]:
            return None
    if start > end:
        return None
    return RtpPacket(second >= 0x80, second & 0x7F, sequence, timestamp, ssrc, start, end)


def parse_reports(data: bytes, arrival_ns: int) -> Iterator[Report]:
    """The sender reports in an RTCP packet, compound or not; what is malformed is left out."""
    at = 0
    while at + 4 <= len(data):
        first, kind, words = data[at], data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 4 * (words + 1)
        if first >> 6 != 2 or end > len(data):
            return
        if kind == SENDER_REPORT and end - at >= 28:
            _first, _kind, _words, ssrc, seconds, fraction, timestamp = _REPORT.unpack_from(data, at)
            ntp_ns = (seconds - NTP_TO_UNIX_S) * 1_000_000_000 + (fraction * 1_000_000_000 >> 32)
            yield Report(ssrc, arrival_ns, ntp_ns, timestamp)
        at = end


class _Rows:
    """What is kept of each packet of one stream, in the order of the files."""

    def __init__(self) -> None:
        self.file = array("H")
        self.position = array("q")  # of the payload
        self.size = array("H")  # of the payload; 0 for padding and foreign payload types
        self.arrival_ns = array("q")
        self.sequence = array("H")
        self.timestamp = array("I")
        self.marker = array("b")


class Stream:
    """One SSRC of one source, its packets sorted by number, each once."""

    def __init__(self, key: Key, interface: Interface, rows: _Rows, reports: Sequence[Report]) -> None:
        self.key = key
        self.interface = interface
        arrival = np.asarray(rows.arrival_ns, dtype=np.int64)
        by_arrival = np.argsort(arrival, kind="stable")
        numbers = _extended(np.asarray(rows.sequence, dtype=np.int64)[by_arrival], arrival[by_arrival])
        unique, first = np.unique(numbers, return_index=True)
        order = by_arrival[first]
        self.duplicates = len(numbers) - len(unique)
        self.numbers: Numbers = unique
        self.arrivals_ns: Numbers = arrival[order]
        self.timestamps = _unwrapped(np.asarray(rows.timestamp, dtype=np.int64)[order], 32)
        self._files = np.asarray(rows.file)[order]
        self._positions = np.asarray(rows.position, dtype=np.int64)[order]
        self._sizes = np.asarray(rows.size)[order]
        self._markers = np.asarray(rows.marker)[order]
        self.reports = sorted(set(reports), key=lambda report: report.arrival_ns)

    def __len__(self) -> int:
        return len(self.numbers)

    def gaps(self) -> list[Gap]:
        steps = np.diff(self.numbers)
        return [
            Gap(int(steps[at]) - 1, int(self.arrivals_ns[at]), int(self.arrivals_ns[at + 1]))
            for at in np.flatnonzero(steps > 1)
        ]

    def packets(self, files: Sequence[int]) -> Iterator[Packet]:
        """Goes through the stream; `files` are the journals' descriptors."""
        for at in range(len(self.numbers)):
            size = int(self._sizes[at])
            payload = b""
            if size:
                payload = os.pread(files[self._files[at]], size, int(self._positions[at]))
            yield Packet(
                int(self.numbers[at]),
                int(self.timestamps[at]),
                int(self.arrivals_ns[at]),
                bool(self._markers[at]),
                payload,
            )


class Scan:
    """What the journals of one lesson hold. A context manager: it keeps the files open."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self.streams: dict[Key, Stream] = {}
        self.dropped: list[Dropped] = []
        self.damages: list[JournalError] = []
        self.torn: list[Path] = []
        self.malformed = 0  # packets that are no RTP
        self._open = contextlib.ExitStack()
        self._files: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._open.close()

    def packets(self, stream: Stream) -> Iterator[Packet]:
        return stream.packets(self._files)

    def open(self) -> None:
        for path in self.paths:
            self._files.append(self._open.enter_context(path.open("rb")).fileno())


def scan(paths: Sequence[Path]) -> Scan:
    """Reads all of a lesson's journals. Damage is noted, and the rest is read.

    Raises JournalError for a file that cannot be read, and when damage has left nothing at all.
    """
    found = Scan(paths)
    rows: dict[Key, _Rows] = {}
    interfaces: dict[Key, Interface] = {}
    reports: dict[Key, list[Report]] = {}
    for number, path in enumerate(paths):
        for record in read(path, found.damages.append):
            if isinstance(record, Captured):
                source = record.interface.source
                if record.protocol == "rtcp":
                    for report in parse_reports(record.data, record.arrival_ns):
                        reports.setdefault(Key(source, report.ssrc), []).append(report)
                    continue
                packet = parse_rtp(record.data) if record.protocol == "rtp" else None
                if packet is None:
                    found.malformed += 1
                    continue
                key = Key(source, packet.ssrc)
                if key not in rows:
                    rows[key] = _Rows()
                    interfaces[key] = record.interface
                _keep(rows[key], number, record, packet)
            elif isinstance(record, Dropped):
                found.dropped.append(record)
            elif isinstance(record, Torn):
                found.torn.append(path)
    if found.damages and not rows:
        raise found.damages[0]
    for key in sorted(rows):
        found.streams[key] = Stream(key, interfaces[key], rows[key], reports.get(key, ()))
    try:
        found.open()
    except OSError as error:
        found.__exit__()
        path = Path(error.filename or paths[0])
        raise JournalError("journal_unreadable", path, 0, error.strerror or str(error)) from error
    return found


def _keep(rows: _Rows, file: int, record: Captured, packet: RtpPacket) -> None:
    expected = record.interface.payload_type
    ours = expected is None or expected == packet.payload_type
    rows.file.append(file)
    rows.position.append(record.position + packet.start)
    rows.size.append(packet.end - packet.start if ours else 0)
    rows.arrival_ns.append(record.arrival_ns)
    rows.sequence.append(packet.sequence)
    rows.timestamp.append(packet.timestamp)
    rows.marker.append(packet.marker)


def _extended(sequence: Numbers, arrival_ns: Numbers) -> Numbers:
    """Sequence numbers without wraps, in the order of arrival.

    Each is the nearest to the one before; after a silence longer than any packet can be late, it is
    the next one upwards, because a node that was away may have missed more than half a turn.
    """
    steps = np.diff(sequence)
    nearest = (steps + 0x8000) % 0x10000 - 0x8000
    upwards = steps % 0x10000
    chosen = np.where(np.diff(arrival_ns) > SILENCE_NS, upwards, nearest)
    return np.concatenate((sequence[:1], sequence[:1] + np.cumsum(chosen)))


def _unwrapped(values: Numbers, bits: int) -> Numbers:
    half, turn = 1 << (bits - 1), 1 << bits
    steps = (np.diff(values) + half) % turn - half
    return np.concatenate((values[:1], values[:1] + np.cumsum(steps)))
