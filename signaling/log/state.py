"""A lesson's state: the fold of its log. `apply` is pure, total and never raises.

Everything here is immutable by agreement: `apply` copies what it changes and shares the rest,
so a state may be kept, compared and read from anywhere.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec
from msgspec.structs import replace

from signaling.log import events as ev
from signaling.log.events import AnyEvent, Codec, Entry, Role, Use
from signaling.log.roles import RIGHTS, WALL_CAPACITY

CHAT_TAIL = 100  # messages that a view holds; older ones are in the log

Holder = Literal["self", "staff"]


class Hand(msgspec.Struct, frozen=True):
    pos: int  # of the event that raised it: hands are called in this order
    at_ms: int


class Participant(msgspec.Struct, frozen=True, kw_only=True):
    """Stays after leaving: mutes hold, and stage counts are remembered."""

    role: Role
    present: bool = True
    hand: Hand | None = None
    stage_count: int = 0
    mutes: dict[Use, tuple[Holder, ...]] = {}  # who holds the mute; both may


class Source(msgspec.Struct, frozen=True, kw_only=True):
    participant: str
    session: str
    use: Use
    pos: int  # of the event that published it


class Quiz(msgspec.Struct, frozen=True, kw_only=True):
    quiz: int
    asked_ms: int
    question: str
    options: tuple[str, ...]
    multiple: bool
    open: bool = True
    counts: tuple[int, ...] | None = None  # None: nothing told yet
    answered: int = 0
    tallied_ms: int = 0


class ChatLine(msgspec.Struct, frozen=True, kw_only=True):
    pos: int
    at_ms: int
    participant: str
    text: str
    to: str | None


class MarkLine(msgspec.Struct, frozen=True, kw_only=True):
    pos: int
    at_ms: int
    participant: str
    label: str


class Lesson(msgspec.Struct, frozen=True, kw_only=True):
    position: int = 0  # of the last entry applied
    created: bool = False
    title: str = ""
    codec: Codec = "h264"
    started_ms: int | None = None
    ended_ms: int | None = None
    participants: dict[str, Participant] = {}  # in the order of their first coming
    stage: dict[int, str] = {}  # index of the stage pair -> participant
    wall: dict[int, str] = {}  # place on the lecturer's wall -> participant; kept while they qualify
    sources: dict[int, Source] = {}  # in the order of publishing
    ever_published: bool = False  # the codec is fixed
    spotlight: str | None = None
    floor_open: bool = False
    recording: bool = False
    quizzes: tuple[Quiz, ...] = ()  # at most the last is open
    chat: tuple[ChatLine, ...] = ()  # to all
    private_chat: dict[str, tuple[ChatLine, ...]] = {}  # participant -> lines to and from them
    marks: tuple[MarkLine, ...] = ()

    @property
    def ended(self) -> bool:
        return self.ended_ms is not None

    @property
    def started(self) -> bool:
        return self.started_ms is not None

    @property
    def quiz(self) -> Quiz | None:
        """The question asked last."""
        return self.quizzes[-1] if self.quizzes else None

    def present(self, participant: str) -> Participant | None:
        person = self.participants.get(participant)
        return person if person is not None and person.present else None

    def stage_index(self, participant: str) -> int | None:
        return next((index for index, who in self.stage.items() if who == participant), None)

    def sources_of(self, participant: str, use: Use | None = None) -> list[int]:
        """Published sources, oldest first."""
        return [
            source
            for source, info in self.sources.items()
            if info.participant == participant and use in (None, info.use)
        ]

    def muted(self, participant: str, use: Use) -> bool:
        person = self.participants.get(participant)
        return person is not None and bool(person.mutes.get(use))


def initial() -> Lesson:
    return Lesson()


def fold(entries: Iterable[Entry], state: Lesson | None = None) -> Lesson:
    """The state after these entries: how a restarted server gets its lesson back."""
    state = state or initial()
    for entry in entries:
        state = apply(state, entry)
    return state


def apply(state: Lesson, entry: Entry) -> Lesson:
    event = entry.event
    after = _applied(replace(state, position=entry.pos), entry, event)
    if isinstance(event, _MOVES_WALL):
        after = replace(after, wall=_seated(after))
    return after


_MOVES_WALL = (ev.Published, ev.Unpublished, ev.StageEntered, ev.StageLeft, ev.Muted, ev.Unmuted, ev.Left)


def _applied(state: Lesson, entry: Entry, event: AnyEvent) -> Lesson:
    match event:
        case ev.Created():
            return replace(state, created=True, title=event.title, codec=event.codec)
        case ev.CodecChanged():
            return replace(state, codec=event.codec)
        case ev.Started():
            return replace(state, started_ms=entry.at_ms)
        case ev.Ended():
            return replace(state, ended_ms=entry.at_ms)
        case ev.Joined():
            person = state.participants.get(event.participant)
            joined = (
                Participant(role=event.role)
                if person is None
                else replace(person, role=event.role, present=True, hand=None)
            )
            return _with(state, event.participant, joined)
        case ev.Left():
            return _change(state, event.participant, present=False, hand=None)
        case ev.Published():
            source = Source(
                participant=event.participant, session=event.session, use=event.use, pos=entry.pos
            )
            return replace(state, sources={**state.sources, event.source: source}, ever_published=True)
        case ev.Unpublished():
            return replace(state, sources=_without(state.sources, event.source))
        case ev.HandRaised():
            return _change(state, event.participant, hand=Hand(entry.pos, entry.at_ms))
        case ev.HandLowered():
            return _change(state, event.participant, hand=None)
        case ev.StageEntered():
            person = state.participants.get(event.participant)
            count = person.stage_count + 1 if person is not None else 1
            state = replace(state, stage={**state.stage, event.index: event.participant})
            return _change(state, event.participant, stage_count=count)
        case ev.StageLeft():
            stage = {index: who for index, who in state.stage.items() if who != event.participant}
            return replace(state, stage=stage)
        case ev.Muted() | ev.Unmuted():
            return _muted(state, event, holder(entry.by, event.participant))
        case ev.Spotlighted():
            return replace(state, spotlight=event.participant)
        case ev.FloorSet():
            return replace(state, floor_open=event.open)
        case ev.RecordingStarted():
            return replace(state, recording=True)
        case ev.RecordingStopped():
            return replace(state, recording=False)
        case ev.ChatSaid():
            return _said(state, entry, event)
        case ev.QuizAsked():
            quiz = Quiz(
                quiz=event.quiz,
                asked_ms=entry.at_ms,
                question=event.question,
                options=tuple(event.options),
                multiple=event.multiple,
            )
            return replace(state, quizzes=(*state.quizzes, quiz))
        case ev.QuizTallied() | ev.QuizClosed():
            return _tallied(state, entry, event)
        case ev.Marked():
            who, label = event.participant, event.label
            mark = MarkLine(pos=entry.pos, at_ms=entry.at_ms, participant=who, label=label)
            return replace(state, marks=(*state.marks, mark))


def holder(by: str | None, participant: str) -> Holder:
    """Who holds a mute: whoever set it, oneself or staff. Each takes back only their own."""
    return "self" if by == participant else "staff"


def _with(state: Lesson, participant: str, person: Participant) -> Lesson:
    return replace(state, participants={**state.participants, participant: person})


def _change(state: Lesson, participant: str, **changes: object) -> Lesson:
    person = state.participants.get(participant)
    if person is None:
        return state
    return _with(state, participant, replace(person, **changes))


def _without(sources: dict[int, Source], source: int) -> dict[int, Source]:
    if source not in sources:
        return sources
    rest = dict(sources)
    del rest[source]
    return rest


def _muted(state: Lesson, event: ev.Muted | ev.Unmuted, who: Holder) -> Lesson:
    person = state.participants.get(event.participant)
    if person is None:
        return state
    holders = set(person.mutes.get(event.use, ()))
    if isinstance(event, ev.Muted):
        holders.add(who)
    else:
        holders.discard(who)
    mutes = {use: held for use, held in person.mutes.items() if use != event.use}
    if holders:
        mutes[event.use] = tuple(sorted(holders))
    return _with(state, event.participant, replace(person, mutes=mutes))


def _said(state: Lesson, entry: Entry, event: ev.ChatSaid) -> Lesson:
    line = ChatLine(
        pos=entry.pos, at_ms=entry.at_ms, participant=event.participant, text=event.text, to=event.to
    )
    if event.to is None:
        return replace(state, chat=(*state.chat, line)[-CHAT_TAIL:])
    private = dict(state.private_chat)
    for end in {event.participant, event.to}:
        private[end] = (*private.get(end, ()), line)[-CHAT_TAIL:]
    return replace(state, private_chat=private)


def _tallied(state: Lesson, entry: Entry, event: ev.QuizTallied | ev.QuizClosed) -> Lesson:
    last = state.quiz
    if last is None or last.quiz != event.quiz:
        return state
    quiz = replace(
        last,
        counts=tuple(event.counts),
        answered=event.answered,
        open=last.open and isinstance(event, ev.QuizTallied),
        tallied_ms=entry.at_ms,
    )
    return replace(state, quizzes=(*state.quizzes[:-1], quiz))


def _seated(state: Lesson) -> dict[int, str]:
    """Places on the wall: whoever has one keeps it while they qualify; newcomers fill the gaps.

    When there are more cameras than places, classrooms go before tutors, tutors before students,
    and within a role those who sit before those who came later.
    """
    seats = {participant: place for place, participant in state.wall.items()}
    wanting = dict.fromkeys(_wall_candidates(state))
    if len(wanting) > WALL_CAPACITY:
        ranked = sorted(wanting, key=lambda who: (_wall_order(state, who), who not in seats))
        wanting = dict.fromkeys(ranked[:WALL_CAPACITY])
    wall = {place: who for who, place in seats.items() if who in wanting}
    free = (place for place in range(WALL_CAPACITY) if place not in wall)
    newcomers = sorted((who for who in wanting if who not in seats), key=lambda who: _wall_order(state, who))
    wall.update(zip(free, newcomers, strict=False))
    return wall


def _wall_candidates(state: Lesson) -> Iterator[str]:
    on_stage = set(state.stage.values())
    for source in state.sources.values():
        who = source.participant
        person = state.present(who)
        if (
            source.use == "camera"
            and person is not None
            and RIGHTS[person.role].wall is not None
            and who not in on_stage
            and not person.mutes.get("camera")
        ):
            yield who


def _wall_order(state: Lesson, participant: str) -> int:
    return RIGHTS[state.participants[participant].role].wall or 0
