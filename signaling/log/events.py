"""Every event that a lesson's log can hold (docs/log.md).

Events hold participant ids, never names. A participant id is opaque; source ids are u32.
"""

from typing import Literal

import msgspec

Role = Literal[
    "lecturer", "tutor", "classroom", "student", "observer", "inspector",
    "researcher", "parent", "technician", "ops",
]
Use = Literal["camera", "microphone", "board"]
Codec = Literal["h264", "vp8"]


class Event(msgspec.Struct, tag_field="t", frozen=True, kw_only=True, omit_defaults=True):
    pass


class Created(Event, tag="created", frozen=True, kw_only=True):
    title: str
    codec: Codec


class CodecChanged(Event, tag="codec_changed", frozen=True, kw_only=True):
    """Before the first answer only: the lecturer's encoder has no other codec."""

    codec: Codec


class Started(Event, tag="started", frozen=True, kw_only=True):
    """The lecturer joined for the first time."""


class Joined(Event, tag="joined", frozen=True, kw_only=True):
    participant: str
    role: Role


class Left(Event, tag="left", frozen=True, kw_only=True):
    participant: str
    reason: Literal["left", "lost", "replaced", "removed"] = "left"


class Published(Event, tag="published", frozen=True, kw_only=True):
    source: int
    participant: str
    session: str
    use: Use


class Unpublished(Event, tag="unpublished", frozen=True, kw_only=True):
    source: int


class HandRaised(Event, tag="hand_raised", frozen=True, kw_only=True):
    participant: str


class HandLowered(Event, tag="hand_lowered", frozen=True, kw_only=True):
    participant: str


class StageEntered(Event, tag="stage_entered", frozen=True, kw_only=True):
    """`index` is the stage pair in which everyone sees the participant, until they leave."""

    participant: str
    index: int


class StageLeft(Event, tag="stage_left", frozen=True, kw_only=True):
    participant: str


class Muted(Event, tag="muted", frozen=True, kw_only=True):
    participant: str
    use: Use


class Unmuted(Event, tag="unmuted", frozen=True, kw_only=True):
    participant: str
    use: Use


class Spotlighted(Event, tag="spotlighted", frozen=True, kw_only=True):
    participant: str | None  # None: nobody


class FloorSet(Event, tag="floor_set", frozen=True, kw_only=True):
    """With an open floor, everybody's microphone may be heard: the loudest are."""

    open: bool


class ChatSaid(Event, tag="chat_said", frozen=True, kw_only=True):
    participant: str
    text: str
    to: str | None = None  # a participant: private; None: all


class QuizAsked(Event, tag="quiz_asked", frozen=True, kw_only=True):
    quiz: int
    question: str
    options: list[str]
    multiple: bool = False


class QuizTallied(Event, tag="quiz_tallied", frozen=True, kw_only=True):
    """Totals so far, at most one a second; single answers are in a table, not here."""

    quiz: int
    counts: list[int]  # per option
    answered: int  # participants


class QuizClosed(Event, tag="quiz_closed", frozen=True, kw_only=True):
    quiz: int
    counts: list[int]
    answered: int


class Marked(Event, tag="marked", frozen=True, kw_only=True):
    participant: str
    label: str = ""


class RecordingStarted(Event, tag="recording_started", frozen=True, kw_only=True):
    """Everybody's picture and voice are kept from now on; everybody is told."""


class RecordingStopped(Event, tag="recording_stopped", frozen=True, kw_only=True):
    pass


class Ended(Event, tag="ended", frozen=True, kw_only=True):
    pass


AnyEvent = (
    Created | CodecChanged | Started | Joined | Left | Published | Unpublished
    | HandRaised | HandLowered | StageEntered | StageLeft | Muted | Unmuted | Spotlighted | FloorSet
    | ChatSaid | QuizAsked | QuizTallied | QuizClosed | Marked | RecordingStarted | RecordingStopped | Ended
)


class Audience(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who may see an event: everybody, or the listed roles and participants."""

    everybody: bool = True
    roles: tuple[Role, ...] = ()
    participants: tuple[str, ...] = ()


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the log."""

    pos: int  # 1, 2, 3 ... in the lesson's log
    at_ms: int  # UTC, milliseconds since 1970
    event: AnyEvent
    by: str | None = None  # the participant whose command made it
    audience: Audience = Audience()
