"""What aiortc needs to find in an answer."""

from aiortc.sdp import SessionDescription

from clients.python.peer import for_aiortc
from clients.python.slots import kind_of, names
from signaling.protocol.replies import Pool

ANSWER = "\r\n".join(
    [
        "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1",
        "m=audio 7882 UDP/TLS/RTP/SAVPF 96", "c=IN IP4 192.0.2.7", "a=mid:0",
        "a=candidate:1 1 udp 2130706431 192.0.2.7 7882 typ host", "a=end-of-candidates",
        "m=video 7882 UDP/TLS/RTP/SAVPF 97", "c=IN IP4 192.0.2.7", "a=mid:1",
        "",
    ]
)  # fmt: skip


def test_candidates_are_in_every_section() -> None:
    description = SessionDescription.parse(for_aiortc(ANSWER))
    for media in description.media:
        assert [candidate.ip for candidate in media.ice_candidates] == ["192.0.2.7"]
        assert media.ice_candidates_complete
    assert [media.rtp.muxId for media in description.media] == ["0", "1"]


def test_an_answer_that_repeats_them_stays_as_it_is() -> None:
    once = for_aiortc(ANSWER)
    assert for_aiortc(once) == once


def test_a_pools_slots() -> None:
    pool = Pool(lecturer=True, board=True, stage=2, floor=1, private=True, wall=2)
    assert names(pool) == [
        "lecturer.audio", "lecturer.video", "board", "stage.0.audio", "stage.0.video", "stage.1.audio",
        "stage.1.video", "floor.0", "private", "wall.0", "wall.1",
    ]  # fmt: skip
    assert [name for name in names(pool) if kind_of(name) == "audio"] == [
        "lecturer.audio", "stage.0.audio", "stage.1.audio", "floor.0", "private",
    ]  # fmt: skip
