"""Access tokens and lesson ids for commands, signed with the server's own keys on this machine."""

import time
from pathlib import Path

from clients.cli.errors import BAD_CONFIGURATION, Problem
from signaling.auth import keys, tokens
from signaling.log.events import Role

DAY_S = 24 * 3600


def server_keys(path: Path) -> keys.Keys:
    """The file's keys, made if there is none yet. Raises Problem."""
    try:
        return keys.load_or_make(path)
    except keys.KeysError as error:
        raise Problem(
            BAD_CONFIGURATION, f"密钥文件 {path} 用不了", f"cannot use the keys: {error}"
        ) from error


def authorization(path: Path) -> dict[str, str]:
    """The header that shows the server one of its own API keys (docs/api.md). Raises Problem."""
    key, secret = next(iter(server_keys(path).items()))
    return {"Authorization": f"Bearer {key}:{secret}"}


def issue(
    path: Path, *, lesson: str, role: Role, name: str, ttl_s: int, participant: str | None = None
) -> str:
    """Raises Problem."""
    if not tokens.LESSON_ID.fullmatch(lesson):
        raise Problem(
            BAD_CONFIGURATION,
            f"课堂编号“{lesson}”不行：只能用 1 到 64 个英文字母、数字和 . _ -",
            f"{lesson!r} is no lesson id: 1 to 64 letters of ASCII, digits and . _ -",
        )
    try:
        return tokens.issue(
            server_keys(path),
            lesson=lesson,
            role=role,
            name=name,
            ttl_s=ttl_s,
            now=time.time(),
            participant=participant,
        )
    except ValueError as error:
        raise Problem(BAD_CONFIGURATION, "凭证的参数不对", f"no token for this: {error}") from error
