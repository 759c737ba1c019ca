"""What a client may say. Each request carries `req`, echoed by exactly one ack, reply or error."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from signaling.log.events import Use

Id = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(min_length=1, max_length=2000)]
Option = Annotated[str, Meta(min_length=1, max_length=200)]
Label = Annotated[str, Meta(max_length=64)]


class Request(msgspec.Struct, tag_field="t", frozen=True, kw_only=True, omit_defaults=True):
    req: Annotated[int, Meta(ge=0, le=2**53)]


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    log: str  # as told in welcome: another log means another lesson under the same id
    after: Annotated[int, Meta(ge=0)]  # the last position seen


class Hello(Request, tag="hello", frozen=True, kw_only=True):
    """First message of a connection, within 10 s. Answered by welcome, waiting, or error."""

    token: Annotated[str, Meta(max_length=4096)]
    version: int
    resume: Resume | None = None
    session: Id | None = None  # the media session that this page still holds
    device: Literal["pc", "phone", "room", "bot"] = "pc"
    client: Label = ""  # name and version, for the technician


class Leave(Request, tag="leave", frozen=True, kw_only=True):
    pass


class Ping(Request, tag="ping", frozen=True, kw_only=True):
    """Answered by `ack`, in every state, also while waiting: pages cannot see WebSocket pings, and
    notice by this that a line is dead. Every role may; not in `may`."""


class Offer(Request, tag="offer", frozen=True, kw_only=True):
    """Answered by `answer`. With `session`: an ICE restart of that session."""

    sdp: Annotated[str, Meta(max_length=512 * 1024)]
    labels: dict[str, str] = {}  # mid -> "camera"|"microphone"|"board" or a slot's name
    session: Id | None = None


class CloseSession(Request, tag="close_session", frozen=True, kw_only=True):
    session: Id


class Publish(Request, tag="publish", frozen=True, kw_only=True):
    """Media of this use begins (on) or ends (off) in that session."""

    session: Id
    use: Use
    on: bool


class RaiseHand(Request, tag="raise_hand", frozen=True, kw_only=True):
    up: bool
    participant: Id | None = None  # another's hand may be lowered by lecturer and tutor


class BringUp(Request, tag="bring_up", frozen=True, kw_only=True):
    participant: Id


class TakeDown(Request, tag="take_down", frozen=True, kw_only=True):
    participant: Id  # one may take oneself down


class Mute(Request, tag="mute", frozen=True, kw_only=True):
    """One may mute and unmute oneself; whom a lecturer muted, only lecturer or tutor unmutes."""

    participant: Id
    use: Use
    muted: bool


class Spotlight(Request, tag="spotlight", frozen=True, kw_only=True):
    participant: Id | None


class SetFloor(Request, tag="set_floor", frozen=True, kw_only=True):
    open: bool


class Chat(Request, tag="chat", frozen=True, kw_only=True):
    text: Text
    to: Id | None = None


class QuizAsk(Request, tag="quiz_ask", frozen=True, kw_only=True):
    question: Text
    options: Annotated[list[Option], Meta(min_length=2, max_length=10)]
    multiple: bool = False


class QuizAnswer(Request, tag="quiz_answer", frozen=True, kw_only=True):
    quiz: int
    choices: Annotated[list[Annotated[int, Meta(ge=0, le=9)]], Meta(min_length=1, max_length=10)]


class QuizClose(Request, tag="quiz_close", frozen=True, kw_only=True):
    quiz: int


class Mark(Request, tag="mark", frozen=True, kw_only=True):
    label: Label = ""


class Record(Request, tag="record", frozen=True, kw_only=True):
    """What is sent in the lesson is kept (on) or not. Everybody learns of it from the log."""

    on: bool


class EndLesson(Request, tag="end_lesson", frozen=True, kw_only=True):
    pass


class Layers(Request, tag="layers", frozen=True, kw_only=True):
    """At which height (pixels) the page shows each video slot; 0: not shown."""

    session: Id
    heights: dict[str, Annotated[int, Meta(ge=0, le=4320)]]


class Mend(Request, tag="mend", frozen=True, kw_only=True):
    """Nothing arrives in this slot although it should: the server looks, and asks for a key frame."""

    session: Id
    slot: Label


AnyRequest = (
    Hello | Leave | Ping | Offer | CloseSession | Publish | RaiseHand | BringUp | TakeDown | Mute | Spotlight
    | SetFloor | Chat | QuizAsk | QuizAnswer | QuizClose | Mark | Record | EndLesson | Layers | Mend
)
