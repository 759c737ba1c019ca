"""Which RTP header extensions a section carries (RFC 8285), by the engine's short names."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mediaserver._engine import EXTENSIONS
from mediaserver.sdp.description import Extension
from mediaserver.sdp.parameters import Kind

_PASSED_ON = ("video_orientation", "content_type", "color_space", "playout_delay")


def _by_uri(*names: str) -> Mapping[str, str]:
    return {EXTENSIONS[name]: name for name in names}


# Sending sections of the client. Of the congestion control extensions only the transport-wide
# sequence number is taken, because both together would feed two estimators.
_FROM_CLIENT: Mapping[Kind, Mapping[str, str]] = {
    "audio": _by_uri("mid", "audio_level", "twcc"),
    "video": _by_uri("mid", "rid", "repaired_rid", "twcc", *_PASSED_ON),
}

# Receiving sections: the slot's own mid, and what is passed on as its source sent it.
_TO_CLIENT: Mapping[Kind, Mapping[str, str]] = {
    "audio": _by_uri("mid", "audio_level"),
    "video": _by_uri("mid", *_PASSED_ON),
}

# One-byte headers have ids up to 14 (RFC 8285, 4.2). A larger one makes a packet's header a
# two-byte one, and a stream may have both kinds only where a=extmap-allow-mixed is agreed.
_MAX_ID, _MAX_ID_MIXED = 14, 255


class Agreed(NamedTuple):
    name: str
    id: int
    line: str  # the value of a=extmap in the answer


def agree_extensions(
    offered: Iterable[Extension],
    kind: Kind,
    *,
    to_client: bool,
    allow_mixed: bool,
    with_twcc: bool,
    with_layers: bool,
) -> tuple[Agreed, ...]:
    """Takes each offered extension that is of use in this direction, with the id it was offered."""
    without = () if with_layers else ("rid", "repaired_rid")
    if not with_twcc:
        without = (*without, "twcc")
    wanted = (_TO_CLIENT if to_client else _FROM_CLIENT)[kind]
    max_id = _MAX_ID_MIXED if allow_mixed else _MAX_ID
    needed, answered = ("recvonly", "sendonly") if to_client else ("sendonly", "recvonly")
    agreed: list[Agreed] = []
    seen: set[str | int] = set()
    for extension in offered:
        uri = extension.uri
        name = wanted.get(uri)
        if name is None or name in without:
            continue
        number, way = extension.id, extension.direction
        if not 1 <= number <= max_id or number in seen or name in seen:
            continue
        if way is None:
            line = f"{number} {uri}"
        elif way == "sendrecv":
            line = f"{number}/sendrecv {uri}"
        elif way == needed:
            line = f"{number}/{answered} {uri}"
        else:
            continue
        seen.add(name)
        seen.add(number)
        agreed.append(Agreed(name, number, line))
    return tuple(agreed)


def understood(offered: Iterable[Extension]) -> tuple[Extension, ...]:
    """Those at session level that any section could take: a handful of however many."""
    uris = set(EXTENSIONS.values())
    return tuple({extension.uri: extension for extension in offered if extension.uri in uris}.values())


def tells_layers(offered: Iterable[Extension]) -> bool:
    """Whether packets say which simulcast layer they are of."""
    return any(extension.uri == EXTENSIONS["rid"] for extension in offered)
