"""Where a connection's requests go: each is answered by exactly one ack, answer or error."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from signaling.errors import KelianError
from signaling.lessons.connection import Connection
from signaling.lessons.lesson import RunningLesson
from signaling.lessons.media import Media
from signaling.lessons.meters import Meters
from signaling.lessons.pipeline import Outcome
from signaling.log.commands import Actor, Publish
from signaling.log.decide import Refusal
from signaling.log.roles import RIGHTS
from signaling.protocol import replies
from signaling.protocol import requests as rq

NODE_RETRY_MS = 500
TEMPORARY = {"media_node_unavailable": NODE_RETRY_MS, "store_unavailable": 1000, "media_overloaded": 5000}


class Desk:
    """Serves one welcomed or waiting connection."""

    def __init__(
        self, connection: Connection, lesson: RunningLesson, media: Media, meters: Meters
    ) -> None:
        self._connection = connection
        self._lesson = lesson
        self._media = media
        self._meters = meters
        self._actor = Actor(connection.participant, connection.role)
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, request: rq.AnyRequest) -> None:
        """One request that came after hello, within its rate."""
        req = request.req
        tag = str(request.__struct_config__.tag)
        connection = self._connection
        if connection in self._lesson.waiting and not isinstance(request, rq.Ping | rq.Leave):
            self._refuse(tag, req, "lesson_not_started")
            return
        if tag not in RIGHTS[connection.role].may and not isinstance(request, rq.Ping):
            self._refuse(tag, req, "forbidden", {"request": tag, "role": connection.role})
            return
        match request:
            case rq.Ping():
                self._done(tag, req)(0)
            case rq.Hello():
                self._refuse(tag, req, "bad_message")
            case rq.Leave():
                self._media.page_left(connection)
                self._lesson.leave(connection, req)
            case rq.Offer():
                self._run(tag, req, self._offer(request))
            case rq.QuizAnswer():
                self._run(tag, req, self._answer(request))
            case rq.QuizAsk():
                self._lesson.ask_quiz(self._actor, request, self._done(tag, req))
            case rq.QuizClose():
                self._lesson.close_quiz(self._actor, request.quiz, self._done(tag, req))
            case rq.EndLesson():
                self._lesson.end(self._actor, request, self._done(tag, req))
            case rq.CloseSession() | rq.Publish() | rq.Layers() | rq.Mend():
                self._session(tag, request)
            case _:
                self._lesson.submit(self._actor, request, self._done(tag, req))

    def _session(self, tag: str, request: rq.CloseSession | rq.Publish | rq.Layers | rq.Mend) -> None:
        """Requests about a media session, which must be the participant's own."""
        try:
            session = self._media.owned(self._lesson, self._actor.participant, request.session)
        except KelianError as error:
            self._refuse(tag, request.req, error.code, error.detail)
            return
        done = self._done(tag, request.req)
        match request:
            case rq.Publish(use=use, on=on):
                source = session.row.sources.get(use)
                if source is None:
                    self._refuse(tag, request.req, "cannot_send", {"use": use, "role": self._actor.role})
                    return
                command = Publish(session=session.id, use=use, source=source, on=on)
                self._lesson.submit(self._actor, command, done)
            case rq.CloseSession():
                self._media.close_session(session)
                done(0)
            case rq.Layers(heights=heights):
                session.heights.update({slot: heights[slot] for slot in heights if slot in session.slots})
                done(0)
            case rq.Mend(slot=slot):
                if slot in session.slots:
                    self._media.mend(session, slot)
                done(0)

    async def _offer(self, request: rq.Offer) -> replies.AnyReply:
        connection, lesson, media = self._connection, self._lesson, self._media
        participant = self._actor.participant
        if request.session is not None:
            session = media.owned(lesson, participant, request.session)
            answered = await media.restart(lesson, session, request.sdp, request.labels)
            session.owner = connection
        else:
            session, answered = await media.open(
                lesson,
                kind="page",
                participant=participant,
                role=self._actor.role,
                offer=request.sdp,
                labels=request.labels,
                owner=connection,
            )
        return replies.Answer(
            req=request.req, session=session.id, sdp=answered.answer, sources=session.row.sources
        )

    async def _answer(self, request: rq.QuizAnswer) -> replies.AnyReply:
        refusal = await self._lesson.answer_quiz(self._actor, request)
        if refusal is not None:
            raise KelianError(refusal.code, **refusal.detail)
        return replies.Ack(req=request.req)

    # --- answering --------------------------------------------------------------------------

    def _done(self, tag: str, req: int) -> Callable[[Outcome], None]:
        def done(outcome: Outcome) -> None:
            if isinstance(outcome, Refusal):
                self._refuse(tag, req, outcome.code, outcome.detail)
            else:
                self._meters.requests[tag, "ok"] += 1
                self._connection.ack(req, outcome)

        return done

    def _refuse(self, tag: str, req: int, code: str, detail: dict[str, str | int] | None = None) -> None:
        self._meters.requests[tag, "refused"] += 1
        self._connection.refuse(req, code, detail, retry_after_ms=TEMPORARY.get(code))

    def _run(self, tag: str, req: int, work: Coroutine[Any, Any, replies.AnyReply]) -> None:
        """Work that has to wait, without holding up this client's other requests."""

        async def run() -> None:
            try:
                reply = await work
            except KelianError as error:
                self._refuse(tag, req, error.code, error.detail)
            except Exception:
                self._refuse(tag, req, "internal")
                raise
            else:
                self._meters.requests[tag, "ok"] += 1
                self._connection.send(reply)

        task = asyncio.get_running_loop().create_task(run(), name=f"request-{tag}")
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a request failed", "exception": error, "task": task}
            )
