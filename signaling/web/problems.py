"""RFC 9457 problem bodies: every refusal over HTTP has a code and a sentence in two languages."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from signaling import errors

CODE: web.ResponseKey[str] = web.ResponseKey("code", str)  # of a response that is a problem


class Problem(msgspec.Struct, omit_defaults=True):
    type: str
    title: str
    status: int
    code: str
    zh: str
    en: str
    detail: str = ""
    retry_after_ms: int | None = None


def problem(
    code: str,
    *,
    values: Mapping[str, str | int] | None = None,
    detail: str = "",
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    retry_after_s: int | None = None,
) -> web.Response:
    """`values` fill the sentence of the code; `detail` is English, for whoever debugs."""
    zh, en = errors.sentence(code, **(values or {}))
    status = status or errors.status(code)
    body = Problem(
        type=f"/docs/errors#{code}",
        title=en,
        status=status,
        code=code,
        zh=zh,
        en=en,
        detail=detail or "; ".join(f"{name}: {value}" for name, value in (values or {}).items()),
        retry_after_ms=None if retry_after_s is None else retry_after_s * 1000,
    )
    sent = dict(headers or {})
    if retry_after_s is not None:
        sent["Retry-After"] = str(retry_after_s)
    if status == 401:
        sent["WWW-Authenticate"] = 'Bearer realm="kelian"'
    response = web.Response(
        body=msgspec.json.encode(body), status=status, headers=sent, content_type="application/problem+json"
    )
    response[CODE] = code
    return response


def of(error: errors.KelianError, headers: Mapping[str, str] | None = None) -> web.Response:
    status = errors.status(error.code)
    return problem(
        error.code, values=error.detail, headers=headers, retry_after_s=2 if status in (429, 503) else None
    )
