"""Journals are read as they are written, and whatever a crash, a disk or a stranger makes of them."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediaserver.journal.errors import JournalError
from mediaserver.journal.reader import Captured, Dropped, Interface, Record, Section, Torn, read
from tests.mediaserver import journals

LABEL = "use=camera;participant=p1;session=s1"


def small() -> list[journals.Sending]:
    picture = journals.Wire(0x11, 102, 90_000, seed=1)
    voice = journals.Wire(0x22, 111, 48_000, seed=2)
    for number in range(20):
        picture.send(number * 0.1, [bytes([0x41, number]) * 30, bytes([0x41, number])])
        voice.send(number * 0.1, [bytes([0x78, number])])
    return [
        journals.sending(5, picture, "h264", LABEL),
        journals.sending(6, voice, "opus", "use=microphone;participant=p1;session=s1"),
    ]


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    return tmp_path


def records(folder: Path, data: bytes) -> list[Record]:
    path = folder / "a.pcapng"
    path.write_bytes(data)
    return list(read(path))


def test_everything_that_was_written_is_read(folder: Path) -> None:
    sendings = small()
    found = records(folder, journals.journal(sendings, journals.dropped(1, journals.START_NS, 17)))

    assert found[0] == Section("Kelian 0.1.0", ("lesson maths",))
    interfaces = {it.source: it for it in found if isinstance(it, Interface)}
    label = {"use": "camera", "participant": "p1", "session": "s1"}
    assert interfaces[5] == Interface(5, "video", "h264", 90_000, 102, label)
    for sending in sendings:
        packets = [it for it in found if isinstance(it, Captured) and it.interface.source == sending.source]
        expected = sorted(sending.arrivals, key=lambda it: it.at_ns)
        assert [(it.arrival_ns, it.data, it.protocol == "rtcp") for it in packets] == expected
    dropped = found[-1]
    assert isinstance(dropped, Dropped)
    assert (dropped.packets, dropped.at_ns, dropped.interface.source) == (17, journals.START_NS, 6)


def test_a_packets_position_is_where_its_bytes_are(folder: Path) -> None:
    data = journals.journal(small())
    for record in records(folder, data):
        if isinstance(record, Captured):
            assert data[record.position : record.position + len(record.data)] == record.data


def test_unknown_blocks_are_skipped(folder: Path) -> None:
    plain = journals.journal(small())
    head = len(journals.section())
    strange = journals.block(0x0BAD, b"whatever this is") + journals.block(4, b"")

    with_it = records(folder, plain[:head] + strange + plain[head:])

    assert [it for it in with_it if not isinstance(it, Captured)] == [
        it for it in records(folder, plain) if not isinstance(it, Captured)
    ]
    assert len(with_it) == len(records(folder, plain))


def test_a_file_torn_anywhere_is_read_up_to_there(folder: Path) -> None:
    data = journals.journal(small())
    whole = records(folder, data)
    for length in range(0, len(data), 7):
        found = records(folder, data[:length])
        if found and isinstance(found[-1], Torn):
            found.pop()
        assert found == whole[: len(found)]
    assert isinstance(records(folder, data[:-1])[-1], Torn)


def test_a_tail_of_zeros_is_a_power_cut(folder: Path) -> None:
    data = journals.journal(small())
    found = records(folder, data + b"\0" * 100_000)
    assert found[-1] == Torn(len(data))


def test_what_is_no_journal_is_refused(folder: Path) -> None:
    for data in (
        b"GIF89a" + b"\0" * 100,
        b"\xd4\xc3\xb2\xa1" * 10,
        struct.pack(">III", 0x0A0D0D0A, 28, 0x1A2B3C4D),
    ):
        with pytest.raises(JournalError) as caught:
            records(folder, data)
        assert (caught.value.code, caught.value.position) == ("journal_foreign", 0)
    with pytest.raises(JournalError) as caught:
        list(read(folder / "none.pcapng"))
    assert caught.value.code == "journal_unreadable"


def test_damage_has_a_position_and_the_rest_can_be_read(folder: Path) -> None:
    data = bytearray(journals.journal(small()))
    whole = records(folder, bytes(data))
    packets = [it for it in whole if isinstance(it, Captured)]
    broken_at = packets[9].position - 8 - 20 - 12
    data[broken_at + 4 : broken_at + 8] = b"\xff\xff\xff\xff"  # the block's length
    path = folder / "a.pcapng"
    path.write_bytes(data)

    with pytest.raises(JournalError) as caught:
        list(read(path))
    assert (caught.value.code, caught.value.position) == ("journal_damaged", broken_at)

    damages: list[JournalError] = []
    rest = list(read(path, damages.append))
    assert [it.position for it in damages] == [broken_at]
    assert rest == [it for it in whole if it is not packets[9]]


DATA = journals.journal(small(), journals.dropped(1, journals.START_NS, 17))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 255)), min_size=1, max_size=12))
def test_no_byte_can_break_the_reader(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(DATA)
    for at, value in changes:
        data[at] = value
    path = tmp_path_factory.getbasetemp() / "fuzzed.pcapng"
    path.write_bytes(data)
    damages: list[JournalError] = []
    list(read(path, damages.append))
    assert all(0 <= error.position < len(data) for error in damages)
    if damages:
        with pytest.raises(JournalError) as caught:
            list(read(path))
        assert caught.value.position == damages[0].position


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_rtp_and_reports_by_itself(folder: Path) -> None:
    path = journals.write(folder, small())
    run = subprocess.run(
        ["tshark", "-r", path, "-T", "fields", "-e", "rtp.ssrc", "-e", "rtcp.senderssrc"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split("\t") for line in run.stdout.splitlines()]
    assert sum(line[0] == "0x00000011" for line in lines) == 40
    assert sum(line[0] == "0x00000022" for line in lines) == 20
    assert {line[1] for line in lines if len(line) > 1 and line[1]} == {"0x00000011", "0x00000022"}
