"""`/metrics` (Prometheus text), `/healthz`, `/readyz`: how signaling and its media node are."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec
from aiohttp import web

from signaling.errors import KelianError
from signaling.lessons.meters import Histogram, Meters
from signaling.stores import StoreError
from signaling.web.context import Context, context

TICK_S = 0.1
NODE_STATS_S = 2.0
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NAME = re.compile(r"[^a-zA-Z0-9_]")


def add_routes(app: web.Application) -> None:
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz)


async def watch_loop(meters: Meters) -> None:
    """Measures how late the event loop runs what is due: the first sign of overload."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + TICK_S
        await asyncio.sleep(TICK_S)
        meters.loop_lag_s = max(0.0, loop.time() - due)
        meters.loop_lag_max_s = max(meters.loop_lag_max_s, meters.loop_lag_s)


async def _healthz(request: web.Request) -> web.Response:
    """The process answers: that is all."""
    return web.json_response({"status": "ok"})


async def _readyz(request: web.Request) -> web.Response:
    """Lessons can be entered: the store reads, and the media node is there."""
    found = context(request)
    checks: dict[str, str] = {}
    try:
        await found.registry.store.lessons(limit=1)
        checks["store"] = "ok"
    except StoreError as error:
        checks["store"] = error.code
    if found.settings.node:
        checks["media_node"] = "ok" if found.registry.media.connected else "not connected"
    ready = all(value == "ok" for value in checks.values())
    body = {"status": "ok" if ready else "not ready", "checks": checks}
    return web.json_response(body, status=200 if ready else 503)


async def _metrics(request: web.Request) -> web.Response:
    found = context(request)
    lines = [*_own(found)]
    try:
        async with asyncio.timeout(NODE_STATS_S):
            stats = await found.registry.media.stats()
        lines += _node(stats)
    except (KelianError, TimeoutError):
        pass  # kelian_media_node_connected says so
    found.meters.loop_lag_max_s = 0.0
    return web.Response(text="\n".join(lines) + "\n", headers={"Content-Type": CONTENT_TYPE})


def _own(found: Context) -> Iterator[str]:
    meters, registry, media = found.meters, found.registry, found.registry.media
    queued = [connection.queued_bytes for connection in found.connections]
    present = Counter(
        person.role
        for lesson in registry.lessons
        for person in lesson.state.participants.values()
        if person.present
    )
    yield from _one("connections", "gauge", "WebSocket clients", meters.connections)
    yield from _one("sent_bytes_total", "counter", "Bytes to WebSockets", meters.sent_bytes)
    yield from _one("received_bytes_total", "counter", "Bytes from WebSockets", meters.received_bytes)
    yield from _one("sent_frames_total", "counter", "Messages to WebSockets", meters.sent_frames)
    yield from _one("encoded_frames_total", "counter", "Messages that were encoded", meters.encoded_frames)
    yield from _one("queued_bytes", "gauge", "Not yet taken by all clients", sum(queued))
    yield from _one("queued_bytes_max", "gauge", "Not yet taken by the slowest", max(queued, default=0))
    yield from _one("events_total", "counter", "Events written to logs", meters.events)
    yield from _one("commits_total", "counter", "Batches of events committed", meters.commits)
    yield from _histogram("commit_seconds", "From deciding to the disk, a batch", meters.commit_s)
    yield from _one("loop_lag_seconds", "gauge", "Event loop's delay now", meters.loop_lag_s)
    yield from _one("loop_lag_max_seconds", "gauge", "Worst delay since last asked", meters.loop_lag_max_s)
    yield from _one("lessons", "gauge", "Lessons running", len(registry.lessons))
    recorded = sum(lesson.state.recording for lesson in registry.lessons)
    yield from _one("lessons_recorded", "gauge", "Lessons that are recorded", recorded)
    yield from _one("media_sessions", "gauge", "Media sessions", media.session_count)
    yield from _one("media_node_connected", "gauge", "1 while the node is there", int(media.connected))
    yield from _many("participants", "gauge", "Participants present", ("role",), present.items())
    requests = meters.requests.items()
    yield from _many("requests_total", "counter", "WebSocket requests", ("type", "outcome"), requests)
    yield from _many("refusals_total", "counter", "Errors told", ("code",), meters.refusals.items())
    yield from _many("goodbyes_total", "counter", "WebSockets closed", ("code",), meters.goodbyes.items())
    journal = meters.journal.items()
    yield from _many("journal_states_total", "counter", "What nodes said of journals", ("state",), journal)
    http = meters.http.items()
    yield from _many("http_requests_total", "counter", "HTTP requests", ("route", "status"), http)


def _node(stats: dict[str, int | float | str]) -> Iterator[str]:
    """The node's figures under its own names; texts become labels of one info metric."""
    texts = {NAME.sub("_", name): value for name, value in stats.items() if isinstance(value, str)}
    if texts:
        yield from _many("node_info", "gauge", "The media node", tuple(texts), [(tuple(texts.values()), 1)])
    for name, value in sorted(stats.items()):
        if not isinstance(value, str):
            kind = "counter" if name.endswith("_total") else "gauge"
            yield from _one(f"node_{NAME.sub('_', name)}", kind, "Of the media node", value)


def _one(name: str, kind: str, about: str, value: float) -> Iterator[str]:
    yield f"# HELP kelian_{name} {about}."
    yield f"# TYPE kelian_{name} {kind}"
    yield f"kelian_{name} {value}"


def _histogram(name: str, about: str, values: Histogram) -> Iterator[str]:
    yield f"# HELP kelian_{name} {about}."
    yield f"# TYPE kelian_{name} histogram"
    total = 0
    for bound, count in zip((*values.bounds, "+Inf"), values.counts, strict=True):
        total += count
        yield f'kelian_{name}_bucket{{le="{bound}"}} {total}'
    yield f"kelian_{name}_sum {values.sum}"
    yield f"kelian_{name}_count {total}"


def _many(
    name: str, kind: str, about: str, labels: tuple[str, ...], samples: Iterable[tuple[object, float]]
) -> Iterator[str]:
    """Samples by their label's value, or by a tuple of the labels' values."""
    yield f"# HELP kelian_{name} {about}."
    yield f"# TYPE kelian_{name} {kind}"
    for key, value in samples:
        texts = key if isinstance(key, tuple) else (key,)
        pairs = zip(labels, texts, strict=True)
        inside = ",".join(f"{label}={msgspec.json.encode(str(text)).decode()}" for label, text in pairs)
        yield f"kelian_{name}{{{inside}}} {value}"
