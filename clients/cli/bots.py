"""The demo's people: a lecturer who draws and speaks, and students who raise their hands.

Run by `kelian demo` as a process of its own (`python -m clients.cli.bots`), told by KELIAN_DEMO whom
to play. The lecturer gives way as soon as a person lectures, and takes over when they leave.
"""

import asyncio
import contextlib
import logging
import os
import time

import aiohttp
import msgspec
from aiortc.mediastreams import MediaStreamTrack

from clients import python as kelian
from clients.cli.cast import VARIABLE, Cast
from clients.python.connection import connect
from clients.python.media import BoardPicture, SpeechLike, TestPicture
from signaling.log.events import QuizAsked, Use

ON_STAGE_S = 25.0
HAND_WAITS_S = 4.0
HAND_AGAIN_S = 20.0
QUIZ_EVERY_S = 90.0
QUIZ_OPEN_S = 30.0
START_TRIES = 100
NEXT_LESSON_S = 3.0
QUESTION, OPTIONS, RIGHT = "一架 5 米长的梯子，下端离墙 3 米，上端离地多高？", ("3 米", "4 米", "5 米"), 1

_log = logging.getLogger("bots")


class Lecturer:
    """Sends camera, voice and board, calls up raised hands in order, and asks a question now and then."""

    def __init__(self, lesson: kelian.Lesson, name: str, marked: bool) -> None:
        self._lesson = lesson
        self._tracks: dict[Use, MediaStreamTrack] = {
            "microphone": SpeechLike(name),
            "camera": TestPicture(name, role="lecturer", marked=marked),
            "board": BoardPicture(name, marked=marked),
        }
        self._lecturing = False

    async def play(self) -> None:
        media = await self._lesson.open_media(pool=False)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._give_way(media))
            group.create_task(self._call_up())
            group.create_task(self._ask())

    async def _give_way(self, media: kelian.Media) -> None:
        while True:
            for use, track in self._tracks.items():
                await media.publish(use, track)
            self._lecturing = True
            await self._lesson.until(lambda _: self._a_person_lectures(), timeout_s=None)
            self._lecturing = False
            for use in self._tracks:
                await media.unpublish(use)
            await self._lesson.until(lambda _: not self._a_person_lectures(), timeout_s=None)

    def _a_person_lectures(self) -> bool:
        """Another lecturer sends something: who only looks on does not interrupt."""
        state = self._lesson.state
        others = {
            who
            for who, person in state["participants"].items()
            if person["role"] == "lecturer" and who != self._lesson.participant
        }
        return any(source["participant"] in others for source in state["sources"].values())

    async def _call_up(self) -> None:
        lesson = self._lesson
        since: dict[str, float] = {}
        while True:
            await asyncio.sleep(1)
            now_s = time.monotonic()
            stage = set(lesson.state["stage"].values())
            since = {who: since.get(who, now_s) for who in stage}
            if not self._lecturing:
                continue
            with contextlib.suppress(kelian.Refused):  # they may have left in this moment
                for who in [who for who, start_s in since.items() if now_s - start_s > ON_STAGE_S]:
                    await lesson.take_down(who)
                if lesson.state["hands"] and len(stage) < 2:
                    await asyncio.sleep(HAND_WAITS_S)  # so that visitors see the hand
                    hands = lesson.state["hands"]
                    if hands and self._lecturing:
                        await lesson.bring_up(hands[0]["participant"])

    async def _ask(self) -> None:
        while True:
            await asyncio.sleep(QUIZ_EVERY_S)
            quiz = self._lesson.state["quiz"]
            if not self._lecturing or (quiz is not None and quiz["open"]):
                continue
            with contextlib.suppress(kelian.Refused):
                number = await self._lesson.ask_quiz(QUESTION, OPTIONS)
                await asyncio.sleep(QUIZ_OPEN_S)
                await self._lesson.close_quiz(number)


class Student:
    """Shows a face, raises a hand, speaks on stage, and answers questions, not always rightly."""

    def __init__(self, lesson: kelian.Lesson, name: str, place: int, marked: bool) -> None:
        self._lesson = lesson
        self._camera = TestPicture(name, fps=8, marked=marked)
        self._voice = SpeechLike(name)
        self._place = place

    async def play(self) -> None:
        media = await self._lesson.open_media(pool=False)
        await media.publish("camera", self._camera)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take_part(media))
            group.create_task(self._answer())

    async def _take_part(self, media: kelian.Media) -> None:
        await asyncio.sleep(3 + 4 * self._place)
        while True:
            with contextlib.suppress(kelian.Refused):
                await self._lesson.raise_hand()
            await self._lesson.until(lambda _: self._on_stage(), timeout_s=None)
            await media.publish("microphone", self._voice)
            await self._lesson.until(lambda _: not self._on_stage(), timeout_s=None)
            await media.unpublish("microphone")
            await asyncio.sleep(HAND_AGAIN_S)

    def _on_stage(self) -> bool:
        return self._lesson.participant in self._lesson.state["stage"].values()

    async def _answer(self) -> None:
        async for entry in self._lesson.events():
            if isinstance(entry.event, QuizAsked):
                await asyncio.sleep(3 + 2 * self._place)
                with contextlib.suppress(kelian.Refused):
                    await self._lesson.answer_quiz(entry.event.quiz, [RIGHT if self._place % 2 == 0 else 0])


async def play(cast: Cast) -> None:
    """For ever: when somebody ends the lesson, the next one begins."""
    while True:
        await _server_up(cast.url)
        await _make_lesson(cast)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_lecture(cast))
                for place, (name, token) in enumerate(cast.students):
                    group.create_task(_learn(cast, name, token, place))
        except* (kelian.Dismissed, kelian.Refused) as errors:
            _log.info("the lesson is over: %s", errors.exceptions[0])
            await asyncio.sleep(NEXT_LESSON_S)


async def _lecture(cast: Cast) -> None:
    name, token = cast.lecturer
    async with kelian.join(cast.url, token, verify_tls=False) as lesson:
        await Lecturer(lesson, name, cast.marked).play()


async def _learn(cast: Cast, name: str, token: str, place: int) -> None:
    async with kelian.join(cast.url, token, verify_tls=False) as lesson:
        await Student(lesson, name, place, cast.marked).play()


async def _server_up(url: str) -> None:
    """Waits while the server starts, as it does beside this process."""
    for _ in range(START_TRIES):
        try:
            async with connect(url, verify_tls=False):
                return
        except kelian.ConnectionLost:
            await asyncio.sleep(0.3)


async def _make_lesson(cast: Cast) -> None:
    """A lesson under this id, with a title; one that is open already goes on."""
    async with aiohttp.ClientSession(headers=cast.authorization) as session:
        body = {"id": cast.lesson, "title": cast.title}
        async with session.post(f"{cast.url}/api/v1/lessons", json=body, ssl=False) as response:
            if response.status not in (201, 409):
                _log.warning("cannot make the lesson: %s", await response.text())


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("aioice").setLevel(logging.WARNING)
    cast = msgspec.json.decode(os.environ[VARIABLE], type=Cast)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(play(cast))


if __name__ == "__main__":
    main()
