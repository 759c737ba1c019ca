"""Which m-line is what: uses for what a client sends, slot names for what it receives."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mediaserver.sdp.description import NegotiationError, Section
from mediaserver.sdp.parameters import Kind

USES: Mapping[str, Kind] = {"camera": "video", "microphone": "audio", "board": "video"}

_SLOT = re.compile(
    r"lecturer\.(?:video|audio)|board|private|stage\.[0-9]{1,3}\.(?:video|audio)|(?:floor|wall)\.[0-9]{1,3}"
)


def slot_kind(name: str) -> Kind | None:
    """The kind of media of a slot; None when there is no slot of that name."""
    if not _SLOT.fullmatch(name):
        return None
    return "audio" if name.endswith(".audio") or name == "private" or name.startswith("floor.") else "video"


def slot_stream(name: str) -> str:
    """The msid stream of a slot. Browsers lip-sync the audio of a stream with its one video, so
    that a pair shares one and everything else, the board too, stands alone."""
    return name.removesuffix(".video").removesuffix(".audio").replace(".", "-")


@dataclass(frozen=True, slots=True)
class Label:
    name: str
    is_slot: bool


def label_sections(
    sections: Sequence[Section],
    mids: Sequence[str],
    labels: Mapping[str, str],
    defaults: Sequence[str],
    sources: Mapping[str, int],
) -> list[Label | None]:
    """The label of each section; None for those that nothing fits.

    Raises NegotiationError `bad_label`: a name that does not exist, that does not fit its
    section, or that two sections share.
    """
    if labels:
        found = [
            _named(section, labels.get(mid), sources) for section, mid in zip(sections, mids, strict=True)
        ]
    else:
        found = _by_order(sections, defaults, sources)
    given = [label for label in found if label]
    if len(set(given)) < len(given):
        raise NegotiationError("bad_label", "two sections have the same label")
    return found


def _named(section: Section, name: str | None, sources: Mapping[str, int]) -> Label | None:
    if name is None or section.kind not in ("audio", "video"):
        return None
    if (label := _fit(section, name, sources)) is None and section.direction != "inactive":
        raise NegotiationError(
            "bad_label", f"a {section.direction} {section.kind} section cannot be {name!r}"
        )
    return label


def _by_order(
    sections: Sequence[Section], defaults: Sequence[str], sources: Mapping[str, int]
) -> list[Label | None]:
    left = list(defaults)
    found: list[Label | None] = []
    for section in sections:
        for name in left:
            if label := _fit(section, name, sources):
                left.remove(name)
                break
        else:
            label = None
        found.append(label)
    return found


def _fit(section: Section, name: str, sources: Mapping[str, int]) -> Label | None:
    """A section that both sends and receives is used one way: what its label says. "board" is a
    use and a slot: sending wins where the participant may."""
    sends = section.sends and USES.get(name) == section.kind
    receives = section.receives and slot_kind(name) == section.kind
    if sends and not (receives and name not in sources):
        return Label(name, is_slot=False)
    return Label(name, is_slot=True) if receives else None
