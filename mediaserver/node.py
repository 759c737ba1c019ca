"""The media node: makes what signaling asks for so, and reports what happens.

One event loop. Signaling's messages come over the channel, the engine's events through its
eventfd; each is handled at once and without waiting. When signaling goes away, sessions, plans
and media stay as they are.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import structlog

from mediaserver._engine import Engine
from mediaserver.channel.messages import (
    CloseSession,
    EndLesson,
    GetStats,
    Hello,
    Levels,
    Mend,
    OpenSession,
    Refused,
    RestartIce,
    SessionAnswered,
    SessionState,
    SetPlan,
    SetRecording,
    SlotState,
    SourceState,
    Stats,
    ToNode,
    Welcome,
)
from mediaserver.channel.server import ChannelServer
from mediaserver.dtls import DtlsSession, NodeCertificate
from mediaserver.lesson import Change, Lesson
from mediaserver.plan import NOBODY, Plan
from mediaserver.recording import Recordings
from mediaserver.sdp.answer import Endpoint, Negotiated, Terms, negotiate, restart
from mediaserver.sdp.description import Description, NegotiationError, parse_description
from mediaserver.session import Session, SsrcAllocator, State, new_credentials

TICK_S = 0.25  # levels are told at most this often
CONNECT_TIMEOUT_S = 30.0  # from the answer to ICE and DTLS being done
RETURN_TIMEOUT_S = 30.0  # from a lost path to the end of the session

if TYPE_CHECKING:
    from mediaserver._engine import Event  # a name for the type checker only

T = TypeVar("T")

log = structlog.get_logger("node")


class Node:
    def __init__(
        self,
        engine: Engine,
        channel: str,
        *,
        candidates: Sequence[str],
        secret: str = "",
        certificate: NodeCertificate | None = None,
        journals: bool = False,
    ) -> None:
        """`candidates`: the addresses to announce, without port, best first. `journals`: whether the
        engine has a folder for them."""
        self._engine = engine
        self._candidates = [(address, engine.port) for address in candidates]
        self._certificate = certificate or NodeCertificate.generateCertificate()
        self._server = ChannelServer(channel, secret, welcome=self._welcome, on_message=self._on_message)
        self._epoch = secrets.token_hex(8)
        started = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self._recordings = Recordings(engine, f"{started}-{self._epoch}.pcapng", possible=journals)
        self._sessions: dict[str, Session] = {}
        self._by_transport: dict[int, Session] = {}
        self._by_source: dict[int, Session] = {}
        self._live: set[int] = set()
        self._lessons: dict[str, Lesson] = {}
        self._by_group: dict[int, str] = {}
        self._next_transport = 1
        self._next_group = 1
        self._ticker: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._refusals: dict[str, int] = {}
        self._faults = 0

    @property
    def channel_port(self) -> int:
        return self._server.port

    async def start(self) -> None:
        """Raises OSError when the channel's address cannot be listened on."""
        self._loop = asyncio.get_running_loop()
        await self._server.start()
        self._loop.add_reader(self._engine.event_fd, self._take_events)
        self._ticker = self._loop.create_task(self._tick_forever(), name="node-tick")

    async def close(self) -> None:
        """Ends everything. Peers are told, so that they look for a node at once and not after a timeout."""
        self._loop.remove_reader(self._engine.event_fd)
        if self._ticker:
            self._ticker.cancel()
        try:
            await self._server.close()
            goodbyes = (session.dtls.close() for session in self._sessions.values())
            await asyncio.gather(*self._closing, *goodbyes, return_exceptions=True)
        finally:
            self._engine.close()

    # --- signaling -> node ------------------------------------------------------------------

    def _welcome(self) -> Welcome:
        return Welcome(
            epoch=self._epoch, sessions=[session.info(self._live) for session in self._sessions.values()]
        )

    def _on_message(self, message: ToNode) -> None:
        match message:
            case OpenSession() | RestartIce():
                self._server.send(self._answer(message))
            case SetPlan():
                plan = Plan(message.slots, message.floor, message.overrides)
                self._assign(self._lesson(message.lesson).follow(plan))
                self._forget_if_idle(message.lesson)
            case CloseSession():
                if session := self._sessions.get(message.session):
                    self._close(session, "closed_by_signaling")
            case EndLesson():
                self._end_lesson(message.lesson)
            case SetRecording():
                self._set_recording(message)
            case Mend():
                self._mend(message.session, message.slot)
            case GetStats():
                self._server.send(Stats(req=message.req, stats=self._stats(message.session)))
            case Hello():
                log.warning("a second hello on the channel")

    def _answer(self, request: OpenSession | RestartIce) -> SessionAnswered | Refused:
        try:
            session = self._restart(request) if isinstance(request, RestartIce) else self._offer(request)
        except NegotiationError as error:
            self._refusals[error.code] = self._refusals.get(error.code, 0) + 1
            log.info("refused", session=request.session, code=error.code, detail=error.detail)
            return Refused(req=request.req, code=error.code, detail=error.detail)
        return SessionAnswered(
            req=request.req,
            session=session.session,
            answer=session.negotiated.answer,
            sources=dict(session.sources),
            slots=list(session.mids),
            restarted=session.endpoint.version > 1,
        )

    def _offer(self, request: OpenSession) -> Session:
        offer = parse_description(request.offer)
        if session := self._sessions.get(request.session):
            return self._reoffer(session, request, offer)
        return self._open(request, offer)

    def _open(self, request: OpenSession, offer: Description) -> Session:
        ids = list(request.sources.values())
        if len(set(ids)) < len(ids) or any(not 0 < s < 2**32 or s in self._by_source for s in ids):
            raise NegotiationError("source_taken", f"of {request.sources} one is in use or not a source id")
        group = self._lesson(request.lesson).group
        terms = Terms(
            codec=request.codec,
            labels=request.labels,
            defaults=request.defaults,
            sources=request.sources,
            group=group,
        )
        ufrag, pwd = new_credentials()
        endpoint = Endpoint(
            ufrag=ufrag,
            pwd=pwd,
            fingerprint=self._certificate.fingerprint,
            candidates=self._candidates,
            session_id=secrets.randbits(62),
        )
        try:
            negotiated = negotiate(offer, terms, endpoint, SsrcAllocator(_offered_ssrcs(offer)))
        except NegotiationError:
            self._forget_if_idle(request.lesson)
            raise
        transport, self._next_transport = self._next_transport, self._next_transport + 1
        dtls = DtlsSession(
            self._certificate,
            negotiated.dtls_role,
            negotiated.fingerprints,
            send=lambda datagram: self._engine.send_dtls(transport, datagram),
            on_keys=lambda profile, local, remote: self._on_keys(transport, profile, local, remote),
            on_end=lambda reason: self._on_dtls_end(transport, reason),
        )
        session = Session(
            session=request.session,
            lesson=request.lesson,
            participant=request.participant,
            transport=transport,
            terms=terms,
            endpoint=endpoint,
            negotiated=negotiated,
            dtls=dtls,
            state_since=self._loop.time(),
        )
        self._engine.open_transport(
            transport,
            local_ufrag=ufrag,
            local_pwd=pwd,
            remote_ufrag=negotiated.remote_ufrag,
            remote_pwd=negotiated.remote_pwd,
        )
        for producer in negotiated.producers:
            self._engine.open_producer(transport, producer)
            self._by_source[producer.source] = session
        for slot in negotiated.slots:
            self._engine.open_slot(transport, slot)
        self._sessions[session.session] = session
        self._by_transport[transport] = session
        self._recordings.opened(session)
        self._assign(self._lesson(session.lesson).add(session))
        if negotiated.dtls_role == "server":
            dtls.start()
        return session

    def _reoffer(self, session: Session, request: OpenSession, offer: Description) -> Session:
        """An offer for an open session restarts its ICE (RFC 8839, 4.4); everything else stays."""
        if (request.lesson, request.participant) != (session.lesson, session.participant):
            raise NegotiationError(
                "session_taken", "the session is open in another lesson or for another one"
            )
        endpoint = session.endpoint.renewed(*new_credentials())
        terms = replace(session.terms, labels=request.labels, defaults=())
        negotiated = negotiate(offer, terms, endpoint, SsrcAllocator(set()), session.negotiated)
        return self._renew(session, endpoint, negotiated)

    def _restart(self, request: RestartIce) -> Session:
        """The same by credentials alone."""
        session = self._sessions.get(request.session)
        if session is None:
            raise NegotiationError("no_such_session", f"no session {request.session!r} on this node")
        endpoint = session.endpoint.renewed(*new_credentials())
        negotiated = restart(session.negotiated, session.endpoint, endpoint, request.ufrag, request.pwd)
        return self._renew(session, endpoint, negotiated)

    def _renew(self, session: Session, endpoint: Endpoint, negotiated: Negotiated) -> Session:
        session.endpoint, session.negotiated = endpoint, negotiated
        self._engine.restart_ice(
            session.transport,
            local_ufrag=endpoint.ufrag,
            local_pwd=endpoint.pwd,
            remote_ufrag=negotiated.remote_ufrag,
            remote_pwd=negotiated.remote_pwd,
        )
        return session

    def _set_recording(self, wanted: SetRecording) -> None:
        lesson = self._lessons.get(wanted.lesson)
        sessions = lesson.sessions.values() if lesson else ()
        if wanted.on:
            self._server.send(self._recordings.start(wanted.lesson, wanted.folder, sessions))
        else:
            self._recordings.stop(wanted.lesson, sessions)

    def _end_lesson(self, name: str) -> None:
        self._recordings.stop(name, ())
        if lesson := self._lessons.get(name):
            lesson.plan = Plan()
            for session in list(lesson.sessions.values()):
                self._close(session, "lesson_ended")
            self._forget_if_idle(name)

    def _mend(self, name: str, slot: str) -> None:
        session = self._sessions.get(name)
        if session and (source := session.assigned.get(slot, NOBODY)) != NOBODY:
            self._engine.request_keyframe(source)

    def _stats(self, name: str) -> dict[str, int | float | str]:
        if name:
            session = self._sessions.get(name)
            return flat_stats(self._engine.transport_stats(session.transport) or {}) if session else {}
        return {
            **self._engine.stats(),
            "sessions": len(self._sessions),
            "sessions_connected": sum(session.state == "connected" for session in self._sessions.values()),
            "lessons": len(self._lessons),
            "sources_live": len(self._live),
            "lessons_recorded": len(self._recordings),
            "channel_connections": self._server.connections,
            "channel_frame_errors": self._server.frame_errors,
            "channel_handler_errors": self._server.handler_errors,
            "faults": self._faults,
            **{f"offers_refused_{code}": count for code, count in self._refusals.items()},
        }

    # --- lessons and their slots --------------------------------------------------------------

    def _lesson(self, name: str) -> Lesson:
        lesson = self._lessons.get(name)
        if lesson is None:
            lesson = self._lessons[name] = Lesson(self._next_group)
            self._by_group[lesson.group] = name
            self._next_group += 1
        return lesson

    def _forget_if_idle(self, name: str) -> None:
        lesson = self._lessons.get(name)
        if lesson and lesson.is_idle:
            del self._lessons[name]
            del self._by_group[lesson.group]

    def _assign(self, changes: list[Change]) -> None:
        if changes:
            self._engine.assign(changes)

    # --- engine -> node -----------------------------------------------------------------------

    def _take_events(self) -> None:
        for event in self._engine.take_events():
            self._guarded(self._take_event, event)

    def _take_event(self, event: "Event") -> None:
        match event:
            case ("dtls", transport, datagram):
                if session := self._by_transport.get(transport):
                    session.dtls.receive(datagram)
            case ("ice", transport, state, remote):
                if session := self._by_transport.get(transport):
                    self._on_ice(session, state, remote)
            case ("source", source, live):
                self._on_source(source, live)
            case ("slot", transport, mid, source):
                if (session := self._by_transport.get(transport)) and (name := session.names.get(mid)):
                    self._server.send(SlotState(session=session.session, slot=name, source=source))
            case ("speakers", group, levels):
                if name := self._by_group.get(group):
                    self._assign(self._lessons[name].hear(levels, self._loop.time()))
            case ("journal", file, state, detail):
                log.warning("journal", file=file, state=state, detail=detail)
                if told := self._recordings.heard(file, state, detail):
                    self._server.send(told)

    def _guarded(self, action: Callable[[T], None], subject: T) -> None:
        """A fault with one event or session must not cost the others theirs."""
        try:
            action(subject)
        except Exception:
            self._faults += 1
            log.exception("not handled", subject=repr(subject)[:200])

    def _on_ice(self, session: Session, state: str, remote: str) -> None:
        log.info("ice", session=session.session, state=state, remote=remote)
        session.has_path = state != "expired"
        if session.has_path:
            session.dtls.start()  # a client speaks first; for a server this changes nothing
        self._update_state(session, "expired")

    def _on_keys(self, transport: int, profile: int, local: bytes, remote: bytes) -> None:
        if session := self._by_transport.get(transport):  # it may have been closed meanwhile
            self._engine.set_srtp(transport, profile, local, remote)
            session.has_keys = True
            self._update_state(session, "")

    def _update_state(self, session: Session, reason: str) -> None:
        if session.has_path and session.has_keys:
            state: State = "connected"
        else:
            state = "connecting" if session.state == "connecting" else "disconnected"
        if state != session.state:
            session.state, session.state_since = state, self._loop.time()
            if state != "connecting":
                told = "" if state == "connected" else reason
                self._server.send(SessionState(session=session.session, state=state, reason=told))

    def _on_source(self, source: int, live: bool) -> None:
        if source not in self._by_source or live == (source in self._live):
            return
        if live:
            self._live.add(source)
        else:
            self._live.discard(source)
        self._server.send(SourceState(source=source, live=live))

    def _on_dtls_end(self, transport: int, reason: str) -> None:
        if session := self._by_transport.get(transport):
            self._close(session, reason)

    # --- time ---------------------------------------------------------------------------------

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._guarded(self._tick, self._loop.time())

    def _tick(self, now: float) -> None:
        for name, lesson in self._lessons.items():
            if not lesson.levels_told:
                lesson.levels_told = True
                self._server.send(Levels(lesson=name, levels=lesson.levels))
        for session in list(self._sessions.values()):
            waited_s = now - session.state_since
            if session.state == "connecting" and waited_s >= CONNECT_TIMEOUT_S:
                self._close(session, "never_connected")
            elif session.state == "disconnected" and waited_s >= RETURN_TIMEOUT_S:
                self._close(session, "expired")

    # --- the end of a session -----------------------------------------------------------------

    def _close(self, session: Session, reason: str) -> None:
        log.info("session closed", session=session.session, reason=reason)
        del self._sessions[session.session]
        del self._by_transport[session.transport]
        for source in session.sources.values():
            self._on_source(source, False)
            del self._by_source[source]
        self._assign(self._lessons[session.lesson].remove(session))
        self._forget_if_idle(session.lesson)
        self._server.send(SessionState(session=session.session, state="closed", reason=reason))
        task = self._loop.create_task(self._say_goodbye(session), name="dtls-close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _say_goodbye(self, session: Session) -> None:
        try:
            await session.dtls.close()
        finally:
            self._engine.close_transport(session.transport)


def flat_stats(stats: Mapping[str, object], prefix: str = "") -> dict[str, int | float | str]:
    """One level, as the channel carries it: what is nested is named by its path, no is 0, yes is 1."""
    flat: dict[str, int | float | str] = {}
    for name, value in stats.items():
        match value:
            case bool():
                flat[prefix + name] = int(value)
            case int() | float() | str():
                flat[prefix + name] = value
            case dict():
                flat |= flat_stats(value, f"{prefix}{name}_")
            case list():
                flat |= flat_stats({str(index): item for index, item in enumerate(value)}, f"{prefix}{name}_")
    return flat


def _offered_ssrcs(offer: Description) -> set[int]:
    return {ssrc for section in offer.media for ssrc in section.ssrcs}
