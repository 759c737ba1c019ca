"""People of the SDK (aiortc) in the same lesson, run in a thread beside the browsers."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from clients import python as kelian
from clients.python.media import SpeechLike, TestPicture
from signaling.log.events import Role
from tests.e2e.server import Server

T = TypeVar("T")


class Bots:
    """`with Bots(server) as bots: bots.join("student", "甲")`: each stays in the lesson until the end."""

    def __init__(self, server: Server, lesson: str = "e2e") -> None:
        self._server, self._lesson = server, lesson
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bots", daemon=True)
        self._leave: list[tuple[asyncio.Event, Future[None]]] = []

    def __enter__(self) -> "Bots":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for leave, done in self._leave:
            self._loop.call_soon_threadsafe(leave.set)
            done.result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def run(self, coroutine: Coroutine[Any, Any, T], timeout_s: float = 30) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout_s)

    def join(self, role: Role, name: str) -> kelian.Lesson:
        token = self._server.token(self._lesson, role, name)
        leave, joined = asyncio.Event(), Future[kelian.Lesson]()

        async def stay() -> None:
            try:
                async with kelian.join(self._server.url, token) as lesson:
                    joined.set_result(lesson)
                    await leave.wait()
            except BaseException as error:
                if joined.done():
                    raise
                joined.set_exception(error)

        self._leave.append((leave, asyncio.run_coroutine_threadsafe(stay(), self._loop)))
        return joined.result(20)

    def send(self, lesson: kelian.Lesson, name: str, sender: int, *, marked: bool = True) -> None:
        """Picture and voice in step: marked, a white patch lights exactly while a 1 kHz tone sounds."""

        async def open_media() -> None:
            await lesson.open_media(
                {
                    "microphone": SpeechLike(name, sender=sender, beep=marked),
                    "camera": TestPicture(name, sender=sender, fps=20, beep=marked, marked=marked),
                },
                pool=False,
            )

        self.run(open_media())
