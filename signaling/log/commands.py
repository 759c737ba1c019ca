"""What `decide` takes besides the protocol's requests: commands that only the server itself gives.

They are never decoded from a client's bytes; the runtime builds them, after the participant and
the session that they name have been checked.
"""

from typing import Literal

import msgspec

from signaling.log.events import Codec, Role, Use
from signaling.protocol import requests


class Actor(msgspec.Struct, frozen=True):
    """Who gives a command: as the token says. `by` in the log is `participant`, or None if ""."""

    participant: str
    role: Role


SYSTEM = Actor("", "ops")
"""The server itself, and the school's own system through the REST API."""


class Internal(msgspec.Struct, frozen=True):
    pass


class Create(Internal, frozen=True):
    title: str
    codec: Codec
    record: bool = False  # from the start


class ChangeCodec(Internal, frozen=True):
    """Refused once anything was published; the runtime asks only before the first answer."""

    codec: Codec


class Join(Internal, frozen=True):
    participant: str
    role: Role


class Leave(Internal, frozen=True):
    """The last connection of a participant is gone (for good, or longer than the grace)."""

    participant: str
    reason: Literal["left", "lost", "replaced", "removed"] = "left"


class Publish(Internal, frozen=True):
    """The protocol's `publish`, with the source id that this use of the session was allotted."""

    session: str
    use: Use
    source: int
    on: bool


class SourceLive(Internal, frozen=True):
    """Media arrive in a session that has no WebSocket (WHIP): published on its behalf."""

    session: str
    source: int
    use: Use
    participant: str


class SourceLost(Internal, frozen=True):
    source: int


class SessionLost(Internal, frozen=True):
    """A media session is gone: everything published in it, too."""

    session: str


class Tally(Internal, frozen=True):
    """Totals so far; becomes an event at most once a second."""

    quiz: int
    counts: tuple[int, ...]
    answered: int


class CloseQuiz(Internal, frozen=True):
    """The protocol's `quiz_close`, with the final totals. Only lecturers may, as the table says, and
    the server itself before a lesson's end."""

    quiz: int
    counts: tuple[int, ...]
    answered: int


Request = (
    requests.RaiseHand | requests.BringUp | requests.TakeDown | requests.Mute | requests.Spotlight
    | requests.SetFloor | requests.Chat | requests.QuizAsk | requests.Mark | requests.Record
    | requests.EndLesson
)
Command = (
    Request | Create | ChangeCodec | Join | Leave | Publish | SourceLive | SourceLost | SessionLost
    | Tally | CloseQuiz
)
