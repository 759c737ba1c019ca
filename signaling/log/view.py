"""The lesson as one participant may see it, and how a client keeps it current (docs/log.md, "State").

`view(state, viewer)` is what `welcome` carries; `fold_view(view, event)` is what clients do with
each log event that they receive. Folding the visible events over a view gives the later view.
"""

from collections.abc import Iterator
from typing import Any

from signaling.log import events as ev
from signaling.log.commands import Actor
from signaling.log.events import AnyEvent, Entry, Role
from signaling.log.roles import RIGHTS, sees
from signaling.log.state import CHAT_TAIL, ChatLine, Lesson, Quiz, holder
from signaling.protocol.replies import LogEvent

View = dict[str, Any]


def visible(entry: Entry, viewer: Actor) -> bool:
    audience = entry.audience
    return audience.everybody or viewer.role in audience.roles or viewer.participant in audience.participants


def view(state: Lesson, viewer: Actor) -> View:
    """JSON-able; every key is always there, `stage_counts` for staff only."""
    staff = RIGHTS[viewer.role].staff
    known = {
        who: person
        for who, person in state.participants.items()
        if sees(viewer.role, viewer.participant, person.role, who)
    }
    own = viewer.participant
    hands = [
        {"participant": who, "pos": person.hand.pos, "at_ms": person.hand.at_ms}
        for who, person in state.participants.items()
        if person.hand is not None and (staff or who == own)
    ]
    shown: View = {
        "title": state.title,
        "codec": state.codec,
        "started_ms": state.started_ms,
        "ended_ms": state.ended_ms,
        "participants": {who: {"role": person.role} for who, person in known.items() if person.present},
        "hands": sorted(hands, key=lambda hand: hand["pos"]),
        "stage": {str(index): who for index, who in state.stage.items()},
        "sources": {
            str(source): {"participant": info.participant, "session": info.session, "use": info.use}
            for source, info in state.sources.items()
            if info.participant in known
        },
        "mutes": {
            who: {use: list(held) for use, held in person.mutes.items()}
            for who, person in state.participants.items()
            if person.mutes and (staff or who == own)
        },
        "spotlight": state.spotlight,
        "floor_open": state.floor_open,
        "recording": state.recording,
        "quiz": _quiz(state.quizzes[-1], staff) if state.quizzes else None,
        "past_quizzes": [_quiz(quiz, staff) for quiz in state.quizzes[:-1]],
        "chat": [_line(line) for line in _chat(state, own)],
        "marks": [
            {"pos": mark.pos, "at_ms": mark.at_ms, "participant": mark.participant, "label": mark.label}
            for mark in state.marks
            if staff or mark.participant == own
        ],
    }
    if staff:
        shown["stage_counts"] = {
            who: person.stage_count for who, person in state.participants.items() if person.stage_count
        }
    return shown


def fold_view(view: View, entry: LogEvent | Entry) -> View:
    """The view after one more event. `view` stays as it was; unchanged parts are shared."""
    event = entry.event
    match event:
        case ev.Created():
            return {**view, "title": event.title, "codec": event.codec}
        case ev.CodecChanged():
            return {**view, "codec": event.codec}
        case ev.Started():
            return {**view, "started_ms": entry.at_ms}
        case ev.Ended():
            return {**view, "ended_ms": entry.at_ms}
        case ev.Joined():
            return {**view, "participants": {**view["participants"], event.participant: {"role": event.role}}}
        case ev.Left():
            people = {who: person for who, person in view["participants"].items() if who != event.participant}
            return {**view, "participants": people, "hands": _lowered(view, event.participant)}
        case ev.Published():
            source = {"participant": event.participant, "session": event.session, "use": event.use}
            return {**view, "sources": {**view["sources"], str(event.source): source}}
        case ev.Unpublished():
            gone = str(event.source)
            return {**view, "sources": {key: info for key, info in view["sources"].items() if key != gone}}
        case ev.HandRaised():
            hand = {"participant": event.participant, "pos": entry.pos, "at_ms": entry.at_ms}
            return {**view, "hands": [*_lowered(view, event.participant), hand]}
        case ev.HandLowered():
            return {**view, "hands": _lowered(view, event.participant)}
        case ev.StageEntered():
            return _stage_entered(view, event)
        case ev.StageLeft():
            stage = {index: who for index, who in view["stage"].items() if who != event.participant}
            return {**view, "stage": stage}
        case ev.Muted() | ev.Unmuted():
            return _muted(view, event, holder(entry.by, event.participant))
        case ev.Spotlighted():
            return {**view, "spotlight": event.participant}
        case ev.FloorSet():
            return {**view, "floor_open": event.open}
        case ev.RecordingStarted():
            return {**view, "recording": True}
        case ev.RecordingStopped():
            return {**view, "recording": False}
        case ev.ChatSaid():
            said = ChatLine(
                pos=entry.pos, at_ms=entry.at_ms, participant=event.participant, text=event.text, to=event.to
            )
            return {**view, "chat": [*view["chat"], _line(said)][-CHAT_TAIL:]}
        case ev.QuizAsked():
            past = [*view["past_quizzes"], view["quiz"]] if view["quiz"] is not None else []
            return {**view, "quiz": _asked(event, entry.at_ms), "past_quizzes": past}
        case ev.QuizTallied() | ev.QuizClosed():
            return _tallied(view, event)
        case ev.Marked():
            mark = {"participant": event.participant, "label": event.label}
            return {**view, "marks": [*view["marks"], {"pos": entry.pos, "at_ms": entry.at_ms, **mark}]}


def mentioned(event: AnyEvent) -> tuple[str, ...]:
    """Participants whose names a client needs to show this event."""
    match event:
        case ev.ChatSaid(participant=participant, to=to):
            return (participant,) if to is None else (participant, to)
        case ev.Spotlighted(participant=lit):
            return () if lit is None else (lit,)
        case (
            ev.Joined() | ev.Left() | ev.Published() | ev.HandRaised() | ev.HandLowered() | ev.StageEntered()
            | ev.StageLeft() | ev.Muted() | ev.Unmuted() | ev.Marked()
        ):
            return (event.participant,)
        case _:
            return ()


def people_in(view: View) -> set[str]:
    """Participants whose names a client needs to show this view."""
    return {*_people_in(view)}


def present_counts(state: Lesson, viewer_role: Role) -> dict[Role, int]:
    """How many of each role are there, as this role may know: inspectors are for ops alone."""
    counts: dict[Role, int] = {}
    for person in state.participants.values():
        if person.present and (RIGHTS[person.role].seen != "ops" or viewer_role == "ops"):
            counts[person.role] = counts.get(person.role, 0) + 1
    return counts


def hand_count(state: Lesson) -> int:
    return sum(1 for person in state.participants.values() if person.hand is not None)


def _people_in(view: View) -> Iterator[str]:
    yield from view["participants"]
    yield from view["stage"].values()
    yield from view["mutes"]
    yield from view.get("stage_counts", ())
    for key in ("hands", "marks", "chat"):
        for line in view[key]:
            yield line["participant"]
            if line.get("to"):
                yield line["to"]
    if view["spotlight"]:
        yield view["spotlight"]


def _chat(state: Lesson, viewer: str) -> list[ChatLine]:
    lines = sorted((*state.chat, *state.private_chat.get(viewer, ())), key=lambda line: line.pos)
    return lines[-CHAT_TAIL:]


def _line(line: ChatLine) -> dict[str, Any]:
    return {
        "pos": line.pos,
        "at_ms": line.at_ms,
        "participant": line.participant,
        "text": line.text,
        "to": line.to,
    }


def _quiz(quiz: Quiz, staff: bool) -> dict[str, Any]:
    told = quiz.counts is not None and (staff or not quiz.open)
    return {
        "quiz": quiz.quiz,
        "asked_ms": quiz.asked_ms,
        "question": quiz.question,
        "options": list(quiz.options),
        "multiple": quiz.multiple,
        "open": quiz.open,
        "counts": list(quiz.counts) if told and quiz.counts is not None else None,
        "answered": quiz.answered if told else None,
    }


def _asked(event: ev.QuizAsked, at_ms: int) -> dict[str, Any]:
    return {
        "quiz": event.quiz,
        "asked_ms": at_ms,
        "question": event.question,
        "options": list(event.options),
        "multiple": event.multiple,
        "open": True,
        "counts": None,
        "answered": None,
    }


def _tallied(view: View, event: ev.QuizTallied | ev.QuizClosed) -> View:
    quiz = view["quiz"]
    if quiz is None or quiz["quiz"] != event.quiz:
        return view
    is_open = quiz["open"] and isinstance(event, ev.QuizTallied)
    told = {"open": is_open, "counts": list(event.counts), "answered": event.answered}
    return {**view, "quiz": {**quiz, **told}}


def _stage_entered(view: View, event: ev.StageEntered) -> View:
    after = {**view, "stage": {**view["stage"], str(event.index): event.participant}}
    if "stage_counts" in view:
        counts = view["stage_counts"]
        after["stage_counts"] = {**counts, event.participant: counts.get(event.participant, 0) + 1}
    return after


def _muted(view: View, event: ev.Muted | ev.Unmuted, who: str) -> View:
    mutes = {participant: dict(held) for participant, held in view["mutes"].items()}
    uses = mutes.pop(event.participant, {})
    holders = set(uses.pop(event.use, ()))
    if isinstance(event, ev.Muted):
        holders.add(who)
    else:
        holders.discard(who)
    if holders:
        uses[event.use] = sorted(holders)
    if uses:
        mutes[event.participant] = uses
    return {**view, "mutes": mutes}


def _lowered(view: View, participant: str) -> list[dict[str, Any]]:
    return [hand for hand in view["hands"] if hand["participant"] != participant]
