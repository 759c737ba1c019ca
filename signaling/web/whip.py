"""WHIP (RFC 9725) and WHEP: media over two HTTP requests, for encoders and players without a page.

    POST   /whip/{lesson}             an encoder sends: its token's participant joins the lesson
    POST   /whep/{lesson}?source=...  a player watches: the lecturer, or the board
    PATCH, DELETE  .../{session}      trickle, ICE restart, the end; by the token's owner only
"""

import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Literal

import structlog
from aiohttp import hdrs, web

from signaling.auth.tokens import Grant
from signaling.errors import KelianError
from signaling.lessons.lesson import RunningLesson
from signaling.lessons.media import VIEWER_MARK, MediaSession
from signaling.log.decide import Refusal
from signaling.log.events import Use
from signaling.log.roles import RIGHTS
from signaling.web import bearer, intake
from signaling.web.context import context
from signaling.web.problems import of, problem

log = structlog.get_logger("signaling.whip")

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
RETRY_S = 2
PREFLIGHT_S = 86_400
WHIP_USES: tuple[Use, ...] = ("microphone", "camera", "board")
# What an m-line without a label is, in this order (channel: OpenSession.defaults).
WHIP_SOURCES = {"lecturer": ("microphone", "camera"), "board": ("board",)}
WHEP_SOURCES = {"lecturer": ("lecturer.audio", "lecturer.video"), "board": ("board",)}
UFRAG = re.compile(r"^a=ice-ufrag:([A-Za-z0-9+/]{4,256})\s*$", re.MULTILINE)
PWD = re.compile(r"^a=ice-pwd:([A-Za-z0-9+/]{22,256})\s*$", re.MULTILINE)

Kind = Literal["whip", "whep"]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_routes(app: web.Application) -> None:
    for kind in ("whip", "whep"):
        endpoint, session = f"/{kind}/{{lesson}}", f"/{kind}/{{lesson}}/{{session}}"
        app.router.add_post(endpoint, _door(_open))
        app.router.add_options(endpoint, _options)
        app.router.add_patch(session, _door(_patch))
        app.router.add_delete(session, _door(_delete))
        app.router.add_options(session, _options)
        for path in (endpoint, session):
            app.router.add_route("*", path, _door(_not_allowed))


def _door(handler: Handler) -> Handler:
    """Adds what pages of other origins need to read answers and refusals alike."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            response = await handler(request)
        except KelianError as error:
            response = of(error)
        except web.HTTPRequestEntityTooLarge:
            response = problem("offer_too_large")
        response.headers.update(_cors(request))
        return response

    return answer


async def _options(request: web.Request) -> web.StreamResponse:
    return web.Response(
        status=204,
        headers={
            **_cors(request),
            "Access-Control-Allow-Methods": "OPTIONS, POST, PATCH, DELETE",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
            "Access-Control-Max-Age": str(PREFLIGHT_S),
            "Accept-Post": SDP,
            "Accept-Patch": FRAGMENT,
        },
    )


async def _not_allowed(request: web.Request) -> web.StreamResponse:
    """RFC 9725, 4.2: GET, HEAD and PUT are 405, whatever else is at such addresses."""
    return problem("method_not_allowed", headers={"Allow": "OPTIONS, POST, PATCH, DELETE"})


async def _open(request: web.Request) -> web.Response:
    kind, lesson_id = _kind(request), request.match_info["lesson"]
    grant = bearer.lesson_token(request, lesson_id)
    offer = await _text(request, SDP)
    if not _accepts_sdp(request):
        return problem("unsupported_media_type", status=406, detail="the answer is application/sdp")
    source = request.query.get("source", "lecturer")
    if source not in WHEP_SOURCES:
        raise KelianError("unprocessable", why="source is lecturer or board")
    lesson = await context(request).registry.get(lesson_id)
    if kind == "whip":
        session, answer = await _publish(request, lesson, grant, offer, source)
    else:
        session, answer = await _watch(request, lesson, grant, offer, source)
    return web.Response(
        text=answer,
        status=201,
        content_type=SDP,
        headers={
            hdrs.LOCATION: f"/{kind}/{lesson_id}/{session.id}",
            hdrs.ETAG: session.row.etag,
            "Accept-Patch": FRAGMENT,
        },
    )


async def _publish(
    request: web.Request, lesson: RunningLesson, grant: Grant, offer: str, source: str
) -> tuple[MediaSession, str]:
    sends = RIGHTS[grant.role].sends
    if not sends:
        raise KelianError("cannot_send", role=grant.role)
    await lesson.name(grant.participant, grant.name)
    opening = f"opening-{secrets.token_hex(8)}"
    outcome = await lesson.joined(grant.participant, grant.role)
    if isinstance(outcome, Refusal):
        raise KelianError(outcome.code, **outcome.detail)
    lesson.hold(grant.participant, opening)
    try:
        session, answered = await context(request).registry.media.open(
            lesson,
            kind="whip",
            participant=grant.participant,
            role=grant.role,
            offer=offer,
            defaults=[use for use in WHIP_SOURCES[source] if use in sends],
            etag=_new_etag(),
            data={"ufrag": _found(UFRAG, offer)},
        )
    except BaseException:
        lesson.release(grant.participant, opening, gone=True)
        raise
    lesson.hold(grant.participant, session.id)
    lesson.release(grant.participant, opening, gone=False)
    return session, answered.answer


async def _watch(
    request: web.Request, lesson: RunningLesson, grant: Grant, offer: str, source: str
) -> tuple[MediaSession, str]:
    """A player is nobody in the lesson: it has no place in the log."""
    if lesson.state.ended:
        raise KelianError("lesson_ended")
    if not lesson.state.started:
        raise KelianError("lesson_not_started")
    session, answered = await context(request).registry.media.open(
        lesson,
        kind="whep",
        participant=VIEWER_MARK + grant.participant,
        role=grant.role,
        offer=offer,
        defaults=WHEP_SOURCES[source],
        etag=_new_etag(),
        data={"ufrag": _found(UFRAG, offer)},
    )
    return session, answered.answer


async def _patch(request: web.Request) -> web.Response:
    """If-Match names the ICE session: its ETag for candidates, `*` for a restart (RFC 9725, 4.3)."""
    session = await _session(request)
    fragment = await _text(request, FRAGMENT)
    match = request.headers.get(hdrs.IF_MATCH)
    if match is None:
        raise KelianError("precondition_required")
    ufrag, pwd = _found(UFRAG, fragment), _found(PWD, fragment)
    if match.strip() != "*":
        same_ice = not ufrag or ufrag == session.row.data.get("ufrag", ufrag)
        if match.strip() != session.row.etag or not same_ice:
            raise KelianError("precondition_failed")
        # An ICE-lite node learns the client's addresses from its checks, not from candidates.
        return web.Response(status=204, headers={hdrs.ETAG: session.row.etag})
    if not ufrag or not pwd:
        raise KelianError("no_ice", why="an ICE restart brings ice-ufrag and ice-pwd")
    media = context(request).registry.media
    answered = await media.restart_ice(session, ufrag, pwd)
    await media.remember(session, etag=_new_etag(), data={**session.row.data, "ufrag": ufrag})
    return web.Response(
        text=ice_fragment(answered.answer), content_type=FRAGMENT, headers={hdrs.ETAG: session.row.etag}
    )


async def _delete(request: web.Request) -> web.Response:
    session = await _session(request)
    match = request.headers.get(hdrs.IF_MATCH)
    if match is not None and match.strip() not in ("*", session.row.etag):
        raise KelianError("precondition_failed")
    context(request).registry.media.close_session(session)
    return web.Response(status=200)


async def _session(request: web.Request) -> MediaSession:
    """The session of this address, if the token is its owner's. Raises KelianError."""
    kind, lesson_id = _kind(request), request.match_info["lesson"]
    grant = bearer.lesson_token(request, lesson_id)
    registry = context(request).registry
    await registry.get(lesson_id)
    session = registry.media.find(request.match_info["session"])
    if session is None or session.lesson != lesson_id or session.row.kind != kind:
        raise KelianError("no_such_session")
    owner = grant.participant if kind == "whip" else VIEWER_MARK + grant.participant
    if session.row.participant != owner:
        raise KelianError("not_your_session")
    return session


def ice_fragment(answer: str) -> str:
    """What an ICE restart tells of an SDP answer (RFC 8840): credentials and candidates, once."""
    lines = answer.splitlines()
    session = [line for line in _until_media(lines) if line.startswith(("a=ice-lite", "a=group:BUNDLE"))]
    first = next((index for index, line in enumerate(lines) if line.startswith("m=")), len(lines))
    media = [lines[first], *_until_media(lines[first + 1 :])] if first < len(lines) else []
    wanted = ("m=", "a=mid:", "a=ice-ufrag:", "a=ice-pwd:", "a=candidate:", "a=end-of-candidates")
    kept = [line for line in media if line.startswith(wanted)]
    if not any(line.startswith("a=ice-ufrag:") for line in kept):  # told for the whole session
        session += [line for line in _until_media(lines) if line.startswith(("a=ice-ufrag:", "a=ice-pwd:"))]
    return "\r\n".join([*session, *kept]) + "\r\n"


def _until_media(lines: list[str]) -> list[str]:
    end = next((index for index, line in enumerate(lines) if line.startswith("m=")), len(lines))
    return lines[:end]


def _kind(request: web.Request) -> Kind:
    return "whip" if request.path.startswith("/whip/") else "whep"


def _new_etag() -> str:
    return f'"{secrets.token_hex(8)}"'


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found.group(1) if found else ""


def _accepts_sdp(request: web.Request) -> bool:
    accept = request.headers.get(hdrs.ACCEPT, "*/*")
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return any(kind in ("*/*", "application/*", SDP) for kind in kinds)


async def _text(request: web.Request, content_type: str) -> str:
    if request.content_type != content_type:
        raise KelianError("unsupported_media_type", got=request.content_type, want=content_type)
    data = await intake.body(request, context(request).settings.limits.offer_bytes, beyond="offer_too_large")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise KelianError("bad_sdp", why="not UTF-8") from None


def _cors(request: web.Request) -> dict[str, str]:
    allowed = context(request).settings.cors_origins
    origin = request.headers.get(hdrs.ORIGIN, "")
    if "*" not in allowed and origin not in allowed:
        return {}
    return {
        "Access-Control-Allow-Origin": "*" if "*" in allowed else origin,
        "Access-Control-Expose-Headers": "Location, ETag, Link, Accept-Patch, Retry-After",
        "Vary": "Origin",
    }
