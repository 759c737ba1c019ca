"""Which payload type carries a section: the lesson's video codec with its RTX, or Opus."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from mediaserver.sdp.description import Codec, Section
from mediaserver.sdp.parameters import Kind

CLOCK_RATES: Mapping[Kind, int] = {"audio": 48000, "video": 90000}  # Hz
FEEDBACK = ("nack", "nack pli", "ccm fir", "transport-cc")
_DEFAULT_PROFILE = "42000a"  # RFC 6184, 8.1: what is meant without profile-level-id


@dataclass(slots=True)
class Choice:
    """One payload type as it will stand in the answer."""

    name: Literal["opus", "h264", "vp8"]
    payload_type: int
    rtx_payload_type: int | None
    fmtp: str
    feedback: set[str]  # of those that this server understands, the offered ones


def choose_video(section: Section, codec: Literal["h264", "vp8"]) -> Choice | None:
    chosen = _best_h264(section) if codec == "h264" else _first_vp8(section)
    if chosen is None:
        return None
    return Choice(
        name=codec,
        payload_type=chosen.payload_type,
        rtx_payload_type=_rtx_of(section, chosen.payload_type),
        fmtp=_h264_fmtp(chosen) if codec == "h264" else "",
        feedback=_feedback(chosen, section, FEEDBACK),
    )


def choose_audio(section: Section) -> Choice | None:
    for codec in section.codecs:
        if codec.name == "opus" and codec.clock_rate == CLOCK_RATES["audio"]:
            return Choice(
                name="opus",
                payload_type=codec.payload_type,
                rtx_payload_type=None,
                fmtp=_opus_fmtp(codec),
                feedback=_feedback(codec, section, ("transport-cc",)),
            )
    return None


def _feedback(codec: Codec, section: Section, understood: Iterable[str]) -> set[str]:
    return {value for value in understood if value in codec.feedback or value in section.feedback}


def _first_vp8(section: Section) -> Codec | None:
    return next((codec for codec in section.codecs if codec.name == "vp8"), None)


def _best_h264(section: Section) -> Codec | None:
    ranked = [
        (rank, codec)
        for codec in section.codecs
        if codec.name == "h264" and (rank := _h264_rank(codec)) is not None
    ]
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None


def _h264_rank(codec: Codec) -> int | None:
    """Lower is better, None is unusable. Every H.264 decoder has the constrained baseline profile
    (RFC 6184, table 5); encoders that call theirs plain baseline make the same stream."""
    parameters = codec.parameters()
    if parameters.get("packetization-mode", "0") != "1":
        return None
    try:
        profile = int(parameters.get("profile-level-id", _DEFAULT_PROFILE), 16)
    except ValueError:
        return None
    idc, constraints = profile >> 16, (profile >> 8) & 0xFF
    if constraints & 0x0F or profile > 0xFFFFFF:
        return None
    if idc == 0x42:
        return 0 if constraints == 0xE0 else 1 if constraints & 0x40 else 2
    if (idc == 0x4D and constraints & 0x80) or (idc == 0x58 and constraints & 0xC0 == 0xC0):
        return 1
    return None


def _h264_fmtp(codec: Codec) -> str:
    """The offered profile and level; what the offer left out stays out."""
    parameters = codec.parameters()
    kept = []
    if parameters.get("level-asymmetry-allowed") == "1":
        kept.append("level-asymmetry-allowed=1")
    kept.append("packetization-mode=1")
    if profile := parameters.get("profile-level-id"):
        kept.append(f"profile-level-id={profile}")
    return ";".join(kept)


def _opus_fmtp(codec: Codec) -> str:
    """In-band FEC is asked for always; stereo only of those who have it."""
    parameters = codec.parameters()
    kept = ["minptime=10"] if "minptime" in parameters else []
    kept.append("useinbandfec=1")
    if parameters.get("stereo") == "1" or parameters.get("sprop-stereo") == "1":
        kept.append("stereo=1")
    return ";".join(kept)


def _rtx_of(section: Section, payload_type: int) -> int | None:
    apt = str(payload_type)
    for codec in section.codecs:
        if codec.name == "rtx" and codec.parameters().get("apt") == apt:
            return codec.payload_type
    return None
