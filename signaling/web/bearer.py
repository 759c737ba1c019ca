"""Who asks over HTTP: access tokens for lessons, API keys for the school's own system."""

import base64
import binascii
import time

from aiohttp import hdrs, web

from signaling.auth import keys as api_keys
from signaling.auth import tokens
from signaling.errors import KelianError
from signaling.web.context import context


def lesson_token(request: web.Request, lesson: str) -> tokens.Grant:
    """`Authorization: Bearer TOKEN`, good for this lesson. Raises KelianError."""
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "bearer":
        raise KelianError("token_missing")
    return tokens.verify(context(request).keys, token.strip(), time.time(), lesson)


def api_key(request: web.Request) -> str:
    """`Authorization: Bearer KEY:SECRET`, or Basic with KEY and SECRET. Raises KelianError (bad_key)."""
    scheme, _, value = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    pair = value.strip()
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(pair, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError, ValueError):
            raise KelianError("bad_key") from None
    elif scheme.lower() != "bearer":
        raise KelianError("bad_key")
    key, _, secret = pair.partition(":")
    if not api_keys.check(context(request).keys, key, secret):
        raise KelianError("bad_key")
    return key
