"""One question to the REST API (docs/api.md); a refusal becomes one line."""

import ssl
from typing import Any

import aiohttp

from clients.cli.errors import NOT_REACHED, REFUSED, Problem
from clients.python.connection import VerifyTls, tls_context

TIMEOUT = aiohttp.ClientTimeout(total=15)


async def ask(
    method: str, url: str, body: dict[str, str] | None, headers: dict[str, str], verify_tls: VerifyTls
) -> dict[str, Any]:
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=TIMEOUT) as session,
            session.request(method, url, json=body, ssl=tls_context(verify_tls)) as response,
        ):
            answer: dict[str, Any] = await response.json(content_type=None)
            status = response.status
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, ssl.SSLError) as error:
        detail = str(error) or type(error).__name__
        raise Problem(
            NOT_REACHED, f"连不上服务器（{detail}）", f"cannot reach the server: {detail}"
        ) from error
    if status >= 400:
        code = answer.get("code", status)
        raise Problem(
            REFUSED, f"{answer.get('zh', '被拒绝')}（{code}）", f"{answer.get('en', 'refused')} ({code})"
        )
    return answer
