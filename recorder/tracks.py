"""Which journal streams become one track of a file, and its units in order of time.

A track is one source, or several sources of one participant that follow each other (a page that
was reloaded). A source may have several streams: simulcast layers beside each other, or one after
another when an encoder was started anew.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mediaserver.journal import depacketize
from mediaserver.journal.depacketize import Damages, Unit
from mediaserver.journal.packets import Key, Scan, Stream
from mediaserver.journal.reader import Interface
from mediaserver.journal.timeline import Clock

PATIENCE_S = 2.0  # a layer that is silent for so long gives way to a smaller one
APART_NS = 3_600_000_000_000
SAME_PICTURE_NS = 20_000_000  # of two layers, less apart than two pictures ever are
CODECS = {"audio": ("opus",), "video": ("h264", "vp8")}


class Source(NamedTuple):
    """One source with the span in which its packets arrived."""

    interface: Interface
    streams: tuple[Stream, ...]
    from_ns: int
    to_ns: int

    @property
    def use(self) -> str:
        return self.interface.label.get("use", self.interface.kind)

    @property
    def owner(self) -> str:
        """The participant; a source that nobody is named for belongs to itself."""
        return self.interface.label.get("participant") or f"source-{self.interface.source}"


class Timed(NamedTuple):
    utc_ns: int
    unit: Unit


class Pause(NamedTuple):
    from_ns: int
    to_ns: int | None  # None: it never came back


class Plan(NamedTuple):
    """One file: the sources of its tracks, in order of time."""

    name: str
    video: tuple[Source, ...]
    audio: tuple[Source, ...]


def sources(scan: Scan) -> list[Source]:
    """Sources of codecs that we know, by id."""
    streams: dict[int, list[Stream]] = {}
    for key, stream in scan.streams.items():
        if stream.interface.codec in CODECS.get(stream.interface.kind, ()):
            streams.setdefault(key.source, []).append(stream)
    return [
        Source(
            of_source[0].interface,
            tuple(of_source),
            min(int(stream.arrivals_ns.min()) for stream in of_source),
            max(int(stream.arrivals_ns.max()) for stream in of_source),
        )
        for _source, of_source in sorted(streams.items())
    ]


def by_source(found: Sequence[Source]) -> list[Plan]:
    plans = []
    for source in found:
        alone = (source,)
        video = source.interface.kind == "video"
        name = f"{source.interface.source}-{_safe(source.use)}"
        plans.append(Plan(name, alone if video else (), () if video else alone))
    return plans


def by_participant(found: Sequence[Source]) -> list[Plan]:
    """A participant's camera and microphone in one file, the board in another.

    What a participant sends twice at the same time (two cameras) goes into further files; so does
    a picture of another codec, which cannot share a track, and what comes so much later that it is
    another lesson of the same id.
    """
    files: dict[tuple[str, str], list[dict[str, list[Source]]]] = {}
    for source in sorted(found, key=lambda it: it.from_ns):
        part = "board" if source.use == "board" else "camera"
        options = files.setdefault((source.owner, part), [])
        kind = source.interface.kind
        for option in options:
            if _fits(source, option):
                option[kind].append(source)
                break
        else:
            fresh: dict[str, list[Source]] = {"audio": [], "video": []}
            fresh[kind].append(source)
            options.append(fresh)
    plans = []
    for (owner, part), options in files.items():
        for number, option in enumerate(options, 1):
            name = f"{_safe(owner)}-{part}" + (f"-{number}" if number > 1 else "")
            plans.append(Plan(name, tuple(option["video"]), tuple(option["audio"])))
    return plans


def _fits(source: Source, file: Mapping[str, Sequence[Source]]) -> bool:
    last = file[source.interface.kind][-1] if file[source.interface.kind] else None
    if last is not None and (last.to_ns > source.from_ns or last.interface.codec != source.interface.codec):
        return False
    ended_ns = max(other.to_ns for track in file.values() for other in track)
    return source.from_ns - ended_ns < APART_NS


def _safe(text: str) -> str:
    """As a part of a file's name: ASCII letters, digits, . _ - stay; never hidden, never a path."""
    kept = "".join(c if (c.isascii() and c.isalnum()) or c in "._-" else "_" for c in text)[:80]
    return kept.lstrip(".") or "_"


def sound(scan: Scan, track: Sequence[Source], clocks: Mapping[Key, Clock]) -> Iterator[Timed]:
    streams = [stream for source in track for stream in source.streams]
    timed = (_timed(depacketize.sound(scan.packets(stream)), clocks[stream.key]) for stream in streams)
    return heapq.merge(*timed, key=lambda it: it.utc_ns)


def pictures(
    scan: Scan, track: Sequence[Source], clocks: Mapping[Key, Clock], damages: Damages
) -> Iterator[Timed]:
    """The largest layer that is there. A change to another layer happens at a key frame of it."""
    streams = [stream for source in track for stream in source.streams]
    layers = []
    for number, stream in enumerate(streams):
        packets = scan.packets(stream)
        units = depacketize.pictures(stream.interface.codec, packets, stream.interface.clock_rate, damages)
        layers.append(_numbered(number, _timed(units, clocks[stream.key])))
    pauses = [_pauses(stream, clocks[stream.key]) for stream in streams]
    return _largest(heapq.merge(*layers, key=lambda it: it[1].utc_ns), pauses)


def _largest(units: Iterator[tuple[int, Timed]], pauses: Sequence[Sequence[Pause]]) -> Iterator[Timed]:
    current, area = -1, 0
    held: Timed | None = None  # so that the same picture is not shown twice, small and then large
    for layer, timed in units:
        size = timed.unit.size
        if size is not None:
            own = size[0] * size[1]
            if layer == current or own >= area or _pausing(pauses[current], timed.utc_ns):
                if held is not None and layer != current and timed.utc_ns - held.utc_ns < SAME_PICTURE_NS:
                    held = None
                current, area = layer, own
        if layer == current:
            if held is not None:
                yield held
            held = timed
    if held is not None:
        yield held


def _pauses(stream: Stream, clock: Clock) -> list[Pause]:
    """When nothing came for longer than a smaller layer should wait, and the time after its end."""
    long = PATIENCE_S * stream.interface.clock_rate
    stops = np.flatnonzero(np.diff(stream.timestamps) > long)
    pauses = [
        Pause(clock.utc_ns(int(stream.timestamps[at])), clock.utc_ns(int(stream.timestamps[at + 1])))
        for at in stops
    ]
    return [*pauses, Pause(clock.utc_ns(int(stream.timestamps[-1])), None)]


def _pausing(pauses: Sequence[Pause], now_ns: int) -> bool:
    return any(it.from_ns < now_ns and (it.to_ns is None or now_ns < it.to_ns) for it in pauses)


def _timed(units: Iterator[Unit], clock: Clock) -> Iterator[Timed]:
    for unit in units:
        yield Timed(clock.utc_ns(unit.timestamp), unit)


def _numbered(number: int, units: Iterator[Timed]) -> Iterator[tuple[int, Timed]]:
    for timed in units:
        yield number, timed
