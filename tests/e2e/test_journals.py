"""A recorded lesson whose media node is killed again and again: what it forwarded is in the journals."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiortc import RTCRtpReceiver

from clients.python.media import SpeechLike
from mediaserver.journal.packets import parse_rtp
from mediaserver.journal.reader import Captured, read
from signaling.protocol import replies
from tests.e2e import looking
from tests.e2e.server import Server, serving
from tests.mediaserver.peers import eventually

KILLS = 3
BACK_WITHIN_S = 15.0


@contextmanager
def payloads_heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What comes to everybody in this process: payloads, which slots leave as they are but for VP8."""
    heard: list[bytes] = []
    take = RTCRtpReceiver._handle_rtp_packet

    async def handle(self: RTCRtpReceiver, packet: Any, arrival_time_ms: int) -> None:
        if packet.payload:
            heard.append(packet.payload)
        await take(self, packet, arrival_time_ms)

    with monkeypatch.context() as patch:
        patch.setattr(RTCRtpReceiver, "_handle_rtp_packet", handle)
        yield heard


def journals(server: Server) -> list[Path]:
    return sorted((server.data / "journals" / "kept").glob("*.pcapng"))


def packets_kept(server: Server) -> Iterator[tuple[int, bytes]]:
    """Sequence number and payload of every RTP packet, in the order of the files."""
    for path in journals(server):
        for record in read(path):
            if isinstance(record, Captured) and record.protocol == "rtp":
                packet = parse_rtp(record.data)
                assert packet is not None
                yield packet.sequence, record.data[packet.start : packet.end]


def payloads_kept(server: Server) -> set[bytes]:
    return {payload for _, payload in packets_kept(server)}


async def more_than(heard: list[bytes], count: int) -> None:
    await eventually(lambda: len(heard) > count, "packets", BACK_WITHIN_S)


async def test_what_a_killed_node_has_forwarded_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(1)
    with serving(tmp_path) as server, payloads_heard(monkeypatch) as heard:
        people = looking.joined(server, "kept", ("lecturer", "王老师"), ("student", "安娜"))
        async with people as (lecturer, student):
            await lecturer.record(True)
            await student.open_media({})
            await lecturer.open_media(
                {"camera": looking.camera("王老师", 11), "microphone": SpeechLike("王老师")}, pool=False
            )
            await more_than(heard, 50)
            assert student.state["recording"], "children, too, are told"
            for _ in range(KILLS):
                await asyncio.sleep(chance.uniform(0.2, 1.2))
                server.kill("mediaserver")
                await asyncio.sleep(0.3)  # what was on its way has come
                await more_than(heard, len(heard) + 20)
            forwarded = list(heard)
            await lecturer.record(False)
            await asyncio.sleep(0.5)
            kept = payloads_kept(server)
            await more_than(heard, len(heard) + 20)
            assert payloads_kept(server) == kept, "nothing is kept any more"
            assert not student.state["recording"]
    # Retransmissions have the sequence number of the lost packet in front.
    lost = [payload for payload in forwarded if payload not in kept and payload[2:] not in kept]
    assert not lost, f"{len(lost)} of {len(forwarded)} packets"
    starts = {path.stem.removesuffix("-tail") for path in journals(server)}
    assert len(starts) == KILLS + 1, "one for each start of the node"


async def test_a_disk_that_refuses_is_told_to_staff_until_it_is_well(tmp_path: Path) -> None:
    in_the_way = tmp_path / "journals" / "kept"
    with serving(tmp_path) as server:
        people = looking.joined(server, "kept", ("lecturer", "王老师"), ("student", "安娜"))
        async with people as (lecturer, student):
            in_the_way.write_text("no folder")
            await lecturer.record(True)
            await lecturer.open_media({"microphone": SpeechLike("王老师")}, pool=False)
            await lecturer.until(lambda it: it.journal.state == "failed", 10)
            in_the_way.unlink()
            await lecturer.until(lambda it: it.journal.state == "ok", 10)
            await asyncio.sleep(0.2)
            assert student.journal == replies.Journal(state="ok"), "it is not for children"
        numbers = [number for number, _ in packets_kept(server)]
        assert len(numbers) >= 10
        steps = {(after - before) % 2**16 for before, after in pairwise(numbers)}
        assert steps == {1}, "nothing was lost meanwhile"
