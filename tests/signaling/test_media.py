"""Media sessions of pages: offers, publishing, slots, and what outlives whose death. The node is real."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from signaling.config import Settings
from signaling.web.app import Server
from tests.mediaserver.peers import BLUE, RED, Picture, Tone, eventually
from tests.mediaserver.peers import Client as Peer
from tests.signaling.doors import Client, Door, Message
from tests.signaling.nodes import NodeProcess


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[NodeProcess]:
    async with NodeProcess(tmp_path) as node:
        yield node


@pytest.fixture
def settings(settings: Settings, node: NodeProcess) -> Settings:
    return msgspec.structs.replace(settings, node=node.channel, codec="vp8", grace_ms=3000)


@pytest.fixture
async def door(server: Server, door: Door) -> Door:
    await eventually(lambda: server.registry.media.connected, "the media node")
    return door


async def offer(client: Client, peer: Peer, **more: object) -> Message:
    sdp, labels = await peer.offer()
    reply = await client.ask("offer", sdp=sdp, labels=labels, **more)
    if reply["t"] == "answer":
        await peer.take(reply["sdp"])
    return reply


async def publish(client: Client, answer: Message, *uses: str) -> None:
    for use in uses:
        assert (await client.ask("publish", session=answer["session"], use=use, on=True))["t"] == "ack"


async def test_hand_to_stage_to_picture(door: Door) -> None:
    """Nobody makes a second offer: the plan alone moves the pictures."""
    lecturer = await door.enter("lecturer", "wang")
    student, other = await door.enter("student", "li"), await door.enter("student", "sun")
    camera = Peer(sends={"camera": Picture(RED), "microphone": Tone()}, slots=["stage.0.video"])
    answer = await offer(lecturer, camera)
    assert set(answer["sources"]) == {"camera", "microphone"}
    await publish(lecturer, answer, "camera", "microphone")
    raising = Peer(sends={"camera": Picture(BLUE)}, slots=["lecturer.video"])
    theirs = await offer(student, raising)
    watching = Peer(slots=["lecturer.video", "lecturer.audio", "stage.0.video"])
    await offer(other, watching)
    await eventually(lambda: watching.shown["lecturer.video"].looks(RED), "the lecturer")
    await publish(student, theirs, "camera")
    await student.ask("raise_hand", up=True)
    await lecturer.ask("bring_up", participant="li")
    await eventually(lambda: watching.shown["stage.0.video"].looks(BLUE), "the student on stage")
    await eventually(lambda: camera.shown["stage.0.video"].looks(BLUE), "the student at the lecturer's")
    slots = await other.until(lambda m: m["t"] == "slots" and "stage.0.video" in m.get("slots", ()))
    source = slots["slots"]["stage.0.video"]
    assert slots["sources"][source] == {"participant": "li", "use": "camera", "live": True}
    assert slots["people"]["li"]["name"] == "Li"
    levels = await other.hear("levels")
    assert levels["levels"][0][0] == answer["sources"]["microphone"]
    assert 0 <= levels["levels"][0][1] < 60
    await lecturer.ask("mute", participant="li", use="camera", muted=True)
    await other.until(
        lambda m: m["t"] == "slots" and "stage.0.video" not in m.get("slots", ()),
        after=other.heard.index(slots),
    )
    for peer in (camera, raising, watching):
        await peer.close()


async def test_what_an_offer_may_not_ask_for(door: Door) -> None:
    lecturer = await door.enter("lecturer", "wang")
    student = await door.enter("student", "li")
    assert (await student.ask("offer", sdp="v=0", labels={}))["code"] == "bad_sdp"
    peer = Peer(slots=["wall.0"])
    assert (await offer(student, peer))["code"] == "bad_label"  # the wall is the lecturer's
    await peer.close()
    observer = await door.enter("observer", "guest")
    peer = Peer(slots=["private"])
    assert (await offer(observer, peer))["code"] == "bad_label"  # nobody speaks with a guest in private
    await peer.close()
    twice = {"0": "board", "1": "board", "2": "camera"}  # a lecturer's own, and the slot for another's
    assert (await lecturer.ask("offer", sdp="v=0", labels=twice))["code"] == "bad_sdp"
    refused = await lecturer.ask("offer", sdp="v=0", labels={**twice, "3": "camera"})
    assert refused["code"] == "bad_label"
    peer = Peer(sends={"camera": Picture(RED)})
    answer = await offer(lecturer, peer)
    session = answer["session"]
    for request, more in (("publish", {"use": "camera", "on": True}), ("close_session", {})):
        refused = await student.ask(request, session=session, **more)
        assert refused["code"] == "not_your_session"
    assert (await student.ask("mend", session="none", slot="x"))["code"] == "no_such_session"
    assert (await lecturer.ask("publish", session=session, use="board", on=True))["code"] == "cannot_send"
    assert (await lecturer.ask("mend", session=session, slot="stage.0.video"))["t"] == "ack"
    assert (await lecturer.ask("layers", session=session, heights={"stage.0.video": 90}))["t"] == "ack"
    assert (await lecturer.ask("close_session", session=session))["t"] == "ack"
    assert (await lecturer.ask("close_session", session=session))["code"] == "no_such_session"
    await peer.close()


async def test_leaving_ends_what_one_sends(door: Door, server: Server) -> None:
    await door.enter("lecturer", "wang")
    tutor = await door.enter("tutor", "zhao")
    student = await door.enter("student", "li")
    peer = Peer(sends={"camera": Picture(RED)})
    answer = await offer(tutor, peer)
    await publish(tutor, answer, "camera")
    published = await student.event("published", participant="zhao")
    await tutor.ask("leave")
    gone = await student.event("unpublished", source=published["event"]["source"])
    assert gone["pos"] > published["pos"]
    assert server.registry.media.session_count == 0
    await peer.close()


async def test_a_killed_node_is_told_and_the_next_takes_over(door: Door, node: NodeProcess) -> None:
    lecturer = await door.enter("lecturer", "wang")
    student = await door.enter("student", "li")
    first = Peer(sends={"camera": Picture(RED)})
    answer = await offer(lecturer, first)
    await publish(lecturer, answer, "camera")
    await student.event("published")
    await node.end()
    refused = await lecturer.ask("offer", sdp="v=0", labels={})
    assert refused["code"] == "media_node_unavailable"
    assert refused["retry_after_ms"] <= 1000
    await node.start()
    lost = await lecturer.hear("session_lost")
    assert (lost["session"], lost["reason"]) == (answer["session"], "node_lost")
    await student.event("unpublished")
    second, watching = Peer(sends={"camera": Picture(BLUE)}), Peer(slots=["lecturer.video"])
    again = await offer(lecturer, second)
    assert again["sources"]["camera"] != answer["sources"]["camera"]
    await publish(lecturer, again, "camera")
    await offer(student, watching)
    await eventually(lambda: watching.shown["lecturer.video"].looks(BLUE), "the picture of the new session")
    for peer in (first, second, watching):
        await peer.close()


async def test_signaling_may_go_and_come_while_pictures_stay(
    door: Door, server: Server, settings: Settings
) -> None:
    lecturer = await door.enter("lecturer", "wang")
    student = await door.enter("student", "li")
    camera = Peer(sends={"camera": Picture(RED)})
    watching = Peer(slots=["lecturer.video", "stage.0.video"])
    answer = await offer(lecturer, camera)
    await publish(lecturer, answer, "camera")
    seeing = await offer(student, watching)
    await eventually(lambda: watching.shown["lecturer.video"].looks(RED), "the lecturer")
    await server.stop()
    frames = watching.shown["lecturer.video"].frames
    await asyncio.sleep(0.5)
    assert watching.shown["lecturer.video"].frames > frames  # nobody's picture stops
    async with Server(settings) as again, Door(again.url, again.keys) as other:
        back = await other.enter("lecturer", "wang", session=answer["session"])
        assert not (await back.hear("welcome")).get("session_lost")
        page = await other.enter("student", "li", session=seeing["session"])
        assert not (await page.hear("welcome")).get("session_lost")
        stranger = await other.enter("student", "sun", session=seeing["session"])
        assert (await stranger.hear("welcome"))["session_lost"]
        await eventually(lambda: again.registry.media.connected, "the node")
        await asyncio.sleep(0.3)
        assert not [m for m in page.heard + back.heard if m["t"] == "session_lost"]
        assert not [e for e in page.events if e["event"]["t"] == "unpublished"]
        # The same session goes on: the node does what the new process says.
        await back.ask("publish", session=answer["session"], use="camera", on=False)
        await page.event("unpublished", source=answer["sources"]["camera"])
        await back.ask("publish", session=answer["session"], use="camera", on=True)
        frames = watching.shown["lecturer.video"].frames
        await eventually(lambda: watching.shown["lecturer.video"].frames > frames + 3, "the picture again")
        # Source ids are never given twice.
        tutor = await other.enter("tutor", "zhao")
        peer = Peer(sends={"camera": Picture(BLUE)})
        sources = (await offer(tutor, peer))["sources"]
        assert sources["camera"] > max(answer["sources"].values())
        await peer.close()
    await server.start()
    await camera.close()
    await watching.close()


async def test_recording_goes_on_whoever_dies(
    door: Door, server: Server, settings: Settings, node: NodeProcess
) -> None:
    async def recorded(by: Server) -> int:
        await eventually(lambda: by.registry.media.connected, "the media node")
        return int((await by.registry.media.stats())["lessons_recorded"])

    lecturer, student = await door.enter("lecturer", "wang"), await door.enter("student", "li")
    camera = Peer(sends={"camera": Picture(RED)})
    await offer(lecturer, camera)
    assert (await student.ask("record", on=True))["code"] == "forbidden"
    assert (await lecturer.ask("record", on=True))["t"] == "ack"
    await student.event("recording_started")
    assert await recorded(server) == 1
    await node.end()
    await node.start()
    await lecturer.hear("session_lost")
    assert await recorded(server) == 0, "nobody sends yet"
    again = Peer(sends={"camera": Picture(RED)})
    await offer(lecturer, again)
    assert await recorded(server) == 1
    await server.stop()
    async with Server(settings) as other, Door(other.url, other.keys) as back:
        assert await recorded(other) == 1
        wang = await back.enter("lecturer", "wang")
        assert (await wang.hear("welcome"))["state"]["recording"]
        await wang.ask("record", on=False)
        assert await recorded(other) == 0
    await server.start()
    await camera.close()
    await again.close()


async def test_an_ice_restart_keeps_session_and_sources(door: Door) -> None:
    lecturer = await door.enter("lecturer", "wang")
    peer = Peer(sends={"camera": Picture(RED)})
    sdp, labels = await peer.offer()
    answer = await lecturer.ask("offer", sdp=sdp, labels=labels)
    ufrag = next(line for line in sdp.splitlines() if line.startswith("a=ice-ufrag:"))
    renewed = sdp.replace(ufrag, "a=ice-ufrag:fresh")
    again = await lecturer.ask("offer", sdp=renewed, labels=labels, session=answer["session"])
    assert (again["session"], again["sources"]) == (answer["session"], answer["sources"])
    assert again["sdp"] != answer["sdp"]
    student = await door.enter("student", "li")
    refused = await student.ask("offer", sdp=renewed, labels=labels, session=answer["session"])
    assert refused["code"] == "not_your_session"
    await peer.close()


async def test_a_lecturer_with_the_other_codec_decides_until_the_first_answer(
    settings: Settings,
) -> None:
    h264 = msgspec.structs.replace(settings, codec="h264", data=settings.data + "/h264")
    async with Server(h264) as server, Door(server.url, server.keys) as door:
        await eventually(lambda: server.registry.media.connected, "the node")
        lecturer = await door.enter("lecturer", "wang")
        student = await door.enter("student", "li")
        assert (await student.hear("welcome"))["lesson"]["codec"] == "h264"
        peer = Peer(sends={"camera": Picture(RED)})
        sdp, labels = await peer.offer()
        only_vp8 = "\r\n".join(line for line in sdp.splitlines() if "H264" not in line) + "\r\n"
        answer = await lecturer.ask("offer", sdp=only_vp8, labels=labels)
        assert answer["t"] == "answer", answer
        assert (await student.event("codec_changed"))["event"]["codec"] == "vp8"
        await peer.close()


@pytest.mark.parametrize("going", ["leave", "drop", "end"])
async def test_who_goes_while_the_node_answers_leaves_nothing_behind(
    door: Door, server: Server, node: NodeProcess, going: str
) -> None:
    """Otherwise they would go on watching a lesson that they have left, or that is over."""
    lecturer, student = await door.enter("lecturer", "wang"), await door.enter("student", "li")
    peer = Peer(slots=["lecturer.video"])
    sdp, labels = await peer.offer()
    node.give(signal.SIGSTOP)
    await student.send("offer", sdp=sdp, labels=labels)
    await student.ask("ping")
    match going:
        case "leave":
            await student.ask("leave")
            await student.closed()
        case "drop":
            student.drop()
            await eventually(lambda: server.meters.connections == 1, "the drop")
        case "end":
            await lecturer.ask("end_lesson")
            await student.closed()
    node.give(signal.SIGCONT)
    await eventually(lambda: server.meters.refusals["no_such_session"] == 1, "the answer")
    assert server.registry.media.session_count == 0
    assert (await server.registry.media.stats())["sessions"] == 0
    assert await server.registry.store.sessions((await lecturer.hear("welcome"))["lesson"]["log"]) == []
    await peer.close()
