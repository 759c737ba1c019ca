"""Lessons to test rules with: a log that grows by commands, and random commands of every sort."""

from typing import Any, get_args

from hypothesis import strategies as st

from signaling.log import commands as cm
from signaling.log.commands import SYSTEM, Actor, Command
from signaling.log.decide import Decided, Decision, Refusal, decide
from signaling.log.events import Entry, Role, Use
from signaling.log.state import Lesson, apply, initial
from signaling.protocol import requests as rq

ROLES: tuple[Role, ...] = get_args(Role)
USES: tuple[Use, ...] = get_args(Use)

WANG = Actor("wang", "lecturer")
LI = Actor("li", "tutor")
ROOM = Actor("room", "classroom")
MING = Actor("ming", "student")
HONG = Actor("hong", "student")
OBSERVER = Actor("obs", "observer")
INSPECTOR = Actor("insp", "inspector")
OPS = Actor("ops", "ops")


class Log:
    """A lesson's log in memory: what the runtime does, without the runtime."""

    def __init__(self, now_ms: int = 1_000_000) -> None:
        self.now_ms = now_ms
        self.entries: list[Entry] = []
        self.state: Lesson = initial()

    def give(self, actor: Actor, command: Command, after_ms: int = 1000) -> Decision:
        self.now_ms += after_ms
        decision = decide(self.state, actor, command, self.now_ms)
        if not isinstance(decision, Refusal):
            for decided in decision:
                self._append(actor, decided)
        return decision

    def made(self, actor: Actor, command: Command, after_ms: int = 1000) -> list[Any]:
        """The events that the command made; it must not be refused."""
        decision = self.give(actor, command, after_ms)
        assert not isinstance(decision, Refusal), decision
        return [decided.event for decided in decision]

    def refused(self, actor: Actor, command: Command) -> str:
        """The code with which the command was refused; it must be, and must change nothing."""
        before = self.state
        decision = self.give(actor, command)
        assert isinstance(decision, Refusal), decision
        assert self.state is before
        return decision.code

    def join(self, *actors: Actor) -> None:
        for actor in actors:
            self.made(SYSTEM, cm.Join(actor.participant, actor.role))

    def _append(self, actor: Actor, decided: Decided) -> None:
        entry = Entry(
            pos=self.state.position + 1,
            at_ms=self.now_ms,
            event=decided.event,
            by=actor.participant or None,
            audience=decided.audience,
        )
        self.entries.append(entry)
        self.state = apply(self.state, entry)


def started(*actors: Actor) -> Log:
    """A lesson that Wang lectures, with these people in it."""
    log = Log()
    log.made(SYSTEM, cm.Create("勾股定理", "h264"))
    log.join(WANG, *actors)
    return log


# --- random lessons -------------------------------------------------------------------------

people = st.sampled_from(["p0", "p1", "p2", "p3", "p4", "p5", "p6"])
# Mostly one role each, as with real tokens; now and then somebody comes back with another.
_USUAL: dict[str, Role] = {
    "p0": "lecturer", "p1": "tutor", "p2": "classroom", "p3": "student", "p4": "student",
    "p5": "inspector", "p6": "observer",
}  # fmt: skip
actors = st.one_of(
    people.map(lambda who: Actor(who, _USUAL[who])),
    people.map(lambda who: Actor(who, _USUAL[who])),
    people.map(lambda who: Actor(who, _USUAL[who])),
    st.builds(Actor, people, st.sampled_from(ROLES)),
)
sources = st.integers(1, 9)
sessions = st.sampled_from(["s0", "s1", "s2"])
uses = st.sampled_from(USES)
_quizzes = st.integers(1, 3)
_counts = st.lists(st.integers(0, 9), min_size=2, max_size=2).map(tuple)
_req = st.just(1)


def _requests() -> st.SearchStrategy[Command]:
    return st.one_of(
        st.builds(rq.RaiseHand, req=_req, up=st.booleans(), participant=st.none() | people),
        st.builds(rq.BringUp, req=_req, participant=people),
        st.builds(rq.TakeDown, req=_req, participant=people),
        st.builds(rq.Mute, req=_req, participant=people, use=uses, muted=st.booleans()),
        st.builds(rq.Spotlight, req=_req, participant=st.none() | people),
        st.builds(rq.SetFloor, req=_req, open=st.booleans()),
        st.builds(rq.Record, req=_req, on=st.booleans()),
        st.builds(rq.Chat, req=_req, text=st.just("好"), to=st.none() | people),
        st.builds(rq.QuizAsk, req=_req, question=st.just("?"), options=st.just(["a", "b"])),
        st.builds(rq.Mark, req=_req, label=st.just("m")),
        st.builds(cm.Publish, sessions, uses, sources, st.booleans()),
        st.builds(cm.CloseQuiz, _quizzes, _counts, st.integers(0, 9)),
    )


def _internal() -> st.SearchStrategy[Command]:
    return st.one_of(
        st.builds(cm.ChangeCodec, st.sampled_from(["h264", "vp8"])),
        actors.map(lambda actor: cm.Join(actor.participant, actor.role)),
        st.builds(cm.Leave, people, st.sampled_from(["left", "lost"])),
        st.builds(cm.SourceLive, sessions, sources, uses, people),
        st.builds(cm.SourceLost, sources),
        st.builds(cm.SessionLost, sessions),
        st.builds(cm.Tally, _quizzes, _counts, st.integers(0, 9)),
    )


def _likely() -> st.SearchStrategy[tuple[Actor, Command]]:
    """What a lesson is made of: commands that the right people give, most of which are taken."""
    lecturer, tutor = Actor("p0", "lecturer"), Actor("p1", "tutor")
    teachers = st.sampled_from([lecturer, lecturer, tutor])
    staged = st.sampled_from(["p1", "p2", "p3", "p4"])
    talkers = st.sampled_from([Actor(who, _USUAL[who]) for who in ("p0", "p1", "p2", "p3", "p4")])
    listeners = st.sampled_from([Actor(who, _USUAL[who]) for who in ("p2", "p3", "p4")])
    teacher_ids = st.sampled_from(["p0", "p1"])

    def given_by(
        by: st.SearchStrategy[Actor], kind: Any, **fields: st.SearchStrategy[Any]
    ) -> st.SearchStrategy[tuple[Actor, Command]]:
        return st.tuples(by, st.builds(kind, req=_req, **fields))

    def own(kind: Any, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Actor, Command]]:
        """About oneself."""
        return talkers.flatmap(
            lambda who: st.tuples(
                st.just(who), st.builds(kind, req=_req, participant=st.just(who.participant), **fields)
            )
        )

    return st.one_of(
        given_by(teachers, rq.BringUp, participant=staged),
        given_by(teachers, rq.BringUp, participant=staged),
        given_by(teachers, rq.TakeDown, participant=staged),
        given_by(teachers, rq.Mute, participant=staged, use=uses, muted=st.booleans()),
        own(rq.Mute, use=uses, muted=st.booleans()),
        given_by(listeners, rq.RaiseHand, up=st.booleans()),
        given_by(st.just(lecturer), rq.Spotlight, participant=st.none() | staged | st.just("p0")),
        given_by(st.just(lecturer), rq.SetFloor, open=st.booleans()),
        given_by(st.just(lecturer), rq.Record, on=st.booleans()),
        given_by(talkers, rq.Chat, text=st.just("好"), to=st.none() | teacher_ids),
        given_by(st.just(lecturer), rq.QuizAsk, question=st.just("?"), options=st.just(["a", "b"])),
        given_by(teachers, rq.Mark, label=st.just("m")),
        st.tuples(talkers, st.builds(cm.Publish, sessions, uses, sources, st.booleans())),
        st.tuples(talkers, st.builds(cm.Publish, sessions, uses, sources, st.just(True))),
        st.tuples(st.just(lecturer), st.builds(cm.CloseQuiz, _quizzes, _counts, st.integers(0, 9))),
        st.tuples(st.just(SYSTEM), st.builds(cm.Tally, _quizzes, _counts, st.integers(0, 9))),
        st.tuples(st.just(SYSTEM), st.builds(cm.Leave, people)),
        actors.map(lambda actor: (SYSTEM, cm.Join(actor.participant, actor.role))),
    )


_rare: st.SearchStrategy[Command] = st.one_of(
    st.builds(rq.EndLesson, req=_req), st.builds(cm.Create, st.just("t"), st.just("h264"))
)
_unlikely = st.one_of(
    st.tuples(actors, _requests()),
    st.tuples(st.just(SYSTEM), _internal()),
    st.tuples(actors, st.integers(0, 9).flatmap(lambda n: _rare if n == 0 else _requests())),
)
steps = st.lists(st.one_of(_likely(), _likely(), _likely(), _unlikely), min_size=20, max_size=50)


@st.composite
def played(draw: st.DrawFn, entered: bool = True) -> tuple[Log, list[tuple[Actor, Command]]]:
    """A log to play on, and the steps to play."""
    log = Log()
    if entered:
        log.made(SYSTEM, cm.Create("t", "h264"))
        for who, role in _USUAL.items():
            log.made(SYSTEM, cm.Join(who, role))
    return log, draw(steps)
