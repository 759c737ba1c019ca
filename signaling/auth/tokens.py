"""Access tokens: JWT (RFC 7519) signed with HS256 and an API key's secret.

    header   alg HS256, kid: the API key
    claims   iss: the API key, sub: participant id, lesson, role, name, iat, nbf, exp, jti

A token lets one participant into one lesson in one role, until it expires. Times are seconds
since 1970, UTC, and always passed in.
"""

import re
import secrets
import unicodedata
from typing import Any, get_args

import jwt
import msgspec

from signaling.auth.keys import Keys
from signaling.errors import KelianError
from signaling.log.events import Role

MAX_BYTES = 4096
CLOCK_SKEW_S = 60  # between this server and the school's own system
LESSON_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PARTICIPANT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]{0,63}")
MAX_NAME = 64
ROLES: tuple[Role, ...] = get_args(Role)


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a good token says."""

    participant: str
    lesson: str
    role: Role
    name: str
    expires_s: int
    key: str  # the API key that signed it
    token_id: str  # jti, "" if it has none


class TokenError(KelianError):
    """Codes token_missing, token_invalid, token_expired, token_not_yet, token_wrong_lesson."""


def issue(
    keys: Keys,
    *,
    lesson: str,
    role: Role,
    name: str,
    ttl_s: int,
    now: float,
    participant: str | None = None,
    key: str | None = None,
) -> str:
    """A token signed with this API key, or with the first. Raises ValueError for bad arguments."""
    participant = participant or secrets.token_hex(8)
    key = key or next(iter(keys))
    if not LESSON_ID.fullmatch(lesson):
        raise ValueError("a lesson's id is 1 to 64 letters, digits, dots, dashes and underscores")
    if not PARTICIPANT_ID.fullmatch(participant):
        raise ValueError("a participant's id is 1 to 64 letters, digits and . _ @ : -")
    if role not in ROLES:
        raise ValueError(f"no such role: {role}")
    if ttl_s <= 0:
        raise ValueError("ttl_s must be above 0")
    issued = int(now)
    claims = {
        "iss": key,
        "sub": participant,
        "lesson": lesson,
        "role": role,
        "name": tidy_name(name) or participant[:MAX_NAME],
        "iat": issued,
        "nbf": issued,
        "exp": issued + ttl_s,
        "jti": secrets.token_hex(8),
    }
    return jwt.encode(claims, keys[key], algorithm="HS256", headers={"kid": key})


def verify(keys: Keys, token: str, now: float, lesson: str | None = None) -> Grant:
    """What this token grants now (and in this lesson, if given). Raises TokenError, nothing else."""
    if not token:
        raise TokenError("token_missing")
    if len(token) > MAX_BYTES:
        raise TokenError("token_invalid", why="too long")
    claims = _claims(keys, token)
    grant = _grant(claims)
    if _seconds(claims, "nbf", 0) > now + CLOCK_SKEW_S:
        raise TokenError("token_not_yet")
    if grant.expires_s <= now:
        raise TokenError("token_expired")
    if lesson is not None and grant.lesson != lesson:
        raise TokenError("token_wrong_lesson")
    return grant


def tidy_name(name: str) -> str:
    """A name fit for a screen: no control or direction characters, one line, at most 64 characters."""
    kept = (char for char in unicodedata.normalize("NFC", name) if unicodedata.category(char)[0] != "C")
    return " ".join("".join(kept).split())[:MAX_NAME]


def _claims(keys: Keys, token: str) -> dict[str, Any]:
    try:
        key = jwt.get_unverified_header(token).get("kid")
        secret = keys.get(key) if isinstance(key, str) else None
        if secret is None:
            raise TokenError("token_invalid", why="unknown key")
        claims: dict[str, Any] = jwt.decode(
            token,
            secret,
            algorithms=["HS256"],
            options={  # times are checked by hand, against the time passed in
                "verify_signature": True, "verify_exp": False, "verify_nbf": False, "verify_iat": False,
                "verify_aud": False, "require": ["iss", "sub", "lesson", "role", "exp"],
            },
        )  # fmt: skip
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise TokenError("token_invalid", why=type(error).__name__) from error
    if claims["iss"] != key:
        raise TokenError("token_invalid", why="iss is not kid")
    return claims


def _grant(claims: dict[str, Any]) -> Grant:
    role = claims["role"]
    if role not in ROLES:
        raise TokenError("token_invalid", why="unknown role")
    participant = _text(claims, "sub")
    lesson = _text(claims, "lesson")
    if not PARTICIPANT_ID.fullmatch(participant) or not LESSON_ID.fullmatch(lesson):
        raise TokenError("token_invalid", why="bad sub or lesson")
    name = tidy_name(_text(claims, "name") if "name" in claims else "")
    return Grant(
        participant=participant,
        lesson=lesson,
        role=role,
        name=name or participant,
        expires_s=_seconds(claims, "exp", None),
        key=claims["iss"],
        token_id=_text(claims, "jti") if "jti" in claims else "",
    )


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims[name]
    if not isinstance(value, str):
        raise TokenError("token_invalid", why=f"{name} is not text")
    return value


def _seconds(claims: dict[str, Any], name: str, default: int | None) -> int:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        raise TokenError("token_invalid", why=f"{name} is not a time")
    return int(value)
