"""Everything that signaling can be told (`python -m signaling --config-json '{...}'`).

The command line (`kelian serve`) merges file, environment and flags and passes the result here
whole, so that this process reads one value and guesses nothing. Paths may be relative to the
working directory; times are milliseconds, sizes bytes.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(gt=0)]


class Rate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token bucket: `burst` requests at once, `per_s` sustained."""

    per_s: Annotated[float, Meta(gt=0)]
    burst: Positive


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much one client, and one lesson, may ask for."""

    message_bytes: Positive = 640 * 1024  # one WebSocket message; offers reach 512 KiB
    offer_bytes: Positive = 512 * 1024  # one SDP offer by WHIP or WHEP
    body_bytes: Positive = 64 * 1024  # any other HTTP body
    queue_bytes: Positive = 1024 * 1024  # not yet taken by a client; beyond it is `slow_client`
    send_buffer_bytes: Positive = 256 * 1024  # the kernel's, per WebSocket
    connections_per_lesson: Positive = 3000
    connections_per_participant: Positive = 8
    sessions_per_participant: Positive = 8
    misbehaviour: Rate = Rate(per_s=1, burst=20)  # unreadable or refused for speed; beyond: closed
    # What people do by clicking, what pages do by themselves, and what is costly:
    clicks: Rate = Rate(per_s=10, burst=40)
    chat: Rate = Rate(per_s=1, burst=8)
    offers: Rate = Rate(per_s=0.5, burst=12)
    http_per_address: Rate = Rate(per_s=50, burst=200)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: Port = 8080  # 0: any free one (the first line of the log names it)
    tls_cert: str = ""  # PEM file with the certificate chain; empty: plain HTTP
    tls_key: str = ""
    data: str = "data"  # directory: the lessons' database lives here
    api_keys: str = ""  # file with API keys and secrets; empty: DATA/keys.toml
    node: str = ""  # the media node's channel, unix:/PATH or tcp:HOST:PORT; empty: no media
    node_secret: str = ""  # asked for by a node over TCP; empty: $KELIAN_CHANNEL_SECRET
    web_root: str = ""  # built pages; empty: clients/web/dist beside this package
    codec: Literal["h264", "vp8"] = "h264"  # of lessons that do not say
    record: bool = False  # new lessons from their start, those that do not say
    hello_timeout_ms: Positive = 10_000
    heartbeat_ms: Positive = 20_000
    grace_ms: Positive = 15_000  # a participant without a connection stays this long
    fanout_ms: Positive = 40  # events are sent in batches at most this often
    trusted_proxies: tuple[str, ...] = ()  # addresses whose X-Forwarded-For and -Proto are believed
    cors_origins: tuple[str, ...] = ("*",)  # who may use WHIP and WHEP from another page
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    limits: Limits = Limits()

    @property
    def database(self) -> Path:
        return Path(self.data) / "signaling.db"

    @property
    def keys_file(self) -> Path:
        return Path(self.api_keys) if self.api_keys else Path(self.data) / "keys.toml"

    @property
    def pages(self) -> Path:
        if self.web_root:
            return Path(self.web_root)
        return Path(__file__).resolve().parent.parent / "clients" / "web" / "dist"


class BadSettings(ValueError):
    """The settings cannot be used; the message says which and why, for the operator."""


def parse_settings(text: str | bytes) -> Settings:
    """Reads `--config-json`. Raises BadSettings."""
    try:
        settings = msgspec.json.decode(text, type=Settings)
    except msgspec.DecodeError as error:
        raise BadSettings(f"signaling's settings: {error}") from error
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise BadSettings("signaling's settings: tls_cert and tls_key go together")
    return settings
