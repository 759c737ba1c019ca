"""Media sessions: what signaling wants of the media node, and what the node says of itself.

The node may be away or start over at any time. What is wanted (plans) is state and is stated
anew after each connection; sessions that a node no longer has are told to their owners, whose
pages then offer anew.
"""

import asyncio
import re
import secrets
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import structlog

from mediaserver.channel import messages as ch
from mediaserver.channel.client import NodeClient, NodeRefused, NodeUnavailable
from signaling.config import Settings
from signaling.errors import CATALOGUE, KelianError
from signaling.lessons.connection import Connection
from signaling.lessons.labels import check_labels
from signaling.lessons.lesson import RunningLesson
from signaling.lessons.meters import Meters
from signaling.log.commands import SYSTEM, ChangeCodec, SessionLost, SourceLive
from signaling.log.events import Codec, Role
from signaling.log.plan import Plan
from signaling.log.roles import RIGHTS
from signaling.protocol import replies
from signaling.stores import LessonStore, SessionRow, StoreError

log = structlog.get_logger("signaling.media")

Kind = Literal["page", "whip", "whep"]
LostReason = Literal["node_lost", "disconnected", "closed"]
RTPMAP = re.compile(rb"^a=rtpmap:\d+ (h264|vp8)/90000", re.IGNORECASE | re.MULTILINE)
NO_PATH = ("expired", "never_connected")  # a node's reasons that mean: the network
RECONCILE_S = 1.0
VIEWER_MARK = "~"  # before the id of a WHEP viewer: no participant's id begins so


@dataclass(eq=False)
class MediaSession:
    row: SessionRow
    lesson: str
    owner: Connection | None = None
    slots: tuple[str, ...] = ()
    live: set[int] = field(default_factory=set)
    heights: dict[str, int] = field(default_factory=dict)  # slot -> pixels shown; 0: not shown

    @property
    def id(self) -> str:
        return self.row.session


class Media:
    """All media sessions of this signaling process, and the channel to their node."""

    def __init__(
        self,
        settings: Settings,
        store: LessonStore,
        meters: Meters,
        lesson: Callable[[str], RunningLesson | None],
    ) -> None:
        """`lesson` finds a running lesson. Raises ValueError for a channel address that cannot be one."""
        self._settings = settings
        self._store = store
        self._meters = meters
        self._lesson = lesson
        self._sessions: dict[str, MediaSession] = {}
        self._by_source: dict[int, MediaSession] = {}
        self._plans: dict[str, Plan] = {}  # lesson -> what was stated last
        self._recorded: dict[str, bool] = {}  # likewise
        self._reconciling: set[str] = set()  # lessons whose turn comes within RECONCILE_S
        self._tasks: set[asyncio.Task[None]] = set()
        self._node: NodeClient | None = None
        if settings.node:
            self._node = NodeClient(
                settings.node,
                settings.node_secret,
                on_message=self._heard,
                on_connected=self._connected,
                on_lost=lambda: log.warning("media node lost"),
            )

    def start(self) -> None:
        """After the lessons that go on have been restored."""
        if self._node is not None:
            self._node.start()

    async def close(self) -> None:
        if self._node is not None:
            await self._node.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def connected(self) -> bool:
        return self._node is not None and self._node.connected

    @property
    def session_count(self) -> int:
        return len(self._sessions)

    async def stats(self) -> dict[str, int | float | str]:
        """The node's own figures. Raises KelianError."""
        with self._node_errors() as node:
            return (await node.request(ch.GetStats(req=0))).stats

    # --- questions --------------------------------------------------------------------------

    def live(self, source: int) -> bool:
        session = self._by_source.get(source)
        return session is not None and source in session.live

    def find(self, session: str) -> MediaSession | None:
        return self._sessions.get(session)

    def in_lesson(self, lesson: str) -> list[MediaSession]:
        return [session for session in self._sessions.values() if session.lesson == lesson]

    def owned(self, lesson: RunningLesson, participant: str, session_id: str) -> MediaSession:
        """Raises KelianError (no_such_session, not_your_session)."""
        session = self._sessions.get(session_id)
        if session is None or session.lesson != lesson.id:
            raise KelianError("no_such_session", session=session_id)
        if session.row.participant != participant:
            raise KelianError("not_your_session", session=session_id)
        return session

    def claim(self, lesson: RunningLesson, connection: Connection, session_id: str) -> bool:
        """A page came back and says that it still holds this session. False: it is gone."""
        try:
            session = self.owned(lesson, connection.participant, session_id)
        except KelianError:
            return False
        session.owner = connection
        return True

    # --- opening and closing ----------------------------------------------------------------

    async def open(
        self,
        lesson: RunningLesson,
        *,
        kind: Kind,
        participant: str,
        role: Role,
        offer: str,
        labels: dict[str, str] | None = None,
        defaults: Iterable[str] = (),
        owner: Connection | None = None,
        etag: str = "",
        data: dict[str, str] | None = None,
    ) -> tuple[MediaSession, ch.SessionAnswered]:
        """Has one offer answered. Raises KelianError: the node's refusal, or that there is none."""
        if lesson.state.ended:
            raise KelianError("lesson_ended")
        labels = labels or {}
        sends = RIGHTS[role].sends if kind != "whep" else ()
        check_labels(labels, role)
        if role == "lecturer" and kind != "whep":
            await self._fit_codec(lesson, offer)
        self._make_room(lesson, kind, participant, owner)
        sources = dict(zip(sends, await self._store.allot_sources(len(sends)), strict=True))
        row = SessionRow(
            session=f"{kind}-{secrets.token_urlsafe(9)}",
            log=lesson.log,
            participant=participant,
            role=role,
            kind=kind,
            sources=sources,
            etag=etag,
            data=data or {},
        )
        answered = await self._answer(lesson, row, offer, labels, list(defaults))
        if lesson.state.ended or (owner is not None and owner.closing):
            self._say(ch.CloseSession(session=row.session))  # while the node answered, its owner went
            raise KelianError("no_such_session", session=row.session)
        # What the offer does not send is not ours to publish.
        sent = {use: source for use, source in sources.items() if use in answered.sources}
        row = msgspec.structs.replace(row, sources=sent)
        session = MediaSession(row, lesson.id, owner, tuple(answered.slots))
        self._add(session)
        self._state_plan(lesson)
        self._state_recording(lesson)
        try:
            await self._store.put_session(row)
        except StoreError:
            self.close_session(session)
            raise
        if session.id not in self._sessions:
            raise KelianError("no_such_session", session=session.id)  # lost meanwhile
        return session, answered

    async def restart(
        self, lesson: RunningLesson, session: MediaSession, offer: str, labels: dict[str, str]
    ) -> ch.SessionAnswered:
        """A new offer for a session that is open: its ICE restarts, its media go on."""
        check_labels(labels, session.row.role)
        answered = await self._answer(lesson, session.row, offer, labels, [])
        if session.id not in self._sessions:
            self._say(ch.CloseSession(session=session.id))  # closed meanwhile
            raise KelianError("no_such_session", session=session.id)
        session.slots = tuple(answered.slots)
        return answered

    async def restart_ice(self, session: MediaSession, ufrag: str, pwd: str) -> ch.SessionAnswered:
        """New credentials alone (WHIP's PATCH)."""
        with self._node_errors() as node:
            return await node.request(ch.RestartIce(req=0, session=session.id, ufrag=ufrag, pwd=pwd))

    async def remember(self, session: MediaSession, *, etag: str, data: dict[str, str]) -> None:
        """Raises KelianError (no_such_session: closed meanwhile), StoreError."""
        if session.id not in self._sessions:
            raise KelianError("no_such_session", session=session.id)
        session.row = msgspec.structs.replace(session.row, etag=etag, data=data)
        await self._store.put_session(session.row)

    def close_session(self, session: MediaSession, *, gone: bool = True) -> None:
        """Its owner, or its owner's absence, ends it."""
        self._say(ch.CloseSession(session=session.id))
        self._forget(session, gone=gone)

    def page_left(self, connection: Connection) -> None:
        """This page does not come back."""
        for session in [it for it in self._sessions.values() if it.owner is connection]:
            self.close_session(session)

    def mend(self, session: MediaSession, slot: str) -> None:
        self._say(ch.Mend(session=session.id, slot=slot))

    async def _fit_codec(self, lesson: RunningLesson, offer: str) -> None:
        """A lecturer's encoder that has only the other codec decides, as long as nobody was answered."""
        if self.in_lesson(lesson.id) or lesson.state.ever_published:
            return
        offered = {name.lower().decode() for name in RTPMAP.findall(offer.encode())}
        codecs: tuple[Codec, Codec] = ("h264", "vp8")
        for codec in codecs:
            if offered == {codec} and codec != lesson.state.codec:
                await lesson.do(SYSTEM, ChangeCodec(codec=codec))

    def _make_room(
        self, lesson: RunningLesson, kind: Kind, participant: str, owner: Connection | None
    ) -> None:
        """A page that offers anew after a failure leaves dead sessions behind: the oldest goes."""
        limits = self._settings.limits
        if len(self.in_lesson(lesson.id)) >= limits.connections_per_lesson:
            raise KelianError("lesson_full")
        theirs = [it for it in self.in_lesson(lesson.id) if it.row.participant == participant]
        if kind == "whep" or len(theirs) < limits.sessions_per_participant:
            return  # a link for viewers may be shared by a whole school
        for session in theirs:
            abandoned = session.owner is None or session.owner.closing or session.owner is owner
            if session.row.kind == "page" and abandoned:
                self.close_session(session)
                return
        raise KelianError("too_many_sessions")

    async def _answer(
        self,
        lesson: RunningLesson,
        row: SessionRow,
        offer: str,
        labels: dict[str, str],
        defaults: list[str],
    ) -> ch.SessionAnswered:
        message = ch.OpenSession(
            req=0,
            session=row.session,
            lesson=lesson.id,
            participant=row.participant,
            codec=lesson.state.codec,
            offer=offer,
            labels=labels,
            defaults=defaults,
            sources={str(use): source for use, source in row.sources.items()},
        )
        with self._node_errors() as node:
            return await node.request(message)

    @contextmanager
    def _node_errors(self) -> Iterator[NodeClient]:
        """The node to ask; what it refuses becomes a KelianError."""
        if self._node is None:
            raise KelianError("media_node_unavailable")
        try:
            yield self._node
        except NodeRefused as refused:
            log.info("node refused", code=refused.code, detail=refused.detail)
            code = refused.code if refused.code in CATALOGUE else "bad_sdp"
            raise KelianError(code, why=refused.detail) from refused
        except NodeUnavailable as error:
            raise KelianError("media_node_unavailable", why=str(error)) from error

    def _say(self, message: ch.ToNode) -> None:
        if self._node is not None:
            self._node.send(message)

    def _add(self, session: MediaSession) -> None:
        self._sessions[session.id] = session
        for source in session.row.sources.values():
            self._by_source[source] = session

    def _forget(self, session: MediaSession, *, gone: bool) -> None:
        if self._sessions.pop(session.id, None) is None:
            return
        for source in session.row.sources.values():
            self._by_source.pop(source, None)
        self._later(self._store.drop_session(session.id))
        lesson = self._lesson(session.lesson)
        if lesson is not None and not lesson.state.ended:
            lesson.submit(SYSTEM, SessionLost(session=session.id), lambda outcome: None)
            lesson.release(session.row.participant, session.id, gone=gone)

    # --- lessons ----------------------------------------------------------------------------

    def restore(self, lesson: RunningLesson, rows: Iterable[SessionRow]) -> None:
        """Before the node is heard: the sessions that it had when this process ended."""
        for row in rows:
            self._add(MediaSession(row, lesson.id))
        self.taken_up(lesson)

    def taken_up(self, lesson: RunningLesson) -> None:
        """A lesson was loaded whose media may have gone on without it."""
        for session in self.in_lesson(lesson.id):
            if session.row.kind == "whip":
                lesson.hold(session.row.participant, session.id)
        self._reconcile(lesson.id)
        self._state_plan(lesson)

    def voided(self, lesson: RunningLesson) -> None:
        """What was said of media may be among what the store did not take: it is said again."""
        if lesson.id not in self._reconciling:
            self._reconciling.add(lesson.id)
            asyncio.get_running_loop().call_later(RECONCILE_S, self._reconcile, lesson.id)

    def _reconcile(self, lesson_id: str) -> None:
        """Makes the log say what is: no source of a session that is gone, every encoder that sends."""
        self._reconciling.discard(lesson_id)
        lesson = self._lesson(lesson_id)
        if lesson is None or lesson.state.ended:
            return
        for session_id in {info.session for info in lesson.state.sources.values()} - self._sessions.keys():
            lesson.submit(SYSTEM, SessionLost(session=session_id), lambda outcome: None)
        for session in self.in_lesson(lesson_id):
            if session.row.kind == "whip":
                for source in session.live:
                    self._publish(lesson, session, source)

    def planned(self, lesson: RunningLesson, plan: Plan) -> None:
        self._state_plan(lesson)

    def forgotten(self, lesson: RunningLesson) -> None:
        """A lesson in which nothing goes on is no longer running here."""
        self._plans.pop(lesson.id, None)
        self._recorded.pop(lesson.id, None)

    def recording(self, lesson: RunningLesson) -> None:
        """The log says that recording has begun, or is over."""
        self._state_recording(lesson)

    def left(self, lesson: RunningLesson, participant: str) -> None:
        """A participant is gone, and with them whatever they sent and saw."""
        for session in self.in_lesson(lesson.id):
            if session.row.participant == participant:
                self.close_session(session)

    def ended(self, lesson: RunningLesson) -> None:
        self._say(ch.EndLesson(lesson=lesson.id))
        self._plans.pop(lesson.id, None)
        self._recorded.pop(lesson.id, None)
        for session in self.in_lesson(lesson.id):
            self._forget(session, gone=True)

    def _state_plan(self, lesson: RunningLesson) -> None:
        """States what is wanted, unless the node heard the same last."""
        if self._plans.get(lesson.id) == lesson.plan or not self.connected:
            return
        plan = self._plans[lesson.id] = lesson.plan
        self._say(
            ch.SetPlan(lesson=lesson.id, slots=plan.slots, floor=plan.floor, overrides=plan.overrides)
        )

    def _state_recording(self, lesson: RunningLesson) -> None:
        """As with the plan. A lesson is recorded into the folder of its id."""
        on = lesson.state.recording
        if self._recorded.get(lesson.id) == on or not self.connected:
            return
        self._recorded[lesson.id] = on
        self._say(ch.SetRecording(lesson=lesson.id, on=on, folder=lesson.id))

    # --- what the node says -----------------------------------------------------------------

    def _connected(self, welcome: ch.Welcome) -> None:
        log.info("media node connected", epoch=welcome.epoch, sessions=len(welcome.sessions))
        there = {info.session: info for info in welcome.sessions}
        for session in list(self._sessions.values()):
            info = there.pop(session.id, None)
            if info is None:
                self._lost(session, "node_lost")
            else:
                self._set_live(session, set(info.live))
        for stranger in there:
            self._say(ch.CloseSession(session=stranger))
        self._plans.clear()
        self._recorded.clear()
        for lesson_id in {session.lesson for session in self._sessions.values()}:
            lesson = self._lesson(lesson_id)
            if lesson is not None:
                self._state_plan(lesson)
                self._state_recording(lesson)

    def _heard(self, message: ch.FromNode) -> None:
        match message:
            case ch.SourceState(source=source, live=live):
                session = self._by_source.get(source)
                if session is not None:
                    self._set_live(session, session.live | {source} if live else session.live - {source})
            case ch.SessionState(session=session_id, state="closed", reason=reason):
                session = self._sessions.get(session_id)
                if session is not None:
                    self._lost(session, "disconnected" if reason in NO_PATH else "closed")
            case ch.Levels(lesson=lesson_id, levels=levels):
                lesson = self._lesson(lesson_id)
                if lesson is not None:
                    lesson.levels(levels)
            case ch.JournalState(lesson=lesson_id, state=state, detail=detail):
                self._meters.journal[state] += 1
                lesson = self._lesson(lesson_id)
                if lesson is not None:
                    lesson.journal(replies.Journal(state=state, detail=detail))
            case _:
                pass  # the rest is between node and page: CSRCs name the source of each slot

    def _set_live(self, session: MediaSession, live: set[int]) -> None:
        changed = session.live ^ live
        session.live = live
        lesson = self._lesson(session.lesson)
        if lesson is None:
            return
        for source in changed:
            lesson.source_live(source, source in live)
            if source in live and session.row.kind == "whip":
                self._publish(lesson, session, source)

    def _publish(self, lesson: RunningLesson, session: MediaSession, source: int) -> None:
        """A WHIP encoder does not say when it begins: its packets do."""
        use = next(use for use, its in session.row.sources.items() if its == source)
        command = SourceLive(
            session=session.id, source=source, use=use, participant=session.row.participant
        )
        lesson.submit(SYSTEM, command, lambda outcome: None)

    def _lost(self, session: MediaSession, reason: LostReason) -> None:
        log.info("session lost", session=session.id, reason=reason)
        lesson = self._lesson(session.lesson)
        self._forget(session, gone=False)
        if lesson is None:
            return
        told = replies.SessionLost(session=session.id, reason=reason)
        if session.owner is not None and not session.owner.closing:
            session.owner.send(told)
        elif session.row.kind == "page":
            for connection in list(lesson.connections.get(session.row.participant, ())):
                connection.send(told)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Work whose result nobody waits for."""

        async def run() -> None:
            try:
                await work
            except StoreError as error:
                log.warning("store", code=error.code, error=str(error))

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
