"""An offer as typed values. The grammar is in the engine (`engine/src/wire/sdp`)."""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

import msgspec

from mediaserver._engine import parse_sdp

MAX_BYTES = 512 * 1024

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]


class NegotiationError(Exception):
    """Why an offer gets no answer. `code` is stable, `detail` is English, for the technician."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


_REMEMBERED_LENGTH = 200


def _parameters(fmtp: str) -> Mapping[str, str]:
    pairs = (item.partition("=") for item in fmtp.split(";"))
    return MappingProxyType({name.strip().lower(): value.strip() for name, _, value in pairs if name.strip()})


_remembered = lru_cache(maxsize=512)(_parameters)


class Fingerprint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    algorithm: str  # as written: "sha-256", or "SHA-256"
    value: str


class Extension(msgspec.Struct, frozen=True, array_like=True, gc=False):
    id: int
    uri: str
    direction: Direction | None  # seen from the offerer; None is as good as sendrecv


class Codec(msgspec.Struct, frozen=True, array_like=True):
    payload_type: int
    name: str  # in lower case
    clock_rate: int  # Hz
    channels: int
    fmtp: str
    feedback: list[str]

    def parameters(self) -> Mapping[str, str]:
        """`fmtp` by name, names in lower case."""
        # The same few stand in each section of each offer: the short ones are remembered.
        return _remembered(self.fmtp) if len(self.fmtp) <= _REMEMBERED_LENGTH else _parameters(self.fmtp)


class Group(msgspec.Struct, frozen=True, array_like=True):
    semantics: str
    mids: list[str]


class SsrcGroup(msgspec.Struct, frozen=True, array_like=True):
    semantics: str
    ssrcs: list[int]


class Rid(msgspec.Struct, frozen=True, array_like=True, gc=False):
    id: str
    sends: bool


class Section(msgspec.Struct, frozen=True):
    """One m= section. Fingerprints and extensions of the session level are not repeated here."""

    kind: str
    port: int
    protocol: str
    formats: str
    mid: str | None
    direction: Direction
    ice_ufrag: str | None
    ice_pwd: str | None
    setup: Literal["actpass", "active", "passive", "holdconn"] | None
    rtcp_mux: bool
    rtcp_rsize: bool
    bundle_only: bool
    extmap_allow_mixed: bool
    msid: str | None
    fingerprints: list[Fingerprint]
    extensions: list[Extension]
    codecs: list[Codec]  # in the offerer's order of preference
    feedback: list[str]  # a=rtcp-fb:*
    rids: list[Rid]
    simulcast: list[str]  # the rids of a=simulcast:send, in order
    ssrcs: list[int]
    ssrc_groups: list[SsrcGroup]

    @property
    def sends(self) -> bool:
        return self.direction in ("sendonly", "sendrecv")

    @property
    def receives(self) -> bool:
        return self.direction in ("recvonly", "sendrecv")

    @property
    def is_offered(self) -> bool:
        """Port 0 refuses a section, except that a bundled one may have it (RFC 9143, 7.2.1)."""
        return self.port != 0 or self.bundle_only


class Description(msgspec.Struct, frozen=True):
    session_id: str
    session_version: str
    ice_lite: bool
    fingerprints: list[Fingerprint]
    extensions: list[Extension]
    groups: list[Group]
    media: list[Section]


def parse_description(text: str) -> Description:
    """Raises NegotiationError: `offer_too_large`, or `bad_sdp` with the line at fault."""
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) > MAX_BYTES:
        raise NegotiationError("offer_too_large", f"{len(encoded)} bytes, at most {MAX_BYTES} are taken")
    try:
        return msgspec.convert(parse_sdp(encoded), Description)
    except ValueError as error:
        raise NegotiationError("bad_sdp", str(error)) from error
