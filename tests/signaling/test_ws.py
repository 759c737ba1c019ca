"""Bad input at the WebSocket: each gets a typed error, and the lesson goes on for the others."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from signaling.auth.keys import Keys
from signaling.config import Limits, Rate, Settings
from signaling.lessons.encoding import JSON, MSGPACK, BadMessage, frame
from signaling.web.app import Server
from tests.signaling.doors import Door


async def test_json_and_msgpack_hear_the_same(door: Door) -> None:
    one = await door.enter("lecturer", "wang", json=True)
    two = await door.enter("tutor", "zhao")
    await one.ask("chat", text="大家好")
    said = [await client.event("chat_said") for client in (one, two)]
    assert said[0] == said[1]
    assert said[0]["event"]["text"] == "大家好"


async def test_no_common_subprotocol_is_a_problem_not_a_socket(door: Door) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await door.http.ws_connect("/ws", protocols=("kelian.v9.msgpack",))
    assert refused.value.status == 400


async def test_a_client_that_says_nothing_is_closed(settings: Settings) -> None:
    quick = msgspec.structs.replace(settings, hello_timeout_ms=200)
    async with Server(quick) as server, Door(server.url, server.keys) as door:
        client = await door.connect()
        goodbye = await client.hear("goodbye")
        assert goodbye["code"] == "hello_timeout"
        assert await client.closed() == 1008


async def test_requests_before_hello_are_refused(door: Door) -> None:
    client = await door.connect()
    assert (await client.ask("raise_hand", up=True))["code"] == "not_hello"
    assert (await client.ask("ping"))["t"] == "ack"
    token = door.token("lecturer", "wang")
    assert (await client.ask("hello", token=token, version=1))["t"] == "welcome"


async def test_an_unknown_version_is_refused(door: Door) -> None:
    client = await door.connect()
    refused = await client.ask("hello", token=door.token("lecturer"), version=2)
    assert refused["code"] == "unsupported_version"
    assert refused["zh"]
    assert refused["en"]
    assert await client.closed() == 1008


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("expired", "token_expired"),
        ("future", "token_not_yet"),
        ("forged", "token_invalid"),
        ("cut", "token_invalid"),
        ("empty", "token_missing"),
        ("huge", "bad_message"),
    ],
)
async def test_bad_tokens(door: Door, case: str, code: str) -> None:
    good = door.token("lecturer", "wang")
    forger = Door(door.url, Keys(dict.fromkeys(door.keys, "x" * 43)))
    token = {
        "expired": door.token("lecturer", "wang", now=time.time() - 3600),
        "future": door.token("lecturer", "wang", now=time.time() + 3600),
        "forged": forger.token("lecturer", "wang"),
        "cut": good[:-8],
        "empty": "",
        "huge": good + "a" * 8000,
    }[case]
    client = await door.connect()
    assert (await client.ask("hello", token=token, version=1))["code"] == code
    # The lesson was not made by it.
    assert (await door.enter("student", "li")).heard[0]["t"] == "waiting"


async def test_a_role_may_do_what_its_table_says_and_no_more(door: Door) -> None:
    await door.enter("lecturer", "wang")
    for role in ("observer", "inspector", "researcher", "parent", "technician"):
        client = await door.enter(role)
        may = (await client.hear("welcome"))["may"]
        assert "raise_hand" not in may
        assert (await client.ask("raise_hand", up=True))["code"] == "forbidden"
        assert (await client.ask("end_lesson"))["code"] == "forbidden"
        assert (await client.ask("publish", session="x", use="camera", on=True))["code"] == "forbidden"


async def test_one_participant_in_another_role_is_refused(door: Door) -> None:
    await door.enter("lecturer", "wang")
    await door.enter("student", "li")
    client = await door.connect()
    refused = await client.ask("hello", token=door.token("lecturer", "li"), version=1)
    assert refused["code"] == "other_role"


BAD = [
    b"",
    b"\xc1",
    b"\x81",  # a map that promises more than there is
    b"{",
    b"[]",
    b'{"t":"raise_hand"',
    b'"\xff\xfe"',
    msgspec.msgpack.encode({"t": "raise_hand", "req": 1})[:-1],
    b"\x91" * 20_000,
    b"[" * 20_000,
]


@pytest.mark.parametrize("json", [False, True])
async def test_broken_messages_are_refused_and_the_connection_goes_on(door: Door, json: bool) -> None:
    client = await door.enter("lecturer", "wang", json=json)
    for data in BAD:
        before = len(client.heard)
        if json:
            await client.ws.send_frame(data, aiohttp.WSMsgType.TEXT) if _utf8(data) else None
            if not _utf8(data):
                continue
        else:
            await client.ws.send_bytes(data)
        error = await client.hear("error", after=before)
        assert error["code"] == "bad_message", data[:20]
        assert "req" not in error
    assert (await client.ask("ping"))["t"] == "ack"


async def test_text_that_is_no_text_closes_this_client_only(door: Door) -> None:
    other = await door.enter("lecturer", "wang")
    client = await door.enter("tutor", "zhao", json=True)
    await client.ws.send_frame(b"\xff\xfe\xff", aiohttp.WSMsgType.TEXT)
    error = await client.until(lambda m: m["t"] in ("error", "goodbye"))
    assert error["code"] == "bad_message"
    assert (await other.ask("ping"))["t"] == "ack"


WRONG = [
    ({"t": "fly", "req": 7}, "unknown_type"),
    ({"t": 5, "req": 7}, "bad_message"),
    ({"req": 7}, "bad_message"),
    ({"t": "raise_hand", "req": 7}, "bad_message"),
    ({"t": "raise_hand", "req": 7, "up": "yes"}, "bad_message"),
    ({"t": "chat", "req": 7, "text": ""}, "bad_message"),
    ({"t": "chat", "req": 7, "text": "x" * 2001}, "bad_message"),
    ({"t": "quiz_ask", "req": 7, "question": "?", "options": ["a"]}, "bad_message"),
    ({"t": "quiz_ask", "req": 7, "question": "?", "options": ["a"] * 11}, "bad_message"),
    ({"t": "hello", "req": 7, "token": "x", "version": 1}, "bad_message"),  # a second hello
]


@pytest.mark.parametrize(("message", "code"), WRONG)
async def test_wrong_messages_are_refused_by_number(
    door: Door, message: dict[str, object], code: str
) -> None:
    for json in (True, False):
        client = await door.enter("lecturer", f"wang{json}", json=json)
        await client.send_raw(message)
        error = await client.until(lambda m: m["t"] == "error")
        assert (error["code"], error["req"]) == (code, 7)
        assert (await client.ask("ping"))["t"] == "ack"


@pytest.mark.parametrize("req", ["x", -1, 2**60, 1.5, None, True])
async def test_a_wrong_number_is_not_echoed(door: Door, req: object) -> None:
    client = await door.enter("lecturer", "wang", json=True)
    await client.send_raw({"t": "ping", "req": req})
    error = await client.hear("error")
    assert error["code"] == "bad_message"
    assert "req" not in error


async def test_who_sends_nothing_but_rubbish_is_closed(settings: Settings) -> None:
    strict = msgspec.structs.replace(settings, limits=Limits(misbehaviour=Rate(per_s=0.01, burst=2)))
    async with Server(strict) as server, Door(server.url, server.keys) as door:
        client = await door.enter("lecturer", "wang")
        for _ in range(3):
            await client.ws.send_bytes(b"\xc1")
        assert (await client.hear("goodbye"))["code"] == "bad_message"
        assert await client.closed() == 1008


async def test_who_was_too_fast_and_slows_down_is_forgiven(settings: Settings) -> None:
    slow = Limits(clicks=Rate(per_s=20, burst=2), misbehaviour=Rate(per_s=100, burst=2))
    patient = msgspec.structs.replace(settings, limits=slow)
    async with Server(patient) as server, Door(server.url, server.keys) as door:
        client = await door.enter("lecturer", "wang")
        refused = 0
        for _ in range(12):
            await asyncio.sleep(0.03)
            answer = await client.ask("ping")
            refused += answer.get("code") == "rate_limited"
        assert refused >= 3, "more often than patience would bear at once"
        assert not client.ws.closed


async def test_a_huge_message_closes_its_sender_only(door: Door) -> None:
    other = await door.enter("lecturer", "wang")
    client = await door.enter("tutor", "zhao")
    await client.ws.send_bytes(b"x" * (1024 * 1024))
    assert await client.closed() == 1009
    assert (await other.ask("ping"))["t"] == "ack"


async def test_offers_of_512_kb_pass_the_door(door: Door) -> None:
    client = await door.enter("lecturer", "wang")
    refused = await client.ask("offer", sdp="v=0\r\n" + "a" * (512 * 1024 - 8), labels={})
    assert refused["code"] == "media_node_unavailable"  # none is configured: it came that far
    assert refused["retry_after_ms"]
    refused = await client.ask("offer", sdp="a" * (512 * 1024 + 1), labels={})
    assert refused["code"] == "bad_message"


async def test_too_fast_is_refused_with_a_time(settings: Settings) -> None:
    limits = Limits(chat=Rate(per_s=0.1, burst=2))
    async with (
        Server(msgspec.structs.replace(settings, limits=limits)) as server,
        Door(server.url, server.keys) as door,
    ):
        client = await door.enter("lecturer", "wang")
        replies = [await client.ask("chat", text=str(i)) for i in range(3)]
        assert [reply["t"] for reply in replies] == ["ack", "ack", "error"]
        assert replies[2]["code"] == "rate_limited"
        assert 9_000 < replies[2]["retry_after_ms"] <= 10_001
        assert (await client.ask("ping"))["t"] == "ack"  # another class of requests


async def test_one_slow_reader_is_dropped_and_nobody_waits_for_it(settings: Settings) -> None:
    limits = Limits(
        queue_bytes=64 * 1024, send_buffer_bytes=16 * 1024, chat=Rate(per_s=10_000, burst=10_000)
    )
    async with (
        Server(msgspec.structs.replace(settings, limits=limits)) as server,
        Door(server.url, server.keys) as door,
    ):
        lecturer = await door.enter("lecturer", "wang")
        student = await door.enter("student", "li")
        deaf = await _deaf_client(door)
        for i in range(600):
            await lecturer.send("chat", text=f"{i} " + "x" * 1900)
            if server.meters.goodbyes["slow_client"]:
                break
            await asyncio.sleep(0.002)
        assert server.meters.goodbyes["slow_client"] == 1
        await student.event("chat_said", text=f"{i} " + "x" * 1900)
        began = time.monotonic()
        assert (await student.ask("ping"))["t"] == "ack"
        assert time.monotonic() - began < 1.0
        await _until(lambda: len(server._context.connections) == 2)
        deaf[1].close()


async def test_too_many_pages_of_one_participant(settings: Settings) -> None:
    limits = Limits(connections_per_participant=2)
    async with (
        Server(msgspec.structs.replace(settings, limits=limits)) as server,
        Door(server.url, server.keys) as door,
    ):
        await door.enter("lecturer", "wang")
        await door.enter("lecturer", "wang")
        third = await door.connect()
        refused = await third.ask("hello", token=door.token("lecturer", "wang"), version=1)
        assert refused["code"] == "too_many_connections"


async def test_heartbeats_find_a_dead_line(settings: Settings) -> None:
    quick = msgspec.structs.replace(settings, heartbeat_ms=200)
    async with Server(quick) as server, Door(server.url, server.keys) as door:
        _, writer = await _deaf_client(door)
        await _until(lambda: len(server._context.connections) == 1)
        await _until(lambda: not server._context.connections)
        writer.close()


async def test_a_server_that_stops_says_so(server: Server, door: Door) -> None:
    client = await door.enter("lecturer", "wang")
    nobody = await door.connect()
    await server.stop()
    for it in (client, nobody):
        goodbye = await it.hear("goodbye")
        assert (goodbye["code"], goodbye["reconnect"]) == ("server_restarting", True)
    await server.start()


@given(st.binary(max_size=200))
@hypothesis_settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_decoding_raises_bad_message_and_nothing_else(data: bytes) -> None:
    for encoding in (MSGPACK, JSON):
        with contextlib.suppress(BadMessage):
            encoding.decode(data)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70_000])
def test_frames_are_as_rfc_6455_says(size: int) -> None:
    made = frame(b"x" * size, 2)
    assert made[0] == 0x82
    short = made[1]
    assert not short & 0x80  # servers do not mask
    if short < 126:
        assert (short, len(made)) == (size, size + 2)
    elif short == 126:
        assert (int.from_bytes(made[2:4], "big"), len(made)) == (size, size + 4)
        assert size >= 126
    else:
        assert (int.from_bytes(made[2:10], "big"), len(made)) == (size, size + 10)
        assert size >= 65536


async def _deaf_client(door: Door) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Says hello and never reads again."""
    host, port = door.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(
        f"GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: kelian.v1.json\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    hello = msgspec.json.encode(
        {"t": "hello", "req": 1, "token": door.token("observer", "deaf"), "version": 1}
    )
    head = bytes((0x81, 0x80 | 126)) + len(hello).to_bytes(2, "big")
    writer.write(head + bytes(4) + hello)  # a mask of zeros
    await writer.drain()
    return reader, writer


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(8):
        while not holds():  # noqa: ASYNC110  (the server has no event for it)
            await asyncio.sleep(0.02)


def _utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True




@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    files = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-out", files[0], "-keyout", files[1], "-subj", "/CN=localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return files


async def test_all_of_it_over_tls(settings: Settings, certificate: tuple[str, str]) -> None:
    """Frames are written past aiohttp: over TLS, too, they arrive whole and in order."""
    secure = msgspec.structs.replace(settings, tls_cert=certificate[0], tls_key=certificate[1])
    async with Server(secure) as server, Door(server.url, server.keys) as door:
        assert server.url.startswith("https://")
        lecturer = await door.enter("lecturer", "wang")
        listeners = [await door.enter("student", f"s{i}", json=i % 2 == 0) for i in range(6)]
        for i in range(8):
            await lecturer.send("chat", text=f"{i} " + "话" * 1900)
        for it in listeners:
            await it.event("chat_said", text="7 " + "话" * 1900)
            said = [entry["event"]["text"][0] for entry in it.events if entry["event"]["t"] == "chat_said"]
            assert said == list("01234567")


async def test_a_token_that_runs_out_cuts_nobody_off_and_lets_nobody_in(door: Door) -> None:
    lecturer = await door.enter("lecturer", "wang")
    token = door.token("student", "li", ttl_s=2)
    student = await door.enter("student", "li", token=token)
    await asyncio.sleep(2.1)
    assert (await student.ask("chat", text="still here"))["t"] == "ack"
    await lecturer.event("chat_said", text="still here")
    student.drop()
    again = await door.connect()
    refused = await again.ask("hello", token=token, version=1)
    assert refused["code"] == "token_expired"
    assert "retry_after_ms" not in refused
    assert not (await again.hear("goodbye"))["reconnect"]
