"""The sessions of a lesson follow its plan: what reaches the engine, and what does not."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from mediaserver.dtls import DtlsSession, NodeCertificate
from mediaserver.lesson import Lesson
from mediaserver.plan import Plan
from mediaserver.sdp.answer import Endpoint, Terms, negotiate
from mediaserver.sdp.description import parse_description
from mediaserver.session import Session, SsrcAllocator, new_credentials

OFFER = (Path(__file__).parent / "offers" / "chromium_student_h264.sdp").read_bytes().decode()
LABELS = ["camera", "microphone", "board", "lecturer.video", "lecturer.audio", "board"]
LABELS += ["stage.0.video", "stage.0.audio", "floor.0", "private"]
MIDS = {"lecturer.video": "3", "lecturer.audio": "4", "stage.0.video": "6", "floor.0": "8", "private": "9"}


class Class:
    """Opens sessions as a node does."""

    def __init__(self) -> None:
        self.lesson = Lesson(group=1)
        self.certificate = NodeCertificate.generateCertificate()
        self.transports = itertools.count(1)

    def session(self, name: str, participant: str = "", **sources: int) -> Session:
        terms = Terms(
            codec="h264", labels={str(mid): label for mid, label in enumerate(LABELS)}, sources=sources
        )
        ufrag, pwd = new_credentials()
        endpoint = Endpoint(
            ufrag=ufrag, pwd=pwd, fingerprint="AB", candidates=[("192.0.2.1", 1)], session_id=1
        )
        negotiated = negotiate(parse_description(OFFER), terms, endpoint, SsrcAllocator(set()))
        dtls = DtlsSession(
            self.certificate,
            "server",
            negotiated.fingerprints,
            send=lambda datagram: None,
            on_keys=lambda *keys: None,
            on_end=lambda reason: None,
        )
        return Session(
            session=name,
            lesson="lesson",
            participant=participant or name,
            transport=next(self.transports),
            terms=terms,
            endpoint=endpoint,
            negotiated=negotiated,
            dtls=dtls,
            state_since=0.0,
        )


@pytest.fixture
async def room() -> Class:
    return Class()


def test_credentials_are_long_and_differ() -> None:
    (ufrag, pwd), other = new_credentials(), new_credentials()
    assert len(ufrag) >= 8
    assert len(pwd) >= 22
    assert (ufrag, pwd) != other


def test_ssrcs_avoid_those_in_use() -> None:
    taken = {5}
    allocate = SsrcAllocator(taken)
    given = [allocate() for _ in range(100)]
    assert len({*given, 5}) == 101
    assert all(0 < ssrc < 2**32 for ssrc in given)


async def test_only_changes_reach_the_engine(room: Class) -> None:
    lesson = room.lesson
    assert lesson.add(room.session("lecturer", camera=1, microphone=2)) == []
    assert lesson.add(room.session("student")) == []
    first = lesson.follow(Plan(slots={"lecturer.video": 1, "lecturer.audio": 2}))
    assert first == [(2, MIDS["lecturer.video"], 1), (2, MIDS["lecturer.audio"], 2)]
    assert lesson.follow(Plan(slots={"lecturer.video": 1, "lecturer.audio": 2})) == []
    assert lesson.follow(Plan(slots={"lecturer.audio": 2})) == [(2, MIDS["lecturer.video"], 0)]


async def test_who_comes_later_is_shown_the_plan_at_once(room: Class) -> None:
    room.lesson.follow(Plan(slots={"lecturer.video": 1}))
    room.lesson.add(room.session("lecturer", camera=1))
    assert room.lesson.add(room.session("student")) == [(2, MIDS["lecturer.video"], 1)]


async def test_a_source_that_comes_after_its_plan_is_shown(room: Class) -> None:
    room.lesson.follow(Plan(slots={"lecturer.video": 1}))
    room.lesson.add(room.session("student"))
    assert room.lesson.add(room.session("lecturer", camera=1)) == [(1, MIDS["lecturer.video"], 1)]


async def test_a_source_that_goes_empties_its_slots(room: Class) -> None:
    lecturer, student = room.session("lecturer", camera=1), room.session("student")
    room.lesson.add(lecturer)
    room.lesson.add(student)
    room.lesson.follow(Plan(slots={"lecturer.video": 1}))
    assert room.lesson.remove(lecturer) == [(student.transport, MIDS["lecturer.video"], 0)]
    assert room.lesson.remove(student) == []


async def test_a_participants_other_session_is_not_shown_either(room: Class) -> None:
    room.lesson.add(room.session("camera", participant="room", camera=1))
    room.lesson.add(room.session("console", participant="room"))
    other = room.session("other")
    room.lesson.add(other)
    changes = room.lesson.follow(Plan(slots={"stage.0.video": 1}))
    assert changes == [(other.transport, MIDS["stage.0.video"], 1)]


async def test_the_floor_follows_the_voices(room: Class) -> None:
    speaker, listener = room.session("speaker", microphone=1), room.session("listener")
    room.lesson.add(speaker)
    room.lesson.add(listener)
    room.lesson.follow(Plan(floor=[1]))
    assert room.lesson.hear([(1, 30)], now=1.0) == [(listener.transport, MIDS["floor.0"], 1)]
    assert room.lesson.hear([(1, 25)], now=1.2) == []
    assert room.lesson.remove(speaker) == [(listener.transport, MIDS["floor.0"], 0)]


def shown(sessions: Sequence[Session]) -> list[int]:
    return [session.assigned["private"] for session in sessions]


async def test_overrides(room: Class) -> None:
    tutor, one, two = room.session("tutor", microphone=1), room.session("one"), room.session("two")
    for session in (tutor, one, two):
        room.lesson.add(session)
    room.lesson.follow(Plan(overrides={"one": {"private": 1}}))
    assert shown([tutor, one, two]) == [0, 1, 0]
    assert not room.lesson.is_idle
