"""One client's media session: what was negotiated, and how its transport fares."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mediaserver.channel.messages import SessionInfo
from mediaserver.dtls import DtlsSession
from mediaserver.sdp.answer import Endpoint, Negotiated, Terms

State = Literal["connecting", "connected", "disconnected"]

# A source id and a slot's mid mean something to the engine; a name and a session to signaling.


@dataclass(slots=True)
class Session:
    session: str
    lesson: str
    participant: str
    transport: int  # the engine's number for it
    terms: Terms
    endpoint: Endpoint
    negotiated: Negotiated
    dtls: DtlsSession
    state_since: float  # monotonic seconds
    state: State = "connecting"
    has_path: bool = False  # ICE found one, and it is not expired
    has_keys: bool = False
    assigned: dict[str, int] = field(default_factory=dict)  # slot name -> source
    mids: Mapping[str, str] = field(init=False)  # slot name -> mid
    names: Mapping[str, str] = field(init=False)  # mid -> slot name
    sources: Mapping[str, int] = field(init=False)  # use -> source

    def __post_init__(self) -> None:
        self.mids = {slot.name: slot.mid for slot in self.negotiated.slots}
        self.names = {slot.mid: slot.name for slot in self.negotiated.slots}
        self.sources = {producer.use: producer.source for producer in self.negotiated.producers}
        self.assigned = dict.fromkeys(self.mids, 0)

    def info(self, live: set[int]) -> SessionInfo:
        return SessionInfo(
            session=self.session,
            lesson=self.lesson,
            participant=self.participant,
            sources=dict(self.sources),
            live=[source for source in self.sources.values() if source in live],
            state=self.state,
        )


def new_credentials() -> tuple[str, str]:
    """ICE ufrag and password (RFC 8839, 5.4). The ufrag also finds the transport on the shared
    port, so that it is longer than the four characters that ICE asks for."""
    return secrets.token_hex(6), secrets.token_hex(16)


class SsrcAllocator:
    """Random SSRCs that neither the client's own offer nor an earlier slot has."""

    def __init__(self, taken: set[int]) -> None:
        self._taken = taken

    def __call__(self) -> int:
        while True:
            ssrc = secrets.randbelow(2**32 - 1) + 1
            if ssrc not in self._taken:
                self._taken.add(ssrc)
                return ssrc
