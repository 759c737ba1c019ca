"""What the REST API takes and gives, typed; `openapi` describes it from here."""

from typing import Annotated

import msgspec
from msgspec import Meta

from signaling.log.events import Codec, Role

PREFIX = "/api/v1"
DEFAULT_TTL_S = 4 * 3600
MAX_TTL_S = 400 * 24 * 3600

LessonId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
ParticipantId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@:-]{0,63}$")]


class NewLesson(msgspec.Struct, forbid_unknown_fields=True):
    """A lesson to make. Without an id the server gives one."""

    id: LessonId | None = None
    title: Annotated[str, Meta(max_length=200)] = ""
    codec: Codec | None = None
    record: Annotated[bool | None, Meta(description="from the start; if absent, as configured")] = None


class LessonBody(msgspec.Struct, kw_only=True):
    """A lesson as the API tells it; times are UTC milliseconds since 1970."""

    id: str
    log: str
    title: str
    codec: Codec
    state: Annotated[str, Meta(description="created, started or ended")]
    created_ms: int
    started_ms: int | None
    ended_ms: int | None
    position: int


class LessonList(msgspec.Struct, kw_only=True):
    """Newest first; `next`, if there is one, is the `before` of the next page."""

    lessons: list[LessonBody]
    next: str | None


class NewToken(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """For whom: the same participant id lets the same person in again, on any device."""

    role: Role
    name: Annotated[str, Meta(max_length=64)] = ""
    participant: ParticipantId | None = None
    ttl_s: Annotated[int, Meta(ge=1, le=MAX_TTL_S)] = DEFAULT_TTL_S


class TokenBody(msgspec.Struct, kw_only=True):
    token: str
    participant: str
    expires_s: int
    url: Annotated[str, Meta(description="the page that this token opens")]


class ParticipantBody(msgspec.Struct, kw_only=True):
    participant: str
    name: str
    role: Role
    present: bool
    on_stage: bool
    stage_count: int


class ParticipantList(msgspec.Struct, kw_only=True):
    participants: list[ParticipantBody]
