"""Offers as clients really send them, and what the node answers."""

import contextlib
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiortc import RTCPeerConnection
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.sdp.answer import MAX_SECTIONS, Endpoint, Negotiated, Terms, negotiate, restart
from mediaserver.sdp.description import Description, NegotiationError, Section, parse_description

OFFERS = Path(__file__).parent / "offers"
ENDPOINT = Endpoint(
    ufrag="localufrag",
    pwd="localpasswordlocalpassword",
    fingerprint=":".join(["AB"] * 32),
    candidates=[("203.0.113.7", 7882), ("2001:db8::7", 7882), ("127.0.0.1", 7882)],
    session_id=4711,
)
STUDENT = {
    str(mid): name
    for mid, name in enumerate(
        ["camera", "microphone", "board", "lecturer.video", "lecturer.audio", "board",
         "stage.0.video", "stage.0.audio", "floor.0", "private"]
    )
}  # fmt: skip
WHIP = ["microphone", "camera", "board"]
WHEP = ["lecturer.audio", "lecturer.video"]
SOURCES = {"camera": 11, "microphone": 12, "board": 13}


def read(name: str) -> str:
    return (OFFERS / f"{name}.sdp").read_bytes().decode()


def answer(
    text: str, terms: Terms, previous: Negotiated | None = None, endpoint: Endpoint = ENDPOINT
) -> Negotiated:
    ssrcs = itertools.count(5000)
    negotiated = negotiate(parse_description(text), terms, endpoint, lambda: next(ssrcs), previous)
    check(parse_description(text), negotiated)
    return negotiated


def check(offer: Description, negotiated: Negotiated) -> None:
    """What holds for every answer."""
    answered = parse_description(negotiated.answer)
    SessionDescription.parse(negotiated.answer)  # another implementation reads it too
    assert answered.ice_lite
    assert [section.mid for section in answered.media] == [section.mid for section in offer.media]
    taken = [section for section in answered.media if section.port]
    mids = [section.mid for section in taken]
    assert [group.mids for group in answered.groups] == ([mids] if mids != [None] else [])
    for section, offered in zip(answered.media, offer.media, strict=True):
        assert section.kind == offered.kind
        assert section.protocol == offered.protocol
        if section.port:
            check_section(section, offered)
    assert negotiated.answer.count("a=end-of-candidates") == len(taken)
    ssrcs = [ssrc for slot in negotiated.slots for ssrc in (slot.ssrc, slot.rtx_ssrc) if ssrc]
    assert len(ssrcs) == len(set(ssrcs))


def check_section(section: Section, offered: Section) -> None:
    media = [codec for codec in section.codecs if codec.name != "rtx"]
    assert len(media) == 1
    by_number = {codec.payload_type: codec for codec in offered.codecs}
    for codec in section.codecs:
        assert by_number[codec.payload_type].name == codec.name
        feedback = by_number[codec.payload_type].feedback + offered.feedback
        assert set(codec.feedback) <= set(feedback)
    allowed = {
        "sendonly": ("recvonly", "inactive"),
        "recvonly": ("sendonly", "inactive"),
        "sendrecv": ("sendonly", "recvonly", "inactive"),
        "inactive": ("inactive",),
    }
    assert section.direction in allowed[offered.direction]
    offered_ids = {extension.uri: extension.id for extension in offered.extensions}
    for extension in section.extensions:
        assert offered_ids[extension.uri] == extension.id
    assert section.rtcp_mux
    assert (section.ice_ufrag, section.ice_pwd) == (ENDPOINT.ufrag, ENDPOINT.pwd)
    assert section.fingerprints[0].value == ENDPOINT.fingerprint


def refusal(text: str, terms: Terms, previous: Negotiated | None = None) -> NegotiationError:
    with pytest.raises(NegotiationError) as caught:
        answer(text, terms, previous)
    return caught.value


def directions(negotiated: Negotiated) -> list[str]:
    return [section.direction for section in parse_description(negotiated.answer).media]


# --- clients -----------------------------------------------------------------------------------


def test_chromium_student_in_an_h264_lesson() -> None:
    negotiated = answer(
        read("chromium_student_h264"), Terms(codec="h264", labels=STUDENT, sources=SOURCES, group=3)
    )
    camera, microphone, board = negotiated.producers
    assert (camera.use, camera.source, camera.codec, camera.group, camera.mid) == (
        "camera",
        11,
        "h264",
        3,
        "0",
    )
    assert camera.rids == ["q", "h", "f"]
    assert {"mid", "rid", "repaired_rid", "twcc"} <= camera.extensions.keys()
    assert (camera.twcc, camera.nack, camera.pli, camera.fir) == (True, True, True, True)
    assert camera.rtx_payload_type is not None
    assert (microphone.codec, microphone.clock_rate) == ("opus", 48000)
    assert "audio_level" in microphone.extensions
    assert microphone.ssrcs
    assert board.rids == []
    assert "rid" not in board.extensions
    assert [slot.name for slot in negotiated.slots] == list(STUDENT.values())[3:]
    assert all("twcc" not in slot.extensions and "mid" in slot.extensions for slot in negotiated.slots)
    assert "a=simulcast:recv q;h;f\r\n" in negotiated.answer
    assert "profile-level-id=42e01f" in negotiated.answer
    assert negotiated.dtls_role == "server"


def test_pairs_share_a_stream_and_the_board_stands_alone() -> None:
    negotiated = answer(read("chromium_student_h264"), Terms(codec="h264", labels=STUDENT))
    lines = negotiated.answer.splitlines()
    assert [line for line in lines if line.startswith("a=msid:")] == [
        "a=msid:lecturer lecturer.video",
        "a=msid:lecturer lecturer.audio",
        "a=msid:board board",
        "a=msid:stage-0 stage.0.video",
        "a=msid:stage-0 stage.0.audio",
        "a=msid:floor-0 floor.0",
        "a=msid:private private",
    ]
    for slot in negotiated.slots:
        assert f"a=ssrc:{slot.ssrc} cname:{slot.cname}" in lines
        assert (f"a=ssrc-group:FID {slot.ssrc} {slot.rtx_ssrc}" in lines) == (slot.kind == "video")


def test_who_may_send_nothing_is_answered_inactive_where_it_offers_to() -> None:
    negotiated = answer(read("chromium_student_h264"), Terms(codec="h264", labels=STUDENT))
    assert negotiated.producers == []
    assert directions(negotiated) == ["inactive"] * 3 + ["sendonly"] * 7
    # Chromium could not offer again if the answer took the rid extension from its three layers.
    assert "sdes:rtp-stream-id" in negotiated.answer
    assert "a=simulcast:recv q;h;f" in negotiated.answer


def test_chromium_student_in_a_vp8_lesson() -> None:
    negotiated = answer(read("chromium_student_vp8"), Terms(codec="vp8", labels=STUDENT, sources=SOURCES))
    assert {producer.codec for producer in negotiated.producers} == {"vp8", "opus"}


def test_untrimmed_chromium_offers_choose_constrained_baseline() -> None:
    text = read("chromium_untrimmed")
    negotiated = answer(text, Terms(codec="h264", defaults=WHIP, sources=SOURCES))
    assert "profile-level-id=42e01f" in negotiated.answer
    assert {producer.use for producer in negotiated.producers} == {"camera", "microphone", "board"}
    assert answer(text, Terms(codec="vp8", defaults=WHIP, sources=SOURCES)).producers[0].codec == "vp8"


def test_firefox_with_port_0_bundle_only_and_session_level_direction() -> None:
    labels = {"0": "microphone", "1": "camera", "2": "lecturer.video", "3": "lecturer.audio"}
    negotiated = answer(read("firefox_vp8"), Terms(codec="vp8", labels=labels, sources=SOURCES))
    microphone, camera = negotiated.producers
    assert microphone.ssrcs == [2655508255]
    assert not microphone.twcc, "no transport-cc was offered for audio"
    assert camera.rids == ["high", "low"]
    assert camera.extensions["rid"] == 8
    assert "a=extmap:8/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id" in negotiated.answer
    assert "playout_delay" not in camera.extensions, "that client only receives it"
    assert negotiated.slots[0].extensions["playout_delay"] == 9
    assert (
        "a=extmap:9/sendonly http://www.webrtc.org/experiments/rtp-hdrext/playout-delay" in negotiated.answer
    )
    assert directions(negotiated) == ["recvonly", "recvonly", "sendonly", "sendonly"]


def test_firefox_without_h264_is_refused_in_an_h264_lesson() -> None:
    labels = {"0": "microphone", "1": "camera", "2": "lecturer.video", "3": "lecturer.audio"}
    assert refusal(read("firefox_vp8"), Terms(codec="h264", labels=labels)).code == "codec_cannot_decode"


def test_safari_sending_and_receiving_on_one_section() -> None:
    sending = answer(read("safari_h264"), Terms(codec="h264", defaults=WHIP, sources=SOURCES))
    camera = next(producer for producer in sending.producers if producer.use == "camera")
    assert (camera.payload_type, camera.rtx_payload_type) == (98, 99)
    assert camera.ssrcs == [2231627014]
    assert camera.rtx_ssrcs == {632943048: 2231627014}
    assert camera.extensions["video_orientation"] == 13
    assert directions(sending) == ["recvonly", "recvonly"]
    watching = answer(read("safari_h264"), Terms(codec="h264", defaults=WHEP))
    assert directions(watching) == ["sendonly", "sendonly"]
    assert {slot.name for slot in watching.slots} == {"lecturer.video", "lecturer.audio"}


def test_obs_over_whip() -> None:
    negotiated = answer(
        read("obs_whip"), Terms(codec="h264", defaults=WHIP, sources={"camera": 1, "microphone": 2})
    )
    microphone, camera = negotiated.producers
    assert "profile-level-id=42001e" in negotiated.answer
    assert "stereo=1" in negotiated.answer
    assert (microphone.extensions, camera.extensions) == ({}, {}), "none was offered"
    assert camera.ssrcs == [1305024312]
    assert negotiated.fingerprints[0].value.startswith("F4:2C")


def test_passive_offers_make_the_node_the_dtls_client() -> None:
    negotiated = answer(read("gstreamer_passive"), Terms(codec="h264", defaults=WHIP, sources=SOURCES))
    assert negotiated.dtls_role == "client"
    assert "a=setup:active" in negotiated.answer
    camera, microphone = negotiated.producers
    assert (camera.nack, camera.pli, camera.rtx_payload_type) == (False, True, None)
    assert not camera.twcc, "transport-cc without its header extension"
    assert "transport-cc" not in negotiated.answer
    assert "level-asymmetry-allowed" not in negotiated.answer
    assert (microphone.codec, microphone.payload_type) == ("opus", 97), "OPUS in capitals"
    assert [fingerprint.algorithm for fingerprint in negotiated.fingerprints] == ["sha-256", "sha-512"]


def test_whep_player_with_a_data_channel_outside_the_bundle() -> None:
    negotiated = answer(read("whep_player"), Terms(codec="h264", defaults=WHEP))
    audio, video = negotiated.slots
    assert (audio.payload_type, video.payload_type, video.rtx_payload_type) == (96, 98, None)
    assert video.nack, "by rtcp-fb:*"
    assert "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n" in negotiated.answer
    assert negotiated.remote_ufrag == "WxYz"
    assert negotiated.fingerprints[0].algorithm == "SHA-384"


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_aiortc(codec: Any) -> None:
    client = RTCPeerConnection()
    for kind, direction in [
        ("audio", "sendonly"),
        ("video", "sendonly"),
        ("video", "recvonly"),
        ("audio", "recvonly"),
    ]:
        client.addTransceiver(kind, direction=direction)
    await client.setLocalDescription(await client.createOffer())
    labels = {"0": "microphone", "1": "camera", "2": "lecturer.video", "3": "lecturer.audio"}
    negotiated = answer(
        client.localDescription.sdp, Terms(codec=codec, labels=labels, sources=SOURCES), endpoint=ENDPOINT
    )
    assert [producer.codec for producer in negotiated.producers] == ["opus", codec]
    assert len(negotiated.slots) == 2
    await client.close()


def test_one_section_without_mid_or_bundle() -> None:
    text = "\n".join(
        line
        for line in read("safari_h264").split("m=audio")[0].splitlines()
        if not line.startswith(("a=mid", "a=group"))
    )
    negotiated = answer(text, Terms(codec="h264", defaults=["camera"], sources=SOURCES))
    assert "a=mid" not in negotiated.answer
    assert negotiated.producers[0].mid == "#0"


# --- rules ---------------------------------------------------------------------------------------


def offer_of(*sections: str, session: str = "") -> str:
    bundle = " ".join(str(mid) for mid in range(len(sections)))
    head = f"v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0\na=group:BUNDLE {bundle}\n{session}"
    return head + "".join(
        f"m={section.format(common=TRANSPORT + f'a=mid:{mid}')}\n" for mid, section in enumerate(sections)
    )


TRANSPORT = (
    "a=rtcp-mux\na=ice-ufrag:abcd\na=ice-pwd:abcdefghijklmnopqrstuvwx\na=setup:actpass\n"
    "a=fingerprint:sha-256 " + ":".join(["CD"] * 32) + "\n"
)
AUDIO = "audio 9 UDP/TLS/RTP/SAVPF 111\n{common}\na=sendonly\na=rtpmap:111 opus/48000/2"
PCMU = "audio 9 UDP/TLS/RTP/SAVPF 0\n{common}\na=sendonly"


def video(*profiles: str, direction: str = "sendonly", mode: int = 1) -> str:
    numbers = range(96, 96 + len(profiles))
    lines = [
        f"a=rtpmap:{n} H264/90000\na=fmtp:{n} packetization-mode={mode};profile-level-id={profile}"
        for n, profile in zip(numbers, profiles, strict=True)
    ]
    return "\n".join(
        [f"video 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, numbers))}", "{common}", f"a={direction}", *lines]
    )


@pytest.mark.parametrize(
    ("profiles", "chosen"),
    [
        (["42001f", "42e01f"], "42e01f"),
        (["640c1f", "42001f", "42001e"], "42001f"),
        (["4d001f", "42c01f"], "42c01f"),
        (["42001f", "4de01f"], "4de01f"),
        (["42E01F"], "42E01F"),
        (["420010"], "420010"),
    ],
)
def test_h264_profiles(profiles: list[str], chosen: str) -> None:
    negotiated = answer(offer_of(video(*profiles)), Terms(codec="h264", defaults=WHIP, sources=SOURCES))
    assert f"profile-level-id={chosen}" in negotiated.answer
    assert negotiated.answer.count("a=rtpmap") == 1


@pytest.mark.parametrize("section", [video("4d001f", "64001f"), video("42e01f", mode=0), video("zzzzzz")])
def test_other_h264_is_not_the_lessons_codec(section: str) -> None:
    terms = Terms(codec="h264", defaults=WHIP, sources=SOURCES)
    assert refusal(offer_of(AUDIO, section), terms).code == "codec_not_offered"


def test_who_cannot_encode_the_lesson_may_still_watch() -> None:
    watch = video("42e01f", direction="recvonly")
    labels = {"0": "camera", "1": "lecturer.video"}
    negotiated = answer(
        offer_of(video("64001f"), watch), Terms(codec="h264", labels=labels, sources={"camera": 1})
    )
    assert negotiated.producers == []
    assert [slot.name for slot in negotiated.slots] == ["lecturer.video"]
    assert "m=video 0 " in negotiated.answer
    assert "a=group:BUNDLE 1\r\n" in negotiated.answer


def test_other_audio_codecs_are_refused_by_port_0() -> None:
    negotiated = answer(offer_of(PCMU, video("42e01f")), Terms(codec="h264", defaults=WHIP, sources=SOURCES))
    assert [producer.use for producer in negotiated.producers] == ["camera"]
    assert "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n" in negotiated.answer


def test_extension_ids_beyond_one_byte_headers_need_mixed_ones() -> None:
    section = (
        video("42e01f")
        + "\na=extmap:14 urn:3gpp:video-orientation\na=extmap:16 urn:ietf:params:rtp-hdrext:sdes:mid"
    )
    terms = Terms(codec="h264", defaults=WHIP, sources=SOURCES)
    assert answer(offer_of(section), terms).producers[0].extensions == {"video_orientation": 14}
    mixed = answer(offer_of(section, session="a=extmap-allow-mixed\n"), terms)
    assert mixed.producers[0].extensions == {"video_orientation": 14, "mid": 16}
    assert "a=extmap-allow-mixed" in mixed.answer


def test_both_congestion_controls_are_never_taken_together() -> None:
    negotiated = answer(read("chromium_student_h264"), Terms(codec="h264", labels=STUDENT, sources=SOURCES))
    assert "goog-remb" not in negotiated.answer
    assert "abs-send-time" not in negotiated.answer


def test_candidates_are_in_every_section_best_first() -> None:
    negotiated = answer(offer_of(AUDIO, video("42e01f")), Terms(codec="h264", defaults=WHIP, sources=SOURCES))
    candidates, again = (
        [line.split() for line in section.splitlines() if line.startswith("a=candidate")]
        for section in negotiated.answer.split("m=")[1:]
    )
    assert again == candidates
    assert [fields[4] for fields in candidates] == ["203.0.113.7", "2001:db8::7", "127.0.0.1"]
    priorities = [int(fields[3]) for fields in candidates]
    assert priorities == sorted(priorities, reverse=True)
    assert len({fields[0] for fields in candidates}) == 3


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("v=0", "v=1"), "bad_sdp"),
        (("a=rtpmap:111 opus/48000/2", "a=rtpmap:111"), "bad_sdp"),
        (("a=ice-ufrag:abcd\n", ""), "no_ice"),
        (("t=0 0\n", "t=0 0\na=ice-lite\n"), "no_ice"),
        (("a=fingerprint:sha-256", "a=fingerprint:sha-1"), "no_fingerprint"),
        (("a=fingerprint:sha-256", "a=x"), "no_fingerprint"),
        (("a=rtcp-mux\n", ""), "no_rtcp_mux"),
        (("a=group:BUNDLE 0 1", "a=x"), "no_bundle"),
        (("a=group:BUNDLE 0 1", "a=group:BUNDLE x"), "nothing_to_carry"),
        (("sendonly", "inactive"), "nothing_to_carry"),
    ],
)
def test_refusals(change: tuple[str, str], code: str) -> None:
    text = offer_of(AUDIO, video("42e01f")).replace(*change)
    assert refusal(text, Terms(codec="h264", defaults=WHIP, sources=SOURCES)).code == code


def test_sizes() -> None:
    terms = Terms(codec="h264", defaults=WHIP, sources=SOURCES)
    assert refusal(offer_of(AUDIO) + "a=x:y\n" * 100_000, terms).code == "offer_too_large"
    assert refusal(offer_of(*[AUDIO] * (MAX_SECTIONS + 1)), terms).code == "too_many_sections"


@pytest.mark.parametrize(
    "labels",
    [{"0": "camera"}, {"0": "stage.0.audio"}, {"0": "nonsense"}, {"0": "microphone", "1": "microphone"}],
)
def test_labels_that_do_not_fit(labels: dict[str, str]) -> None:
    terms = Terms(codec="h264", labels=labels, sources=SOURCES)
    assert refusal(offer_of(AUDIO, AUDIO), terms).code == "bad_label"


# --- ICE restart -----------------------------------------------------------------------------------


def restarted(text: str) -> str:
    return text.replace("a=ice-ufrag:", "a=ice-ufrag:new").replace("a=ice-pwd:", "a=ice-pwd:new")


def test_a_restart_changes_credentials_only() -> None:
    text = read("chromium_student_h264")
    terms = Terms(codec="h264", labels=STUDENT, sources=SOURCES)
    first = answer(text, terms)
    again = negotiate(
        parse_description(restarted(text)),
        replace(terms, labels={}),
        replace(ENDPOINT, ufrag="anotherufrag", version=2),
        lambda: pytest.fail("no SSRC may change"),
        first,
    )
    assert (again.producers, again.slots) == (first.producers, first.slots)
    assert again.remote_ufrag == "new" + first.remote_ufrag
    assert "a=ice-ufrag:anotherufrag" in again.answer
    assert f"o=- {ENDPOINT.session_id} 2 " in again.answer


def test_a_restart_by_credentials_alone() -> None:
    first = answer(read("chromium_student_h264"), Terms(codec="h264", labels=STUDENT, sources=SOURCES))
    now = ENDPOINT.renewed("anotherufrag", "anotherpasswordanotherpassword")
    again = restart(first, ENDPOINT, now, "theirs", "theirpasswordtheirpassword")
    assert (again.remote_ufrag, again.remote_pwd) == ("theirs", "theirpasswordtheirpassword")
    changed = set(again.answer.splitlines()) - set(first.answer.splitlines())
    assert changed == {
        "o=- 4711 2 IN IP4 127.0.0.1",
        "a=ice-ufrag:anotherufrag",
        "a=ice-pwd:anotherpasswordanotherpassword",
    }
    for ufrag, pwd in [("abc", "x" * 22), ("ab:cd", "x" * 22), ("abcd", "short"), ("abcd", "x" * 21 + "\n")]:
        with pytest.raises(NegotiationError) as caught:
            restart(first, ENDPOINT, now, ufrag, pwd)
        assert caught.value.code == "no_ice"


@pytest.mark.parametrize(
    "change",
    [
        ("a=recvonly", "a=inactive"),
        ("sdes:mid", "sdes:other"),
        ("a=setup:actpass", "a=setup:passive"),
        ("a=mid:9", "a=mid:nine"),
    ],
)
def test_a_restart_that_changes_more_is_refused(change: tuple[str, str]) -> None:
    text = read("chromium_student_h264")
    terms = Terms(codec="h264", labels=STUDENT, sources=SOURCES)
    first = answer(text, terms)
    changed = restarted(text).replace(*change)
    assert refusal(changed, replace(terms, labels={}), first).code in (
        "offer_changed",
        "bad_label",
        "nothing_to_carry",
    )


# --- hostile offers ----------------------------------------------------------------------------------


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A real offer with lines lost, doubled, swapped, cut or replaced."""
    lines = read(
        draw(st.sampled_from(["firefox_vp8", "obs_whip", "gstreamer_passive", "whep_player"]))
    ).splitlines()
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "double", "swap", "cut", "number", "text"])):
            case "drop" if len(lines) > 1:
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "cut":
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
            case "number":
                number = str(draw(st.sampled_from([0, 15, 65536, 2**32, 2**64])))
                lines[at] = "".join(number if char.isdigit() else char for char in lines[at])
            case "text":
                lines[at] += draw(st.text(max_size=10))
    return "\n".join(lines)


@given(damaged(), st.sampled_from(["h264", "vp8"]), st.sampled_from([WHIP, WHEP]))
def test_damaged_offers_are_answered_or_refused(text: str, codec: Any, defaults: list[str]) -> None:
    ssrcs = itertools.count(1)
    with contextlib.suppress(NegotiationError):
        offer = parse_description(text)
        terms = Terms(codec=codec, defaults=defaults, sources=SOURCES)
        negotiated = negotiate(offer, terms, ENDPOINT, lambda: next(ssrcs))
        answered = parse_description(negotiated.answer)
        assert len(answered.media) == len(offer.media)
