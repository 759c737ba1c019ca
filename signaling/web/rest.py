"""`/api/v1`: lessons and tokens, for the school's own system (docs/api.md)."""

import re
import secrets
import time
from typing import Any, TypeVar

import msgspec
from aiohttp import hdrs, web

from signaling.auth import tokens
from signaling.errors import KelianError
from signaling.lessons.lesson import RunningLesson
from signaling.log.commands import SYSTEM
from signaling.log.decide import Refusal
from signaling.protocol.requests import EndLesson
from signaling.stores import LessonRow
from signaling.web import bearer, intake, openapi
from signaling.web.bodies import (
    PREFIX,
    LessonBody,
    LessonList,
    NewLesson,
    NewToken,
    ParticipantBody,
    ParticipantList,
    TokenBody,
)
from signaling.web.context import context

LIST_MOST = 200

B = TypeVar("B", bound=msgspec.Struct)


def add_routes(app: web.Application) -> None:
    app.router.add_get(f"{PREFIX}/openapi.json", openapi.document)
    app.router.add_get(f"{PREFIX}/docs", openapi.page)
    app.router.add_post(f"{PREFIX}/lessons", _create)
    app.router.add_get(f"{PREFIX}/lessons", _list)
    app.router.add_get(f"{PREFIX}/lessons/{{lesson}}", _get)
    app.router.add_post(f"{PREFIX}/lessons/{{lesson}}/end", _end)
    app.router.add_post(f"{PREFIX}/lessons/{{lesson}}/tokens", _issue)
    app.router.add_get(f"{PREFIX}/lessons/{{lesson}}/participants", _participants)
    app.router.add_delete(f"{PREFIX}/people/{{participant}}", _erase)


async def _create(request: web.Request) -> web.Response:
    bearer.api_key(request)
    body = await _body(request, NewLesson)
    registry = context(request).registry
    lesson_id = body.id or secrets.token_hex(6)
    codec = body.codec or registry.settings.codec
    record = registry.settings.record if body.record is None else body.record
    row = await registry.create(lesson_id, tokens.tidy_name(body.title) or lesson_id, codec, record=record)
    return _json(_lesson_body(row), status=201, headers={hdrs.LOCATION: f"{PREFIX}/lessons/{row.id}"})


async def _list(request: web.Request) -> web.Response:
    bearer.api_key(request)
    query = request.query
    ended = {"true": True, "false": False, "": None}.get(query.get("ended", ""), "?")
    limit = query.get("limit", "50")
    if ended == "?" or not re.fullmatch(r"\d{1,4}", limit) or not 1 <= int(limit) <= LIST_MOST:
        raise KelianError("unprocessable", why=f"ended is true or false, limit 1 to {LIST_MOST}")
    rows = await context(request).registry.store.lessons(
        ended=ended if isinstance(ended, bool) else None, before=query.get("before"), limit=int(limit)
    )
    more = rows[-1].log if len(rows) == int(limit) else None
    return _json(LessonList(lessons=[_lesson_body(row) for row in rows], next=more))


async def _get(request: web.Request) -> web.Response:
    bearer.api_key(request)
    return _json(_lesson_body(await _row(request)))


async def _end(request: web.Request) -> web.Response:
    bearer.api_key(request)
    await _row(request)
    lesson = await _lesson(request)
    outcome = await lesson.ended_by(SYSTEM, EndLesson(req=0))
    if isinstance(outcome, Refusal):
        raise KelianError(outcome.code, **outcome.detail)
    return _json(_lesson_body(await _row(request)))


async def _issue(request: web.Request) -> web.Response:
    """The lesson need not exist yet: it is made when its lecturer comes."""
    key = bearer.api_key(request)
    lesson = request.match_info["lesson"]
    if not tokens.LESSON_ID.fullmatch(lesson):
        raise KelianError("no_such_lesson", lesson=lesson[:64])
    body = await _body(request, NewToken)
    now = time.time()
    participant = body.participant or secrets.token_hex(8)
    token = tokens.issue(
        context(request).keys, lesson=lesson, role=body.role, name=body.name, ttl_s=body.ttl_s, now=now,
        participant=participant, key=key,
    )  # fmt: skip
    scheme = context(request).throttle.scheme(request)
    return _json(
        TokenBody(
            token=token,
            participant=participant,
            expires_s=int(now) + body.ttl_s,
            url=f"{scheme}://{request.host}/#/join/{token}",
        ),
        status=201,
        headers={hdrs.CACHE_CONTROL: "no-store"},
    )


async def _participants(request: web.Request) -> web.Response:
    bearer.api_key(request)
    await _row(request)
    lesson = await _lesson(request)
    state = lesson.state
    on_stage = set(state.stage.values())
    return _json(
        ParticipantList(
            participants=[
                ParticipantBody(
                    participant=who,
                    name=lesson.named(who) or "",
                    role=person.role,
                    present=person.present and not state.ended,
                    on_stage=who in on_stage,
                    stage_count=person.stage_count,
                )
                for who, person in state.participants.items()
            ]
        )
    )


async def _erase(request: web.Request) -> web.Response:
    """Name and answers of a person are forgotten everywhere; logs keep the opaque id."""
    bearer.api_key(request)
    participant = request.match_info["participant"]
    registry = context(request).registry
    await registry.store.erase_person(participant)
    for lesson in registry.lessons:
        lesson.forget_name(participant)
    return web.Response(status=204)


async def _row(request: web.Request) -> LessonRow:
    lesson_id = request.match_info["lesson"]
    row = await context(request).registry.store.lesson(lesson_id)
    if row is None:
        raise KelianError("no_such_lesson", lesson=lesson_id[:64])
    return row


async def _lesson(request: web.Request) -> RunningLesson:
    return await context(request).registry.get(request.match_info["lesson"])


async def _body(request: web.Request, kind: type[B]) -> B:
    """The JSON body, checked. Raises KelianError."""
    if request.content_type != "application/json":
        raise KelianError("unsupported_media_type", got=request.content_type)
    data = await intake.body(request, context(request).settings.limits.body_bytes, beyond="too_large")
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise KelianError("unprocessable", why=str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise KelianError("bad_message", why=str(error)) from error


def _lesson_body(row: LessonRow) -> LessonBody:
    state = "ended" if row.ended_ms else "started" if row.started_ms else "created"
    return LessonBody(state=state, **msgspec.structs.asdict(row))


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body), status=status, headers=headers, content_type="application/json"
    )
