"""The answer to an offer (RFC 9429, 9143, 8839, 8842, 8853), as a pure function.

A client offers once: its sending m-lines and its pool of receiving ones. The answer takes each
of them one way, over one bundled transport, with exactly one payload type (and its RTX), and
names the SSRCs of everything that it will send. A later offer for the same session restarts
ICE and changes nothing else.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Literal

from mediaserver.sdp.codecs import (
    CLOCK_RATES,
    FEEDBACK,
    Choice,
    choose_audio,
    choose_video,
)
from mediaserver.sdp.description import Description, Extension, Fingerprint, NegotiationError, Section
from mediaserver.sdp.extensions import Agreed, agree_extensions, tells_layers, understood
from mediaserver.sdp.labels import Label, label_sections, slot_stream
from mediaserver.sdp.parameters import Kind, Producer, Slot

MAX_SECTIONS = 128
MAX_LAYERS = 4
HASHES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}  # bytes; from weak to strong
MAX_SSRCS = 16  # of one section


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What signaling allows this client (the fields of OpenSession)."""

    codec: Literal["h264", "vp8"]
    labels: Mapping[str, str] = field(default_factory=dict)
    defaults: Sequence[str] = ()
    sources: Mapping[str, int] = field(default_factory=dict)
    group: int = 0  # the lesson's, for the loudest speakers


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """This node's end of the session's transport."""

    ufrag: str
    pwd: str
    fingerprint: str  # sha-256
    candidates: Sequence[tuple[str, int]]  # address and UDP port, the best first
    session_id: int
    version: int = 1

    def renewed(self, ufrag: str, pwd: str) -> "Endpoint":
        """The same end, its ICE restarted."""
        return replace(self, ufrag=ufrag, pwd=pwd, version=self.version + 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Negotiated:
    answer: str
    producers: Sequence[Producer]
    slots: Sequence[Slot]
    remote_ufrag: str
    remote_pwd: str
    fingerprints: Sequence[Fingerprint]
    dtls_role: Literal["server", "client"]
    labels: Mapping[str, str]  # mid -> name, of the sections that were taken


@dataclass(slots=True)
class _Part:
    """One section on its way through the negotiation."""

    section: Section
    mid: str
    label: Label | None
    choice: Choice | None = None
    extensions: Sequence[Agreed] = ()
    producer: Producer | None = None
    slot: Slot | None = None
    layers: Sequence[str] = ()

    @property
    def taken(self) -> bool:
        """In the bundle: used one way, or inactive because its use is not allowed."""
        return self.choice is not None


def negotiate(
    offer: Description,
    terms: Terms,
    endpoint: Endpoint,
    new_ssrc: Callable[[], int],
    previous: Negotiated | None = None,
) -> Negotiated:
    """Answers `offer`. With `previous`: the answer that the session has, its ICE being restarted.

    `new_ssrc` gives SSRCs that no slot of the session has. Raises NegotiationError.
    """
    if len(offer.media) > MAX_SECTIONS:
        raise NegotiationError("too_many_sections", f"{len(offer.media)} sections, at most {MAX_SECTIONS}")
    if previous and not terms.labels:
        terms = replace(terms, labels=previous.labels)
    parts = _parts(offer, terms)
    for part in parts:
        _choose(part, terms)
    _refuse_what_cannot_play(parts, terms)
    taken = _bundled(offer, parts)
    tag = taken[0].section
    # Sections of one offer have the same few sets of extensions: each is looked at once.
    context = _Context(terms, understood(offer.extensions), new_ssrc, previous, cache(agree_extensions))
    for part in taken:
        _agree(part, context)
    ufrag, pwd = _ice(offer, tag)
    if not tag.rtcp_mux:
        raise NegotiationError("no_rtcp_mux", "RTP and RTCP must share a port (a=rtcp-mux)")
    role: Literal["server", "client"] = "client" if tag.setup == "passive" else "server"
    negotiated = Negotiated(
        answer=_write(parts, taken, endpoint, role),
        producers=[part.producer for part in taken if part.producer],
        slots=[part.slot for part in taken if part.slot],
        remote_ufrag=ufrag,
        remote_pwd=pwd,
        fingerprints=_fingerprints(offer, taken),
        dtls_role=role,
        labels={part.mid: part.label.name for part in taken if part.label},
    )
    if previous:
        _refuse_changes(previous, negotiated)
    return negotiated


def restart(negotiated: Negotiated, before: Endpoint, now: Endpoint, ufrag: str, pwd: str) -> Negotiated:
    """Restarts ICE for a client that sends its new credentials and no whole offer.

    Raises NegotiationError `no_ice` when they are no credentials (RFC 8839, 5.4).
    """
    if not re.fullmatch(r"[!-9;-~]{4,256}", ufrag) or not re.fullmatch(r"[!-~]{22,256}", pwd):
        raise NegotiationError("no_ice", "a malformed ice-ufrag or ice-pwd")
    renewed = {
        _origin(before): _origin(now),
        f"a=ice-ufrag:{before.ufrag}": f"a=ice-ufrag:{now.ufrag}",
        f"a=ice-pwd:{before.pwd}": f"a=ice-pwd:{now.pwd}",
    }
    lines = [renewed.get(line, line) for line in negotiated.answer.split("\r\n")]
    return replace(negotiated, answer="\r\n".join(lines), remote_ufrag=ufrag, remote_pwd=pwd)


# --- what each section becomes --------------------------------------------------------------


def _parts(offer: Description, terms: Terms) -> list[_Part]:
    # A section without a mid can only be alone; the engine gets a name for it all the same.
    mids = [section.mid or f"#{index}" for index, section in enumerate(offer.media)]
    labels = label_sections(offer.media, mids, terms.labels, terms.defaults, terms.sources)
    return [_Part(*values) for values in zip(offer.media, mids, labels, strict=True)]


def _choose(part: _Part, terms: Terms) -> None:
    if part.section.is_offered and "RTP" in part.section.protocol:
        if part.section.kind == "audio":
            part.choice = choose_audio(part.section)
        elif part.section.kind == "video":
            part.choice = choose_video(part.section, terms.codec)


def _refuse_what_cannot_play(parts: Sequence[_Part], terms: Terms) -> None:
    """Nobody is left with a black picture: who cannot decode the lesson is told so at once.

    Who cannot encode it may still watch; only an offer that receives nothing is refused.
    """
    videos = [
        part for part in parts if part.label and part.section.kind == "video" and part.section.is_offered
    ]
    watching = [part for part in videos if part.label and part.label.is_slot]
    if watching and not any(part.choice for part in watching):
        raise NegotiationError(
            "codec_cannot_decode", f"no receiving video section offers {_codec_text(terms)}"
        )
    receives = any(part.label and part.label.is_slot for part in parts)
    if videos and not receives and not any(part.choice for part in videos):
        raise NegotiationError("codec_not_offered", f"no sending video section offers {_codec_text(terms)}")


def _codec_text(terms: Terms) -> str:
    return "H.264 baseline with packetization-mode=1" if terms.codec == "h264" else "VP8"


def _bundled(offer: Description, parts: Sequence[_Part]) -> list[_Part]:
    """The sections that share the transport; others are refused. The first is the tagged one."""
    bundle = next((group.mids for group in offer.groups if group.semantics == "BUNDLE"), None)
    if bundle is None:
        if sum(part.taken for part in parts) > 1:
            raise NegotiationError("no_bundle", "several sections without a=group:BUNDLE")
    else:
        members = set(bundle)
        for part in parts:
            if part.section.mid not in members:
                part.choice = None
    taken = [part for part in parts if part.taken]
    if not any(part.label for part in taken):
        raise NegotiationError("nothing_to_carry", "no section sends or receives anything of the lesson")
    return taken


@dataclass(frozen=True, slots=True)
class _Context:
    """What all sections of one negotiation share."""

    terms: Terms
    common: tuple[Extension, ...]  # the header extensions of the session level
    new_ssrc: Callable[[], int]
    previous: Negotiated | None
    agree_extensions: Callable[..., tuple[Agreed, ...]]


def _agree(part: _Part, context: _Context) -> None:
    """Settles a section that was taken, and makes its slot or its producer.

    What may not be used is answered inactive, but in full: Chromium would lose the rid extension
    and then could not make its next offer.
    """
    choice, label, section = part.choice, part.label, part.section
    assert choice is not None
    kind: Kind = "audio" if section.kind == "audio" else "video"
    offered = (*section.extensions, *context.common)
    is_slot = label is not None and label.is_slot
    part.layers = [] if is_slot else _layers(section, offered)
    part.extensions = context.agree_extensions(
        offered,
        kind,
        to_client=is_slot,
        allow_mixed=section.extmap_allow_mixed,
        with_twcc="transport-cc" in choice.feedback,
        with_layers=bool(part.layers),
    )
    if not any(agreed.name == "twcc" for agreed in part.extensions):
        choice.feedback.discard("transport-cc")
    if label is None:
        return
    if is_slot:
        slots = context.previous.slots if context.previous else ()
        earlier = next((slot for slot in slots if slot.mid == part.mid), None)
        part.slot = _slot(part, choice, kind, label.name, earlier, context.new_ssrc)
    elif label.name in context.terms.sources:
        part.producer = _producer(part, choice, kind, label.name, context.terms)


def _slot(
    part: _Part, choice: Choice, kind: Kind, name: str, earlier: Slot | None, new_ssrc: Callable[[], int]
) -> Slot:
    with_rtx = choice.rtx_payload_type is not None
    return Slot(
        name=name,
        mid=part.mid,
        kind=kind,
        codec=choice.name,
        clock_rate=CLOCK_RATES[kind],
        payload_type=choice.payload_type,
        rtx_payload_type=choice.rtx_payload_type,
        ssrc=earlier.ssrc if earlier else new_ssrc(),
        rtx_ssrc=(earlier.rtx_ssrc if earlier else new_ssrc()) if with_rtx else None,
        cname=slot_stream(name),
        extensions={agreed.name: agreed.id for agreed in part.extensions},
        nack="nack" in choice.feedback,
    )


def _producer(part: _Part, choice: Choice, kind: Kind, use: str, terms: Terms) -> Producer:
    ssrcs, rtx_ssrcs = _ssrcs(part.section)
    extensions = {agreed.name: agreed.id for agreed in part.extensions}
    return Producer(
        use=use,
        source=terms.sources[use],
        group=terms.group,
        kind=kind,
        codec=choice.name,
        clock_rate=CLOCK_RATES[kind],
        mid=part.mid,
        payload_type=choice.payload_type,
        rtx_payload_type=choice.rtx_payload_type,
        ssrcs=ssrcs,
        rtx_ssrcs=rtx_ssrcs if choice.rtx_payload_type is not None else {},
        rids=part.layers,
        extensions=extensions,
        nack="nack" in choice.feedback,
        pli="nack pli" in choice.feedback,
        fir="ccm fir" in choice.feedback,
        twcc="twcc" in extensions,
    )


def _layers(section: Section, offered: Sequence[Extension]) -> list[str]:
    """The simulcast layers, in offer order: those of a=simulcast that have an a=rid."""
    if not section.simulcast or not tells_layers(offered):
        return []
    sent = {rid.id for rid in section.rids if rid.sends}
    return [rid for rid in dict.fromkeys(section.simulcast) if rid in sent][:MAX_LAYERS]


def _ssrcs(section: Section) -> tuple[list[int], dict[int, int]]:
    """Media SSRCs, and RTX SSRC -> media SSRC. SSRCs of forward error correction are left out."""
    rtx: dict[int, int] = {}
    aside: set[int] = set()
    for group in section.ssrc_groups:
        if group.semantics == "FID" and len(group.ssrcs) == 2:
            rtx[group.ssrcs[1]] = group.ssrcs[0]
        elif group.semantics.startswith("FEC"):
            aside.update(group.ssrcs[1:])
    media = [ssrc for ssrc in section.ssrcs if ssrc not in rtx and ssrc not in aside][:MAX_SSRCS]
    return media, dict(list(rtx.items())[:MAX_SSRCS])


# --- the transport ----------------------------------------------------------------------------


def _ice(offer: Description, tag: Section) -> tuple[str, str]:
    if offer.ice_lite:
        raise NegotiationError("no_ice", "both sides are ICE-lite: nobody would check the path")
    if not tag.ice_ufrag or not tag.ice_pwd:
        raise NegotiationError("no_ice", "no ice-ufrag and ice-pwd for the bundle")
    return tag.ice_ufrag, tag.ice_pwd


def _fingerprints(offer: Description, taken: Sequence[_Part]) -> list[Fingerprint]:
    """Of the first section that has any, else of the session level; of hashes that are safe."""
    lists = (*(part.section.fingerprints for part in taken), offer.fingerprints)
    offered = next((fingerprints for fingerprints in lists if fingerprints), [])
    usable = [f for f in offered if HASHES.get(f.algorithm.lower()) == len(f.value.split(":"))]
    if not usable:
        raise NegotiationError("no_fingerprint", f"no whole a=fingerprint of {', '.join(HASHES)}")
    return usable


def _refuse_changes(previous: Negotiated, now: Negotiated) -> None:
    """An ICE restart keeps everything but the credentials. SSRCs that the client sends may show
    up later than in its first offer: the engine knows sections by mid."""

    def shape(negotiated: Negotiated) -> object:
        producers = [replace(producer, ssrcs=(), rtx_ssrcs={}) for producer in negotiated.producers]
        return producers, negotiated.slots, negotiated.dtls_role

    if shape(previous) != shape(now):
        raise NegotiationError("offer_changed", "an offer for an open session may only restart ICE")


# --- the text -----------------------------------------------------------------------------------


def _write(
    parts: Sequence[_Part], taken: Sequence[_Part], endpoint: Endpoint, role: Literal["server", "client"]
) -> str:
    address, port = endpoint.candidates[0]
    connection = f"c=IN IP{6 if ':' in address else 4} {address}"
    lines = [
        "v=0",
        _origin(endpoint),
        "s=-",
        "t=0 0",
        "a=ice-lite",
        "a=msid-semantic: WMS *",
    ]
    if bundle := [part.section.mid for part in taken if part.section.mid]:
        lines.append(f"a=group:BUNDLE {' '.join(bundle)}")
    # In each section, though RFC 9143 asks for them in the tagged one only: aiortc reads the last.
    transport = "\r\n".join(
        (
            f"a=ice-ufrag:{endpoint.ufrag}",
            f"a=ice-pwd:{endpoint.pwd}",
            f"a=fingerprint:sha-256 {endpoint.fingerprint}",
            f"a=setup:{'passive' if role == 'server' else 'active'}",
            *_candidates(endpoint.candidates),
        )
    )
    for part in parts:
        section = part.section
        if part.choice is None:
            lines.append(f"m={section.kind} 0 {section.protocol} {section.formats}")
            lines.append("c=IN IP4 0.0.0.0")
            lines += [f"a=mid:{section.mid}"] if section.mid else []
            lines.append("a=inactive")
            continue
        payload_types = f"{part.choice.payload_type}"
        if part.choice.rtx_payload_type is not None:
            payload_types += f" {part.choice.rtx_payload_type}"
        lines.append(f"m={section.kind} {port} {section.protocol} {payload_types}")
        lines.append(connection)
        lines.append(transport)
        lines += _section_lines(part, part.choice)
    lines.append("")
    return "\r\n".join(lines)


def _origin(endpoint: Endpoint) -> str:
    return f"o=- {endpoint.session_id} {endpoint.version} IN IP4 127.0.0.1"


def _candidates(candidates: Sequence[tuple[str, int]]) -> list[str]:
    """Host candidates (RFC 8839, 5.1). Foundations differ, because the addresses do."""
    lines = []
    for index, (address, port) in enumerate(candidates):
        priority = (126 << 24) | ((65535 - index) << 8) | 255  # RFC 8445, 5.1.2: component 1
        lines.append(f"a=candidate:{index + 1} 1 udp {priority} {address} {port} typ host")
    lines.append("a=end-of-candidates")
    return lines


def _section_lines(part: _Part, choice: Choice) -> list[str]:
    section = part.section
    lines = [f"a=mid:{section.mid}"] if section.mid else []
    lines.append(f"a={'recvonly' if part.producer else 'sendonly' if part.slot else 'inactive'}")
    lines.append("a=rtcp-mux")
    if section.rtcp_rsize:
        lines.append("a=rtcp-rsize")
    if section.extmap_allow_mixed:
        lines.append("a=extmap-allow-mixed")
    lines += [f"a=extmap:{agreed.line}" for agreed in part.extensions]
    lines += _codec_lines(choice)
    if part.layers:
        lines += [f"a=rid:{rid} recv" for rid in part.layers]
        lines.append(f"a=simulcast:recv {';'.join(part.layers)}")
    if slot := part.slot:
        lines.append(f"a=msid:{slot.cname} {slot.name}")
        if slot.rtx_ssrc is not None:
            lines.append(f"a=ssrc-group:FID {slot.ssrc} {slot.rtx_ssrc}")
        lines.append(f"a=ssrc:{slot.ssrc} cname:{slot.cname}")
        if slot.rtx_ssrc is not None:
            lines.append(f"a=ssrc:{slot.rtx_ssrc} cname:{slot.cname}")
    return lines


_RTPMAP = {"opus": "opus/48000/2", "h264": "H264/90000", "vp8": "VP8/90000"}


def _codec_lines(choice: Choice) -> list[str]:
    number = choice.payload_type
    lines = [f"a=rtpmap:{number} {_RTPMAP[choice.name]}"]
    lines += [f"a=rtcp-fb:{number} {value}" for value in FEEDBACK if value in choice.feedback]
    if choice.fmtp:
        lines.append(f"a=fmtp:{number} {choice.fmtp}")
    if choice.rtx_payload_type is not None:
        lines.append(f"a=rtpmap:{choice.rtx_payload_type} rtx/90000")
        lines.append(f"a=fmtp:{choice.rtx_payload_type} apt={number}")
    return lines
