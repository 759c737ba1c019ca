"""Journals made by hand from real encoded media: what the engine would write, and what may go wrong."""

import json
import random
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder

from clients.python import pattern

START_NS = 1_760_000_000_000_000_000
NTP_TO_UNIX_S = 2_208_988_800


class Arrival(NamedTuple):
    """One packet at the node; RTCP when `report`."""

    at_ns: int
    data: bytes
    report: bool = False


class Sending(NamedTuple):
    """One source: how its journal describes it, and what arrived of it."""

    source: int
    kind: str
    codec: str
    clock_rate: int
    payload_type: int
    label: str
    arrivals: list[Arrival]


# --- pcapng ------------------------------------------------------------------------------------


def block(kind: int, body: bytes) -> bytes:
    body += b"\0" * (-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def options(*pairs: tuple[int, bytes]) -> bytes:
    data = b"".join(
        struct.pack("<HH", code, len(value)) + value + b"\0" * (-len(value) % 4) for code, value in pairs
    )
    return data + struct.pack("<HH", 0, 0)


def section(lesson: str = "maths") -> bytes:
    head = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    return block(0x0A0D0D0A, head + options((1, f"lesson {lesson}".encode()), (4, b"Kelian 0.1.0")))


def interface(sending: Sending) -> bytes:
    description = {
        "source": sending.source,
        "kind": sending.kind,
        "codec": sending.codec,
        "clock_rate": sending.clock_rate,
        "payload_type": sending.payload_type,
        "label": sending.label,
    }
    pairs = (2, f"source {sending.source}".encode()), (3, json.dumps(description).encode()), (9, b"\x09")
    return block(1, struct.pack("<HHI", 252, 0, 0) + options(*pairs))


def captured(number: int, arrival: Arrival) -> bytes:
    name = b"rtcp" if arrival.report else b"rtp\0"
    data = struct.pack(">HH", 12, 4) + name + struct.pack(">HH", 0, 0) + arrival.data
    head = struct.pack(
        "<IIIII", number, arrival.at_ns >> 32, arrival.at_ns & 0xFFFFFFFF, len(data), len(data)
    )
    return block(6, head + data)


def dropped(number: int, at_ns: int, packets: int) -> bytes:
    head = struct.pack("<III", number, at_ns >> 32, at_ns & 0xFFFFFFFF)
    comment = f"gap: {at_ns - 1000}-{at_ns}, {packets} packets".encode()
    return block(5, head + options((7, struct.pack("<Q", packets)), (1, comment)))


def journal(sendings: Sequence[Sending], extra: bytes = b"") -> bytes:
    """Blocks in the order of arrival, each interface just before its first packet."""
    arrivals = [(arrival, number) for number, sending in enumerate(sendings) for arrival in sending.arrivals]
    arrivals.sort(key=lambda it: it[0].at_ns)
    data = [section()]
    numbers: dict[int, int] = {}
    for arrival, sending in arrivals:
        if sending not in numbers:
            numbers[sending] = len(numbers)
            data.append(interface(sendings[sending]))
        data.append(captured(numbers[sending], arrival))
    return b"".join([*data, extra])


def write(folder: Path, sendings: Sequence[Sending], name: str = "20261009T080000Z-1") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.pcapng"
    path.write_bytes(journal(sendings))
    return path


# --- RTP ---------------------------------------------------------------------------------------


class Wire:
    """One SSRC on its way to the node."""

    def __init__(
        self,
        ssrc: int,
        payload_type: int,
        clock_rate: int,
        *,
        sequence: int = 65_500,
        timestamp: int = 0xFFFFF000,
        ppm: float = 0.0,
        delay_ms: float = 20.0,
        ntp_ahead_s: float = 0.0,
        reports_every_s: float = 1.0,
        seed: int = 1,
    ) -> None:
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.clock_rate = clock_rate
        self.sequence = sequence
        self.timestamp = timestamp
        self.ppm = ppm
        self.delay_ms = delay_ms
        self.ntp_ahead_s = ntp_ahead_s
        self.ntp_ppm = 0.0
        self.reports_every_s = reports_every_s
        self.arrivals: list[Arrival] = []
        self._random = random.Random(seed)
        self._reported_s = 0.0

    def ticks(self, at_s: float) -> int:
        """The stream's clock, which is `ppm` too fast."""
        return round(self.timestamp + at_s * self.clock_rate * (1 + self.ppm / 1e6)) & 0xFFFFFFFF

    def send(self, at_s: float, payloads: Sequence[bytes]) -> None:
        for number, payload in enumerate(payloads):
            marker = 0x80 if number == len(payloads) - 1 else 0
            head = struct.pack(
                ">BBHII",
                0x80,
                marker | self.payload_type,
                self.sequence & 0xFFFF,
                self.ticks(at_s),
                self.ssrc,
            )
            self.sequence += 1
            late_s = self.delay_ms / 1000 + self._random.random() * 0.01 + number * 0.0002
            self.arrivals.append(Arrival(START_NS + round((at_s + late_s) * 1e9), head + payload))
        if self.reports_every_s and at_s - self._reported_s >= self.reports_every_s:
            self._reported_s = at_s
            self.report(at_s)

    def report(self, at_s: float) -> None:
        ntp_ns = START_NS + round((at_s * (1 + self.ntp_ppm / 1e6) + self.ntp_ahead_s) * 1e9)
        seconds, rest = divmod(ntp_ns, 1_000_000_000)
        fraction = (rest << 32) // 1_000_000_000
        data = struct.pack(
            ">BBHIIIIII",
            *(0x80, 200, 6, self.ssrc),
            *(seconds + NTP_TO_UNIX_S & 0xFFFFFFFF, fraction, self.ticks(at_s), 0, 0),
        )
        self.arrivals.append(
            Arrival(START_NS + round((at_s + self.delay_ms / 1000) * 1e9), data, report=True)
        )


def sending(
    source: int,
    wires: Wire | Sequence[Wire],
    codec: str,
    label: str,
    damage: Callable[[list[Arrival]], Iterable[Arrival]] = list,
) -> Sending:
    wires = [wires] if isinstance(wires, Wire) else wires
    arrivals = list(damage([arrival for wire in wires for arrival in wire.arrivals]))
    kind = "audio" if codec == "opus" else "video"
    return Sending(source, kind, codec, wires[0].clock_rate, wires[0].payload_type, label, arrivals)


# --- media -------------------------------------------------------------------------------------


def camera(
    wire: Wire,
    codec: str,
    *,
    seconds: float,
    from_s: float = 0.0,
    fps: int = 10,
    size: tuple[int, int] = (320, 180),
    sender: int = 7,
    key_every: int = 10,
) -> list[int]:
    """Encodes pictures with the strip (clients.python.pattern) and sends them; returns their ms.

    In the first tenth of every second the upper half is white, as a flash.
    """
    stamps = []
    for at_s, payloads in encoded_camera(codec, seconds, from_s, fps, size, sender, key_every):
        wire.send(at_s, payloads)
        stamps.append(round(at_s * 1000))
    return stamps


def encoded_camera(
    codec: str, seconds: float, from_s: float, fps: int, size: tuple[int, int], sender: int, key_every: int
) -> Iterator[tuple[float, list[bytes]]]:
    encoder = H264Encoder() if codec == "h264" else Vp8Encoder()
    width, height = size
    # A texture that costs more than one packet, as real pictures do.
    grain = np.random.default_rng(sender).integers(60, 120, size=(height // 2, width), dtype=np.uint8)
    for number in range(round(seconds * fps)):
        at_s = from_s + number / fps
        luma = np.full((height, width), 90, dtype=np.uint8)
        luma[height // 2 :] = np.roll(grain, number, axis=1)[: height - height // 2]
        if at_s % 1.0 < 0.099:
            luma[: height // 2] = 235
        pattern.draw(luma, sender, round(at_s * 1000))
        planes = np.concatenate([luma, np.full((height // 2, width), 128, dtype=np.uint8)])
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = round(at_s * 90_000)
        frame.time_base = Fraction(1, 90_000)
        payloads, _timestamp = encoder.encode(frame, force_keyframe=number % key_every == 0)
        yield at_s, payloads


def microphone(wire: Wire, *, seconds: float, from_s: float = 0.0) -> None:
    """Sends Opus with a beep in the first tenth of every second."""
    for at_s, payload in encoded_microphone(seconds, from_s):
        wire.send(at_s, [payload])


def encoded_microphone(seconds: float, from_s: float) -> Iterator[tuple[float, bytes]]:
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate = 48_000
    encoder.format = "s16"
    encoder.layout = "mono"
    encoder.bit_rate = 32_000
    encoder.time_base = Fraction(1, 48_000)
    encoder.open()
    sent = 0
    for number in range(round(seconds * 50)):
        times = from_s + (number * 960 + np.arange(960)) / 48_000
        loud = (times % 1.0) < 0.1
        samples = np.where(loud, 12_000 * np.sin(2 * np.pi * 1000 * times), 0).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = 48_000
        frame.pts = number * 960
        for packet in encoder.encode(frame):
            yield from_s + sent * 0.02, bytes(packet)
            sent += 1
