"""The SDK against a real `kelian serve`: what is sent is what is seen, through hands, cuts and kills."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
from av import AudioFrame

from clients import python as kelian
from clients.python import pattern
from clients.python.media import BoardPicture, SpeechLike, TestPicture
from clients.python.slots import loudness_dbov
from signaling.log import events as ev
from tests.e2e.server import Server, serving

LECTURER, TUTOR, STUDENT, BOARD = 11, 22, 33, 44  # in the strips
SLOW_S = 15  # for joins and first pictures on a busy machine


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("kelian")) as running:
        yield running


class Room:
    """A lesson with a lecturer who sends, a tutor and a student who receive."""

    def __init__(self, lecturer: kelian.Lesson, tutor: kelian.Lesson, student: kelian.Lesson) -> None:
        self.lecturer, self.tutor, self.student = lecturer, tutor, student

    @property
    def everybody(self) -> list[kelian.Lesson]:
        return [self.lecturer, self.tutor, self.student]


@contextlib.asynccontextmanager
async def room(server: Server, lesson: str, *, media: bool = True) -> AsyncIterator[Room]:
    async with contextlib.AsyncExitStack() as stack:
        people = [
            await stack.enter_async_context(kelian.join(server.url, server.token(lesson, role, name)))
            for role, name in (("lecturer", "王老师"), ("tutor", "周老师"), ("student", "小明"))
        ]
        there = Room(*people)
        if media:
            await there.lecturer.open_media(
                {
                    "camera": TestPicture("王老师", role="lecturer", sender=LECTURER, fps=10),
                    "microphone": SpeechLike("王老师", beep=True),
                    "board": BoardPicture("王老师", sender=BOARD, fps=3),
                },
                pool=["stage.0.video", "stage.0.audio"],
            )
            await there.tutor.open_media(
                {"camera": TestPicture("周老师", sender=TUTOR, fps=8)},
                pool=["lecturer.video", "stage.0.video", "stage.1.video"],
            )
            await there.student.open_media(
                pool=["lecturer.video", "lecturer.audio", "board", "stage.0.video", "stage.1.video"]
            )
        yield there


async def seen(lesson: kelian.Lesson, slot: str, sender: int, within_s: float = SLOW_S) -> pattern.Stamp:
    """Waits for a picture of this sender in this slot."""
    async with asyncio.timeout(within_s):
        while True:
            frame = await lesson.slot(slot).recv()
            stamp = pattern.read(frame.to_ndarray(format="gray"))
            if stamp is not None and stamp.sender == sender:
                return stamp


async def test_pictures_and_sound_are_the_lecturers(server: Server) -> None:
    async with room(server, "pictures") as there:
        student = there.student
        stamp = await seen(student, "lecturer.video", LECTURER)
        assert pattern.age_ms(stamp, round(time.time() * 1000)) < 2000
        await seen(student, "board", BOARD)
        await seen(there.tutor, "lecturer.video", LECTURER)
        assert student.slot("lecturer.video").source == student.slots["lecturer.video"]
        assert student.sources[student.slots["lecturer.video"]].participant == there.lecturer.participant
        await student.show_layers({"lecturer.video": 360, "board": 0})
        await student.mend("lecturer.video")
        frames = [await student.slot("lecturer.audio").recv(timeout_s=5) for _ in range(75)]
        loudest = max(loudness_dbov(frame) for frame in frames if isinstance(frame, AudioFrame))
        assert loudest > -15
        # The beep's tone is in it, louder than all else in its tenth of a second.
        sound = np.concatenate([frame.to_ndarray().reshape(-1, 2)[:, 0] for frame in frames]).astype(float)
        spectrum = np.abs(np.fft.rfft(sound))
        assert abs(np.argmax(spectrum) * 48_000 / len(sound) - 1000) < 20


async def test_a_hand_a_stage_and_everybody_sees(server: Server) -> None:
    async with room(server, "stage") as there:
        await seen(there.student, "lecturer.video", LECTURER)
        assert await there.lecturer.bring_up(there.tutor.participant) == 0
        await seen(there.student, "stage.0.video", TUTOR)
        await there.student.raise_hand()
        await there.lecturer.until(lambda lesson: lesson.state["hands"])
        assert there.lecturer.state["hands"][0]["participant"] == there.student.participant
        assert await there.lecturer.bring_up(there.student.participant) == 1
        assert there.student.media is not None
        await there.student.media.publish("camera", TestPicture("小明", sender=STUDENT, fps=8))
        await seen(there.tutor, "stage.1.video", STUDENT)
        # The next on the same stage pair: same m-line, another face, and nobody offered anything anew.
        await there.lecturer.take_down(there.tutor.participant)
        await there.lecturer.take_down(there.student.participant)
        assert await there.lecturer.bring_up(there.student.participant) == 0
        await seen(there.lecturer, "stage.0.video", STUDENT)
        await seen(there.tutor, "stage.0.video", STUDENT)
        assert [person.media.opened for person in there.everybody if person.media] == [1, 1, 1]
        assert there.tutor.slot("stage.0.video").source == there.tutor.slots["stage.0.video"]


async def test_a_cut_line_resumes_without_losing_or_doubling(server: Server) -> None:
    async with room(server, "resume", media=False) as there:
        heard: list[str] = []

        async def listen() -> None:
            async for entry in there.student.events():
                if isinstance(entry.event, ev.ChatSaid):
                    heard.append(entry.event.text)

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0)
        for number in range(8):
            if number % 4 == 2:
                cut(there.student)
            await there.tutor.say(f"第 {number} 句")
            if number % 4 == 3:
                await there.student.raise_hand()  # waits for the line to be back
        await there.student.until(lambda lesson: lesson.position >= there.tutor.position)
        await asyncio.sleep(0)
        assert heard == [f"第 {number} 句" for number in range(8)]
        assert there.student.connections == 3
        assert there.student.state["chat"] == there.tutor.state["chat"]
        listening.cancel()


async def test_refusals_are_typed_and_change_nothing(server: Server) -> None:
    async with room(server, "refusals", media=False) as there:
        before = there.student.state
        with pytest.raises(kelian.Refused) as caught:
            await there.student.end_lesson()
        assert caught.value.code
        assert caught.value.zh
        assert there.student.state is before
        await there.lecturer.end_lesson()
        with pytest.raises((kelian.Dismissed, kelian.Refused)):
            await there.student.until(lambda lesson: False, timeout_s=5)


async def test_an_absent_server_is_said_at_once() -> None:
    with pytest.raises(kelian.ConnectionLost) as caught:
        async with kelian.join("http://127.0.0.1:1", "x"):
            pass
    assert caught.value.code == "not_reached"


async def test_a_forged_token_is_refused(server: Server) -> None:
    token = server.token("forged", "lecturer", "王老师")
    with pytest.raises(kelian.Refused) as caught:
        async with kelian.join(server.url, token[:-6] + "AAAAAA"):
            pass
    assert caught.value.code == "token_invalid"


async def test_signaling_killed_and_no_picture_stops(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        async with room(server, "killed") as there:
            student = there.student
            await seen(student, "lecturer.video", LECTURER)
            await there.lecturer.bring_up(there.tutor.participant)
            await seen(student, "stage.0.video", TUTOR)
            server.kill("signaling")
            quiet_s = 0.0
            async with asyncio.timeout(SLOW_S):
                while student.connections < 2 or not student.connected:
                    quiet_s = max(quiet_s, student.slot("lecturer.video").quiet_s)
                    await asyncio.sleep(0.02)
            assert quiet_s < 1.0
            assert student.state["stage"] == {"0": there.tutor.participant}
            await there.student.raise_hand()
            await there.lecturer.until(lambda lesson: lesson.state["hands"], timeout_s=SLOW_S)
            assert [person.media.opened for person in there.everybody if person.media] == [1, 1, 1]


async def test_media_node_killed_and_back_in_seconds(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        async with room(server, "node") as there:
            await seen(there.student, "lecturer.video", LECTURER)
            server.kill("mediaserver")
            killed_s = time.monotonic()
            assert there.student.media is not None
            async with asyncio.timeout(SLOW_S):
                while there.student.media.opened < 2:  # noqa: ASYNC110 (nothing tells of it)
                    await asyncio.sleep(0.02)
            await seen(there.student, "lecturer.video", LECTURER)
            assert time.monotonic() - killed_s < 10


async def test_a_vp8_lesson(tmp_path: Path) -> None:
    with serving(tmp_path, codec="vp8") as server:
        async with room(server, "vp8") as there:
            assert there.student.codec == "vp8"
            await seen(there.student, "lecturer.video", LECTURER)
            assert await there.lecturer.bring_up(there.tutor.participant) == 0
            await seen(there.student, "stage.0.video", TUTOR)


def cut(lesson: kelian.Lesson) -> None:
    """As when a cable is pulled: no close frame, and the socket is gone."""
    assert lesson._connection is not None
    response = lesson._connection._socket._response
    assert response.connection is not None
    assert response.connection.transport is not None
    response.connection.transport.abort()
