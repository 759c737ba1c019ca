"""How the SDK keeps its one media connection: no failure leaves an old one open, and an end is an end."""

import asyncio
from typing import Any

from clients.python.errors import KelianError
from clients.python.media import TestPicture
from clients.python.peer import Media
from signaling.log.events import Codec, Use
from signaling.log.roles import pool
from signaling.protocol.replies import Answer, LessonInfo, Welcome
from tests.mediaserver.peers import eventually


class Line:
    """A lesson's line whose server does what the test says."""

    welcome = Welcome(
        req=1, participant="wang", role="lecturer", position=1, now_ms=0, may=[], sends=["camera"],
        lesson=LessonInfo(id="math", log="L1", title="", codec="h264"), pool=pool("lecturer", "bot"),
    )  # fmt: skip
    codec: Codec = "h264"

    def __init__(self) -> None:
        self.over = False
        self.refusals = 0
        self.told = 0

    async def offer(self, sdp: str, labels: dict[str, str]) -> Answer:
        raise AssertionError("the test's own offer is used")

    async def tell_published(self, session: str, use: Use, on: bool) -> None:
        self.told += 1
        if self.refusals:
            self.refusals -= 1
            raise KelianError("store_unavailable", "满", "full")

    async def close_session(self, session: str) -> None:
        pass


class Peer:
    def __init__(self, opened: list["Peer"]) -> None:
        self.connectionState = "connected"
        opened.append(self)

    async def close(self) -> None:
        self.connectionState = "closed"


class Offering(Media):
    def __init__(self, line: Line) -> None:
        super().__init__(line, False)
        self.peers: list[Peer] = []

    async def _offer(self) -> None:
        self._lost.clear()
        peer: Any = Peer(self.peers)
        self._peer, self.session = peer, f"page-{len(self.peers)}"
        if self._line.over:
            raise KelianError("lesson_ended", "完", "over")


async def test_what_could_not_be_announced_is_not_left_open() -> None:
    line = Line()
    media = Offering(line)
    await media.open()
    await media.publish("camera", TestPicture("wang"))
    line.refusals = 1
    media.lost()
    await eventually(lambda: line.told == 3, "the camera, announced again")
    assert [peer.connectionState for peer in media.peers] == ["closed", "closed", "connected"]
    await media.close()


async def test_media_are_not_offered_to_a_lesson_that_is_over() -> None:
    line = Line()
    media = Offering(line)
    await media.open()
    line.over = True
    media.lost()
    assert media._keeper is not None
    async with asyncio.timeout(2):
        await media._keeper
    assert len(media.peers) == 2
    await media.close()
