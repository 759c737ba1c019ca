"""Where lessons are kept: their logs, names, answers, media sessions and the counter of sources.

`LessonStore` is what every store does; `sqlite` is the embedded one. A store knows no rules: it
keeps what it is given, in order, and gives it back. Its errors are StoreError (signaling.errors).
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from signaling.errors import KelianError
from signaling.log import events as ev
from signaling.log.events import Codec, Entry, Role, Use

# These wait for the disk before they are acknowledged; others for the operating system only, so
# that a killed server loses nothing, but a power cut may lose the last second of them.
DURABLE: tuple[type[ev.Event], ...] = (
    ev.Created, ev.CodecChanged, ev.Started, ev.QuizAsked, ev.QuizClosed, ev.Marked, ev.Ended,
)  # fmt: skip


class StoreError(KelianError):
    """Codes store_corrupt, store_too_new, store_unavailable, position_taken, lesson_exists."""


class LessonRow(msgspec.Struct, frozen=True, kw_only=True):
    """A lesson in the list of lessons. `log` is never reused; `id` may be, once its lesson ended."""

    id: str
    log: str
    title: str
    codec: Codec
    created_ms: int
    started_ms: int | None = None
    ended_ms: int | None = None
    position: int = 0  # of the last entry


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A media session, remembered so that a restarted server knows whose it is."""

    session: str
    log: str
    participant: str
    role: Role
    kind: Literal["page", "whip", "whep"]
    sources: dict[Use, int] = {}
    etag: str = ""
    data: dict[str, str] = {}  # what its door wants to remember besides


class LessonStore(Protocol):
    """All methods raise StoreError. What was awaited survives a kill of this process."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def create(self, lesson: str, log: str, entries: Sequence[Entry]) -> LessonRow:
        """Makes a lesson with its first entries (the first is `created`).

        lesson_exists if one of this id has not ended.
        """
        ...

    async def append(self, log: str, entries: Sequence[Entry]) -> None:
        """Adds entries whose positions follow the last one. Nothing of them is kept on an error.

        position_taken if another process wrote to this log.
        """
        ...

    async def lesson(self, lesson: str) -> LessonRow | None:
        """The newest lesson of this id."""
        ...

    async def lessons(
        self, *, ended: bool | None = None, before: str | None = None, limit: int = 50
    ) -> list[LessonRow]:
        """Newest first; `before` is the `log` of the last one on the page before."""
        ...

    async def busy_lessons(self) -> list[LessonRow]:
        """Those that have not ended and have somebody in them or a media session, oldest first."""
        ...

    async def entries(self, log: str, after: int = 0, limit: int | None = None) -> list[Entry]: ...

    async def name_people(self, names: dict[str, str]) -> None:
        """participant -> name; the newest counts."""
        ...

    async def people(self, participants: Sequence[str]) -> dict[str, str]:
        """Names of those that are known and not erased."""
        ...

    async def erase_person(self, participant: str) -> None:
        """Forgets name and answers for good; the logs keep the opaque id."""
        ...

    async def answer(self, log: str, quiz: int, participant: str, choices: Sequence[int], at_ms: int) -> None:
        """Keeps an answer, in place of an earlier one of the same participant."""
        ...

    async def answers(self, log: str, quiz: int) -> dict[str, list[int]]:
        """participant -> choices."""
        ...

    async def answers_of(self, log: str, participant: str) -> dict[int, list[int]]:
        """quiz -> choices."""
        ...

    async def allot_sources(self, count: int) -> list[int]:
        """Source ids (u32, never 0) that were never given before and never will be again."""
        ...

    async def put_session(self, row: SessionRow) -> None: ...

    async def drop_session(self, session: str) -> None: ...

    async def session(self, session: str) -> SessionRow | None: ...

    async def sessions(self, log: str) -> list[SessionRow]: ...
