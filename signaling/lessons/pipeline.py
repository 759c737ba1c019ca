"""From a command to a committed entry: decide, apply, commit, tell.

Deciding is synchronous, so a lesson's commands are in one order, and it does not wait for the
disk: the next command is decided on the state that the one before left, while both are on their
way. What is not committed is told to nobody. Entries that come together are committed together.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from signaling.log.commands import Actor, Command
from signaling.log.decide import Refusal, decide
from signaling.log.events import Entry
from signaling.log.state import Lesson, apply
from signaling.stores import StoreError

log = structlog.get_logger("signaling.pipeline")

Outcome = int | Refusal  # the position of the last event made, 0 if nothing changed
Done = Callable[[Outcome], None]
STORE_FAILED = Refusal("store_unavailable")


def utc_ms() -> int:
    return time.time_ns() // 1_000_000


class Pipeline:
    """`append` commits entries, all or none; `committed` hears of them in order.

    When the store cannot be written (a full disk), everything decided since is void, whoever waited
    is refused, and the lesson goes on from what is on disk: `voided` is called. After any other
    failure nobody knows what is on disk: `failed` is called once, the pipeline takes no more
    commands, and its lesson is to be loaded anew.
    """

    def __init__(
        self,
        state: Lesson,
        *,
        last_ms: int,
        append: Callable[[Sequence[Entry]], Awaitable[None]],
        committed: Callable[[Sequence[Entry], Lesson], None],
        voided: Callable[[], None],
        failed: Callable[[], None],
    ) -> None:
        self.state = state  # all that is decided
        self.committed = state  # all that is on disk
        self._last_ms = last_ms
        self._append = append
        self._on_committed = committed
        self._on_voided = voided
        self._on_failed = failed
        self._entries: list[Entry] = []
        self._waiters: deque[tuple[int, Callable[[], None], Done]] = deque()
        self._work: asyncio.Task[None] | None = None
        self.broken = False

    @property
    def idle(self) -> bool:
        return self._work is None

    def submit(self, actor: Actor, command: Command, done: Done) -> None:
        """`done` is called once: now with a refusal, or as soon as the outcome is on disk."""
        if self.broken:
            done(STORE_FAILED)
            return
        now_ms = max(utc_ms(), self._last_ms)
        decision = decide(self.state, actor, command, now_ms)
        if isinstance(decision, Refusal):
            done(decision)
            return
        for decided in decision:
            entry = Entry(
                pos=self.state.position + 1,
                at_ms=now_ms,
                event=decided.event,
                by=actor.participant or None,
                audience=decided.audience,
            )
            self.state = apply(self.state, entry)
            self._entries.append(entry)
        if decision:
            self._last_ms = now_ms
        made = self.state.position if decision else 0
        self.when_committed(lambda: done(made), done)

    def when_committed(self, act: Callable[[], None], failed: Done) -> None:
        """Calls `act` when all that is decided now is on disk, `failed` when that failed."""
        if self.broken:
            failed(STORE_FAILED)
            return
        if self.state.position == self.committed.position:
            act()
            return
        self._waiters.append((self.state.position, act, failed))
        if self._work is None:
            self._work = asyncio.get_running_loop().create_task(self._commit(), name="lesson-commit")

    async def settled(self) -> None:
        """Returns when nothing is on its way to the disk any more."""
        while self._work is not None:
            await asyncio.wait([self._work])

    async def _commit(self) -> None:
        try:
            while self._entries:
                entries, self._entries = self._entries, []
                state = self.state
                try:
                    await self._append(entries)
                except StoreError as error:
                    if error.code != STORE_FAILED.code:
                        raise
                    log.error("not committed", position=self.committed.position, why=str(error))
                    self._void()
                else:
                    self._tell(entries, state)
        except Exception:
            log.exception("commit failed", position=self.committed.position)
            self._break()
        finally:
            self._work = None

    def _tell(self, entries: Sequence[Entry], state: Lesson) -> None:
        self.committed = state
        self._on_committed(entries, state)
        while self._waiters and self._waiters[0][0] <= state.position:
            act = self._waiters.popleft()[1]
            try:
                act()
            except Exception:  # one client's trouble is not the log's
                log.exception("after a commit", position=state.position)

    def _void(self) -> None:
        self._forget_decided()
        self._on_voided()

    def _break(self) -> None:
        self.broken = True
        self._forget_decided()
        self._on_failed()

    def _forget_decided(self) -> None:
        self.state = self.committed
        self._entries.clear()
        waiters, self._waiters = self._waiters, deque()
        for _, _, failed in waiters:
            failed(STORE_FAILED)
