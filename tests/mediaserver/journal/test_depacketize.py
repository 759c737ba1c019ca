"""What encoders made comes out of packets bit by bit, and what is not whole is left out."""

from collections.abc import Iterator

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediaserver.journal import h264
from mediaserver.journal.depacketize import Damages, Unit, pictures, sound
from mediaserver.journal.errors import Malformed
from mediaserver.journal.packets import Packet
from tests.mediaserver import journals

CODECS = ("h264", "vp8")


def sent(codec: str, seconds: float = 3, size: tuple[int, int] = (320, 180)) -> list[Packet]:
    """Ten pictures a second, a key frame each second."""
    packets: list[Packet] = []
    for at_s, payloads in journals.encoded_camera(codec, seconds, 0.0, 10, size, 7, 10):
        packets += [
            Packet(len(packets) + number, round(at_s * 90_000), 0, number == len(payloads) - 1, payload)
            for number, payload in enumerate(payloads)
        ]
    return packets


SENT = {codec: sent(codec) for codec in CODECS}


def units(codec: str, packets: list[Packet]) -> tuple[list[Unit], Damages]:
    damages = Damages()
    return list(pictures(codec, iter(packets), 90_000, damages)), damages


def decoded(codec: str, found: list[Unit]) -> int:
    decoder = av.CodecContext.create("h264" if codec == "h264" else "vp8", "r")
    frames = 0
    for unit in found:
        frames += len(decoder.decode(av.Packet(unit.data)))
    return frames + len(decoder.decode(None))


def of_picture(packets: list[Packet], number: int) -> list[Packet]:
    return [it for it in packets if it.timestamp == number * 9000]


@pytest.mark.parametrize("codec", CODECS)
def test_every_picture_comes_out_and_decodes(codec: str) -> None:
    assert max(len(of_picture(SENT[codec], number)) for number in range(30)) > 2
    found, damages = units(codec, SENT[codec])
    assert [it.timestamp for it in found] == [number * 9000 for number in range(30)]
    assert [number for number, it in enumerate(found) if it.key] == [0, 10, 20]
    assert {it.size for it in found if it.key} == {(320, 180)}
    assert decoded(codec, found) == 30
    assert (damages.losses, damages.incomplete, damages.left_out) == (0, 0, 0)


@pytest.mark.parametrize("codec", CODECS)
def test_a_loss_leaves_out_what_refers_to_it(codec: str) -> None:
    lost = of_picture(SENT[codec], 4)[0]
    found, damages = units(codec, [it for it in SENT[codec] if it is not lost])
    assert [it.timestamp // 9000 for it in found] == [0, 1, 2, 3, *range(10, 30)]
    assert damages.losses == 1
    assert damages.left_out + damages.incomplete == 6
    assert decoded(codec, found) == 24


@pytest.mark.parametrize("codec", CODECS)
def test_a_whole_picture_that_is_missing_is_noticed(codec: str) -> None:
    gone = of_picture(SENT[codec], 4)
    found, damages = units(codec, [it for it in SENT[codec] if it not in gone])
    assert [it.timestamp // 9000 for it in found] == [0, 1, 2, 3, *range(10, 30)]
    assert (damages.losses, damages.incomplete, damages.left_out) == (1, 0, 5)


@pytest.mark.parametrize("codec", CODECS)
def test_without_another_key_frame_pictures_go_on_after_three_seconds(codec: str) -> None:
    packets = sent(codec, seconds=1)  # one key frame, nine pictures; then the same nine again and again
    rest = [it for it in packets if it.timestamp > 0]
    lost = of_picture(packets, 5)[0]
    long = [it for it in packets if it is not lost]
    for turn in range(1, 6):
        long += [
            it._replace(number=it.number + turn * len(rest), timestamp=it.timestamp + turn * 81_000)
            for it in rest
        ]
    found, _damages = units(codec, long)
    after = [it.timestamp for it in found if it.timestamp >= lost.timestamp]
    assert after[0] == lost.timestamp + 3 * 90_000
    assert len(after) > 15


@pytest.mark.parametrize("codec", CODECS)
def test_nothing_comes_before_the_first_key_frame(codec: str) -> None:
    found, damages = units(codec, [it for it in SENT[codec] if it.timestamp >= 3 * 9000])
    assert [it.timestamp // 9000 for it in found] == list(range(10, 30))
    assert damages.left_out == 7


@pytest.mark.parametrize("codec", CODECS)
@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 200), max_size=12))
def test_whatever_is_lost_the_rest_decodes(codec: str, lost: set[int]) -> None:
    found, damages = units(codec, [it for it in SENT[codec] if it.number not in lost])
    assert decoded(codec, found) == len(found)
    assert len(found) + damages.incomplete + damages.left_out <= 30


@pytest.mark.parametrize("codec", CODECS)
@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8), st.booleans())
def test_no_payload_breaks_it(codec: str, payloads: list[bytes], together: bool) -> None:
    packets = [
        Packet(number, 0 if together else number, 0, True, data) for number, data in enumerate(payloads)
    ]
    for unit in units(codec, packets)[0]:
        assert unit.data


def test_single_aggregated_and_fragmented_units() -> None:
    sps, pps, picture = b"\x67abc", b"\x68d", b"\x65" + bytes(range(30))
    aggregate = b"\x78" + b"\0\4" + sps + b"\0\2" + pps
    fragments = [b"\x7c\x85" + picture[1:11], b"\x7c\x05" + picture[11:20], b"\x7c\x45" + picture[20:]]
    assert h264.nal_units([aggregate, *fragments]) == [sps, pps, picture]
    assert h264.nal_units([sps, pps, picture]) == [sps, pps, picture]
    for broken in (
        [fragments[0]],
        fragments[1:],
        [fragments[0], fragments[0]],
        [b"\x78\0\x09ab"],
        [b"\x78"],
        [b"\x79"],
    ):
        with pytest.raises(Malformed):
            h264.nal_units(broken)


@pytest.mark.parametrize("size", [(320, 180), (640, 360), (176, 144), (1280, 720), (426, 240)])
def test_the_size_is_what_the_parameter_set_says(size: tuple[int, int]) -> None:
    found, _damages = units("h264", sent("h264", seconds=0.1, size=size))
    assert found[0].size == size


def test_parameter_sets_of_their_own_time_are_no_picture_and_serve_key_frames_that_lack_them() -> None:
    packets: list[Packet] = []

    def send(timestamp: int, units_of_it: list[bytes]) -> None:
        for unit in units_of_it:
            packets.append(Packet(len(packets), timestamp, 0, unit is units_of_it[-1], unit))

    for number in range(30):
        all_units = h264.nal_units([it.payload for it in of_picture(SENT["h264"], number)])
        sets = [unit for unit in all_units if unit[0] & 0x1F in (h264.SPS, h264.PPS)]
        if number == 0:
            send(-10, sets)
        send(number * 9000, [unit for unit in all_units if unit not in sets])
    found, damages = units("h264", packets)
    assert len(found) == 30
    assert damages.losses == 0
    assert decoded("h264", found[10:]) == 20


def test_sound_is_each_packet_that_holds_some() -> None:
    def packets() -> Iterator[Packet]:
        for number, payload in enumerate((b"\x78a", b"", b"\x78b")):
            yield Packet(number, 960 * number, 0, False, payload)

    assert [(it.timestamp, it.data) for it in sound(packets())] == [(0, b"\x78a"), (1920, b"\x78b")]
