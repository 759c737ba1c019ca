"""What a negotiation gives to the engine (the shapes that `_engine.pyi` asks for)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["audio", "video"]


@dataclass(kw_only=True, slots=True)
class Producer:
    """One sending m-line of the client."""

    use: str  # camera, microphone or board
    source: int
    group: int
    kind: Kind
    codec: Literal["opus", "h264", "vp8"]
    clock_rate: int  # Hz
    mid: str
    payload_type: int
    rtx_payload_type: int | None
    ssrcs: Sequence[int]
    rtx_ssrcs: Mapping[int, int]  # RTX SSRC -> media SSRC
    rids: Sequence[str]
    extensions: Mapping[str, int]
    nack: bool
    pli: bool
    fir: bool
    twcc: bool


@dataclass(kw_only=True, slots=True)
class Slot:
    """One receiving m-line of the client."""

    name: str  # lecturer.video, stage.2.audio, floor.0, ...
    mid: str
    kind: Kind
    codec: Literal["opus", "h264", "vp8"]
    clock_rate: int  # Hz
    payload_type: int
    rtx_payload_type: int | None
    ssrc: int
    rtx_ssrc: int | None
    cname: str
    extensions: Mapping[str, int]
    nack: bool
