"""Messages between signaling and a media node (one vocabulary, both ways).

Signaling states what it wants, the node makes it so and reports. Requests carry `req`
and are answered by exactly one reply with the same number; reports have none.
"""

from typing import Literal

import msgspec

VERSION = 1

Use = Literal["camera", "microphone", "board"]
Codec = Literal["h264", "vp8"]


class Message(msgspec.Struct, tag_field="t", frozen=True, kw_only=True, omit_defaults=True):
    pass


# --- signaling -> node ---------------------------------------------------------------------


class Hello(Message, tag="hello", frozen=True, kw_only=True):
    version: int = VERSION
    secret: str = ""  # asked for over TCP; a Unix socket is guarded by its file mode


class OpenSession(Message, tag="open_session", frozen=True, kw_only=True):
    """Answer one offer. An offer for a session that is open restarts its ICE (RFC 8839, 4.4)."""

    req: int
    session: str
    lesson: str
    participant: str
    codec: Codec
    offer: str
    labels: dict[str, str] = {}
    """mid -> "camera" | "microphone" | "board" (sending) or a slot's name (receiving).
    Empty (WHIP, WHEP): given by order, see `defaults`."""
    defaults: list[str] = []
    """Without labels: names handed out in order to m-lines that fit, e.g.
    ["microphone", "camera", "board"] for WHIP, ["lecturer.audio", "lecturer.video"] for WHEP."""
    sources: dict[str, int] = {}
    """use -> source id, for every use that this participant may send; others are answered inactive."""


class RestartIce(Message, tag="restart_ice", frozen=True, kw_only=True):
    """New ICE credentials of a peer that sends no whole offer (WHIP's PATCH, RFC 9725, 4.3.3).

    Answered by SessionAnswered with `restarted`, whose `answer` is the session's SDP answer with
    the node's new ice-ufrag, ice-pwd and candidates; or by Refused (no_such_session).
    """

    req: int
    session: str
    ufrag: str
    pwd: str


class CloseSession(Message, tag="close_session", frozen=True, kw_only=True):
    session: str


class SetPlan(Message, tag="set_plan", frozen=True, kw_only=True):
    """What every slot of a lesson shall show, whole, replacing the plan before.

    A session never receives a source of its own participant: that slot stays empty.
    """

    lesson: str
    slots: dict[str, int] = {}  # slot name -> source
    floor: list[int] = []  # audio sources of which the loudest go to the floor slots
    overrides: dict[str, dict[str, int]] = {}  # session -> slot name -> source


class EndLesson(Message, tag="end_lesson", frozen=True, kw_only=True):
    lesson: str


class Mend(Message, tag="mend", frozen=True, kw_only=True):
    """A page says that nothing arrives in a slot: ask its source for a key frame."""

    session: str
    slot: str


class GetStats(Message, tag="get_stats", frozen=True, kw_only=True):
    req: int
    session: str = ""  # empty: the whole node


class SetRecording(Message, tag="set_recording", frozen=True, kw_only=True):
    """Whether a lesson's sources are recorded, those that come later, too. Answered by JournalState
    when on; saying it again changes nothing."""

    lesson: str
    on: bool
    folder: str = ""  # of the lesson, below the node's folder of journals


ToNode = (
    Hello | OpenSession | RestartIce | CloseSession | SetPlan | EndLesson | Mend | GetStats | SetRecording
)

# --- node -> signaling ---------------------------------------------------------------------


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    session: str
    lesson: str
    participant: str
    sources: dict[str, int]  # use -> source
    live: list[int]  # sources whose RTP arrives
    state: Literal["connecting", "connected", "disconnected"]


class Welcome(Message, tag="welcome", frozen=True, kw_only=True):
    """First message of a node; `epoch` is new whenever its sessions are gone (a restart)."""

    version: int = VERSION
    epoch: str
    sessions: list[SessionInfo] = []


class SessionAnswered(Message, tag="session_answered", frozen=True, kw_only=True):
    req: int
    session: str
    answer: str
    sources: dict[str, int] = {}  # use -> source: what the offer really sends
    slots: list[str] = []  # names of the slots it receives
    restarted: bool = False


class Refused(Message, tag="refused", frozen=True, kw_only=True):
    req: int
    code: str  # stable: bad_sdp, codec_not_offered, codec_cannot_decode, no_bundle, ...
    detail: str  # English, for the log and the technician


class SessionState(Message, tag="session_state", frozen=True, kw_only=True):
    session: str
    state: Literal["connected", "disconnected", "closed"]
    reason: str = ""


class SourceState(Message, tag="source_state", frozen=True, kw_only=True):
    source: int
    live: bool


class SlotState(Message, tag="slot_state", frozen=True, kw_only=True):
    """A slot of a session began to carry another source (0: emptied)."""

    session: str
    slot: str
    source: int


class Levels(Message, tag="levels", frozen=True, kw_only=True):
    lesson: str
    levels: list[tuple[int, int]]  # (source, -dBov), loudest first


class Stats(Message, tag="stats", frozen=True, kw_only=True):
    req: int
    stats: dict[str, int | float | str]


JournalWord = Literal["ok", "slow", "full", "failed", "gap"]


class JournalState(Message, tag="journal_state", frozen=True, kw_only=True):
    """How a lesson's journal fares. `gap`: packets were lost before it; the others last until the next."""

    lesson: str
    state: JournalWord
    detail: str = ""  # English, for the technician


FromNode = (
    Welcome | SessionAnswered | Refused | SessionState | SourceState | SlotState | Levels | Stats
    | JournalState
)
