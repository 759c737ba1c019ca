"""The packet engine (Rust, `mediaserver/engine`): its whole Python surface.

All calls return at once: they are queued to the packet thread, in order. Addresses are
"203.0.113.7:7882" or "[2001:db8::1]:7882". Sources are u32, never 0; 0 means "nobody".
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, final

class ProducerParameters(Protocol):
    """One sending m-line as it was answered: attributes are read by name."""

    source: int  # the id that signaling gave; CSRC in slots
    group: int  # producers of one lesson share it: loudest speakers are ranked in a group
    kind: Literal["audio", "video"]
    codec: Literal["opus", "h264", "vp8"]
    clock_rate: int  # Hz
    mid: str
    payload_type: int
    rtx_payload_type: int | None
    ssrcs: Sequence[int]  # as declared by a=ssrc; may be empty (MID/RID then tell)
    rtx_ssrcs: Mapping[int, int]  # RTX SSRC -> media SSRC, by a=ssrc-group:FID
    rids: Sequence[str]  # simulcast, in offer order; empty without
    extensions: Mapping[str, int]  # short name (EXTENSIONS) -> id in this section
    nack: bool
    pli: bool
    fir: bool
    twcc: bool

class SlotParameters(Protocol):
    """One receiving m-line (a slot) as it was answered."""

    mid: str
    kind: Literal["audio", "video"]
    codec: Literal["opus", "h264", "vp8"]
    clock_rate: int  # Hz
    payload_type: int
    rtx_payload_type: int | None
    ssrc: int
    rtx_ssrc: int | None
    cname: str
    extensions: Mapping[str, int]
    nack: bool

EXTENSIONS: Mapping[str, str]
"""Short name -> URI of every RTP header extension the engine understands: mid, rid,
repaired_rid, audio_level, twcc, abs_send_time, video_orientation, content_type, color_space,
playout_delay."""

JournalWord = Literal["ok", "slow", "full", "failed", "gap"]
"""slow, full, failed: the disk does not keep up, has no room, or refuses; tried again until ok.
gap: packets were lost before the journal, which says so."""

Event = (
    tuple[Literal["dtls"], int, bytes]  # transport, datagram (RFC 7983: first byte 20-63)
    | tuple[Literal["ice"], int, Literal["connected", "moved", "expired"], str]  # remote address
    | tuple[Literal["source"], int, bool]  # source, RTP arrives (False after 2 s of silence)
    | tuple[Literal["slot"], int, str, int]  # transport, mid, the source now forwarded in it
    | tuple[Literal["speakers"], int, list[tuple[int, int]]]  # group, (source, level in -dBov), loudest first
    | tuple[Literal["journal"], str, JournalWord, str]  # file, how it fares, details in English
)

@final
class Engine:
    """One node's packet path: UDP sockets, one packet thread, no GIL in it."""

    def __new__(cls, bind: Sequence[str], journal: str | None = None) -> Engine:
        """Binds and starts. Port 0 in the first address picks a port, used for all others.

        `journal`: the folder of journals (docs/journal.md); what an earlier process of this folder
        could not write any more is written first. Raises OSError when an address is taken or not
        ours, the folder cannot be made, or there is no room for the ring in /dev/shm.
        """
    @property
    def port(self) -> int: ...
    @property
    def event_fd(self) -> int:
        """Becomes readable when events wait (an eventfd; `take_events` clears it)."""
    def take_events(self) -> list[Event]: ...
    def open_transport(
        self, transport: int, *, local_ufrag: str, local_pwd: str, remote_ufrag: str, remote_pwd: str
    ) -> None: ...
    def restart_ice(
        self, transport: int, *, local_ufrag: str, local_pwd: str, remote_ufrag: str, remote_pwd: str
    ) -> None:
        """New credentials; media goes on over the old path until the new one is nominated."""
    def send_dtls(self, transport: int, datagram: bytes) -> None: ...
    def set_srtp(self, transport: int, profile: int, local_key: bytes, remote_key: bytes) -> None:
        """`profile`: 1 AES128_CM_HMAC_SHA1_80 (RFC 5764), 7 AEAD_AES_128_GCM (RFC 7714).

        Keys are master key then master salt. ValueError on another profile or a wrong length.
        """
    def close_transport(self, transport: int) -> None:
        """Forgets it with its producers and slots."""
    def open_producer(self, transport: int, parameters: ProducerParameters) -> None: ...
    def close_producer(self, source: int) -> None: ...
    def open_slot(self, transport: int, parameters: SlotParameters) -> None: ...
    def assign(self, changes: Sequence[tuple[int, str, int]]) -> None:
        """(transport, mid of the slot, source or 0), all at one instant."""
    def request_keyframe(self, source: int) -> None: ...
    def record(self, source: int, file: str, label: str) -> None:
        """Records a source, all layers and sender reports, until told to stop or it is closed.

        `file`: a relative path below the folder of journals, ValueError if it is not; several
        sources may share it. `label` goes into the journal as it is.
        """
    def stop_recording(self, source: int) -> None: ...
    def stats(self) -> dict[str, int]:
        """Counters of the node: packets, bytes, drops by reason."""
    def transport_stats(self, transport: int) -> dict[str, object] | None: ...
    def close(self) -> None: ...

def parse_sdp(text: bytes) -> dict[str, object]:
    """Parses one SDP (RFC 8866, 9429). ValueError("line 7: ...") on malformed text."""
