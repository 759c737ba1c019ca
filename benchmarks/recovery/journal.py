"""What everybody was told of the lesson, beside what its log holds: nothing lost, nothing twice."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clients import python as kelian
from signaling.log.commands import Actor
from signaling.log.events import ChatSaid, Entry
from signaling.log.state import fold
from signaling.log.view import view, visible
from signaling.stores.sqlite import SqliteStore

TALK_EVERY_S = 1.1  # a participant's chat is limited to one line a second
HAND_EVERY_S = 0.3  # up or down: so that something is always on its way when a process dies


class Journal:
    """The positions that one participant is told, from the moment at which this is made."""

    def __init__(self, person: kelian.Lesson) -> None:
        self.person = person
        self.positions: list[int] = []
        self.acknowledged: list[str] = []  # lines of chat that the server said it has
        self.unacknowledged = 0  # lines that were on their way when the line broke
        self._after = self._upto = 0
        self._state: dict[str, Any] = {}
        self._actor = Actor(person.participant, person.role)
        self._listener = asyncio.create_task(self._listen())
        self._busy = [asyncio.create_task(self._talk())]
        if person.role == "student":
            self._busy.append(asyncio.create_task(self._wave()))

    async def quiet(self) -> None:
        """Nothing more is said from here; what was said is waited for by the caller."""
        for task in self._busy:
            await _end(task)

    async def close(self) -> None:
        self._upto, self._state = self.person.position, self.person.state
        await asyncio.sleep(0)  # the listener takes what is queued
        await self.quiet()
        await _end(self._listener)
        self.positions = [position for position in self.positions if position <= self._upto]

    def compare(self, log: Sequence[Entry]) -> dict[str, int]:
        upto = [entry for entry in log if entry.pos <= self._upto]
        meant = {entry.pos for entry in upto if entry.pos > self._after and visible(entry, self._actor)}
        said = {entry.event.text for entry in log if isinstance(entry.event, ChatSaid)}
        return {
            "told": len(self.positions),
            "lost": len(meant - set(self.positions)),
            "doubled": len(self.positions) - len(set(self.positions)),
            "not_theirs": len(set(self.positions) - meant),
            "out_of_order": sum(a > b for a, b in zip(self.positions, self.positions[1:], strict=False)),
            "acknowledged_and_lost": sum(line not in said for line in self.acknowledged),
            "state_wrong": int(self._state != view(fold(upto), self._actor)),
        }

    async def _listen(self) -> None:
        self._after = self.person.position
        async for entry in self.person.events():
            self.positions.append(entry.pos)

    async def _talk(self) -> None:
        for number in range(1_000_000):
            line = f"{self.person.participant} {number}"
            try:
                await self.person.say(line)
                self.acknowledged.append(line)
            except kelian.ConnectionLost:
                self.unacknowledged += 1
            await asyncio.sleep(TALK_EVERY_S)

    async def _wave(self) -> None:
        while True:
            up = any(hand["participant"] == self.person.participant for hand in self.person.state["hands"])
            with contextlib.suppress(kelian.ConnectionLost):
                await (self.person.lower_hand() if up else self.person.raise_hand())
            await asyncio.sleep(HAND_EVERY_S)


async def compare(journals: Sequence[Journal], data: Path, lesson: str) -> dict[str, Any]:
    """After the server has ended: sums over all participants."""
    store = SqliteStore(data / "signaling.db")
    await store.open()
    try:
        row = await store.lesson(lesson)
        assert row is not None
        log = await store.entries(row.log)
    finally:
        await store.close()
    each = [journal.compare(log) for journal in journals]
    sums = {name: sum(it[name] for it in each) for name in each[0]}
    return {"in_log": len(log), **sums, "unacknowledged": sum(journal.unacknowledged for journal in journals)}


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
