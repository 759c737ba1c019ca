"""The lesson of `test_lesson`, with people of the SDK (aiortc) instead of browsers, in both codecs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clients import python as kelian
from clients.python import pattern
from clients.python.sound import BEEP_HZ
from signaling.log.events import Codec
from tests.e2e import looking
from tests.e2e.fakes import tone_hz
from tests.e2e.looking import heard, seen_by_all, stays_silent
from tests.e2e.server import serving

LECTURER, TUTOR, ANNA, BO, BOARD = 11, 22, 33, 44, 55  # in the strips
SEEN_WITHIN_S = 3.0
NO_STALL_MS = 1000  # pictures are made every 125 ms by a process that shares two cores with many
EMPTY_WITHIN_S = 0.5
SLOTS = (
    "lecturer.video",
    "lecturer.audio",
    "board",
    *(f"stage.{n}.{k}" for n in (0, 1) for k in ("video", "audio")),
)


@dataclass
class Classroom:
    lecturer: kelian.Lesson
    tutor: kelian.Lesson
    anna: kelian.Lesson
    bo: kelian.Lesson
    chen: kelian.Lesson

    @property
    def everybody(self) -> list[kelian.Lesson]:
        return [self.lecturer, self.tutor, self.anna, self.bo, self.chen]

    def without(self, *absent: kelian.Lesson) -> list[kelian.Lesson]:
        return [person for person in self.everybody if person not in absent]


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_one_lesson(codec: Codec, tmp_path: Path) -> None:
    with serving(tmp_path, codec=codec) as server:
        people = looking.joined(
            server, "e2e",
            ("lecturer", "王老师"), ("tutor", "李辅导"),
            ("student", "安娜"), ("student", "小波"), ("student", "小晨"),
        )  # fmt: skip
        async with people as joined:
            room = Classroom(*joined)
            assert room.chen.codec == codec
            await _everybody_sends_and_receives(room)
            await _the_lecturer_and_the_board_reach_all(room)
            async with _no_stall(room.chen, "lecturer.video"):
                await _a_hand_becomes_a_place_on_stage(room)
                await _the_tutor_joins_her(room)
                await _bo_takes_her_place(room)
            await _a_cut_line_resumes_and_no_picture_stops(room)
            assert [person.media.opened for person in room.everybody if person.media] == [1] * 5, (
                "no SDP again"
            )


async def _everybody_sends_and_receives(room: Classroom) -> None:
    await room.lecturer.open_media(
        {
            "camera": looking.camera("王老师", LECTURER),
            "microphone": looking.voice("王老师"),
            "board": looking.board(BOARD),
        },
        pool=SLOTS,
    )
    for person in room.without(room.lecturer):
        await person.open_media(pool=SLOTS)


async def _the_lecturer_and_the_board_reach_all(room: Classroom) -> None:
    viewers = room.without(room.lecturer)
    await seen_by_all(viewers, "lecturer.video", LECTURER)
    await seen_by_all(viewers, "board", BOARD)
    await asyncio.gather(*(heard(viewer, "lecturer.audio", BEEP_HZ) for viewer in viewers))
    for viewer in viewers:
        slot = viewer.slot("lecturer.video")
        assert slot.source == viewer.slots["lecturer.video"], "the packets name their source"
        assert viewer.sources[slot.source].participant == room.lecturer.participant


async def _a_hand_becomes_a_place_on_stage(room: Classroom) -> None:
    anna, others = room.anna, room.without(room.anna)
    assert anna.media is not None
    await anna.media.publish("camera", looking.camera("安娜", ANNA))
    await anna.media.publish("microphone", looking.tone(ANNA))
    await anna.raise_hand()
    await room.lecturer.until(lambda lesson: lesson.state["hands"])
    assert room.lecturer.state["hands"][0]["participant"] == anna.participant
    await asyncio.sleep(1.0)
    assert room.chen.slot("stage.0.video").packets == 0, "nobody is seen before"

    assert await room.lecturer.bring_up(anna.participant) == 0
    assert await seen_by_all(others, "stage.0.video", ANNA) < SEEN_WITHIN_S
    await asyncio.gather(*(heard(viewer, "stage.0.audio", tone_hz(ANNA)) for viewer in others))
    assert anna.slot("stage.0.video").packets == 0, "her own picture never comes back"
    assert anna.slot("stage.0.audio").packets == 0, "nor does her voice"


async def _the_tutor_joins_her(room: Classroom) -> None:
    assert room.tutor.media is not None
    await room.tutor.media.publish("camera", looking.camera("李辅导", TUTOR))
    await room.tutor.media.publish("microphone", looking.tone(TUTOR))
    assert await room.lecturer.bring_up(room.tutor.participant) == 1
    others = room.without(room.tutor)
    await seen_by_all(others, "stage.1.video", TUTOR)
    await asyncio.gather(*(heard(viewer, "stage.1.audio", tone_hz(TUTOR)) for viewer in others))


async def _bo_takes_her_place(room: Classroom) -> None:
    anna, bo = room.anna, room.bo
    await room.lecturer.take_down(anna.participant)
    await asyncio.sleep(EMPTY_WITHIN_S)
    silent = [
        stays_silent(viewer, f"stage.0.{kind}", 1.0)
        for viewer in room.everybody
        for kind in ("video", "audio")
    ]
    await asyncio.gather(*silent)
    assert room.chen.slots.keys() >= {"stage.1.video"}
    assert "stage.0.video" not in room.chen.slots

    assert bo.media is not None
    await bo.media.publish("camera", looking.camera("小波", BO))
    await bo.media.publish("microphone", looking.tone(BO))
    await bo.raise_hand()
    assert await room.lecturer.bring_up(bo.participant) == 0
    others = room.without(bo)
    assert await seen_by_all(others, "stage.0.video", BO) < SEEN_WITHIN_S
    await asyncio.gather(*(heard(viewer, "stage.0.audio", tone_hz(BO)) for viewer in others))


async def _a_cut_line_resumes_and_no_picture_stops(room: Classroom) -> None:
    chen = room.chen
    async with _no_stall(chen, "lecturer.video"), _no_stall(chen, "stage.0.video"):
        looking.cut(chen)
        await room.tutor.say("小晨的网线掉了")
        await room.lecturer.take_down(room.tutor.participant)
        await chen.until(lambda lesson: lesson.connections == 2 and lesson.connected)
        await chen.until(lambda lesson: lesson.position >= room.lecturer.position)
        assert chen.state["stage"] == {"0": room.bo.participant}
        assert chen.state["chat"] == room.tutor.state["chat"]
        await asyncio.sleep(EMPTY_WITHIN_S)
        await stays_silent(chen, "stage.1.video", 1.0)


@contextlib.asynccontextmanager
async def _no_stall(viewer: kelian.Lesson, slot: str) -> AsyncIterator[None]:
    """Pictures of this slot go on evenly in the meantime."""
    stamps: list[pattern.Stamp] = []
    watching = asyncio.create_task(looking.stamps(viewer, slot, stamps))
    try:
        yield
    finally:
        watching.cancel()
    assert len(stamps) > 5
    assert looking.longest_gap_ms(stamps) < NO_STALL_MS
