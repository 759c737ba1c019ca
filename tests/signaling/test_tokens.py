"""Access tokens and API keys: what is let in, and what is not, with which code."""

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.auth import keys as auth_keys
from signaling.auth.keys import KeysError, check, load, load_or_make
from signaling.auth.tokens import CLOCK_SKEW_S, MAX_NAME, TokenError, issue, tidy_name, verify
from tests.signaling.lessons import ROLES

NOW = 1_790_000_000
KEYS = {"Kfirst": "a" * 64, "Ksecond": "b" * 64}


def token(**changes: Any) -> str:
    """A good token, with these claims changed; None takes a claim out."""
    claims: dict[str, Any] = {
        "iss": "Kfirst", "sub": "ming", "lesson": "demo", "role": "student", "name": "小明",
        "iat": NOW, "nbf": NOW, "exp": NOW + 60, "jti": "x",
    }  # fmt: skip
    claims.update(changes)
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, KEYS["Kfirst"], algorithm="HS256", headers={"kid": "Kfirst"})


def code(text: str, now: float = NOW, lesson: str | None = None) -> str | None:
    try:
        verify(KEYS, text, now, lesson)
    except TokenError as error:
        return error.code
    return None


@pytest.mark.parametrize("role", ROLES)
def test_what_is_issued_is_granted(role: Any) -> None:
    text = issue(KEYS, lesson="demo", role=role, name=" 小明\n", ttl_s=60, now=NOW, participant="ming")
    grant = verify(KEYS, text, NOW + 59, "demo")
    assert (grant.participant, grant.lesson, grant.role, grant.name) == ("ming", "demo", role, "小明")
    assert (grant.expires_s, grant.key) == (NOW + 60, "Kfirst")


def test_participants_are_told_apart_and_either_key_signs() -> None:
    texts = [
        issue(KEYS, lesson="demo", role="student", name="", ttl_s=9, now=NOW, key="Ksecond") for _ in "12"
    ]
    grants = [verify(KEYS, text, NOW) for text in texts]
    assert grants[0].participant != grants[1].participant
    assert grants[0].token_id != grants[1].token_id
    assert grants[0].key == "Ksecond"
    assert grants[0].name == grants[0].participant


@pytest.mark.parametrize(
    "changes",
    [
        {"lesson": "a/b"}, {"lesson": ""}, {"lesson": "课"}, {"participant": "a b"}, {"role": "king"},
        {"ttl_s": 0}, {"participant": "x" * 65},
    ],
)  # fmt: skip
def test_bad_tokens_are_not_issued(changes: dict[str, Any]) -> None:
    good: dict[str, Any] = {"lesson": "demo", "role": "student", "name": "n", "ttl_s": 9, "now": NOW}
    with pytest.raises(ValueError):  # noqa: PT011 (each case has its own sentence)
        issue(KEYS, **{**good, **changes})


def test_a_token_has_its_time_and_its_lesson() -> None:
    assert code(token()) is None
    assert code(token(), NOW + 59.9) is None
    assert code(token(), NOW + 60) == "token_expired"
    assert code(token(nbf=NOW + CLOCK_SKEW_S)) is None
    assert code(token(nbf=NOW + CLOCK_SKEW_S + 1)) == "token_not_yet"
    assert code(token(), lesson="demo") is None
    assert code(token(), lesson="other") == "token_wrong_lesson"
    assert code("") == "token_missing"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "Ksecond"}, {"iss": None}, {"sub": None}, {"sub": 7}, {"sub": ""}, {"sub": "a/b"},
        {"lesson": None}, {"lesson": ["demo"]}, {"lesson": "../x"}, {"role": None}, {"role": "king"},
        {"role": ["student"]}, {"role": {}}, {"exp": None}, {"exp": "soon"}, {"exp": True}, {"exp": 1e300},
        {"nbf": "now"}, {"name": 5}, {"name": {"zh": "x"}}, {"jti": 5}, {"name": "x" * 5000},
    ],
)  # fmt: skip
def test_wrong_claims_are_invalid(changes: dict[str, Any]) -> None:
    assert code(token(**changes)) == "token_invalid"


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_forged_tokens_are_invalid() -> None:
    header, claims, signature = token().split(".")
    lecturer = token(role="lecturer").split(".")[1]
    stranger = jwt.encode({"iss": "Kfirst"}, "c" * 64, algorithm="HS256", headers={"kid": "Kfirst"})
    unknown = jwt.encode({"iss": "Kx"}, "c" * 64, algorithm="HS256", headers={"kid": "Kx"})
    said = jwt.decode(token(), options={"verify_signature": False})
    other = jwt.encode(said, KEYS["Kfirst"], algorithm="HS512", headers={"kid": "Kfirst"})
    for forged in (
        f"{header}.{lecturer}.{signature}",
        f"{header}.{claims}.",
        f"{header}.{claims}.{signature[:-2]}AA",
        f"{_part({'alg': 'none', 'kid': 'Kfirst'})}.{claims}.",
        f"{_part({'alg': 'HS256'})}.{claims}.{signature}",
        f"{_part({'alg': 'HS256', 'kid': ['Kfirst']})}.{claims}.{signature}",
        f"{_part([])}.{claims}.{signature}",
        stranger, unknown, other, "a.b.c", "....", "课", "x" * 5000,
    ):  # fmt: skip
        assert code(forged) == "token_invalid", forged


@given(st.text(max_size=40) | st.lists(st.text(max_size=12), min_size=3, max_size=3).map(".".join))
def test_any_text_is_refused_with_a_code(text: str) -> None:
    assert code(text) in ("token_invalid", "token_missing")


@given(st.integers(0, 200), st.integers(0, 255))
def test_no_single_changed_byte_is_let_in_as_another(index: int, byte: int) -> None:
    good = token()
    index %= len(good)
    changed = good[:index] + chr(byte) + good[index + 1 :]
    refusal = code(changed)
    if refusal is None:  # the last character of base64 has bits that mean nothing
        assert verify(KEYS, changed, NOW) == verify(KEYS, good, NOW)
    else:
        assert refusal == "token_invalid"


def test_names_are_one_tidy_line() -> None:
    assert tidy_name("  王\u202e老\u200b师\r\n\x00 a ") == "王老师 a"
    assert len(tidy_name("x" * 1000)) == MAX_NAME
    assert tidy_name("\n\t") == ""


# --- API keys -------------------------------------------------------------------------------


def test_keys_are_made_once_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    path = tmp_path / "data" / "keys.toml"
    keys = load_or_make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_make(path) == keys == load(path)
    assert [len(secret) >= auth_keys.MIN_SECRET for secret in keys.values()] == [True]
    assert os.listdir(path.parent) == ["keys.toml"]


@pytest.mark.parametrize(
    "text",
    [
        "", "[keys]\n", "keys = 5", "[keys]\nA = 5", '[keys]\nA = "short"', "[keys",
        '[keys]\n"a b" = "' + "x" * 40 + '"',
    ],
)  # fmt: skip
def test_unusable_keys_say_why(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeysError) as caught:
        load_or_make(path)
    assert caught.value.code == "keys_unusable"
    assert caught.value.detail["why"]


def test_keys_that_others_can_read_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    load_or_make(path)
    path.chmod(0o644)
    with pytest.raises(KeysError, match="chmod 600"):
        load_or_make(path)


def test_a_place_that_cannot_be_written_is_an_error_with_a_code(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeysError):
        load_or_make(tmp_path / "file" / "keys.toml")


def test_secrets_are_compared_whole() -> None:
    assert check(KEYS, "Kfirst", "a" * 64)
    assert not check(KEYS, "Kfirst", "a" * 63)
    assert not check(KEYS, "Ksecond", "a" * 64)
    assert not check(KEYS, "nobody", "")
