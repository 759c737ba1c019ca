"""A request's body, whole: within its limit, and within its time."""

import asyncio

from aiohttp import web

from signaling.errors import KelianError

BODY_S = 20.0  # an offer is sent in one breath; who trickles it holds a place that others want


async def body(request: web.Request, limit: int, *, beyond: str, within_s: float = BODY_S) -> bytes:
    """Raises KelianError: `beyond` for a body over the limit, bad_message for one that does not end."""
    if (request.content_length or 0) > limit:
        raise KelianError(beyond, limit=limit)
    try:
        async with asyncio.timeout(within_s):
            data = await request.read()
    except TimeoutError:
        raise KelianError("bad_message", why=f"the body did not come within {within_s:.0f} s") from None
    if len(data) > limit:
        raise KelianError(beyond, limit=limit)
    return data
