"""The engine through its door and over real UDP, with aioice and libsrtp as the oracles."""

import asyncio
import errno
import itertools
import os
import random
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import pytest
from aioice import stun
from pylibsrtp import Policy, Session

from mediaserver._engine import EXTENSIONS, Engine

CM, GCM = 1, 7
KEY_LENGTH = {CM: 30, GCM: 28}
SRTP_PROFILE = {CM: Policy.SRTP_PROFILE_AES128_CM_SHA1_80, GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM}
HOSTS = ["127.0.0.1", "::1"]
PUBLISHER, VIEWER = 1, 2
SOURCE, MEDIA_SSRC, SLOT_SSRC = 4242, 0x11223344, 0x55667788


@dataclass
class Producer:
    source: int = SOURCE
    group: int = 1
    kind: Literal["audio", "video"] = "audio"
    codec: Literal["opus", "h264", "vp8"] = "opus"
    clock_rate: int = 48000
    mid: str = "0"
    payload_type: int = 111
    rtx_payload_type: int | None = None
    ssrcs: Sequence[int] = (MEDIA_SSRC,)
    rtx_ssrcs: Mapping[int, int] = field(default_factory=dict)
    rids: Sequence[str] = ()
    extensions: Mapping[str, int] = field(default_factory=lambda: {"mid": 4, "audio_level": 1})
    nack: bool = False
    pli: bool = False
    fir: bool = False
    twcc: bool = False


@dataclass
class Slot:
    mid: str = "lecturer"
    kind: Literal["audio", "video"] = "audio"
    codec: Literal["opus", "h264", "vp8"] = "opus"
    clock_rate: int = 48000
    payload_type: int = 96
    rtx_payload_type: int | None = None
    ssrc: int = SLOT_SSRC
    rtx_ssrc: int | None = None
    cname: str = "kelian"
    extensions: Mapping[str, int] = field(default_factory=lambda: {"mid": 9})
    nack: bool = False


class Peer:
    """The other end of one transport: a socket, ICE credentials, SRTP keys."""

    def __init__(self, engine: Engine, transport: int, host: str, profile: int = GCM) -> None:
        self.engine, self.transport = engine, transport
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.connect((host, engine.port))
        self.socket.settimeout(5)
        self.local = (f"srv{transport:05}", f"server-password-{transport:08}")
        self.remote = (f"cli{transport:05}", f"client-password-{transport:08}")
        keys = random.Random(transport)
        self.profile = profile
        self.their_key, self.our_key = (keys.randbytes(KEY_LENGTH[profile]) for _ in range(2))
        engine.open_transport(
            transport,
            local_ufrag=self.local[0], local_pwd=self.local[1],
            remote_ufrag=self.remote[0], remote_pwd=self.remote[1],
        )  # fmt: skip
        engine.set_srtp(transport, profile, self.their_key, self.our_key)
        self.sending = Session(
            Policy(self.our_key, Policy.SSRC_ANY_OUTBOUND, srtp_profile=SRTP_PROFILE[profile])
        )
        self.receiving = Session(
            Policy(self.their_key, Policy.SSRC_ANY_INBOUND, srtp_profile=SRTP_PROFILE[profile])
        )

    def check(self, **changes: Any) -> stun.Message:
        """A connectivity check as the controlling side makes it."""
        attributes: dict[str, Any] = {
            "USERNAME": f"{self.local[0]}:{self.remote[0]}",
            "PRIORITY": 1853817087,
            "ICE-CONTROLLING": 1234567890,
            "USE-CANDIDATE": None,
        }
        attributes |= changes
        for name in [name for name, value in changes.items() if value is ...]:
            del attributes[name]
        return stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes=attributes)

    def ask(self, request: stun.Message, password: str = "") -> stun.Message:
        request.add_message_integrity((password or self.local[1]).encode())
        self.socket.send(bytes(request))
        while True:
            datagram = self.socket.recv(2048)
            if datagram[0] < 4:
                return stun.parse_message(datagram)

    def connect(self) -> None:
        answer = self.ask(self.check())
        assert answer.message_class == stun.Class.RESPONSE

    def send(self, sequence: int, payload: bytes, timestamp: int = 0, payload_type: int = 111) -> None:
        header = struct.pack("!BBHII", 0x80, payload_type, sequence & 0xFFFF, timestamp, MEDIA_SSRC)
        self.socket.send(self.sending.protect(header + payload))

    def receive(self) -> "Packet":
        """The next RTP packet, decrypted."""
        while True:
            datagram = self.socket.recv(2048)
            if datagram[0] >> 6 == 2 and not 192 <= datagram[1] <= 223:
                return Packet(self.receiving.unprotect(datagram))

    def receive_rtcp(self) -> bytes:
        while True:
            datagram = self.socket.recv(2048)
            if datagram[0] >> 6 == 2 and 192 <= datagram[1] <= 223:
                return self.receiving.unprotect_rtcp(datagram)


class Packet:
    def __init__(self, data: bytes) -> None:
        first, second, self.sequence, self.timestamp, self.ssrc = struct.unpack("!BBHII", data[:12])
        self.marker, self.payload_type = second >> 7, second & 0x7F
        at = 12 + 4 * (first & 15)
        self.csrcs = list(struct.unpack(f"!{first & 15}I", data[12:at]))
        self.extensions: dict[int, bytes] = {}
        if first & 0x10:
            end = at + 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
            assert data[at : at + 2] == b"\xbe\xde", "one-byte form"
            at += 4
            while at < end:
                if data[at] == 0:
                    at += 1
                    continue
                number, length = data[at] >> 4, (data[at] & 15) + 1
                self.extensions[number] = data[at + 1 : at + 1 + length]
                at += 1 + length
            at = end
        self.payload = data[at:]


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(["127.0.0.1:0", "[::1]:0"])
    yield engine
    engine.close()


def wait_for(engine: Engine, wanted: Callable[[Any], bool], timeout_s: float = 5) -> Any:
    """Takes events, as the event fd tells, until one is wanted."""
    deadline = time.monotonic() + timeout_s
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([engine.event_fd], [], [], left)[0]:
            break
        for event in engine.take_events():
            if wanted(event):
                return event
    raise AssertionError("the event did not come")


def counted(engine: Engine, name: str, value: int) -> None:
    """Waits until a counter has a value."""
    deadline = time.monotonic() + 5
    while (now := engine.stats()[name]) != value:
        assert time.monotonic() < deadline, f"{name} is {now}, not {value}"
        time.sleep(0.01)


# --- ICE ------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", HOSTS)
def test_a_check_is_answered_and_signed(engine: Engine, host: str) -> None:
    peer = Peer(engine, PUBLISHER, host)
    request = peer.check()
    answer = peer.ask(request)
    assert answer.message_class == stun.Class.RESPONSE
    assert answer.transaction_id == request.transaction_id
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == peer.socket.getsockname()[:2]
    assert answer.check_message_integrity(peer.local[1].encode())
    event = wait_for(engine, lambda event: event[0] == "ice")
    address, port = peer.socket.getsockname()[:2]
    remote = f"[{address}]:{port}" if ":" in host else f"{address}:{port}"
    assert event == ("ice", PUBLISHER, "connected", remote)


def test_a_wrong_password_is_refused_with_401(engine: Engine) -> None:
    peer = Peer(engine, PUBLISHER, "127.0.0.1")
    answer = peer.ask(peer.check(), password="something else")
    assert (answer.message_class, answer.error_code) == (stun.Class.ERROR, 401)
    assert engine.stats()["drop_stun_unauthenticated"] == 1
    assert not [event for event in engine.take_events() if event[0] == "ice"]


def test_a_controlled_peer_is_told_of_the_role_conflict(engine: Engine) -> None:
    peer = Peer(engine, PUBLISHER, "127.0.0.1")
    answer = peer.ask(peer.check(**{"ICE-CONTROLLING": ..., "USE-CANDIDATE": ..., "ICE-CONTROLLED": 5}))
    assert (answer.message_class, answer.error_code) == (stun.Class.ERROR, 487)
    assert answer.check_message_integrity(peer.local[1].encode())


def test_an_unknown_username_fragment_gets_silence(engine: Engine) -> None:
    peer = Peer(engine, PUBLISHER, "127.0.0.1")
    stranger = peer.check(USERNAME=f"nobody:{peer.remote[0]}")
    stranger.add_message_integrity(peer.local[1].encode())
    peer.socket.send(bytes(stranger))
    counted(engine, "drop_stun_unknown_user", 1)
    request = peer.check()
    assert peer.ask(request).transaction_id == request.transaction_id, "nothing was sent before this answer"


def test_after_close_the_credentials_are_gone(engine: Engine) -> None:
    peer = Peer(engine, PUBLISHER, "127.0.0.1")
    peer.connect()
    engine.close_transport(PUBLISHER)
    assert engine.transport_stats(PUBLISHER) is None
    request = peer.check()
    request.add_message_integrity(peer.local[1].encode())
    peer.socket.send(bytes(request))
    counted(engine, "drop_stun_unknown_user", 1)


# --- DTLS -----------------------------------------------------------------------------------


def test_dtls_passes_both_ways_for_a_validated_address_only(engine: Engine) -> None:
    peer = Peer(engine, PUBLISHER, "127.0.0.1")
    hello = bytes([22]) + b"client hello"
    peer.socket.send(hello)
    counted(engine, "drop_unknown_address", 1)
    peer.connect()
    peer.socket.send(hello)
    assert wait_for(engine, lambda event: event[0] == "dtls") == ("dtls", PUBLISHER, hello)
    engine.send_dtls(PUBLISHER, bytes([22]) + b"server hello")
    assert peer.socket.recv(2048) == bytes([22]) + b"server hello"


# --- media ----------------------------------------------------------------------------------


def forwarding(engine: Engine, host: str, profile: int) -> tuple[Peer, Peer]:
    """A publisher whose source is assigned to the slot of a viewer."""
    publisher = Peer(engine, PUBLISHER, host, profile)
    viewer = Peer(engine, VIEWER, host, profile)
    engine.open_producer(PUBLISHER, Producer())
    engine.open_slot(VIEWER, Slot())
    engine.assign([(VIEWER, "lecturer", SOURCE)])
    publisher.connect()
    viewer.connect()
    return publisher, viewer


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("profile", [CM, GCM])
def test_media_goes_from_a_producer_to_a_slot(engine: Engine, host: str, profile: int) -> None:
    publisher, viewer = forwarding(engine, host, profile)
    payloads = [bytes([n]) * (40 + n) for n in range(10)]
    received = []
    for n, payload in enumerate(payloads):
        publisher.send(65530 + n, payload, timestamp=960 * n)
        received.append(viewer.receive())
    assert [packet.payload for packet in received] == payloads
    assert {packet.ssrc for packet in received} == {SLOT_SSRC}
    assert {tuple(packet.csrcs) for packet in received} == {(SOURCE,)}
    assert {packet.payload_type for packet in received} == {96}
    assert {packet.extensions[9] for packet in received} == {b"lecturer"}
    steps = [
        ((b.sequence - a.sequence) % 2**16, (b.timestamp - a.timestamp) % 2**32)
        for a, b in itertools.pairwise(received)
    ]
    assert steps == [(1, 960)] * 9, "the publisher's wrap leaves no gap"
    wait_for(engine, lambda event: event == ("slot", VIEWER, "lecturer", SOURCE))


def test_a_source_is_reported_live(engine: Engine) -> None:
    publisher, viewer = forwarding(engine, "127.0.0.1", GCM)
    publisher.send(1, b"x" * 40)
    assert viewer.receive().csrcs == [SOURCE]
    assert wait_for(engine, lambda event: event[0] == "source") == ("source", SOURCE, True)
    stats = cast(dict[str, Any], engine.transport_stats(VIEWER))
    assert stats["slots"][0]["source"] == SOURCE


def test_tampered_and_replayed_packets_are_counted_and_dropped(engine: Engine) -> None:
    publisher, viewer = forwarding(engine, "127.0.0.1", GCM)
    header = struct.pack("!BBHII", 0x80, 111, 100, 0, MEDIA_SSRC)
    sealed = publisher.sending.protect(header + b"payload")
    publisher.socket.send(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    counted(engine, "drop_srtp_authentication", 1)
    publisher.socket.send(sealed)
    publisher.socket.send(sealed)
    assert viewer.receive().payload == b"payload"
    counted(engine, "drop_srtp_replayed", 1)


def test_a_sender_report_reaches_the_viewer_rewritten(engine: Engine) -> None:
    publisher, viewer = forwarding(engine, "127.0.0.1", GCM)
    ntp = int((time.time() + 2208988800) * 2**32)
    report = struct.pack("!BBHIQIII", 0x80, 200, 6, MEDIA_SSRC, ntp, 0, 1, 40)
    publisher.send(1, b"x" * 40)
    viewer.receive()
    publisher.socket.send(publisher.sending.protect_rtcp(report))
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        compound = viewer.receive_rtcp()
        if compound[1] == 200:
            assert struct.unpack("!I", compound[4:8]) == (SLOT_SSRC,)
            return
    raise AssertionError("no sender report came")


def test_an_emptied_slot_is_told(engine: Engine) -> None:
    publisher, viewer = forwarding(engine, "127.0.0.1", GCM)
    publisher.send(1, b"x" * 40)
    viewer.receive()
    engine.assign([(VIEWER, "lecturer", 0)])
    wait_for(engine, lambda event: event == ("slot", VIEWER, "lecturer", 0))
    publisher.send(2, b"y" * 40)
    viewer.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        viewer.receive()


# --- hostility ------------------------------------------------------------------------------


def test_ten_thousand_garbage_datagrams_are_counted_and_media_goes_on(engine: Engine) -> None:
    publisher, viewer = forwarding(engine, "127.0.0.1", GCM)
    publisher.send(1, b"before")
    assert viewer.receive().payload == b"before"
    before = engine.stats()
    noise = random.Random(1)
    strangers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(10)]
    for n in range(10_000):
        first = [n % 256, noise.randrange(4), 22, 0x80, 0x90, 0xBF][n % 6]
        garbage = bytes([first]) + noise.randbytes(noise.randrange(1, 200))
        strangers[n % 10].sendto(garbage, ("127.0.0.1", engine.port))
        if n % 500 == 499:
            counted(engine, "datagrams_received", before["datagrams_received"] + n + 1)
    after = engine.stats()
    drops = {name: after[name] - before[name] for name in after if name.startswith("drop_")}
    assert sum(drops.values()) == 10_000, drops
    publisher.send(2, b"after")
    assert viewer.receive().payload == b"after"
    for stranger in strangers:
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.recv(2048)
        stranger.close()


def test_garbage_from_a_validated_peer_harms_nobody(engine: Engine) -> None:
    publisher, viewer = forwarding(engine, "127.0.0.1", GCM)
    noise = random.Random(2)
    for n in range(1000):
        first = bytes([[0x80, 0x8F, 0xB0, 0x90][n % 4]])
        publisher.socket.send(first + noise.randbytes(noise.randrange(60)))
        if n % 250 == 249:
            counted(engine, "datagrams_received", 2 + n + 1)
    publisher.send(1, b"still here")
    assert viewer.receive().payload == b"still here"


# --- the door -------------------------------------------------------------------------------


def test_the_port_is_shared_and_released(engine: Engine) -> None:
    assert 0 < engine.port < 65536
    with pytest.raises(OSError, match=r"127\.0\.0\.1") as taken:
        Engine([f"127.0.0.1:{engine.port}"])
    assert taken.value.errno == errno.EADDRINUSE
    engine.close()
    engine.close()
    again = Engine([f"127.0.0.1:{engine.port}", f"[::1]:{engine.port}"])
    again.close()
    assert again.stats() == {}


def test_addresses_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        Engine(["nonsense"])
    with pytest.raises(OSError, match="no address"):
        Engine([])
    with pytest.raises(OSError, match=r"198\.51\.100\.1"):
        Engine(["198.51.100.1:0"])


def test_keys_and_parameters_are_checked(engine: Engine) -> None:
    with pytest.raises(ValueError, match="profile 2"):
        engine.set_srtp(1, 2, bytes(30), bytes(30))
    with pytest.raises(ValueError, match="28 bytes"):
        engine.set_srtp(1, GCM, bytes(30), bytes(28))
    with pytest.raises(ValueError, match="source 0"):
        engine.open_producer(1, Producer(source=0))
    with pytest.raises(ValueError, match="codec"):
        engine.open_slot(1, Slot(codec=cast(Any, "av1")))
    with pytest.raises(ValueError, match="clock rate"):
        engine.open_slot(1, Slot(clock_rate=0))
    with pytest.raises((TypeError, AttributeError)):
        engine.open_slot(1, cast(Any, object()))


def test_a_journal_is_a_file_below_the_folder(engine: Engine, tmp_path: Path) -> None:
    for file in ("", "/etc/passwd", "../lesson.pcapng", "lesson/../../x", "x" * 2000):
        with pytest.raises(ValueError, match="below the journals"):
            engine.record(1, file, "")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"exists|directory"):
        Engine(["127.0.0.1:0"], str(tmp_path / "file"))
    recording = Engine(["127.0.0.1:0"], str(tmp_path / "journals"))
    assert recording.stats()["journal_dropped"] == 0
    recording.record(1, "lesson/a.pcapng", "")  # no such source: counted, as with all commands
    assert recording.stats()["drop_command"] == 1
    recording.close()
    assert list((tmp_path / "journals").iterdir()) == []


def test_extensions_have_their_uris() -> None:
    assert EXTENSIONS["mid"] == "urn:ietf:params:rtp-hdrext:sdes:mid"
    assert len(EXTENSIONS) == 10


async def test_events_wake_an_event_loop(engine: Engine) -> None:
    peer = Peer(engine, PUBLISHER, "127.0.0.1")
    woken = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(engine.event_fd, woken.set)
    request = peer.check()
    request.add_message_integrity(peer.local[1].encode())
    peer.socket.send(bytes(request))
    await asyncio.wait_for(woken.wait(), 5)
    assert [event[0] for event in engine.take_events()] == ["ice"]
    loop.remove_reader(engine.event_fd)
    assert not select.select([engine.event_fd], [], [], 0)[0], "taking events clears it"


def test_an_engine_that_is_dropped_leaves_no_thread_and_no_descriptor() -> None:
    def open_descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = open_descriptors(), len(os.listdir("/proc/self/task"))
    for _ in range(3):
        engine = Engine(["127.0.0.1:0", "[::1]:0"])
        engine.stats()
        del engine
    assert (open_descriptors(), len(os.listdir("/proc/self/task"))) == before
