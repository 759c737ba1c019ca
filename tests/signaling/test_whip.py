"""WHIP and WHEP at the door: RFC 9725's requests, and who may make them. The node is a real one."""

import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from signaling import errors
from signaling.config import Settings
from signaling.web.app import Server
from signaling.web.whip import ice_fragment
from tests.mediaserver.peers import RED, Client, Picture, Tone, eventually
from tests.signaling.doors import Door
from tests.signaling.nodes import NodeProcess

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[NodeProcess]:
    async with NodeProcess(tmp_path) as node:
        yield node


@pytest.fixture
def settings(settings: Settings, node: NodeProcess) -> Settings:
    return msgspec.structs.replace(settings, node=node.channel, codec="vp8")


@pytest.fixture
async def door(server: Server, door: Door) -> Door:
    await eventually(lambda: server.registry.media.connected, "the media node")
    return door


class Encoder:
    """A WHIP encoder (aiortc): makes an offer, takes the answer, sends."""

    def __init__(self, door: Door, **sends: Any) -> None:
        self.door = door
        self.peer = Client(sends=sends or {"microphone": Tone(), "camera": Picture(RED)})
        self.location = self.etag = ""

    async def post(self, path: str, headers: dict[str, str]) -> aiohttp.ClientResponse:
        offer, _ = await self.peer.offer()
        response = await self.door.http.post(path, data=offer, headers={"Content-Type": SDP, **headers})
        if response.status == 201:
            self.location, self.etag = response.headers["Location"], response.headers["ETag"]
            assert response.content_type == SDP
            await self.peer.take(await response.text())
        return response


async def offer_text() -> str:
    client = Client(sends={"microphone": Tone(), "camera": Picture(RED)})
    offer, _ = await client.offer()
    await client.close()
    return offer


async def refusal(response: aiohttp.ClientResponse) -> str:
    """The code of a problem, which any page may read."""
    assert response.content_type == "application/problem+json"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    body = await response.json(content_type=None)
    assert body["code"] in errors.CATALOGUE
    assert response.status == body["status"]
    return str(body["code"])


async def test_an_encoder_publishes_while_it_sends_and_is_gone_after_delete(door: Door) -> None:
    encoder = Encoder(door)
    bearer = door.bearer("lecturer", "wang")
    response = await encoder.post("/whip/math", bearer)
    assert response.status == 201
    assert response.headers["Location"].startswith("/whip/math/whip-")
    assert "Location" in response.headers["Access-Control-Expose-Headers"]
    student = await door.enter("student", "li")
    for use in ("camera", "microphone"):
        await student.event("published", use=use, participant="wang")
    slots = await student.until(lambda m: m["t"] == "slots" and "lecturer.video" in m.get("slots", ()))
    assert slots["people"]["wang"]["name"] == "Wang"
    async with door.http.delete(encoder.location, headers=bearer) as deleted:
        assert deleted.status == 200
    await student.event("unpublished")
    assert (await student.event("left", participant="wang"))["event"].get("reason", "left") == "left"
    async with door.http.delete(encoder.location, headers=bearer) as again:
        assert await refusal(again) == "no_such_session"
    await encoder.peer.close()


async def test_an_encoder_that_vanishes_is_unpublished_and_lost(door: Door) -> None:
    encoder = Encoder(door)
    await encoder.post("/whip/math", door.bearer("lecturer", "wang"))
    student = await door.enter("student", "li")
    await student.event("published", use="camera")
    await encoder.peer.close()
    await student.event("unpublished")
    assert (await student.event("left", participant="wang"))["event"]["reason"] == "lost"


async def test_a_page_of_the_same_participant_outlasts_the_encoder(door: Door, server: Server) -> None:
    encoder, bearer = Encoder(door), door.bearer("lecturer", "wang")
    page = await door.enter("lecturer", "wang")
    await encoder.post("/whip/math", bearer)
    await page.event("published", use="camera")
    async with door.http.delete(encoder.location, headers=bearer) as deleted:
        assert deleted.status == 200
    await page.event("unpublished")
    assert (await page.ask("chat", text="still here"))["t"] == "ack"
    assert not [entry for entry in page.events if entry["event"]["t"] == "left"]
    await encoder.peer.close()


async def test_a_player_watches_what_an_encoder_sends(door: Door, server: Server) -> None:
    early = await door.http.post(
        "/whep/math", data=await offer_text(), headers={"Content-Type": SDP, **door.bearer("observer")}
    )
    assert early.status == 503
    assert int(early.headers["Retry-After"]) > 0
    assert await refusal(early) == "lesson_not_started"
    encoder = Encoder(door)
    await encoder.post("/whip/math", door.bearer("lecturer", "wang"))
    player = Client(slots=["lecturer.audio", "lecturer.video"])
    offer, _ = await player.offer()
    watching = door.bearer("observer", "someone")
    response = await door.http.post("/whep/math", data=offer, headers={"Content-Type": SDP, **watching})
    assert response.status == 201, await response.text()
    await player.take(await response.text())
    await eventually(lambda: player.shown["lecturer.video"].looks(RED), "the lecturer's picture")
    lesson = server.registry.running("math")
    assert lesson is not None
    assert set(lesson.state.participants) == {"wang"}  # a player is nobody in the log
    async with door.http.delete(response.headers["Location"], headers=watching) as deleted:
        assert deleted.status == 200
    await player.close()
    await encoder.peer.close()


async def test_the_board_by_whip_is_the_board_by_whep(door: Door) -> None:
    encoder = Encoder(door, board=Picture(RED))
    bearer = door.bearer("lecturer", "wang")
    assert (await encoder.post("/whip/math?source=board", bearer)).status == 201
    player = Client(slots=["board"])
    offer, _ = await player.offer()
    headers = {"Content-Type": SDP, **bearer}
    response = await door.http.post("/whep/math?source=board", data=offer, headers=headers)
    await player.take(await response.text())
    await eventually(lambda: player.shown["board"].looks(RED), "the board")
    await player.close()
    await encoder.peer.close()


async def test_trickle_restart_and_preconditions(door: Door) -> None:
    encoder = Encoder(door)
    bearer = {**door.bearer("lecturer", "wang"), "Content-Type": FRAGMENT}
    await encoder.post("/whip/math", bearer | {"Content-Type": SDP})
    offered = encoder.peer.connection.localDescription.sdp
    ufrag = re.search(r"a=ice-ufrag:(\S+)", offered)
    assert ufrag is not None
    candidate = (
        f"a=ice-ufrag:{ufrag.group(1)}\r\na=ice-pwd:{'p' * 24}\r\n"
        "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
        "a=candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host\r\na=end-of-candidates\r\n"
    )

    async def patch(data: str, **headers: str) -> aiohttp.ClientResponse:
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return await door.http.patch(encoder.location, data=data, headers={**bearer, **more})

    assert (await patch(candidate, If_Match=encoder.etag)).status == 204
    missing = await patch(candidate)
    assert (missing.status, await refusal(missing)) == (428, "precondition_required")
    stale = await patch(candidate, If_Match='"other"')
    assert (stale.status, await refusal(stale)) == (412, "precondition_failed")
    fresh = f"a=ice-ufrag:newfrag1\r\na=ice-pwd:{'n' * 24}\r\n"
    other_ice = await patch(fresh, If_Match=encoder.etag)
    assert (other_ice.status, await refusal(other_ice)) == (412, "precondition_failed")
    assert await refusal(await patch("a=nothing\r\n", If_Match="*")) == "no_ice"
    restarted = await patch(fresh, If_Match="*")
    assert (restarted.status, restarted.content_type) == (200, FRAGMENT)
    told = await restarted.text()
    assert re.search(r"^a=ice-ufrag:\S{4,}", told, re.MULTILINE)
    assert re.search(r"^a=ice-pwd:\S{22,}", told, re.MULTILINE)
    assert re.search(r"^a=candidate:", told, re.MULTILINE)
    assert restarted.headers["ETag"] != encoder.etag
    assert (await patch(candidate, If_Match=encoder.etag)).status == 412
    assert (await patch(fresh, If_Match=restarted.headers["ETag"])).status == 204
    await encoder.peer.close()


async def test_nobody_elses_token_may_touch_a_session(door: Door) -> None:
    encoder = Encoder(door)
    await encoder.post("/whip/math", door.bearer("lecturer", "wang"))
    cases = [
        (door.bearer("lecturer", "other"), 403, "not_your_session"),
        (door.bearer("ops", "boss"), 403, "not_your_session"),
        (door.bearer("lecturer", "wang", lesson="art"), 403, "token_wrong_lesson"),
        (door.bearer("lecturer", "wang", now=time.time() - 3600), 401, "token_expired"),
        (door.api, 401, "token_invalid"),
        ({"Authorization": "Basic eDp5"}, 401, "token_missing"),
        ({}, 401, "token_missing"),
    ]
    for headers, status, code in cases:
        async with door.http.delete(encoder.location, headers=headers) as response:
            assert (response.status, await refusal(response)) == (status, code)
        more = {"Content-Type": FRAGMENT, "If-Match": "*", **headers}
        async with door.http.patch(encoder.location, data="", headers=more) as response:
            assert (response.status, await refusal(response)) == (status, code)
    student = await door.enter("student", "li")
    await student.event("published", use="camera")
    other_door = encoder.location.replace("/whip/", "/whep/")
    async with door.http.delete(other_door, headers=door.bearer("lecturer", "wang")) as response:
        assert await refusal(response) == "no_such_session"
    await encoder.peer.close()


async def test_bad_posts_are_problems(door: Door, server: Server) -> None:
    good = door.bearer("lecturer", "wang")
    offer = await offer_text()

    async def post(data: str | bytes, headers: dict[str, str], query: str = "") -> tuple[int, str]:
        async with door.http.post(f"/whip/math{query}", data=data, headers=headers) as response:
            return response.status, await refusal(response)

    assert await post(offer, {"Content-Type": SDP}) == (401, "token_missing")
    assert await post(offer, {**good, "Content-Type": "text/plain"}) == (415, "unsupported_media_type")
    assert await post(b"v=0\r\n" + b"a" * 600_000, {**good, "Content-Type": SDP}) == (413, "offer_too_large")
    assert (await post(offer, {**good, "Content-Type": SDP, "Accept": "text/html"}))[0] == 406
    assert await post("", {**good, "Content-Type": SDP}) == (400, "bad_sdp")
    assert await post("hello", {**good, "Content-Type": SDP}) == (400, "bad_sdp")
    assert await post(b"\xff\xfe", {**good, "Content-Type": SDP}) == (400, "bad_sdp")
    assert await post(offer, {**good, "Content-Type": SDP}, "?source=cellar") == (422, "unprocessable")
    viewer = {**door.bearer("observer", "x"), "Content-Type": SDP}
    assert await post(offer, viewer) == (403, "cannot_send")
    lesson = server.registry.running("math")
    assert lesson is not None
    # Whose offer was no good does not stay.
    await eventually(lambda: lesson.state.present("wang") is None, "the end of the attempt")


async def test_options_tell_what_is_taken(door: Door) -> None:
    for path in ("/whip/math", "/whep/math", "/whip/math/x"):
        async with door.http.options(path, headers={"Origin": "https://school.example"}) as response:
            assert response.status == 204
            assert response.headers["Accept-Post"] == SDP
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert "PATCH" in response.headers["Access-Control-Allow-Methods"]
            assert "If-Match" in response.headers["Access-Control-Allow-Headers"]
    async with door.http.get("/whip/math") as response:
        assert response.status == 405


async def test_only_named_origins_when_so_configured(settings: Settings) -> None:
    named = msgspec.structs.replace(settings, cors_origins=("https://a.example",), data=settings.data + "/2")
    async with Server(named) as server, Door(server.url, server.keys) as door:
        for origin, allowed in (("https://a.example", "https://a.example"), ("https://b.example", None)):
            async with door.http.options("/whip/math", headers={"Origin": origin}) as response:
                assert response.headers.get("Access-Control-Allow-Origin") == allowed


def test_an_ice_fragment_holds_credentials_and_candidates_once() -> None:
    answer = (
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE 0 1\r\n"
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
        "a=ice-ufrag:abcd\r\na=ice-pwd:1234567890123456789012\r\n"
        "a=rtpmap:111 opus/48000/2\r\na=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\na=end-of-candidates\r\n"
        "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=ice-ufrag:abcd\r\n"
    )
    assert ice_fragment(answer).splitlines() == [
        "a=ice-lite",
        "a=group:BUNDLE 0 1",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=mid:0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:1234567890123456789012",
        "a=candidate:1 1 udp 1 192.0.2.1 5 typ host",
        "a=end-of-candidates",
    ]
