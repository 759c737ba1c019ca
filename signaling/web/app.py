"""The whole of signaling in one value: store, lessons, doors. Started, asked for its port, stopped."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from signaling.auth import keys as api_keys
from signaling.config import BadSettings, Settings
from signaling.errors import KelianError
from signaling.lessons.meters import Meters
from signaling.lessons.registry import Registry
from signaling.stores.sqlite import SqliteStore
from signaling.web import metrics, pages, rest, whip, ws
from signaling.web.context import CONTEXT, Context
from signaling.web.patience import Patience
from signaling.web.problems import CODE, of, problem
from signaling.web.throttle import Throttle

log = structlog.get_logger("signaling.app")

SHUTDOWN_S = 5.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# Per address; not the pages and `/ws`, which a whole school opens in one minute from one address.
THROTTLED = ("/api/", "/whip/", "/whep/")
HEADERS = {
    "Server": "kelian",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # links carry tokens
}


class Server:
    """`async with Server(settings) as server: ...`; `server.port` is the real one."""

    def __init__(self, settings: Settings, patience: Patience | None = None) -> None:
        self.settings = settings
        self.port = settings.port
        self.meters = Meters()
        self._store = SqliteStore(settings.database)
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._patience = patience or Patience()
        self._watches: list[asyncio.Task[None]] = []
        self.registry: Registry
        self.keys: api_keys.Keys
        self._context: Context

    @property
    def url(self) -> str:
        scheme = "https" if self.settings.tls_cert else "http"
        host = self.settings.host
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def start(self) -> None:
        """Raises KelianError (store, keys), BadSettings (addresses, certificate), OSError (port)."""
        settings = self.settings
        tls = _tls(settings)
        self.keys = api_keys.load_or_make(settings.keys_file)
        await self._store.open()
        try:
            self.registry = Registry(settings, self._store, self.meters)
        except ValueError as error:
            await self._store.close()
            raise BadSettings(str(error)) from error
        found = Context(
            settings=settings,
            keys=self.keys,
            registry=self.registry,
            meters=self.meters,
            throttle=Throttle(settings.limits.http_per_address, settings.trusted_proxies),
            patience=self._patience,
            connections=set(),
        )
        self._context = found
        await self.registry.start()
        self._runner = web.AppRunner(
            make_app(found), access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S
        )
        await self._runner.setup()
        self._site = web.TCPSite(
            self._runner, settings.host or None, settings.port, ssl_context=tls, backlog=1024
        )
        try:
            await self._site.start()
        except OSError:
            await self.stop()
            raise
        self.port = self._runner.addresses[0][1]
        assert self._runner.server is not None  # set up
        loop = asyncio.get_running_loop()
        self._watches = [
            loop.create_task(metrics.watch_loop(self.meters)),
            loop.create_task(self._patience.watch(self._runner.server)),
        ]

    async def stop(self) -> None:
        """Takes nobody in any more, sends everybody to reconnect, and has all on disk in the end."""
        for watch in self._watches:
            watch.cancel()
        if self._site is not None:
            with contextlib.suppress(RuntimeError):  # it never started: the port is another's
                await self._site.stop()
        await self.registry.close()
        await ws.say_goodbye(self._context.connections)
        if self._runner is not None:
            await self._runner.cleanup()
        await self._store.close()

    async def __aenter__(self) -> "Server":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def make_app(found: Context) -> web.Application:
    app = web.Application(
        middlewares=[_guard], client_max_size=found.settings.limits.offer_bytes + 4096
    )
    app[CONTEXT] = found
    app.router.add_get("/ws", ws.serve)
    rest.add_routes(app)
    whip.add_routes(app)
    metrics.add_routes(app)
    pages.add_routes(app, found.settings.pages)
    return app


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Limits, errors as problems, headers and counting: the same for every door."""
    found = request.app[CONTEXT]
    found.patience.heard(request)
    route = request.match_info.route.resource.canonical if request.match_info.route.resource else "?"
    response = await _answer(request, handler, found)
    if not response.prepared:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
    found.meters.http[route, response.status] += 1
    if CODE in response:
        found.meters.refusals[response[CODE]] += 1
    return response


async def _answer(request: web.Request, handler: Handler, found: Context) -> web.StreamResponse:
    if request.path.startswith(THROTTLED):
        wait_s = found.throttle.take(found.throttle.address(request), time.monotonic())
        if wait_s:
            return problem("rate_limited", retry_after_s=int(wait_s) + 1)
    try:
        return await handler(request)
    except KelianError as error:
        return of(error)
    except web.HTTPRequestEntityTooLarge:
        return problem("too_large")
    except web.HTTPNotFound:
        return problem("not_found")
    except web.HTTPMethodNotAllowed as error:
        return problem("method_not_allowed", headers={"Allow": ", ".join(sorted(error.allowed_methods))})
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return problem("bad_message", status=error.status, detail=error.text or error.reason)
    except Exception:
        log.exception("a request failed", path=request.path, method=request.method)
        return problem("internal")


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise BadSettings(f"the certificate cannot be used: {error}") from error
    return context
