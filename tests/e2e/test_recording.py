"""A real lesson is recorded, its media node killed in the middle; exported, it plays: content, sync, time."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from signaling.log.events import Codec
from tests.e2e import looking
from tests.e2e.server import Server, serving
from tests.recorder.looking import Played, play

LECTURER, ANNA, BOARD = 11, 33, 55  # in the strips
LIP_SYNC_S = 0.04
STEP_S = 0.1  # pictures of two sessions, each placed by its own sender reports


def exported(server: Server, *arguments: str) -> dict[str, Path]:
    """As an operator does it; files by name."""
    lines = subprocess.run(
        [sys.executable, "-m", "clients.cli.main", "recording", "export", "kept",
         "--data", str(server.data), *arguments],
        check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    return {Path(line).name: Path(line) for line in lines}


def out_of_step_s(played: Played) -> float:
    """How far a picture is shown from when it was made, at the most; 0 for the first."""
    assert played.pictures[0].stamp
    start, worst = played.pictures[0], 0.0
    for picture in played.pictures:
        assert picture.stamp
        assert start.stamp
        made_s = (picture.stamp.ms - start.stamp.ms) % 65536 / 1000
        worst = max(worst, abs(picture.at_s - start.at_s - made_s))
    return worst


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_a_recorded_lesson_plays(codec: Codec, tmp_path: Path) -> None:
    with serving(tmp_path, codec=codec) as server:
        people = looking.joined(server, "kept", ("lecturer", "王老师"), ("student", "安娜"))
        async with people as (lecturer, anna):
            await lecturer.record(True)
            await anna.open_media({"camera": looking.camera("安娜", ANNA)}, pool=["lecturer.video"])
            await lecturer.open_media(
                {
                    "camera": looking.camera("王老师", LECTURER),
                    "microphone": looking.voice("王老师"),
                    "board": looking.board(BOARD),
                },
                pool=False,
            )
            await looking.seen(anna, "lecturer.video", LECTURER)
            await asyncio.sleep(3)
            so_far = await asyncio.to_thread(exported, server)  # the lesson goes on meanwhile
            server.kill("mediaserver")
            await asyncio.sleep(1)
            await looking.seen(anna, "lecturer.video", LECTURER)
            await asyncio.sleep(3)
        ids = {"lecturer": lecturer.participant, "anna": anna.participant}

        files = await asyncio.to_thread(exported, server)
        suffix = "mp4" if codec == "h264" else "webm"
        camera, board = f"{ids['lecturer']}-camera.{suffix}", f"{ids['lecturer']}-board.{suffix}"
        assert set(files) == {camera, board, f"{ids['anna']}-camera.{suffix}"}

        lecture = play(files[camera])
        assert {picture.stamp.sender for picture in lecture.pictures if picture.stamp} == {LECTURER}
        assert out_of_step_s(lecture) < STEP_S
        gaps = [b.at_s - a.at_s for a, b in zip(lecture.pictures, lecture.pictures[1:], strict=False)]
        assert max(gaps) > 0.4, "the outage is there as time"
        beeps = [beep for beep in lecture.beeps if 0.5 < beep < lecture.pictures[-1].at_s - 0.5]
        near = [min(abs(beep - flash) for flash in lecture.flashes) for beep in beeps]
        in_sync = [apart for apart in near if apart < 0.5]  # others have their flash in the outage
        assert len(in_sync) >= 4
        assert max(in_sync) < LIP_SYNC_S
        shown = play(files[board])
        assert {picture.stamp.sender for picture in shown.pictures if picture.stamp} == {BOARD}
        assert out_of_step_s(shown) < STEP_S

        before = play(so_far[camera])
        assert len(before.pictures) > 15
        assert [it.stamp for it in lecture.pictures[: len(before.pictures)]] == [
            it.stamp for it in before.pictures
        ]

        alone = await asyncio.to_thread(exported, server, "--by", "source", "--format", "mkv")
        assert len(alone) == 8, "four sources, and four more after the kill"
        assert files[camera].exists()
        assert so_far[camera].exists()
