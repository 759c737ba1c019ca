"""The built pages (clients/web/dist): files with their hash in the name stay cached, the rest is asked.

The pages route by the address's fragment (`/#/join/TOKEN`), so that a token never reaches a
server's log; what else a person may type leads to the first page.
"""

from pathlib import Path
from urllib.parse import quote

from aiohttp import hdrs, web

from signaling.web.problems import problem

FOREVER = "public, max-age=31536000, immutable"
ASK = "no-cache"  # keep it, and ask whether it is still the newest
ELSEWHERE = ("/join", "/join/{rest:.*}", "/lesson", "/lesson/{rest:.*}")
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",  # Vue sets style attributes
        "img-src 'self' data: blob:",
        "media-src 'self' blob: mediastream:",
        "connect-src 'self' ws: wss:",
        "worker-src 'self' blob:",
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
PAGE_HEADERS = {
    hdrs.CACHE_CONTROL: ASK,
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self), screen-wake-lock=(self)",
}

NOT_BUILT = """<!doctype html><html lang="zh"><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>Kelian 课联</title>
<body style="font:16px/1.6 system-ui,sans-serif;max-width:40em;margin:15vh auto;padding:0 1em">
<h1>网页还没有构建 · The pages are not built yet</h1>
<p>请在源代码目录运行：· Run in the source directory:</p>
<pre style="background:#8882;padding:1em">cd clients/web &amp;&amp; npm ci &amp;&amp; npm run build</pre>
<p>课堂服务器本身运行正常，接口说明见 · The server itself runs; its API is described at
<a href="/api/v1/docs">/api/v1/docs</a></p></body></html>"""


def add_routes(app: web.Application, root: Path) -> None:
    files = _Files(root)
    app.router.add_get("/", files.page)
    for place in ELSEWHERE:
        app.router.add_get(place, _home)
    app.router.add_get("/{path:.+}", files.file)


async def _home(request: web.Request) -> web.StreamResponse:
    """`/join?token=…`, for systems that can only add a query, and whatever else looks like a page."""
    token = request.query.get("token", "")
    return web.Response(status=302, headers={"Location": f"/#/join/{quote(token)}" if token else "/"})


class _Files:
    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    async def page(self, request: web.Request) -> web.StreamResponse:
        index = self._root / "index.html"
        if not index.is_file():
            return web.Response(
                text=NOT_BUILT, content_type="text/html", status=503, headers={hdrs.CACHE_CONTROL: "no-store"}
            )
        return web.FileResponse(index, headers=PAGE_HEADERS)

    async def file(self, request: web.Request) -> web.StreamResponse:
        path = self._find(request.match_info["path"])
        if path is None:
            return problem("not_found")
        headers = dict(PAGE_HEADERS) if path.suffix == ".html" else {hdrs.CACHE_CONTROL: ASK}
        if path.parent == self._root / "assets":
            headers[hdrs.CACHE_CONTROL] = FOREVER
        return web.FileResponse(path, headers=headers)

    def _find(self, name: str) -> Path | None:
        """A file below the root and nowhere else, whatever dots and links say."""
        if "\0" in name:
            return None
        try:
            path = (self._root / name).resolve()
            inside = path.is_relative_to(self._root) and path.is_file()
        except OSError:
            return None
        hidden = any(part.startswith(".") for part in path.relative_to(self._root).parts) if inside else True
        return None if hidden else path
