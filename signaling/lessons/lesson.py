"""One lesson while it runs: who is in it, what is appended to its log, what each client is told.

The rules are `signaling.log`'s; here they meet time, sockets, the store and the media node.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

import structlog

from signaling.config import Settings
from signaling.lessons.connection import NORMAL, POLICY, RESTART, Connection
from signaling.lessons.fanout import Batch, events_reply
from signaling.lessons.hooks import Hooks
from signaling.lessons.meters import Meters
from signaling.lessons.pace import Pace
from signaling.lessons.pipeline import Done, Outcome, Pipeline, utc_ms
from signaling.lessons.presence import Presence, WaitingRoom
from signaling.lessons.quizzes import Quizzes
from signaling.log import events as ev
from signaling.log.commands import SYSTEM, Actor, Command, Create, Join, Leave
from signaling.log.decide import Refusal
from signaling.log.events import Entry
from signaling.log.plan import plan
from signaling.log.roles import RIGHTS, pool
from signaling.log.state import Lesson
from signaling.log.tally import Tally
from signaling.log.view import people_in, view, visible
from signaling.protocol import replies
from signaling.protocol import requests as rq
from signaling.stores import LessonStore, StoreError

log = structlog.get_logger("signaling.lesson")

TAIL = 4096  # entries kept in memory: as far back as a client may resume
FANOUT_MAX_S = 0.5
AT_ONCE = 25  # of those who waited, let in between other work
LATER_MS = {"store_unavailable": 1000, "lesson_full": 10_000}  # refusals of a hello that may pass
NO_ENTRY = ("no_such_lesson", "lesson_not_started")  # refusals of a join that mean: wait here

# Events that cannot change what the slots show.
QUIET = (
    ev.Created, ev.Started, ev.Joined, ev.HandRaised, ev.HandLowered, ev.ChatSaid,
    ev.QuizAsked, ev.QuizTallied, ev.QuizClosed, ev.Marked,
    ev.RecordingStarted, ev.RecordingStopped,
)  # fmt: skip


class RunningLesson:
    def __init__(
        self,
        lesson_id: str,
        log_id: str,
        *,
        entries: Sequence[Entry],
        state: Lesson,
        names: dict[str, str],
        tally: Tally | None,
        store: LessonStore,
        settings: Settings,
        meters: Meters,
        hooks: Hooks,
    ) -> None:
        """`tally` holds the answers to the last quiz so far."""
        self.id = lesson_id
        self.log = log_id
        self.connections: dict[str, list[Connection]] = {}  # participant -> theirs
        self.waiting = WaitingRoom(lesson_id, meters)
        self.plan = plan(state)
        self._store = store
        self._settings = settings
        self._meters = meters
        self._hooks = hooks
        self._names = names
        self._tail: deque[Entry] = deque(entries, maxlen=TAIL)
        self._unsent: list[Entry] = []
        self._audience: dict[Connection, None] = {}  # those who were welcomed
        self._grace: dict[str, asyncio.TimerHandle] = {}
        self._holds: dict[str, set[str]] = {}  # participant -> sessions that count as presence (WHIP)
        self._roles: dict[str, tuple[ev.Role, int]] = {}  # participant -> role, and since which position
        for entry in entries:
            self._note_role(entry)
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._pipeline = Pipeline(
            state,
            last_ms=entries[-1].at_ms if entries else 0,
            append=self._append,
            committed=self._committed,
            voided=self._voided,
            failed=self._failed,
        )
        self._quizzes = Quizzes(log_id, self._pipeline, tally, store)
        self._presence = Presence(
            audience=self._audience.keys(),
            state=lambda: self._pipeline.committed,
            people=self.people,
            live=hooks.live,
            tally=self._quizzes.open_tally,
            meters=meters,
        )
        self._presence.planned(self.plan)
        self._fanout_pace = Pace(settings.fanout_ms / 1000, self._fan_out)
        self._start_graces()

    @property
    def state(self) -> Lesson:
        """All that is on disk: what clients may know."""
        return self._pipeline.committed

    @property
    def idle(self) -> bool:
        """Nobody is here, nothing is under way: it may be forgotten until somebody comes."""
        quiet = self._pipeline.idle and not self._grace and not self._holds
        return quiet and not self.connections and not len(self.waiting)

    @property
    def connection_count(self) -> int:
        return sum(map(len, self.connections.values())) + len(self.waiting)

    def people(self, participants: Iterable[str]) -> dict[str, replies.Person]:
        known = self._pipeline.state.participants
        return {
            who: replies.Person(name=self._names.get(who, ""), role=known[who].role)
            for who in participants
            if who in known
        }

    def named(self, participant: str) -> str | None:
        return self._names.get(participant)

    async def name(self, participant: str, name: str) -> None:
        """Remembers how a participant is called. Raises StoreError."""
        if self._names.get(participant) != name:
            await self._store.name_people({participant: name})
            self._names[participant] = name

    def forget_name(self, participant: str) -> None:
        self._names.pop(participant, None)

    def close(self) -> None:
        """Forgets the lesson here; its log stays. Clients are sent to reconnect."""
        self._closed = True
        for connection in list(self._all_connections()):
            connection.goodbye("server_restarting", reconnect=True, close_code=RESTART)
        for timer in self._grace.values():
            timer.cancel()
        self._grace.clear()
        self._presence.close()
        self._fanout_pace.cancel()
        self._quizzes.close()

    async def settled(self) -> None:
        """Returns when everything decided is on disk."""
        await self._pipeline.settled()

    # --- commands ---------------------------------------------------------------------------

    def submit(self, actor: Actor, command: Command, done: Done) -> None:
        """`done` is called when the outcome is on disk, or with the refusal."""
        self._pipeline.submit(actor, command, done)

    async def do(self, actor: Actor, command: Command) -> Outcome:
        """`submit` for whoever may wait."""
        outcome, done = self._outcome()
        self.submit(actor, command, done)
        return await outcome

    async def joined(self, participant: str, role: ev.Role) -> Outcome:
        """`join` for whoever may wait."""
        outcome, done = self._outcome()
        self.join(participant, role, done)
        return await outcome

    async def ended_by(self, actor: Actor, command: rq.EndLesson) -> Outcome:
        """`end` for whoever may wait."""
        outcome, done = self._outcome()
        self.end(actor, command, done)
        return await outcome

    def _outcome(self) -> tuple["asyncio.Future[Outcome]", Done]:
        outcome: asyncio.Future[Outcome] = self._loop.create_future()

        def done(result: Outcome) -> None:
            if not outcome.done():
                outcome.set_result(result)

        return outcome, done

    # --- coming in --------------------------------------------------------------------------

    async def hello(self, connection: Connection, hello: rq.Hello) -> None:
        """Lets a client in whose token was found good: welcome, waiting, or an error."""
        full = self._full(connection)
        if full is not None:
            self._turn_away(connection, hello.req, Refusal(full))
            return
        try:
            await self.name(connection.participant, connection.name)
            actor = Actor(connection.participant, connection.role)
            answers = await self._quizzes.answers_of(actor)
        except StoreError as error:
            self._turn_away(connection, hello.req, Refusal(error.code, error.detail))
            return
        if self._closed:  # meanwhile: it is loaded anew for who comes back
            connection.goodbye("server_restarting", reconnect=True, close_code=RESTART)
        elif not connection.closing:
            self._enter(connection, hello, answers)

    def _full(self, connection: Connection) -> str | None:
        limits = self._settings.limits
        if len(self.connections.get(connection.participant, ())) >= limits.connections_per_participant:
            return "too_many_connections"
        if self.connection_count >= limits.connections_per_lesson:
            return "lesson_full"
        return None

    def _enter(self, connection: Connection, hello: rq.Hello, answers: dict[int, list[int]]) -> None:
        def done(outcome: Outcome) -> None:
            if connection.closing:
                self.dropped(connection)
            elif not isinstance(outcome, Refusal):
                self._admit(connection, hello, answers)
            elif outcome.code in NO_ENTRY:
                self._leave_lists(connection)
                connection.hello = hello
                self.waiting.enter(connection)
            else:
                self._leave_lists(connection)
                self._turn_away(connection, hello.req, outcome)

        self.connections.setdefault(connection.participant, []).append(connection)
        self._stop_grace(connection.participant)
        self.join(connection.participant, connection.role, done)

    def _turn_away(self, connection: Connection, req: int, refusal: Refusal) -> None:
        later_ms = LATER_MS.get(refusal.code)
        connection.refuse(req, refusal.code, refusal.detail, retry_after_ms=later_ms)
        connection.goodbye(refusal.code, reconnect=later_ms is not None, close_code=POLICY)

    def join(self, participant: str, role: ev.Role, done: Done) -> None:
        """Writes that somebody is here; a lecturer's coming makes the lesson if need be."""
        if role == "lecturer" and not self._pipeline.state.created:
            settings = self._settings
            created = Create(title=self.id, codec=settings.codec, record=settings.record)
            self.submit(SYSTEM, created, lambda outcome: None)
        self.submit(Actor(participant, role), Join(participant=participant, role=role), done)

    def _admit(self, connection: Connection, hello: rq.Hello, answers: dict[int, list[int]]) -> None:
        state = self._pipeline.committed
        missed = self._missed(hello.resume, connection)
        seen = None if missed is not None else view(state, Actor(connection.participant, connection.role))
        rights = RIGHTS[connection.role]
        connection.send(
            replies.Welcome(
                req=hello.req,
                participant=connection.participant,
                role=connection.role,
                lesson=replies.LessonInfo(id=self.id, log=self.log, title=state.title, codec=state.codec),
                position=hello.resume.after if missed is not None and hello.resume else state.position,
                now_ms=utc_ms(),
                may=sorted(rights.may),
                sends=list(rights.sends),
                pool=pool(connection.role, hello.device),
                state=seen,
                people=self.people(people_in(seen)) if seen is not None else {},
                answers=self._quizzes.with_newest(answers, connection.participant),
                session_lost=hello.session is not None
                and not self._hooks.claim(self, connection, hello.session),
            )
        )
        if missed is not None:
            connection.send(events_reply(missed, state.position, self.people))
        connection.position = state.position
        self._audience[connection] = None
        self._presence.greet(connection)
        self._presence.count()

    def _missed(self, resume: rq.Resume | None, connection: Connection) -> list[Entry] | None:
        """The visible events after the client's last; None when it must be told the whole state."""
        position = self._pipeline.committed.position
        if resume is None or resume.log != self.log or resume.after > position:
            return None
        count = position - resume.after
        _, role_since = self._roles[connection.participant]
        if count > len(self._tail) or resume.after < role_since:
            return None  # what it knows is too old, or was for another role's eyes
        viewer = Actor(connection.participant, connection.role)
        missed = islice(self._tail, len(self._tail) - count, None)
        return [entry for entry in missed if visible(entry, viewer)]

    # --- going ------------------------------------------------------------------------------

    def leave(self, connection: Connection, req: int) -> None:
        """One page goes for good; with the last of them the participant has left."""

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, Refusal):
                connection.refuse(req, outcome.code, outcome.detail)
                return
            connection.ack(req, outcome)
            connection.goodbye("left", reconnect=False, close_code=NORMAL)

        self._leave_lists(connection)
        who = connection.participant
        if connection in self.waiting or self._held(who):
            self.waiting.leave(connection)
            done(0)
        else:
            self.submit(Actor(who, connection.role), Leave(participant=who, reason="left"), done)

    def dropped(self, connection: Connection) -> None:
        """A connection is gone; its participant keeps their place for a while."""
        self.waiting.leave(connection)
        self._leave_lists(connection)
        self._start_grace(connection.participant)

    def hold(self, participant: str, session: str) -> None:
        """A media session without a page counts as presence."""
        self._holds.setdefault(participant, set()).add(session)
        self._stop_grace(participant)

    def release(self, participant: str, session: str, *, gone: bool) -> None:
        """That session is over; `gone`: its owner said so, and does not come back on its own."""
        holds = self._holds.get(participant)
        if holds is None or session not in holds:
            return
        holds.discard(session)
        if not holds:
            del self._holds[participant]
        if self._held(participant):
            return
        if gone:
            self.submit(SYSTEM, Leave(participant=participant, reason="left"), lambda outcome: None)
        else:
            self._start_grace(participant)

    def _held(self, participant: str) -> bool:
        return participant in self.connections or participant in self._holds

    def _leave_lists(self, connection: Connection) -> None:
        self._audience.pop(connection, None)
        theirs = self.connections.get(connection.participant)
        if theirs is not None and connection in theirs:
            theirs.remove(connection)
            if not theirs:
                del self.connections[connection.participant]

    def _start_grace(self, participant: str) -> None:
        if self._held(participant) or participant in self._grace:
            return
        state = self._pipeline.state
        if self._closed or state.ended or state.present(participant) is None:
            return
        after_s = self._settings.grace_ms / 1000
        self._grace[participant] = self._loop.call_later(after_s, self._lost, participant)

    def _start_graces(self) -> None:
        for participant in self._pipeline.state.participants:
            self._start_grace(participant)

    def _stop_grace(self, participant: str) -> None:
        timer = self._grace.pop(participant, None)
        if timer is not None:
            timer.cancel()

    def _lost(self, participant: str) -> None:
        self._grace.pop(participant, None)
        if not self._held(participant):
            self.submit(SYSTEM, Leave(participant=participant, reason="lost"), lambda outcome: None)

    # --- the quiz ---------------------------------------------------------------------------

    def ask_quiz(self, actor: Actor, ask: rq.QuizAsk, done: Done) -> None:
        self._quizzes.ask(actor, ask, done)

    async def answer_quiz(self, actor: Actor, answer: rq.QuizAnswer) -> Refusal | None:
        """Keeps one answer; returns when it is kept. Raises StoreError."""
        return await self._quizzes.answer(actor, answer, self._presence)

    def close_quiz(self, actor: Actor, quiz: int, done: Done) -> None:
        self._quizzes.close_quiz(actor, quiz, done)

    def end(self, actor: Actor, command: rq.EndLesson, done: Done) -> None:
        """An open quiz is closed first, with its exact totals."""
        if "end_lesson" in RIGHTS[actor.role].may:
            self._quizzes.close_open()
        self.submit(actor, command, done)

    # --- what the media say -----------------------------------------------------------------

    def source_live(self, source: int, live: bool) -> None:
        if source in self._pipeline.committed.sources:
            self._presence.live(source, live)

    def levels(self, levels: list[tuple[int, int]]) -> None:
        self._presence.levels(levels)

    def journal(self, journal: replies.Journal) -> None:
        self._presence.journal(journal)

    # --- after the disk ---------------------------------------------------------------------

    async def _append(self, entries: Sequence[Entry]) -> None:
        began = self._loop.time()
        if entries[0].pos == 1:
            await self._store.create(self.id, self.log, entries)
        else:
            await self._store.append(self.log, entries)
        self._meters.commit_s.observe(self._loop.time() - began)

    def _committed(self, entries: Sequence[Entry], state: Lesson) -> None:
        self._meters.commits += 1
        self._meters.events += len(entries)
        self._tail.extend(entries)
        self._unsent.extend(entries)
        started = False
        for entry in entries:
            match entry.event:
                case ev.Joined():
                    self._note_role(entry)
                case ev.Left(participant=who):
                    self._hooks.left(self, who)
                case ev.Started():
                    started = True
                case ev.RecordingStarted() | ev.RecordingStopped():
                    self._hooks.recording(self)
        self._fanout_pace.poke()
        if any(not isinstance(entry.event, QUIET) for entry in entries):
            self._replan(state)
        if started:
            self._let_in()
        if state.ended:
            self._holds.clear()
            self._hooks.ended(self)

    def _note_role(self, entry: Entry) -> None:
        if isinstance(entry.event, ev.Joined):
            known = self._roles.get(entry.event.participant)
            if known is None or known[0] != entry.event.role:
                self._roles[entry.event.participant] = (entry.event.role, entry.pos)

    def _let_in(self) -> None:
        """Those who waited come in, a few in each turn of the loop: others have requests, too."""
        for connection in self.waiting.take(AT_ONCE):
            if not connection.closing and connection.hello is not None:
                self._enter(connection, connection.hello, {})
        if len(self.waiting) and not self._closed:
            self._loop.call_later(0, self._let_in)

    def _replan(self, state: Lesson) -> None:
        wanted = plan(state)
        if wanted != self.plan:
            self.plan = wanted
            self._hooks.planned(self, wanted)

    def _fan_out(self) -> None:
        """Sends what was committed since the last time, and what follows from it."""
        began = self._loop.time()
        entries, self._unsent = self._unsent, []
        if entries:
            batch = Batch(entries, self.people, self._meters)
            for connection in list(self._audience):
                batch.send(connection)
        if self._presence.plan is not self.plan:
            self._presence.planned(self.plan)
        self._presence.count()
        if self._pipeline.committed.ended:
            self._finish()
        # A lesson so large that telling it takes long is told in fewer, larger batches.
        took_s = self._loop.time() - began
        self._fanout_pace.interval_s = min(max(self._settings.fanout_ms / 1000, took_s * 4), FANOUT_MAX_S)

    def _finish(self) -> None:
        for connection in list(self._all_connections()):
            connection.goodbye("lesson_ended", reconnect=False, close_code=NORMAL)
        for participant in list(self._grace):
            self._stop_grace(participant)

    def _voided(self) -> None:
        """The store took nothing of what was decided: who was going is still here, and goes later."""
        self._start_graces()
        self._hooks.voided(self)

    def _failed(self) -> None:
        """Nobody knows what the store took of what was decided: the lesson starts over from there."""
        log.error("lesson abandoned", lesson=self.id, position=self._pipeline.committed.position)
        self._hooks.failed(self)
        self.close()

    def _all_connections(self) -> Iterable[Connection]:
        for theirs in list(self.connections.values()):
            yield from list(theirs)
        yield from self.waiting.all()
