"""WHIP in and WHEP out with clients of an implementation that is neither ours nor aiortc (werift)."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from clients import python as kelian
from signaling.log.events import Codec
from tests.e2e import looking, werift
from tests.e2e.fakes import tone_hz
from tests.e2e.server import Server, serving

SENDER = 77
HZ = tone_hz(SENDER)
ENOUGH = 25  # pictures


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("whip")) as running:
        yield running


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return werift.sound(tmp_path_factory.mktemp("sound") / "sound.bin", HZ)


async def pictures_come(path: Path, codec: Codec, more: int = ENOUGH, within_s: float = 20) -> int:
    """Waits until so many more pictures have come; every one shows the sender's strip. Returns how many."""
    before = sum(1 for _ in werift.received(path))
    deadline_s = time.monotonic() + within_s
    while (count := sum(1 for _ in werift.received(path))) < before + more:
        assert time.monotonic() < deadline_s, f"{count - before} pictures in {within_s} s"
        await asyncio.sleep(0.1)
    read = werift.stamps(path, codec)
    assert len(read) >= before + more - 1
    assert {stamp.sender if stamp else None for stamp in read} == {SENDER}
    return count


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_an_encoder_is_seen_by_a_player_and_by_the_sdk(
    server: Server, sound: Path, tmp_path: Path, codec: Codec
) -> None:
    """In a lesson that is H.264 until a lecturer's encoder has only VP8."""
    lesson = f"whip-{codec}"
    video, seen, heard = (tmp_path / name for name in ("video", "seen", "heard"))
    werift.pictures(video, codec, SENDER)
    lecturer, observer = (
        looking.token(server, lesson, "lecturer", "王老师"),
        looking.token(server, lesson, "observer", "赵"),
    )
    async with (
        werift.running("publish", f"{server.url}/whip/{lesson}", lecturer, codec, video, sound) as encoder,
    ):
        await encoder.until(lambda event: event.get("state") == "connected")
        async with werift.running(
            "watch", f"{server.url}/whep/{lesson}", observer, codec, seen, heard
        ) as player:
            first = await player.until(lambda event: event.get("first") == "video")
            await encoder.said("keyFrameAsked")
            async with kelian.join(server.url, looking.token(server, lesson, "student", "小明")) as student:
                assert student.codec == codec
                await student.open_media(pool=["lecturer.video", "lecturer.audio"])
                await looking.seen(student, "lecturer.video", SENDER)
                await looking.heard(student, "lecturer.audio", HZ)
                assert first["csrc"] == [student.slots["lecturer.video"]]

                await pictures_come(seen, codec)
                assert abs(werift.loudest_hz(heard) - HZ) < 15

                for peer in (encoder, player):
                    peer.order("restart")
                    assert (await peer.said("restarted"))["changed"], "another ICE session, another ETag"
                await asyncio.sleep(1)  # longer than any packet is on its way
                await pictures_come(seen, codec, 10)
                assert student.slot("lecturer.video").quiet_s < 1

                encoder.order("delete")
                assert (await encoder.said("deleted"))["deleted"] == 200
                await student.until(lambda it: "lecturer.video" not in it.slots)
                await asyncio.sleep(0.5)
                count = sum(1 for _ in werift.received(seen))
                await looking.stays_silent(student, "lecturer.video", 0.7)
                assert sum(1 for _ in werift.received(seen)) == count, "the player sees it end"
                player.order("delete")
                assert (await player.said("deleted"))["deleted"] == 200


async def test_before_the_lesson_and_for_strangers(server: Server, sound: Path, tmp_path: Path) -> None:
    video = werift.pictures(tmp_path / "video", "h264", SENDER)
    observer = looking.token(server, "early", "observer", "赵")
    whep, whip = f"{server.url}/whep/early", f"{server.url}/whip/early"
    async with werift.running("watch", whep, observer, "h264", tmp_path / "v", tmp_path / "a") as player:
        refused = await player.said("refused")
        assert (refused["refused"], refused["problem"]["code"]) == (503, "lesson_not_started")
        assert int(refused["retryAfter"]) > 0
    async with werift.running("publish", whip, observer, "h264", video, sound) as encoder:
        refused = await encoder.said("refused")
        assert (refused["refused"], refused["problem"]["code"]) == (403, "cannot_send")

    lecturer = looking.token(server, "early", "lecturer", "王老师")
    async with werift.running("publish", whip, lecturer, "h264", video, sound) as encoder:
        location = (await encoder.said("opened"))["opened"]
        stranger = {"Authorization": f"Bearer {looking.token(server, 'early', 'lecturer', '李老师')}"}
        async with aiohttp.ClientSession(headers=stranger) as http, http.delete(location) as response:
            assert response.status == 403
            assert (await response.json(content_type=None))["code"] == "not_your_session"
        await encoder.until(lambda event: event.get("state") == "connected")
        async with kelian.join(server.url, looking.token(server, "early", "student", "小明")) as student:
            await student.open_media(pool=["lecturer.video"])
            await looking.seen(student, "lecturer.video", SENDER)
