"""Connections that ask nothing: aiohttp waits forever for a connection's first whole request.

Whoever opens many and sends a header's byte now and then would keep the server's descriptors.
"""

import asyncio

from aiohttp import web

SILENT_S = 10.0  # at least; at most twice as long


class Patience:
    """`heard` is told of each request; `watch` ends the connections that made none."""

    def __init__(self, silent_s: float = SILENT_S) -> None:
        self._silent_s = silent_s
        self._heard: set[web.RequestHandler] = set()

    def heard(self, request: web.Request) -> None:
        self._heard.add(request.protocol)

    async def watch(self, server: web.Server) -> None:
        """Until cancelled."""
        silent: set[web.RequestHandler] = set()
        while True:
            await asyncio.sleep(self._silent_s)
            open_now = set(server.connections)
            self._heard &= open_now
            for connection in (silent & open_now) - self._heard:
                connection.force_close()
            silent = open_now - self._heard
