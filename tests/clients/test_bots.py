"""The demo's bots: they play by themselves, and give way to a person who lectures."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from av import VideoFrame

from clients import python as kelian
from clients.cli import bots, tokens
from clients.cli.cast import Cast
from clients.python import pattern
from clients.python.media import TestPicture, sender_id
from tests.e2e.server import Server, serving

PERSON = 250  # in the strip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("kelian")) as running:
        yield running


@contextlib.asynccontextmanager
async def playing(server: Server, lesson: str, students: int) -> AsyncIterator[None]:
    names = [f"学生{place}" for place in range(students)]
    cast = Cast(
        url=server.url,
        lesson=lesson,
        title="演示",
        authorization=tokens.authorization(server.data / "keys.toml"),
        lecturer=("王老师", server.token(lesson, "lecturer", "王老师")),
        marked=True,
        students=[(name, server.token(lesson, "student", name)) for name in names],
    )
    task = asyncio.create_task(bots.play(cast))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def seen(lesson: kelian.Lesson, slot: str, sender: int) -> None:
    async with asyncio.timeout(20):
        while True:
            frame = await lesson.slot(slot).recv()
            assert isinstance(frame, VideoFrame)
            stamp = pattern.read(frame.to_ndarray(format="gray"))
            if stamp is not None and stamp.sender == sender:
                return


async def test_a_person_who_lectures_is_given_way_and_followed(server: Server) -> None:
    async with (
        playing(server, "way", students=0),
        kelian.join(server.url, server.token("way", "observer", "观摩")) as observer,
    ):
        await observer.open_media(pool=["lecturer.video", "board"])
        await seen(observer, "lecturer.video", sender_id("王老师"))
        assert observer.state["title"] == "演示"
        async with kelian.join(server.url, server.token("way", "lecturer", "李老师")) as person:
            await asyncio.sleep(1)
            assert "board" in observer.slots  # who only looks on does not interrupt
            media = await person.open_media(
                {"camera": TestPicture("李老师", sender=PERSON, fps=8)}, pool=False
            )
            await seen(observer, "lecturer.video", PERSON)
            await observer.until(lambda lesson: "board" not in lesson.slots)
            assert media.opened == 1
        await seen(observer, "lecturer.video", sender_id("王老师"))


async def test_a_hand_is_called_up_and_an_ended_lesson_begins_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bots, "HAND_WAITS_S", 0.2)
    monkeypatch.setattr(bots, "NEXT_LESSON_S", 0.2)
    async with playing(server, "again", students=0):
        async with kelian.join(server.url, server.token("again", "student", "小明")) as student:
            await student.raise_hand()
            await student.until(lambda lesson: lesson.participant in lesson.state["stage"].values())
            first = student.welcome.lesson.log
        async with kelian.join(server.url, server.token("again", "lecturer", "李老师")) as person:
            await person.end_lesson()
        for _ in range(50):  # a lesson that is over refuses; the next one waits for its lecturer
            with contextlib.suppress(kelian.Refused, kelian.Dismissed):
                async with kelian.join(server.url, server.token("again", "student", "小明")) as student:
                    if student.welcome.lesson.log != first:
                        return
            await asyncio.sleep(0.2)
        pytest.fail("no new lesson")
