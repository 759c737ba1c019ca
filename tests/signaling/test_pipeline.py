"""Decide at once, tell after the disk: order, grouping and failure of a lesson's commits."""

import asyncio
from collections.abc import Sequence

from signaling.lessons.pipeline import Outcome, Pipeline
from signaling.log.commands import SYSTEM, Actor, Create, Join
from signaling.log.decide import Refusal
from signaling.log.events import Entry
from signaling.log.state import Lesson, initial
from signaling.protocol import requests as rq
from signaling.stores import StoreError

WANG = Actor("wang", "lecturer")


class Disk:
    """Commits when it is let; remembers what was told meanwhile."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.told: list[int] = []
        self.failures = 0
        self.voids = 0
        self.error: Exception | None = None
        self.free = asyncio.Event()
        self.pipeline = Pipeline(
            initial(), last_ms=2**41, append=self._append, committed=self._committed,
            voided=self._voided, failed=self._failed,
        )  # fmt: skip
        self.outcomes: list[Outcome] = []

    async def _append(self, entries: Sequence[Entry]) -> None:
        await self.free.wait()
        if self.error is not None:
            raise self.error
        self.batches.append([entry.pos for entry in entries])
        assert all(entry.at_ms >= 2**41 for entry in entries)  # time never goes back in a log

    def _committed(self, entries: Sequence[Entry], state: Lesson) -> None:
        self.told += [entry.pos for entry in entries]
        assert state.position == entries[-1].pos

    def _voided(self) -> None:
        self.voids += 1

    def _failed(self) -> None:
        self.failures += 1

    def chat(self, text: str) -> None:
        self.pipeline.submit(WANG, rq.Chat(req=1, text=text), self.outcomes.append)


async def opened() -> Disk:
    disk = Disk()
    disk.pipeline.submit(SYSTEM, Create(title="t", codec="h264"), disk.outcomes.append)
    disk.pipeline.submit(WANG, Join(participant="wang", role="lecturer"), disk.outcomes.append)
    return disk


async def test_nothing_is_told_before_it_is_kept_and_what_waits_goes_together() -> None:
    disk = await opened()
    await asyncio.sleep(0)
    for text in "abc":
        disk.chat(text)
    assert disk.pipeline.state.position == 6  # decided
    assert (disk.pipeline.committed.position, disk.outcomes, disk.told) == (0, [], [])
    disk.free.set()
    await disk.pipeline.settled()
    assert disk.batches == [[1, 2, 3], [4, 5, 6]]
    assert disk.outcomes == [1, 3, 4, 5, 6]
    assert disk.pipeline.committed is disk.pipeline.state


async def test_a_refusal_is_told_at_once_and_a_repeat_after_what_it_repeats() -> None:
    disk = await opened()
    disk.pipeline.submit(Actor("li", "student"), rq.Chat(req=1, text="x"), disk.outcomes.append)
    assert disk.outcomes == [Refusal("not_present")]
    disk.pipeline.submit(WANG, Join(participant="wang", role="lecturer"), disk.outcomes.append)
    assert len(disk.outcomes) == 1
    disk.free.set()
    await disk.pipeline.settled()
    assert disk.outcomes[1:] == [1, 3, 0]


async def test_when_the_disk_is_full_all_that_waited_is_void_and_the_lesson_goes_on() -> None:
    disk = await opened()
    disk.free.set()
    await disk.pipeline.settled()
    disk.outcomes.clear()
    disk.error = StoreError("store_unavailable", why="full")
    disk.chat("a")
    disk.chat("b")
    await disk.pipeline.settled()
    assert disk.outcomes == [Refusal("store_unavailable")] * 2
    assert (disk.voids, disk.failures, disk.told) == (1, 0, [1, 2, 3])
    assert disk.pipeline.state is disk.pipeline.committed
    disk.error = None
    disk.chat("c")
    await disk.pipeline.settled()
    assert (disk.outcomes[2:], disk.told) == ([4], [1, 2, 3, 4])


async def test_when_nobody_knows_what_was_kept_the_pipeline_ends() -> None:
    disk = await opened()
    disk.free.set()
    await disk.pipeline.settled()
    disk.outcomes.clear()
    disk.error = StoreError("position_taken")
    disk.chat("a")
    disk.chat("b")
    await disk.pipeline.settled()
    disk.chat("c")
    assert [it.code for it in disk.outcomes if isinstance(it, Refusal)] == ["store_unavailable"] * 3
    assert (disk.failures, disk.told, disk.pipeline.committed.position) == (1, [1, 2, 3], 3)


async def test_one_hearers_trouble_is_not_anothers() -> None:
    disk = await opened()

    def trouble(outcome: Outcome) -> None:
        raise ValueError("a bug")

    disk.pipeline.submit(WANG, rq.Chat(req=1, text="x"), trouble)
    disk.chat("y")
    disk.free.set()
    await disk.pipeline.settled()
    assert disk.outcomes == [1, 3, 5]
    assert not disk.pipeline.broken
