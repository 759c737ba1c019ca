"""What a subscriber really sees: every decoded picture of a slot, when it came and when it was made."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from clients import python as kelian
from clients.python import pattern
from tests.e2e.looking import stamp_of


class Picture(NamedTuple):
    seen_s: float  # decoded, time.monotonic()
    sender: int  # as the strip says
    age_s: float  # from being drawn to being decoded


class Watch:
    """The pictures of one slot, from the first of this watch on."""

    def __init__(self, viewer: kelian.Lesson, slot: str) -> None:
        self.viewer = viewer
        self.pictures: list[Picture] = []
        self._slot = slot
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._read())

    def stop(self) -> None:
        self._task.cancel()

    async def first(self, wanted: Callable[[Picture], bool], within_s: float) -> Picture:
        """The first picture so far or to come that is wanted. Raises TimeoutError."""
        known = 0
        async with asyncio.timeout(within_s):
            while True:
                for picture in itertools.islice(self.pictures, known, None):
                    if wanted(picture):
                        return picture
                known = len(self.pictures)
                self._news.clear()
                await self._news.wait()

    async def _read(self) -> None:
        slot = self.viewer.slot(self._slot)
        while True:
            stamp = stamp_of(await slot.recv())
            if stamp is not None:
                age_s = pattern.age_ms(stamp, round(time.time() * 1000)) / 1000
                self.pictures.append(Picture(time.monotonic(), stamp.sender, age_s))
                self._news.set()


@contextlib.asynccontextmanager
async def watching(viewers: Sequence[kelian.Lesson], slot: str) -> AsyncIterator[list[Watch]]:
    watches = [Watch(viewer, slot) for viewer in viewers]
    try:
        yield watches
    finally:
        for watch in watches:
            watch.stop()


def longest_gap_s(pictures: Sequence[Picture], start_s: float, end_s: float) -> float:
    """The longest time without a new picture that falls, in part at least, between these moments.

    A gap that reaches over an edge counts whole; where no picture is beyond the edge, up to the edge.
    """
    seen = [picture.seen_s for picture in pictures]
    moments = [min([start_s, *seen[:1]]), *seen, max([end_s, *seen[-1:]])]
    return max(
        later_s - earlier_s
        for earlier_s, later_s in itertools.pairwise(moments)
        if later_s > start_s and earlier_s < end_s
    )
