"""One media file out of units: nothing is encoded, time is kept, gaps stay gaps.

H.264 goes into MP4 or Matroska, VP8 into WebM or Matroska, Opus into any of them. Parameter sets of
H.264 stay in the stream before every key picture (and the first are in the header, too), so a
picture may change its size at any key frame; the header names the largest.
"""

import heapq
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Literal, NamedTuple

import av
from av.packet import Packet
from av.stream import Stream

from recorder.tracks import Timed

Container = Literal["mp4", "webm", "matroska"]
VIDEO_BASE, AUDIO_BASE = Fraction(1, 90_000), Fraction(1, 48_000)
# Opus encoders (libopus, which browsers use as well) sound 6.5 ms late; files say so, players skip it.
OPUS_DELAY = 312  # samples at 48 kHz
OPUS_DELAY_NS = OPUS_DELAY * 1_000_000_000 // 48_000
OPUS_MAX = 5760  # samples: 120 ms
_OPUS_FRAME_48K = (480, 960, 1920, 2880)  # SILK; RFC 6716 section 3.1


class Written(NamedTuple):
    """What went into the file, per track: units and the UTC of the first and last."""

    pictures: int
    sounds: int
    origin_ns: int  # UTC at the file's time 0
    end_ns: int


class Video(NamedTuple):
    codec: str
    size: tuple[int, int]  # the largest
    units: Iterator[Timed]


def write(path: Path, container: Container, video: Video | None, sound: Iterator[Timed] | None) -> Written:
    """The file; at least one of `video` and `sound` has a unit. Raises av.FFmpegError, OSError."""
    pictures = _Track(video.units if video else iter(()))
    sounds = _Track(sound or iter(()))
    starts = []
    if pictures.first is not None:
        starts.append(pictures.first.utc_ns)
    if sounds.first is not None:
        starts.append(sounds.first.utc_ns - OPUS_DELAY_NS)
    origin_ns = min(starts)
    options = {"movflags": "+faststart"} if container == "mp4" else {}
    with av.open(str(path), "w", format=container, container_options=options) as output:
        packets = []
        if video is not None and pictures.first is not None:
            width, height = video.size
            stream = output.add_mux_stream(video.codec, width=width, height=height, time_base=VIDEO_BASE)
            packets.append(_video_packets(pictures, stream, origin_ns))
        if sounds.first is not None:
            voice = output.add_stream("libopus", rate=48_000, layout="stereo", time_base=AUDIO_BASE)
            packets.append(_sound_packets(sounds, voice, origin_ns))
        # The header is written with the first packet, and needs the first picture's parameter sets.
        if pictures.first is not None:
            output.mux(next(packets[0])[1])
        for _time, packet in heapq.merge(*packets, key=lambda it: it[0]):
            output.mux(packet)
    return Written(pictures.count, sounds.count, origin_ns, max(pictures.end_ns, sounds.end_ns))


def opus_samples(packet: bytes) -> int:
    """How long a packet sounds, in samples at 48 kHz (RFC 6716 section 3.1); 0 if it is malformed."""
    configuration, code = packet[0] >> 3, packet[0] & 3
    if configuration < 12:
        frame = _OPUS_FRAME_48K[configuration & 3]
    elif configuration < 16:
        frame = 480 << (configuration & 1)
    else:
        frame = 120 << (configuration & 3)
    frames = (1, 2, 2, packet[1] & 0x3F if len(packet) > 1 else 0)[code]
    return frame * frames if frame * frames <= OPUS_MAX else 0


class _Track:
    """Units with the first one known in advance, counted as they pass."""

    def __init__(self, units: Iterator[Timed]) -> None:
        self._units = units
        self.first = next(units, None)
        self.count = 0
        self.end_ns = 0

    def __iter__(self) -> Iterator[Timed]:
        if self.first is not None:
            yield self.first
            yield from self._units

    def passed(self, end_ns: int) -> None:
        self.count += 1
        self.end_ns = end_ns


def _video_packets(track: _Track, stream: Stream, origin_ns: int) -> Iterator[tuple[int, "Packet[Stream]"]]:
    last, duration = -1, 0
    for timed in track:
        # No B pictures in constrained baseline nor VP8: what is sent is in order.
        ticks = max(_ticks(timed.utc_ns - origin_ns, VIDEO_BASE), last + 1)
        if last >= 0:
            duration = min(ticks - last, VIDEO_BASE.denominator)
        last = ticks
        track.passed(timed.utc_ns)
        packet = _packet(timed, stream, ticks, VIDEO_BASE)
        packet.duration = duration
        yield timed.utc_ns, packet


def _sound_packets(track: _Track, stream: Stream, origin_ns: int) -> Iterator[tuple[int, "Packet[Stream]"]]:
    last: int | None = None
    for timed in track:
        samples = opus_samples(timed.unit.data)
        if not samples:
            continue
        ticks = _ticks(timed.utc_ns - OPUS_DELAY_NS - origin_ns, AUDIO_BASE)
        if last is not None:
            ticks = max(ticks, last + 1)
        last = ticks
        track.passed(timed.utc_ns + samples * 1_000_000_000 // 48_000)
        packet = _packet(timed, stream, ticks, AUDIO_BASE)
        packet.duration = samples
        yield timed.utc_ns, packet


def _packet(timed: Timed, stream: Stream, ticks: int, base: Fraction) -> "Packet[Stream]":
    packet = Packet(timed.unit.data)
    packet.stream = stream
    packet.time_base = base
    packet.pts = packet.dts = ticks
    packet.is_keyframe = timed.unit.key
    return packet


def _ticks(nanoseconds: int, base: Fraction) -> int:
    return round(nanoseconds * base.denominator / 1_000_000_000)
