"""The rules of a lesson: `decide(state, actor, command, now) -> events | refusal`. Pure.

An empty list means: agreed, and nothing changed (acknowledged without an event). So are repeats of
raise_hand, mute, spotlight, set_floor, record, publish, join and leave. Repeats of bring_up, take_down,
quiz_ask, quiz_close, create and end_lesson are refused, because they tell the second of two
people who clicked at once that the first already did.
"""

from collections.abc import Sequence

import msgspec

from signaling.log import events as ev
from signaling.log.commands import (
    SYSTEM,
    Actor,
    ChangeCodec,
    CloseQuiz,
    Command,
    Create,
    Internal,
    Join,
    Leave,
    Publish,
    SessionLost,
    SourceLive,
    SourceLost,
    Tally,
)
from signaling.log.events import AnyEvent, Audience, Use
from signaling.log.roles import EVERYBODY, RIGHTS, STAGE_CAPACITY, seen_by, sees, staff_and
from signaling.log.state import Lesson, Participant, Quiz, holder
from signaling.protocol import requests as rq

TALLY_INTERVAL_MS = 1000
TEACHERS = ("lecturer", "tutor")


class Decided(msgspec.Struct, frozen=True):
    event: AnyEvent
    audience: Audience = EVERYBODY


class Refusal(msgspec.Struct, frozen=True):
    """Nothing changed. `code` is in signaling.errors.CATALOGUE, `detail` fills its sentence."""

    code: str
    detail: dict[str, str | int] = {}


Decision = list[Decided] | Refusal


def refuse(code: str, **detail: str | int) -> Refusal:
    return Refusal(code, detail)


def decide(state: Lesson, actor: Actor, command: Command, now_ms: int) -> Decision:
    refusal = _unready(state, command) or _forbidden(state, actor, command)
    if refusal is not None:
        return refusal
    match command:
        case Create():
            created = Decided(ev.Created(title=command.title, codec=command.codec))
            return [created, Decided(ev.RecordingStarted())] if command.record else [created]
        case ChangeCodec():
            return _change_codec(state, command)
        case Join():
            return _join(state, command)
        case Leave():
            return _leave(state, command)
        case Publish():
            who = actor.participant
            return _publish(state, who, command.session, command.use, command.source, command.on)
        case SourceLive():
            who = command.participant
            return _publish(state, who, command.session, command.use, command.source, True)
        case SourceLost():
            return _unpublish(state, [command.source])
        case SessionLost():
            lost = [source for source, info in state.sources.items() if info.session == command.session]
            return _unpublish(state, lost)
        case Tally():
            return _tally(state, command, now_ms)
        case CloseQuiz():
            return _close_quiz(state, command)
        case rq.RaiseHand():
            return _raise_hand(state, actor, command)
        case rq.BringUp():
            return _bring_up(state, command.participant)
        case rq.TakeDown():
            return _take_down(state, actor, command.participant)
        case rq.Mute():
            return _mute(state, actor, command)
        case rq.Spotlight():
            return _spotlight(state, command.participant)
        case rq.SetFloor():
            return [] if state.floor_open == command.open else [Decided(ev.FloorSet(open=command.open))]
        case rq.Chat():
            return _chat(state, actor, command)
        case rq.QuizAsk():
            return _ask(state, command)
        case rq.Mark():
            marked = ev.Marked(participant=actor.participant, label=command.label)
            return [Decided(marked, staff_and(actor.participant))]
        case rq.Record():
            return _record(state, command.on)
        case rq.EndLesson():
            return _end(state)


def check_answer(state: Lesson, actor: Actor, answer: rq.QuizAnswer) -> Refusal | None:
    """Whether this answer counts. It makes no event: it goes to the table of answers.

    An answer may be changed until the quiz is closed; sending it again is harmless.
    """
    if state.ended:
        return refuse("lesson_ended")
    if "quiz_answer" not in RIGHTS[actor.role].may:
        return refuse("forbidden", request="quiz_answer", role=actor.role)
    if state.present(actor.participant) is None:
        return refuse("not_present")
    quiz = state.quiz
    if quiz is None or quiz.quiz != answer.quiz:
        return refuse("no_such_quiz", quiz=answer.quiz)
    if not quiz.open:
        return refuse("quiz_closed", quiz=answer.quiz)
    chosen = set(answer.choices)
    if (
        len(chosen) != len(answer.choices)
        or not chosen
        or not chosen <= set(range(len(quiz.options)))
        or (len(chosen) > 1 and not quiz.multiple)
    ):
        return refuse("bad_choice", quiz=answer.quiz)
    return None


# --- who may say anything at all ------------------------------------------------------------


def _unready(state: Lesson, command: Command) -> Refusal | None:
    if isinstance(command, Create):
        return refuse("lesson_exists") if state.created else None
    if not state.created:
        return refuse("no_such_lesson")
    if state.ended:
        return refuse("lesson_ended")
    return None


def _forbidden(state: Lesson, actor: Actor, command: Command) -> Refusal | None:
    if actor == SYSTEM and isinstance(command, CloseQuiz):
        return None
    if isinstance(command, Publish):
        tag = "publish"
    elif isinstance(command, CloseQuiz):
        tag = "quiz_close"
    elif isinstance(command, Internal):
        return None
    else:
        tag = str(command.__struct_config__.tag)
    if tag not in RIGHTS[actor.role].may:
        return refuse("forbidden", request=tag, role=actor.role)
    if actor == SYSTEM:
        return None
    person = state.present(actor.participant)
    if person is None or person.role != actor.role:
        return refuse("not_present")
    return None


# --- coming and going -----------------------------------------------------------------------


def _change_codec(state: Lesson, command: ChangeCodec) -> Decision:
    if command.codec == state.codec:
        return []
    if state.ever_published:
        return refuse("codec_fixed", codec=state.codec)
    return [Decided(ev.CodecChanged(codec=command.codec))]


def _join(state: Lesson, command: Join) -> Decision:
    person = state.present(command.participant)
    if person is not None:
        return [] if person.role == command.role else refuse("other_role", role=person.role)
    joined = Decided(
        ev.Joined(participant=command.participant, role=command.role),
        seen_by(command.role, command.participant),
    )
    if state.started:
        return [joined]
    if command.role != "lecturer":
        return refuse("lesson_not_started")
    return [Decided(ev.Started()), joined]


def _leave(state: Lesson, command: Leave) -> Decision:
    who = command.participant
    person = state.present(who)
    if person is None:
        return []
    left = Decided(ev.Left(participant=who, reason=command.reason), seen_by(person.role, who))
    return [*_unpublish(state, state.sources_of(who)), *_out_of_sight(state, who), left]


# --- media ----------------------------------------------------------------------------------


def _publish(state: Lesson, who: str, session: str, use: Use, source: int, on: bool) -> Decision:
    known = state.sources.get(source)
    if known is not None and known.participant != who:
        return refuse("not_your_session", session=session)
    if not on:
        return _unpublish(state, [source])
    person = state.present(who)
    if person is None:
        return refuse("not_present")
    if use not in RIGHTS[person.role].sends:
        return refuse("cannot_send", use=use, role=person.role)
    if known is not None:
        return []
    stale = [other for other in state.sources_of(who, use) if state.sources[other].session == session]
    published = ev.Published(source=source, participant=who, session=session, use=use)
    return [*_unpublish(state, stale), Decided(published, seen_by(person.role, who))]


def _unpublish(state: Lesson, sources: Sequence[int]) -> list[Decided]:
    gone = []
    for source in sources:
        info = state.sources.get(source)
        if info is not None:
            owner = state.participants[info.participant]
            gone.append(Decided(ev.Unpublished(source=source), seen_by(owner.role, info.participant)))
    return gone


def _mute(state: Lesson, actor: Actor, command: rq.Mute) -> Decision:
    own = command.participant == actor.participant
    if not own and not RIGHTS[actor.role].moderates:
        return refuse("forbidden", request="mute", role=actor.role)
    person = _reachable(state, actor, command.participant)
    if person is None:
        return refuse("no_such_participant", participant=command.participant)
    if not own:
        if actor.role != "lecturer" and person.role == "lecturer":
            return refuse("forbidden", request="mute", role=actor.role)
        if command.use not in RIGHTS[person.role].sends:
            return refuse("cannot_send", use=command.use, role=person.role)
    held = person.mutes.get(command.use, ())
    mine = holder(actor.participant, command.participant)
    audience = staff_and(command.participant)
    if command.muted:
        event = ev.Muted(participant=command.participant, use=command.use)
        return [] if mine in held else [Decided(event, audience)]
    if mine in held:
        return [Decided(ev.Unmuted(participant=command.participant, use=command.use), audience)]
    if held:
        return refuse("muted_by_staff" if own else "muted_by_self", use=command.use)
    return []


def _reachable(state: Lesson, actor: Actor, participant: str) -> Participant | None:
    """A present participant of whom the actor may know, or who is on stage for all to see."""
    person = state.present(participant)
    if person is None:
        return None
    known = sees(actor.role, actor.participant, person.role, participant)
    return person if known or state.stage_index(participant) is not None else None


# --- hands and stage ------------------------------------------------------------------------


def _raise_hand(state: Lesson, actor: Actor, command: rq.RaiseHand) -> Decision:
    who = command.participant or actor.participant
    own = who == actor.participant
    rights = RIGHTS[actor.role]
    if not (rights.on_stage if own else rights.moderates and not command.up):
        return refuse("forbidden", request="raise_hand", role=actor.role)
    person = _reachable(state, actor, who)
    if person is None:
        return refuse("no_such_participant", participant=who)
    if (person.hand is not None) == command.up:
        return []
    if not command.up:
        return [Decided(ev.HandLowered(participant=who), staff_and(who))]
    if state.stage_index(who) is not None:
        return refuse("already_on_stage", participant=who)
    return [Decided(ev.HandRaised(participant=who), staff_and(who))]


def _bring_up(state: Lesson, who: str) -> Decision:
    person = state.present(who)
    if person is None:
        return refuse("no_such_participant", participant=who)
    if not RIGHTS[person.role].on_stage:
        return refuse("not_for_stage", participant=who, role=person.role)
    if state.stage_index(who) is not None:
        return refuse("already_on_stage", participant=who)
    index = next((index for index in range(STAGE_CAPACITY) if index not in state.stage), None)
    if index is None:
        return refuse("stage_full", capacity=STAGE_CAPACITY)
    lowered = [Decided(ev.HandLowered(participant=who), staff_and(who))] if person.hand is not None else []
    return [*lowered, Decided(ev.StageEntered(participant=who, index=index))]


def _take_down(state: Lesson, actor: Actor, who: str) -> Decision:
    if who != actor.participant and not RIGHTS[actor.role].moderates:
        return refuse("forbidden", request="take_down", role=actor.role)
    if state.stage_index(who) is None:
        return refuse("not_on_stage", participant=who)
    return _out_of_sight(state, who)


def _out_of_sight(state: Lesson, who: str) -> list[Decided]:
    """Off the stage, and out of the spotlight, which may also have been on a lecturer."""
    left = [] if state.stage_index(who) is None else [Decided(ev.StageLeft(participant=who))]
    unlit = [Decided(ev.Spotlighted(participant=None))] if state.spotlight == who else []
    return [*unlit, *left]


def _spotlight(state: Lesson, who: str | None) -> Decision:
    if who == state.spotlight:
        return []
    if who is not None:
        person = state.present(who)
        if person is None:
            return refuse("no_such_participant", participant=who)
        if person.role != "lecturer" and state.stage_index(who) is None:
            return refuse("not_on_stage", participant=who)
    return [Decided(ev.Spotlighted(participant=who))]


# --- words ----------------------------------------------------------------------------------


def _chat(state: Lesson, actor: Actor, command: rq.Chat) -> Decision:
    said = ev.ChatSaid(participant=actor.participant, text=command.text, to=command.to)
    if command.to is None:
        return [Decided(said)]
    other = state.participants.get(command.to)
    if actor.role not in TEACHERS and (other is None or other.role not in TEACHERS):
        return refuse("chat_with_teachers_only")  # children do not whisper unseen by a teacher
    if _reachable(state, actor, command.to) is None:
        return refuse("no_such_participant", participant=command.to)
    ends = (actor.participant, command.to)
    return [Decided(said, Audience(everybody=False, participants=ends))]


def _ask(state: Lesson, command: rq.QuizAsk) -> Decision:
    last = state.quiz
    if last is not None and last.open:
        return refuse("quiz_open", quiz=last.quiz)
    asked = ev.QuizAsked(
        quiz=last.quiz + 1 if last is not None else 1,
        question=command.question,
        options=list(command.options),
        multiple=command.multiple,
    )
    return [Decided(asked)]


def _tally(state: Lesson, command: Tally, now_ms: int) -> Decision:
    quiz = state.quiz
    if quiz is None or quiz.quiz != command.quiz:
        return refuse("no_such_quiz", quiz=command.quiz)
    told = quiz.counts == command.counts and quiz.answered == command.answered
    if not quiz.open or told or now_ms - quiz.tallied_ms < TALLY_INTERVAL_MS:
        return []
    tallied = ev.QuizTallied(quiz=quiz.quiz, counts=list(command.counts), answered=command.answered)
    return [Decided(tallied, staff_and())]


def _close_quiz(state: Lesson, command: CloseQuiz) -> Decision:
    quiz = state.quiz
    if quiz is None or quiz.quiz != command.quiz:
        return refuse("no_such_quiz", quiz=command.quiz)
    if not quiz.open:
        return refuse("quiz_closed", quiz=command.quiz)
    return [_closed(quiz, command.counts, command.answered)]


def _closed(quiz: Quiz, counts: Sequence[int], answered: int) -> Decided:
    return Decided(ev.QuizClosed(quiz=quiz.quiz, counts=list(counts), answered=answered))


def _record(state: Lesson, on: bool) -> list[Decided]:
    if on == state.recording:
        return []
    return [Decided(ev.RecordingStarted() if on else ev.RecordingStopped())]


def _end(state: Lesson) -> Decision:
    """An open quiz is closed with the last tally: the runtime gives CloseQuiz before, to be exact."""
    quiz = state.quiz
    closing = []
    if quiz is not None and quiz.open:
        closing.append(_closed(quiz, quiz.counts or [0] * len(quiz.options), quiz.answered))
    return [*closing, *_record(state, False), Decided(ev.Ended())]
