"""Pictures and sound out of RTP packets, as a muxer takes them.

After a loss that could not be repaired, pictures refer to something that is not there. They are
left out up to the next key frame, because a still picture is better than a smeared one; but no
longer than `PATIENCE_S`, because a smeared lecturer is better than a still one.
"""

from collections.abc import Iterator
from typing import NamedTuple

from mediaserver.journal import h264, vp8
from mediaserver.journal.errors import Malformed
from mediaserver.journal.packets import Packet

PATIENCE_S = 3.0


class Unit(NamedTuple):
    """One picture (H.264: an access unit in Annex B; VP8: a frame) or one packet of sound."""

    timestamp: int  # of RTP, without wraps
    key: bool
    data: bytes
    size: tuple[int, int] | None  # a key picture's width and height


class Damages:
    """What became of pictures that are not among the units."""

    def __init__(self) -> None:
        self.incomplete = 0  # packets of it are missing or malformed
        self.left_out = 0  # whole, but they refer to what is missing
        self.losses = 0  # moments at which something was missing


class _Group(NamedTuple):
    """The packets of one timestamp."""

    packets: list[Packet]
    follows: bool  # nothing is missing before it
    whole: bool  # nothing is missing inside, nor, as far as can be told, at its end


def sound(packets: Iterator[Packet]) -> Iterator[Unit]:
    """Opus (RFC 7587): each packet is a unit."""
    for packet in packets:
        if packet.payload:
            yield Unit(packet.timestamp, True, packet.payload, None)


def pictures(codec: str, packets: Iterator[Packet], clock_rate: int, damages: Damages) -> Iterator[Unit]:
    """Whole pictures from the first key frame on. `codec` is "h264" or "vp8"."""
    assemble = _H264().unit if codec == "h264" else _vp8_unit
    begun = False
    missing_since: int | None = None
    for group in _groups(packets):
        timestamp = group.packets[0].timestamp
        broken = not group.whole
        unit = None
        if not broken:
            try:
                unit = assemble(group)
            except Malformed:
                broken = True
        if begun and missing_since is None and (broken or not group.follows):
            missing_since = timestamp
            damages.losses += 1
        damages.incomplete += broken
        if unit is None:
            continue
        if unit.key:
            begun, missing_since = True, None
        elif not begun:
            damages.left_out += 1
            continue
        elif missing_since is not None:
            if timestamp - missing_since < PATIENCE_S * clock_rate:
                damages.left_out += 1
                continue
            missing_since = None
        yield unit


def _groups(packets: Iterator[Packet]) -> Iterator[_Group]:
    group: list[Packet] = []
    follows = whole = True
    last: int | None = None
    for packet in packets:
        gap = last is not None and packet.number != last + 1
        last = packet.number
        if group and packet.timestamp != group[0].timestamp:
            yield _Group(group, follows, whole and (group[-1].marker or not gap))
            group, whole, follows = [], True, True
        if gap:
            if group:
                whole = False
            else:
                follows = False
        if packet.payload:
            group.append(packet)
    if group:
        yield _Group(group, follows, whole and group[-1].marker)


class _H264:
    def __init__(self) -> None:
        self._sets = h264.ParameterSets()

    def unit(self, group: _Group) -> Unit | None:
        """None if there is no picture in it, such as parameter sets by themselves. Raises Malformed."""
        units = h264.nal_units([packet.payload for packet in group.packets])
        if not group.follows and not h264.begins_picture(units[0]):
            raise Malformed("a picture without its beginning")
        for unit in units:
            self._sets.note(unit)
        kinds = {unit[0] & 0x1F for unit in units}
        if kinds.isdisjoint((h264.SLICE, h264.IDR)):
            return None
        key = h264.IDR in kinds
        if key:
            units = self._sets.complete(units)
        data = b"".join(h264.START_CODE + unit for unit in units)
        return Unit(group.packets[0].timestamp, key, data, self._sets.size if key else None)


def _vp8_unit(group: _Group) -> Unit:
    """Raises Malformed."""
    descriptors = [vp8.descriptor(packet.payload) for packet in group.packets]
    if not descriptors[0].begins_frame:
        raise Malformed("a picture without its beginning")
    frame = b"".join(
        packet.payload[descriptor.size :]
        for packet, descriptor in zip(group.packets, descriptors, strict=True)
    )
    key = vp8.is_key(frame)
    return Unit(group.packets[0].timestamp, key, frame, vp8.key_size(frame) if key else None)
