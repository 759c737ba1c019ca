"""Debian's Firefox, which has VP8 only: it takes part in a VP8 lesson, and an H.264 one says why not."""

import asyncio
import base64
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from av import AudioFrame

from clients import python as kelian
from clients.python import pattern
from clients.python.slots import loudness_dbov
from tests.e2e import looking
from tests.e2e.firefox import Page, firefox
from tests.e2e.server import Server, serving

LECTURER = 11
SCRIPT = Path(__file__).with_name("firefox.js").read_text()
SLOW_S = 20.0


async def enter(page: Page, server: Server, lesson: str) -> str:
    """Opens a plain page of the server, with nothing in it but the test's script; returns the participant."""
    await page.open(f"{server.url}/metrics")
    await page.add(SCRIPT)
    welcome = await page.run(f"enter('{looking.token(server, lesson, 'student', '小火')}')")
    assert welcome["t"] == "welcome"
    return str(welcome["participant"])


async def shown(page: Page, slot: str) -> pattern.Stamp | None:
    png = await page.run(f"picture('{slot}')")
    if png is None:
        return None
    image = cv2.imdecode(np.frombuffer(base64.b64decode(png), np.uint8), cv2.IMREAD_GRAYSCALE)
    return pattern.read(image)


@pytest.mark.timeout(150)
async def test_a_vp8_lesson_with_firefox_and_an_h264_one_without(tmp_path: Path) -> None:
    folders = {codec: tmp_path / codec for codec in ("vp8", "h264")}
    for folder in folders.values():
        folder.mkdir()
    async with firefox(tmp_path / "profile") as page:
        with serving(folders["vp8"], codec="vp8") as server:
            async with looking.joined(server, "lesson", ("lecturer", "王老师")) as (lecturer,):
                await lecturer.open_media(
                    {"camera": looking.camera("王老师", LECTURER), "microphone": looking.voice("王老师")},
                    pool=["stage.0.video", "stage.0.audio"],
                )
                student = await enter(page, server, "lesson")
                answered = await page.run("openMedia()")
                assert answered["t"] == "answer", answered
                await _sees_the_lecturer(page)
                assert await lecturer.bring_up(student) == 0
                await _is_seen_and_heard(lecturer)
        with serving(folders["h264"], codec="h264") as server:
            async with looking.joined(server, "lesson", ("lecturer", "王老师")):
                await enter(page, server, "lesson")
                refused = await page.run("openMedia()")
                assert (refused["t"], refused["code"]) == ("error", "codec_cannot_decode"), refused
                assert "Chrome" in refused["zh"], "what to do is said"


async def _sees_the_lecturer(page: Page) -> None:
    deadline_s = time.monotonic() + SLOW_S
    stamp = None
    while stamp is None or stamp.sender != LECTURER:
        assert time.monotonic() < deadline_s, await page.run("received()")
        await asyncio.sleep(0.2)
        stamp = await shown(page, "lecturer.video")
    before = await page.run("received()")
    await asyncio.sleep(1.5)
    after = await page.run("received()")
    assert after["state"] == "connected"
    assert after["frames"] >= before["frames"] + 6
    assert after["audio"] >= before["audio"] + 40
    slots = after["slots"]
    assert {slots["lecturer.video"], slots["lecturer.audio"]} <= set(after["sources"]), "packets name them"


async def _is_seen_and_heard(lecturer: kelian.Lesson) -> None:
    """Firefox's own camera (colours that change) and microphone (a tone)."""
    video, audio = lecturer.slot("stage.0.video"), lecturer.slot("stage.0.audio")
    pictures = [(await video.recv(timeout_s=SLOW_S)).to_ndarray(format="rgb24") for _ in range(15)]
    assert np.abs(np.subtract(pictures[-1], pictures[0], dtype=np.int16)).mean() > 0.5, "it moves"
    sound = [await audio.recv(timeout_s=SLOW_S) for _ in range(50)]
    assert max(loudness_dbov(frame) for frame in sound if isinstance(frame, AudioFrame)) > -40
