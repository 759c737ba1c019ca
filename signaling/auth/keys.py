"""API keys and their secrets: a TOML file that only the server's user can read.

The file holds a table `[keys]` of `key = "secret"`; it is made with one random pair at the first
start. The school's own system signs tokens with them, or asks the REST API to.
"""

import os
import re
import secrets
import tomllib
from pathlib import Path

from signaling.errors import KelianError

Keys = dict[str, str]  # key -> secret

MIN_SECRET = 32  # characters; HS256 wants 256 bits (RFC 7518, 3.2)
_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_READABLE_BY_OTHERS = 0o077


class KeysError(KelianError):
    """The file of keys cannot be used: code `keys_unusable`, `why` in detail."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__("keys_unusable", path=str(path), why=why)


def load_or_make(path: Path) -> Keys:
    """The keys in this file; the file is made (mode 0600) if there is none. Raises KeysError."""
    try:
        return load(path)
    except FileNotFoundError:
        pass
    pair = {f"K{secrets.token_hex(6)}": secrets.token_urlsafe(32)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, pair)
    except FileExistsError:
        return load(path)  # another process was quicker
    except OSError as error:
        raise KeysError(path, str(error)) from error
    return pair


def load(path: Path) -> Keys:
    """Raises FileNotFoundError and KeysError."""
    try:
        text = path.read_bytes().decode()
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise KeysError(path, str(error)) from error
    if mode & _READABLE_BY_OTHERS:
        raise KeysError(path, f"mode is {mode & 0o777:04o}: others can read it; chmod 600 and change secrets")
    try:
        keys = tomllib.loads(text).get("keys")
    except tomllib.TOMLDecodeError as error:
        raise KeysError(path, str(error)) from error
    if not isinstance(keys, dict) or not keys:
        raise KeysError(path, "no table [keys] with at least one key")
    for key, secret in keys.items():
        if not _KEY.fullmatch(key):
            raise KeysError(path, f"bad key name {key!r}")
        if not isinstance(secret, str) or len(secret) < MIN_SECRET:
            raise KeysError(path, f"the secret of {key} is shorter than {MIN_SECRET} characters")
    return dict(keys)


def check(keys: Keys, key: str, secret: str) -> bool:
    """Whether this pair is one of ours, in constant time."""
    expected = keys.get(key, "")
    given = secret.encode(errors="surrogateescape")  # a header's bytes need not be UTF-8
    return secrets.compare_digest(expected.encode(), given) and bool(expected)


def _write(path: Path, keys: Keys) -> None:
    """Whole or not at all, so that a crash leaves no half file, and never over another's file."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    body = "# API keys of this server and their secrets. Keep them to yourself.\n[keys]\n"
    body += "".join(f'{key} = "{secret}"\n' for key, secret in keys.items())
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()
