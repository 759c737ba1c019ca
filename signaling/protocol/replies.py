"""What the server says: replies to a request (with its `req`), events of the log, and presence.

Presence (`slots`, `live`, `levels`, `counts`, `tally`) is unlogged: true for a moment, and the
newest replaces what was before.
"""

from typing import Any, Literal

import msgspec

from signaling.log.events import AnyEvent, Codec, Role, Use


class Reply(msgspec.Struct, tag_field="t", frozen=True, kw_only=True, omit_defaults=True):
    pass


class Person(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    role: Role


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """How many slots of each sort this role and device should offer (DESIGN: slots)."""

    lecturer: bool  # lecturer.video and lecturer.audio
    board: bool
    stage: int  # pairs stage.N.video, stage.N.audio
    floor: int  # floor.N, audio
    private: bool  # private, audio
    wall: int  # wall.N, video


class LessonInfo(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    log: str
    title: str
    codec: Codec


# --- replies -------------------------------------------------------------------------------


class Welcome(Reply, tag="welcome", frozen=True, kw_only=True):
    """`state` is the lesson as this participant may see it (docs/log.md, "State"), or absent
    when the resume succeeded: then the missed events follow."""

    req: int
    participant: str
    role: Role
    lesson: LessonInfo
    position: int
    now_ms: int  # server's clock, UTC
    may: list[str]  # request tags that this role may use
    sends: list[Use]  # what this role may send
    pool: Pool
    state: dict[str, Any] | None = None
    people: dict[str, Person] = {}
    answers: dict[int, list[int]] = {}  # quiz -> own choices
    session_lost: bool = False  # the media session named in hello is gone: offer anew


class Waiting(Reply, tag="waiting", frozen=True, kw_only=True):
    """The lecturer has not come yet; repeated when `present` changes, then welcome follows."""

    req: int
    lesson: str
    participant: str
    present: list[Person] = []


class Ack(Reply, tag="ack", frozen=True, kw_only=True):
    req: int
    position: int = 0  # of the event that this made, 0 if none


class Answer(Reply, tag="answer", frozen=True, kw_only=True):
    req: int
    session: str
    sdp: str
    sources: dict[Use, int] = {}


class Error(Reply, tag="error", frozen=True, kw_only=True):
    """A refusal: nothing else changed. `code` is stable (docs/errors.md)."""

    req: int | None = None
    code: str
    zh: str
    en: str
    retry_after_ms: int | None = None


class Goodbye(Reply, tag="goodbye", frozen=True, kw_only=True):
    """Last message before the server closes the connection."""

    code: str
    zh: str
    en: str
    reconnect: bool


# --- the log -------------------------------------------------------------------------------


class LogEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pos: int
    at_ms: int
    event: AnyEvent
    by: str | None = None


class Events(Reply, tag="events", frozen=True, kw_only=True):
    """`upto`: every position up to it is now known to the client (gaps were not for its eyes)."""

    events: list[LogEvent] = []
    upto: int
    people: dict[str, Person] = {}  # names of participants that these events mention first


# --- presence ------------------------------------------------------------------------------


class SourceInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    participant: str
    use: Use
    live: bool  # its RTP arrives at the server


class Slots(Reply, tag="slots", frozen=True, kw_only=True):
    """What every slot should show now; a slot not named is empty."""

    slots: dict[str, int] = {}  # slot name -> source
    sources: dict[int, SourceInfo] = {}
    people: dict[str, Person] = {}


class Live(Reply, tag="live", frozen=True, kw_only=True):
    source: int
    live: bool


class Levels(Reply, tag="levels", frozen=True, kw_only=True):
    levels: list[tuple[int, int]]  # (source, -dBov), loudest first


class Counts(Reply, tag="counts", frozen=True, kw_only=True):
    present: dict[Role, int]
    hands: int


class Tally(Reply, tag="tally", frozen=True, kw_only=True):
    """To lecturer and tutor: answers so far, at most four a second."""

    quiz: int
    counts: list[int]
    answered: int


class Journal(Reply, tag="journal", frozen=True, kw_only=True):
    """To staff: how the recording fares. slow, full and failed last until the next word; a gap is told
    when it is over, and is written down in the journal."""

    state: Literal["ok", "slow", "full", "failed", "gap"]
    detail: str = ""  # English, for the technician


class SessionLost(Reply, tag="session_lost", frozen=True, kw_only=True):
    session: str
    reason: Literal["node_lost", "disconnected", "closed"]


AnyReply = (
    Welcome | Waiting | Ack | Answer | Error | Goodbye | Events | Slots | Live | Levels | Counts | Tally
    | Journal | SessionLost
)
