"""Packets of several files become streams: in order, each once, with what is missing."""

import random
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.journal.errors import JournalError
from mediaserver.journal.packets import Gap, Key, parse_reports, parse_rtp, scan
from tests.mediaserver import journals
from tests.mediaserver.journals import Arrival, Wire

SECOND = 1_000_000_000


def wire(packets: int = 300, every_s: float = 0.02) -> Wire:
    made = Wire(0x22, 111, 48_000, sequence=65_500)
    for number in range(packets):
        made.send(number * every_s, [struct.pack(">I", number)])
    return made


def rtp(arrivals: list[Arrival]) -> list[Arrival]:
    return [it for it in arrivals if not it.report]


def payloads(path_or_paths: Path | list[Path]) -> list[int]:
    paths = path_or_paths if isinstance(path_or_paths, list) else [path_or_paths]
    with scan(paths) as found:
        return [int.from_bytes(it.payload, "big") for it in found.packets(found.streams[Key(6, 0x22)])]


def test_numbers_go_on_where_sequence_numbers_and_timestamps_wrap(tmp_path: Path) -> None:
    made = wire()
    path = journals.write(tmp_path, [journals.sending(6, made, "opus", "")])
    with scan([path]) as found:
        stream = found.streams[Key(6, 0x22)]
        assert stream.numbers.tolist() == list(range(65_500, 65_800))
        assert set((stream.timestamps[1:] - stream.timestamps[:-1]).tolist()) == {960}
        assert stream.gaps() == []
        assert len(stream.reports) == 5
        assert [it.number for it in found.packets(stream)] == list(range(65_500, 65_800))


def test_late_and_doubled_packets_are_put_in_order(tmp_path: Path) -> None:
    def disturb(arrivals: list[Arrival]) -> list[Arrival]:
        chance = random.Random(5)
        late = [it._replace(at_ns=it.at_ns + int(chance.random() * 5 * SECOND)) for it in arrivals]
        return late + chance.sample(late, 60)

    made = wire()
    path = journals.write(tmp_path, [journals.sending(6, made, "opus", "", disturb)])
    assert payloads(path) == list(range(300))
    with scan([path]) as found:
        assert found.streams[Key(6, 0x22)].duplicates > 50


def test_two_files_that_overlap_hold_each_packet_once(tmp_path: Path) -> None:
    """A node was killed: what its ring still held is in the next node's file, some of it in both."""
    made = wire()
    first = journals.sending(6, made, "opus", "", lambda arrivals: arrivals[:200])
    second = journals.sending(6, made, "opus", "", lambda arrivals: arrivals[150:])
    paths = [
        journals.write(tmp_path, [first], "20261009T080000Z-1"),
        journals.write(tmp_path, [second], "20261009T080003Z-2"),
    ]
    assert payloads(paths) == list(range(300))
    assert payloads(paths[::-1]) == list(range(300))


def test_gaps_say_how_many_and_when(tmp_path: Path) -> None:
    made = wire()
    lost = {50, 51, 52, 200}
    keep = [it for it in rtp(made.arrivals) if int.from_bytes(it.data[12:], "big") not in lost]
    path = journals.write(tmp_path, [journals.sending(6, made, "opus", "", lambda _arrivals: keep)])
    with scan([path]) as found:
        gaps = found.streams[Key(6, 0x22)].gaps()
    assert gaps == [Gap(3, keep[49].at_ns, keep[50].at_ns), Gap(1, keep[196].at_ns, keep[197].at_ns)]


def test_a_node_that_was_away_for_more_than_half_a_turn(tmp_path: Path) -> None:
    made = Wire(0x22, 111, 48_000, sequence=10)
    for number in range(10):
        made.send(number * 0.02, [b"x"])
    made.sequence += 40_000
    for number in range(10):
        made.send(900 + number * 0.02, [b"x"])
    path = journals.write(tmp_path, [journals.sending(6, made, "opus", "")])
    with scan([path]) as found:
        assert [gap.packets for gap in found.streams[Key(6, 0x22)].gaps()] == [40_000]


def test_padding_and_other_payload_types_count_but_hold_nothing(tmp_path: Path) -> None:
    made = wire(3)
    arrivals = rtp(made.arrivals)
    padded = bytearray(arrivals[1].data[:12] + b"\0\0\0\4")
    padded[0] |= 0x20
    other = bytearray(arrivals[2].data)
    other[1] = 13
    changed = [arrivals[0], arrivals[1]._replace(data=bytes(padded)), arrivals[2]._replace(data=bytes(other))]
    broken = Arrival(changed[2].at_ns + 1, b"\x80")
    path = journals.write(tmp_path, [journals.sending(6, made, "opus", "", lambda _all: [*changed, broken])])
    with scan([path]) as found:
        stream = found.streams[Key(6, 0x22)]
        assert stream.gaps() == []
        assert [len(it.payload) for it in found.packets(stream)] == [4, 0, 0]
        assert found.malformed == 1


def test_headers_with_contributors_and_extensions() -> None:
    head = bytes([0x92, 0x80 | 96]) + struct.pack(">HII", 7, 8, 9)
    data = head + b"\1" * 8 + b"\xbe\xde\0\1" + b"\x10\xff\0\0" + b"payload"
    packet = parse_rtp(data)
    assert packet is not None
    assert data[packet.start : packet.end] == b"payload"
    assert packet[:5] == (True, 96, 7, 8, 9)


def test_a_file_that_is_no_journal_spoils_no_other(tmp_path: Path) -> None:
    path = journals.write(tmp_path, [journals.sending(6, wire(), "opus", "")])
    foreign = tmp_path / "20261009T090000Z-2.pcapng"
    foreign.write_bytes(b"GIF89a" * 100)
    empty = tmp_path / "20261009T090000Z-3.pcapng"
    empty.write_bytes(b"")
    beheaded = tmp_path / "20261009T090000Z-4.pcapng"
    beheaded.write_bytes(b"\xff" * 12 + path.read_bytes()[12:])
    assert payloads([path, foreign, empty]) == list(range(300))
    assert payloads([beheaded]) == list(range(300))
    with pytest.raises(JournalError) as caught:
        scan([foreign])
    assert caught.value.code == "journal_foreign"


@given(st.binary(max_size=64))
def test_no_packet_breaks_the_parsers(data: bytes) -> None:
    for start in (data, b"\x80\xc8" + data, b"\xb0" + data):
        packet = parse_rtp(start)
        if packet is not None:
            assert 12 <= packet.start <= packet.end <= len(start)
        for report in parse_reports(start, 5):
            assert report.arrival_ns == 5
