"""H.264 in RTP (RFC 6184, packetization mode 1): NAL units of one picture, and what parameter sets say.

Taken are single NAL units, STAP-A and FU-A; everything else that the RFC knows belongs to mode 2,
which Kelian never negotiates.
"""

from collections.abc import Sequence

from mediaserver.journal.errors import Malformed

START_CODE = b"\0\0\0\1"
SLICE, IDR, SEI, SPS, PPS, DELIMITER = 1, 5, 6, 7, 8, 9
STAP_A, FU_A = 24, 28
HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})


def nal_units(payloads: Sequence[bytes]) -> list[bytes]:
    """The NAL units in the payloads of one picture, in order. Raises Malformed."""
    units: list[bytes] = []
    fragments: list[bytes] = []  # of the unit that FU-As are building
    for payload in payloads:
        kind = payload[0] & 0x1F
        if fragments and kind != FU_A:
            raise Malformed("a fragment without its end")
        if 1 <= kind < STAP_A:
            units.append(payload)
        elif kind == STAP_A:
            units += _aggregated(payload)
        elif kind == FU_A:
            if len(payload) < 3:
                raise Malformed("an empty fragment")
            first, last = payload[1] & 0x80, payload[1] & 0x40
            if bool(first) == bool(fragments):
                raise Malformed("a fragment out of place")
            if first:
                fragments.append(bytes([payload[0] & 0xE0 | payload[1] & 0x1F]))
            fragments.append(payload[2:])
            if last:
                units.append(b"".join(fragments))
                fragments.clear()
        else:
            raise Malformed(f"NAL unit type {kind}")
    if fragments:
        raise Malformed("a fragment without its end")
    if not units:
        raise Malformed("nothing at all")
    return units


def _aggregated(payload: bytes) -> list[bytes]:
    units = []
    at = 1
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 2], "big")
        unit = payload[at + 2 : at + 2 + size]
        if not size or len(unit) < size:
            raise Malformed("an aggregate shorter than it says")
        units.append(unit)
        at += 2 + size
    return units


def begins_picture(unit: bytes) -> bool:
    """Whether a picture can begin with this unit: what comes before its slices, or its first slice.

    The first macroblock's address leads the slice header as ue(v): 0 is the single bit 1.
    """
    kind = unit[0] & 0x1F
    if kind in (SEI, SPS, PPS, DELIMITER):
        return True
    return kind in (SLICE, IDR) and len(unit) > 1 and bool(unit[1] & 0x80)


class ParameterSets:
    """The newest sequence and picture parameter sets of a stream."""

    def __init__(self) -> None:
        self._sequence: dict[int, bytes] = {}
        self._picture: dict[int, bytes] = {}
        self.size: tuple[int, int] | None = None  # of the pictures that follow

    def note(self, unit: bytes) -> None:
        """Raises Malformed."""
        kind = unit[0] & 0x1F
        if kind == SPS:
            number, self.size = sequence_parameters(unit)
            self._sequence[number] = unit
        elif kind == PPS:
            self._picture[_Bits(unit, 1).unsigned()] = unit

    def complete(self, units: list[bytes]) -> list[bytes]:
        """A key picture's units with the parameter sets in front that it lacks. Raises Malformed."""
        kinds = {unit[0] & 0x1F for unit in units}
        if SPS in kinds and PPS in kinds:
            return units
        if not self._sequence or not self._picture:
            raise Malformed("a key picture without parameter sets")
        own = [unit for unit in units if unit[0] & 0x1F not in (SPS, PPS)]
        leading = [unit for unit in own if unit[0] & 0x1F == DELIMITER]
        rest = [unit for unit in own if unit[0] & 0x1F != DELIMITER]
        return [*leading, *self._sequence.values(), *self._picture.values(), *rest]


def sequence_parameters(unit: bytes) -> tuple[int, tuple[int, int]]:
    """A sequence parameter set's id and the picture's (width, height), cropped. Raises Malformed."""
    if len(unit) < 5:
        raise Malformed("a short sequence parameter set")
    bits = _Bits(unit, 4)
    number = bits.unsigned()
    chroma = 1
    if unit[1] in HIGH_PROFILES:
        chroma = bits.unsigned()
        if chroma == 3:
            bits.take(1)
        bits.unsigned()  # depths of luma and chroma
        bits.unsigned()
        bits.take(1)
        if bits.take(1):
            for matrix in range(12 if chroma == 3 else 8):
                if bits.take(1):
                    bits.skip_scaling_list(16 if matrix < 6 else 64)
    bits.unsigned()  # log2_max_frame_num
    order = bits.unsigned()
    if order == 0:
        bits.unsigned()
    elif order == 1:
        bits.take(1)
        bits.signed()
        bits.signed()
        for _ in range(bits.unsigned()):
            bits.signed()
    bits.unsigned()  # reference frames
    bits.take(1)
    width = 16 * (bits.unsigned() + 1)
    map_units = bits.unsigned() + 1
    frames_only = bits.take(1)
    height = 16 * map_units * (2 - frames_only)
    if not frames_only:
        bits.take(1)
    bits.take(1)
    if bits.take(1):
        left, right, top, bottom = (bits.unsigned() for _ in range(4))
        across = 2 if chroma in (1, 2) else 1
        down = (2 if chroma == 1 else 1) * (2 - frames_only)
        width -= across * (left + right)
        height -= down * (top + bottom)
    if not (0 < width <= 16384 and 0 < height <= 16384):
        raise Malformed(f"pictures of {width} × {height}")
    return number, (width, height)


class _Bits:
    """Bits of a NAL unit from byte `start` on, without emulation prevention bytes."""

    def __init__(self, unit: bytes, start: int) -> None:
        data = unit[start:].replace(b"\0\0\3", b"\0\0")
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise Malformed("a parameter set that ends early")
        self._left -= count
        return self._value >> self._left & (1 << count) - 1

    def unsigned(self) -> int:
        """ue(v), section 9.1"""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 31:
                raise Malformed("a number of more than 32 bits")
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        """se(v)"""
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)

    def skip_scaling_list(self, size: int) -> None:
        last = following = 8
        for _ in range(size):
            if following:
                following = (last + self.signed()) % 256
            last = following or last
