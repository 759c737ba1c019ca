"""The fold: total, faithful, and quick enough for a thousand participants."""

import time

from hypothesis import given
from hypothesis import strategies as st

from signaling.log import commands as cm
from signaling.log import events as ev
from signaling.log.commands import SYSTEM, Actor
from signaling.log.events import Entry
from signaling.log.roles import WALL_CAPACITY
from signaling.log.state import CHAT_TAIL, apply, fold, initial
from signaling.protocol import requests as rq
from tests.signaling.lessons import HONG, LI, MING, ROOM, WANG, Log, played, started, uses

_people = st.sampled_from(["a", "b", "c"])
_any_event = st.one_of(
    st.builds(ev.Created, title=st.just("t"), codec=st.just("vp8")),
    st.builds(ev.Started),
    st.builds(ev.Joined, participant=_people, role=st.sampled_from(["lecturer", "student", "tutor"])),
    st.builds(ev.Left, participant=_people),
    st.builds(ev.Published, source=st.integers(1, 5), participant=_people, session=st.just("s"), use=uses),
    st.builds(ev.Unpublished, source=st.integers(1, 5)),
    st.builds(ev.HandRaised, participant=_people),
    st.builds(ev.HandLowered, participant=_people),
    st.builds(ev.StageEntered, participant=_people, index=st.integers(0, 15)),
    st.builds(ev.StageLeft, participant=_people),
    st.builds(ev.Muted, participant=_people, use=uses),
    st.builds(ev.Unmuted, participant=_people, use=uses),
    st.builds(ev.Spotlighted, participant=st.none() | _people),
    st.builds(ev.FloorSet, open=st.booleans()),
    st.builds(ev.ChatSaid, participant=_people, text=st.just("x"), to=st.none() | _people),
    st.builds(ev.QuizAsked, quiz=st.integers(1, 3), question=st.just("?"), options=st.just(["a", "b"])),
    st.builds(ev.QuizTallied, quiz=st.integers(1, 3), counts=st.just([1, 2]), answered=st.just(3)),
    st.builds(ev.QuizClosed, quiz=st.integers(1, 3), counts=st.just([1, 2]), answered=st.just(3)),
    st.builds(ev.Marked, participant=_people),
    st.builds(ev.RecordingStarted),
    st.builds(ev.RecordingStopped),
    st.builds(ev.Ended),
)


@given(st.lists(st.tuples(_any_event, st.none() | _people), max_size=60))
def test_any_order_of_events_folds(events: list[tuple[ev.AnyEvent, str | None]]) -> None:
    entries = [
        Entry(pos=pos, at_ms=pos, event=event, by=by) for pos, (event, by) in enumerate(events, start=1)
    ]
    state = fold(entries)
    assert state.position == len(entries)
    assert fold(entries[7:], fold(entries[:7])) == state


@given(played())
def test_the_log_alone_gives_the_state_back(game: tuple[Log, list[tuple[Actor, cm.Command]]]) -> None:
    log, steps = game
    for actor, command in steps:
        log.give(actor, command)
    assert fold(log.entries) == log.state


def test_apply_leaves_the_state_before_as_it_was() -> None:
    log = started(LI, MING)
    before = log.state
    kept = fold(log.entries)
    log.made(WANG, rq.BringUp(req=1, participant="ming"))
    log.made(MING, cm.Publish("s", "camera", 7, True))
    log.made(WANG, rq.Chat(req=1, text="hello"))
    assert before == kept
    assert before.stage == {}
    assert log.state.stage == {0: "ming"}


def test_mutes_and_stage_counts_outlast_leaving() -> None:
    log = started(MING)
    for _ in range(2):
        log.made(WANG, rq.BringUp(req=1, participant="ming"))
        log.made(WANG, rq.TakeDown(req=1, participant="ming"))
    log.made(WANG, rq.Mute(req=1, participant="ming", use="microphone", muted=True))
    log.made(SYSTEM, cm.Leave("ming"))
    assert log.state.present("ming") is None
    log.join(MING)
    assert log.state.participants["ming"].stage_count == 2
    assert log.state.muted("ming", "microphone")


def test_the_chat_keeps_its_tail_and_private_lines_apart() -> None:
    log = started(MING, LI)
    for number in range(CHAT_TAIL + 5):
        log.made(MING, rq.Chat(req=1, text=str(number)))
    log.made(LI, rq.Chat(req=1, text="psst", to="ming"))
    assert [line.text for line in log.state.chat] == [str(number) for number in range(5, CHAT_TAIL + 5)]
    assert set(log.state.private_chat) == {"ming", "li"}


def _with_cameras(log: Log, *actors: Actor) -> None:
    for actor in actors:
        log.made(actor, cm.Publish(f"s-{actor.participant}", "camera", len(log.entries) + 100, True))


def test_a_place_on_the_wall_is_kept_while_others_come_and_go() -> None:
    log = started(ROOM, MING, HONG)
    _with_cameras(log, MING, ROOM, HONG)
    assert log.state.wall == {0: "ming", 1: "room", 2: "hong"}
    log.made(SYSTEM, cm.Leave("ming"))
    assert log.state.wall == {1: "room", 2: "hong"}
    log.made(WANG, rq.BringUp(req=1, participant="hong"))
    assert log.state.wall == {1: "room"}
    log.made(WANG, rq.TakeDown(req=1, participant="hong"))
    assert log.state.wall == {0: "hong", 1: "room"}
    log.made(ROOM, rq.Mute(req=1, participant="room", use="camera", muted=True))
    assert log.state.wall == {0: "hong"}


def test_on_a_full_wall_a_classroom_takes_the_place_of_the_last_student() -> None:
    students = [Actor(f"s{number}", "student") for number in range(WALL_CAPACITY + 1)]
    log = started(*students, ROOM)
    _with_cameras(log, *students)
    assert list(log.state.wall.values()) == [f"s{number}" for number in range(WALL_CAPACITY)]
    _with_cameras(log, ROOM)
    assert log.state.wall == {
        **{number: f"s{number}" for number in range(WALL_CAPACITY - 1)}, WALL_CAPACITY - 1: "room",
    }  # fmt: skip


def test_a_thousand_participants_cost_little_per_event() -> None:
    state = initial()
    for number in range(1000):
        joined = ev.Joined(participant=f"p{number}", role="student")
        state = apply(state, Entry(pos=number + 1, at_ms=0, event=joined))
    begin = time.process_time()
    for number in range(200):
        raised = ev.HandRaised(participant=f"p{number}")
        state = apply(state, Entry(pos=1001 + number, at_ms=0, event=raised))
    assert (time.process_time() - begin) / 200 < 0.001
    assert sum(person.hand is not None for person in state.participants.values()) == 200


