"""Whatever strangers and participants send: it is refused or dropped and counted, and the lesson goes on."""

import asyncio
import contextlib
import random
import re
import time
from collections.abc import AsyncIterator, Iterator

import aiohttp
import jwt
import msgspec
import pytest
from aioice import stun
from aiortc import RTCPeerConnection

from clients import python as kelian
from signaling.auth import keys, tokens
from signaling.log.events import Role
from tests.e2e import attacks, looking
from tests.e2e.server import Server, serving, stats
from tests.mediaserver.peers import eventually

LECTURER, STUDENT = 11, 33
LONGEST_GAP_MS = 1500  # of the lecturer's picture, whatever is thrown at the server; it has 8 a second


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("hostile")) as running:
        yield running
        log = (running.data / "serve.log").read_text()
        assert "session closed" in log
        assert "Traceback" not in log, log


@contextlib.asynccontextmanager
async def going_on(server: Server, lesson: str) -> AsyncIterator[list[kelian.Lesson]]:
    """A lecturer who sends and a student who watches: the picture never stops in the meantime."""
    async with looking.joined(server, lesson, ("lecturer", "王老师"), ("student", "小明")) as people:
        lecturer, student = people
        await lecturer.open_media({"camera": looking.camera("王老师", LECTURER)}, pool=["stage.0.video"])
        await student.open_media(pool=["lecturer.video"])
        await looking.seen(student, "lecturer.video", LECTURER)
        seen: list[looking.pattern.Stamp] = []
        watching = asyncio.create_task(looking.stamps(student, "lecturer.video", seen))
        try:
            yield people
        except BaseException:
            watching.cancel()
            raise
        last = len(seen)
        await eventually(lambda: len(seen) > last + 5, "more of the lecturer's picture")
        watching.cancel()
        assert looking.longest_gap_ms(seen) < LONGEST_GAP_MS
        assert all(person.connections == 1 for person in people)
        assert all(person.media and person.media.opened == 1 for person in people)


def drops(server: Server) -> dict[str, float]:
    return {name: value for name, value in stats(server).items() if name.startswith("kelian_node_drop_")}


def more(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: after[name] - before[name] for name in after if after[name] > before[name]}


async def until_dropped(
    server: Server, before: dict[str, float], count: int, within_s: float = 10
) -> dict[str, float]:
    """Waits until so many more are counted; returns the reasons."""
    deadline_s = time.monotonic() + within_s
    while sum((new := more(before, await asyncio.to_thread(drops, server))).values()) < count:
        assert time.monotonic() < deadline_s, f"{count} sent, counted: {new}"
        await asyncio.sleep(0.05)
    return new


# --- from addresses that nobody knows -------------------------------------------------------


async def test_ten_thousand_garbage_datagrams(server: Server) -> None:
    async with going_on(server, "garbage") as (lecturer, _):
        before, noise = drops(server), random.Random(1)
        ufrag = _ice(lecturer)[0]
        sockets = attacks.strangers(20)
        for number in range(10_000):
            sockets[number % 20].sendto(attacks.garbage(noise, ufrag), ("127.0.0.1", server.media_port))
            if number % 250 == 249:  # as fast as it is taken, so that the kernel drops none
                await until_dropped(server, before, number + 1)
        reasons = more(before, drops(server))
        assert {"kelian_node_drop_unknown_address", "kelian_node_drop_stun_malformed"} <= reasons.keys()
        assert {
            "kelian_node_drop_stun_unknown_user",
            "kelian_node_drop_stun_unauthenticated",
        } <= reasons.keys()
        # Only who knows a user is told that the password is wrong (RFC 8489, 9.1.3), in less than was asked.
        answers = [datagram for it in sockets for datagram in attacks.waiting(it)]
        assert {datagram[:2] for datagram in answers} == {b"\x01\x11"}
        assert max(map(len, answers)) < 80
        assert len(answers) == reasons["kelian_node_drop_stun_unauthenticated"]


def _ice(lesson: kelian.Lesson) -> tuple[str, str]:
    """The server's credentials in this participant's session."""
    assert lesson.media is not None
    return ice_of(lesson.media._peer.remoteDescription.sdp)  # type: ignore[union-attr]


def ice_of(sdp: str) -> tuple[str, str]:
    ufrag, pwd = re.search(r"a=ice-ufrag:(\S+)", sdp), re.search(r"a=ice-pwd:(\S+)", sdp)
    assert ufrag is not None
    assert pwd is not None
    return ufrag[1], pwd[1]


# --- SDP --------------------------------------------------------------------------------------


async def _an_offer() -> str:
    peer = RTCPeerConnection()
    for kind in ("audio", "video", "video"):
        peer.addTransceiver(kind, direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    sdp = peer.localDescription.sdp
    await peer.close()
    return str(sdp)


# Of the codes that an offer can get: neither "internal" nor what blames the server or the speed.
BLAMES_THE_OFFER = {
    "bad_sdp", "bad_setup", "no_bundle", "no_fingerprint", "no_ice", "no_rtcp_mux", "nothing_to_carry",
    "too_many_sections", "codec_cannot_decode", "codec_not_offered", "bad_label",
}  # fmt: skip
LABELS = {"0": "lecturer.audio", "1": "lecturer.video", "2": "board"}


class Offers:
    """Somebody who offers again and again, with a new line whenever the old one is too fast."""

    def __init__(self, server: Server, lesson: str) -> None:
        self._server, self._lesson = server, lesson
        self.refused: dict[str, str] = {}

    async def make(self, offers: list[tuple[str, str]]) -> None:
        while offers:
            token = looking.token(self._server, self._lesson, "observer", "赵")
            async with kelian.join(self._server.url, token) as hostile:
                for _ in range(12):
                    if offers:
                        await self._one(hostile, *offers.pop())

    async def _one(self, hostile: kelian.Lesson, name: str, sdp: str) -> None:
        started_s = time.monotonic()
        try:
            answer = await hostile.offer(sdp, LABELS)
        except kelian.Refused as error:
            self.refused[name] = error.code
        else:
            await hostile.close_session(answer.session)
        assert time.monotonic() - started_s < 1.0, name
        assert self.refused.get(name, "bad_sdp") in BLAMES_THE_OFFER, (name, self.refused[name])


async def test_hostile_offers_get_typed_refusals(server: Server) -> None:
    async with going_on(server, "sdp"):
        good = await _an_offer()
        offers = Offers(server, "sdp")
        cases = list(attacks.descriptions(good))
        await offers.make([*cases, ("good", good)])
        assert "good" not in offers.refused, offers.refused
        assert len(offers.refused) > len(cases) * 0.6, offers.refused
        expected = {
            "nothing": "bad_sdp", "no SDP": "bad_sdp", "no ufrag": "no_ice",
            "no fingerprint": "no_fingerprint", "fingerprint of no hash": "no_fingerprint",
            "no rtcp-mux": "no_rtcp_mux", "a thousand sections": "bad_sdp",
        }  # fmt: skip
        assert {name: offers.refused.get(name) for name in expected} == expected
        await offers.make([(str(n), sdp) for n, sdp in enumerate(attacks.mutations(good, 60))])


async def test_an_offer_that_is_too_large(server: Server) -> None:
    async with looking.joined(server, "large", ("lecturer", "王老师")) as (lecturer,):
        with pytest.raises(kelian.Refused) as refused:
            await lecturer.offer("v=0\r\n" + "a=x\r\n" * 120_000, {})
        assert refused.value.code == "bad_message"
        await lecturer.say("still here")


# --- DTLS from an address that ICE has validated ------------------------------------------------


@pytest.mark.timeout(60)
async def test_malformed_handshakes_fail_their_own_session(server: Server) -> None:
    ended = set()
    async with going_on(server, "dtls"):
        for name, records in attacks.BAD_HANDSHAKES.items():
            token = looking.token(server, "dtls", "observer", "赵")
            async with kelian.join(server.url, token) as hostile:
                offer = await _an_offer()
                answer = await hostile.offer(offer, LABELS)
                sock = attacks.strangers(1)[0]
                check = _check(ice_of(answer.sdp), ice_of(offer)[0])
                loop = asyncio.get_running_loop()
                await loop.sock_sendto(sock, check, ("127.0.0.1", server.media_port))
                async with asyncio.timeout(5):
                    reply = stun.parse_message(await loop.sock_recv(sock, 2048))
                assert reply.message_class == stun.Class.RESPONSE, name
                for record in records:
                    await loop.sock_sendto(sock, record, ("127.0.0.1", server.media_port))
                await asyncio.sleep(0.1)
                await hostile.until(lambda lesson: lesson.connected)
                try:
                    await hostile.close_session(answer.session)
                except kelian.Refused:
                    ended.add(name)  # by the server
                sock.close()
    # OpenSSL drops what is no record, and fails the handshake for what is no hello.
    assert ended >= {"empty hello", "hello of another protocol", "hello cut short", "a fatal alert"}
    assert "record longer than its datagram" not in ended


def _check(server_ice: tuple[str, str], client_ufrag: str) -> bytes:
    check = stun.Message(
        stun.Method.BINDING,
        stun.Class.REQUEST,
        attributes={
            "USERNAME": f"{server_ice[0]}:{client_ufrag}",
            "PRIORITY": 1853817087,
            "ICE-CONTROLLING": 1,
            "USE-CANDIDATE": None,
        },
    )
    check.add_message_integrity(server_ice[1].encode())
    return bytes(check)


# --- RTP and RTCP from an authenticated participant -----------------------------------------------


async def test_malformed_media_of_a_participant(server: Server) -> None:
    async with going_on(server, "media") as (lecturer, _):
        token = looking.token(server, "media", "student", "捣蛋")
        async with kelian.join(server.url, token) as hostile:
            await hostile.open_media({"camera": looking.camera("捣蛋", STUDENT)}, pool=["lecturer.video"])
            await lecturer.bring_up(hostile.participant)
            await looking.seen(lecturer, "stage.0.video", STUDENT)
            assert hostile.media is not None
            assert hostile.media._peer is not None
            senders = [sender for sender in hostile.media._peer.getSenders() if sender.kind == "video"]
            transport, ssrc = senders[0].transport, senders[0]._ssrc
            payload_type = _payload_type(hostile.media._peer.remoteDescription.sdp)
            lecturers = lecturer.media._peer.getSenders()[0]._ssrc  # type: ignore[union-attr]
            before, noise = await asyncio.to_thread(drops, server), random.Random(3)
            for number in range(1500):
                sealed = b""
                with contextlib.suppress(Exception):  # libsrtp refuses to protect some of them
                    # Of another stream: its own goes on, and could not if its numbers were taken.
                    packet = attacks.rtp(noise, noise.choice((ssrc ^ 0x5555, lecturers)), payload_type)
                    sealed = transport._tx_srtp.protect(packet)
                if number % 2:
                    sealed = transport._tx_srtp.protect_rtcp(attacks.rtcp(noise, ssrc))
                if sealed:
                    await transport.transport._send(sealed)
                if number % 100 == 99:
                    await asyncio.sleep(0.01)
            # Once there are keys, nothing in clear ends the session: anybody could have sent it.
            for records in attacks.BAD_HANDSHAKES.values():
                for record in records:
                    await transport.transport._send(record)
            reasons = await until_dropped(server, before, 600)
            assert "kelian_node_drop_rtcp_malformed" in reasons, reasons
            # It still is in the lesson, and seen.
            await looking.seen(lecturer, "stage.0.video", STUDENT)
            await looking.seen(hostile, "lecturer.video", LECTURER)


async def test_a_viewer_that_asks_for_everything_all_the_time(server: Server) -> None:
    """Key frames are asked of the publisher at most a few times; a NACK storm is not answered in full."""
    token = looking.token(server, "storm", "student", "捣蛋")
    async with going_on(server, "storm"), kelian.join(server.url, token) as hostile:
        await hostile.open_media(pool=["lecturer.video"])
        await looking.seen(hostile, "lecturer.video", LECTURER)
        assert hostile.media is not None
        assert hostile.media._peer is not None
        transport = hostile.media._peer.getReceivers()[0].transport
        slot = int(re.findall(r"a=ssrc:(\d+)", hostile.media._peer.remoteDescription.sdp)[0])
        before = await asyncio.to_thread(stats, server)
        for number in range(500):
            storm = attacks.picture_loss(1, slot) + attacks.nack_of_everything(1, slot)
            await transport._send_rtp(storm)
            if number % 50 == 49:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        after = await asyncio.to_thread(stats, server)
        new = {name: after[name] - before[name] for name in after if name in before}
        assert new["kelian_node_nacks_received"] + new["kelian_node_drop_retransmission_limit"] > 100, new
        assert new["kelian_node_keyframe_requests_sent"] < 10, "merged and throttled"
        assert new["kelian_node_retransmitted"] < 3000, "500 × 1088 were asked for"


def _payload_type(sdp: str) -> int:
    found = re.search(r"a=rtpmap:(\d+) H264/90000", sdp)
    assert found is not None
    return int(found[1])


# --- tokens ---------------------------------------------------------------------------------------


async def test_expired_forged_and_wrong_tokens(server: Server) -> None:
    async with going_on(server, "tokens"):
        ours = keys.load_or_make(server.data / "keys.toml")
        key, secret = next(iter(ours.items()))
        good = tokens.issue(ours, lesson="tokens", role="lecturer", name="x", ttl_s=60, now=time.time())
        claims = jwt.decode(good, options={"verify_signature": False})
        wrong = {
            "token_expired": tokens.issue(
                ours, lesson="tokens", role="lecturer", name="x", ttl_s=60, now=time.time() - 7200
            ),
            "token_not_yet": tokens.issue(
                ours, lesson="tokens", role="lecturer", name="x", ttl_s=9999, now=time.time() + 7200
            ),
            "token_invalid": jwt.encode(
                claims, "another secret" * 4, algorithm="HS256", headers={"kid": key}
            ),
            "token_invalid ": jwt.encode(claims, "", algorithm="none", headers={"kid": key}),
            "token_invalid  ": jwt.encode(
                claims | {"role": "king"}, secret, algorithm="HS256", headers={"kid": key}
            ),
            "token_invalid   ": good[:-5],
            "token_invalid    ": "x" * 4000,
        }
        async with aiohttp.ClientSession() as http:
            for code, token in wrong.items():
                with pytest.raises(kelian.Refused) as refused:
                    async with kelian.join(server.url, token):
                        pass
                assert refused.value.code == code.strip()
                for door in ("whip", "whep"):
                    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
                    async with http.post(
                        f"{server.url}/{door}/tokens", data="v=0\r\n", headers=headers
                    ) as response:
                        assert response.status == 401
                        assert (await response.json(content_type=None))["code"] == code.strip()
            elsewhere = {"Authorization": f"Bearer {good}", "Content-Type": "application/sdp"}
            async with http.post(f"{server.url}/whip/other", data="v=0\r\n", headers=elsewhere) as response:
                assert response.status == 403
                assert (await response.json(content_type=None))["code"] == "token_wrong_lesson"


@pytest.mark.parametrize("role", ["student", "observer"])
async def test_a_role_may_do_no_more_than_it_may(server: Server, role: Role) -> None:
    async with looking.joined(server, f"role-{role}", ("lecturer", "王老师"), (role, "赵")) as (
        lecturer,
        other,
    ):
        await lecturer.until(lambda lesson: other.participant in lesson.state["participants"])
        before = lecturer.position
        asked = (
            other.bring_up(other.participant), other.end_lesson(), other.spotlight(other.participant),
            other.ask_quiz("?", ["a", "b"]), other.mute("microphone", lecturer.participant),
            other.take_down(lecturer.participant), other.set_floor(True),
        )  # fmt: skip
        for request in asked:
            with pytest.raises(kelian.Refused) as refused:
                await request
            assert refused.value.code in ("forbidden", "not_on_stage")
        with pytest.raises(kelian.Refused) as refused:
            await other.offer(await _an_offer(), {"0": "microphone", "1": "wall.0"})
        assert refused.value.code == "bad_label"
        assert lecturer.position == before, "nothing happened"


# --- a client that never reads ----------------------------------------------------------------------


async def test_clients_that_never_read(server: Server) -> None:
    """One is only deaf; another floods, too, and is shut out although it never takes the goodbye."""
    async with going_on(server, "deaf") as (lecturer, student):
        quiet, flooding = [await _deaf_client(server, name) for name in ("聋", "吵")]
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                flooding.write(_text_frame({"t": "take_down", "req": 2, "participant": "nobody"}) * 50)
                await flooding.drain()
        for number in range(6):
            started_s = time.monotonic()
            await lecturer.say("长" * 2000)
            await student.until(lambda lesson, n=number: len(lesson.state["chat"]) > n)
            assert time.monotonic() - started_s < 1, "nobody waits for them"
        await _left(server, "kelian_connections", 3)
        assert stats(server)["kelian_queued_bytes_max"] < 1024 * 1024
        for writer in (quiet, flooding):
            writer.transport.abort()
        await _left(server, "kelian_connections", 2)


async def _left(server: Server, gauge: str, count: int) -> None:
    deadline_s = time.monotonic() + 10
    while (there := (await asyncio.to_thread(stats, server))[gauge]) != count:
        assert time.monotonic() < deadline_s, f"{gauge} is {there}, not {count}"
        await asyncio.sleep(0.1)


async def _deaf_client(server: Server, name: str) -> asyncio.StreamWriter:
    """Says hello and never reads again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.http_port, limit=1024)
    writer.write(
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{server.http_port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: kelian.v1.json\r\n\r\n".encode()
    )
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    token = looking.token(server, "deaf", "student", name)
    writer.write(_text_frame({"t": "hello", "req": 1, "token": token, "version": 1}))
    return writer


def _text_frame(message: dict[str, object]) -> bytes:
    """Masked with zeros (RFC 6455, 5.2)."""
    body = msgspec.json.encode(message)
    length = bytes((0x80 | len(body),)) if len(body) < 126 else b"\xfe" + len(body).to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + body
