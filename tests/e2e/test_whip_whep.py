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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("whip")) as running:
        yield running


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return werift.sound(tmp_path_factory.mktemp("sound") / "sound.bin", HZ)


async def pictures_come(path: Path, codec: Codec, count: int, within_s: float = 20) -> None:
    """Waits until so many more pictures have come, and that many good ones in a row: with the sender's strip.

    While its ICE restarts, werift sends nothing: what refers to those pictures is damaged until a key frame.
    """
    before, deadline_s = len(list(werift.received(path))), time.monotonic() + within_s
    while True:
        read = werift.stamps(path, codec)
        assert {stamp.sender for stamp in read if stamp} <= {SENDER}
        if len(read) >= before + count and all(read[-count:]):
            return
        assert time.monotonic() < deadline_s, f"{len(read) - before} pictures, the last {read[-count:]}"
        await asyncio.sleep(0.3)


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

                await pictures_come(seen, codec, 20)
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


async def test_an_encoder_that_crashed_and_came_back(server: Server, sound: Path, tmp_path: Path) -> None:
    """Without a word: nobody waits for the dead one's timeout."""
    video = {n: werift.pictures(tmp_path / f"video{n}", "h264", n) for n in (SENDER, SENDER + 1)}
    url, token = f"{server.url}/whip/crash", looking.token(server, "crash", "lecturer", "王老师")
    async with werift.running("publish", url, token, "h264", video[SENDER], sound) as first:
        await first.until(lambda event: event.get("state") == "connected")
        async with kelian.join(server.url, looking.token(server, "crash", "student", "小明")) as student:
            await student.open_media(pool=["lecturer.video", "lecturer.audio"])
            await looking.seen(student, "lecturer.video", SENDER)
            await first.kill()
            async with werift.running("publish", url, token, "h264", video[SENDER + 1], sound) as second:
                await second.until(lambda event: event.get("state") == "connected")
                await looking.seen(student, "lecturer.video", SENDER + 1, within_s=5)
                await looking.heard(student, "lecturer.audio", HZ, within_s=5)
                assert student.media is not None
                assert student.media.opened == 1


async def test_signaling_killed_ends_no_session(sound: Path, tmp_path: Path) -> None:
    """Encoder and player notice nothing, and their sessions are still theirs to restart and to end."""
    video = werift.pictures(tmp_path / "video", "h264", SENDER)
    seen, heard = tmp_path / "seen", tmp_path / "heard"
    with serving(tmp_path) as server:
        lecturer, observer = (looking.token(server, "killed", role, "x") for role in ("lecturer", "observer"))
        whip, whep = f"{server.url}/whip/killed", f"{server.url}/whep/killed"
        async with werift.running("publish", whip, lecturer, "h264", video, sound) as encoder:
            await encoder.until(lambda event: event.get("state") == "connected")
            async with werift.running("watch", whep, observer, "h264", seen, heard) as player:
                await pictures_come(seen, "h264", 10)
                server.kill("signaling")
                await pictures_come(seen, "h264", 10)
                await asyncio.to_thread(server.wait_ready)
                async with kelian.join(
                    server.url, looking.token(server, "killed", "student", "y")
                ) as student:
                    await student.open_media(pool=["lecturer.video"])
                    await looking.seen(student, "lecturer.video", SENDER)
                for peer in (encoder, player):
                    peer.order("restart")
                    assert (await peer.said("restarted"))["changed"]
                await pictures_come(seen, "h264", 10)
                for peer in (encoder, player):
                    peer.order("delete")
                    assert (await peer.said("deleted"))["deleted"] == 200
