"""A whole media node with real clients (aiortc): media in, media out, and what signaling hears."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mediaserver.channel.client import NodeRefused
from mediaserver.channel.messages import (
    CloseSession,
    EndLesson,
    GetStats,
    JournalState,
    Levels,
    Mend,
    OpenSession,
    RestartIce,
    SessionState,
    SetPlan,
    SetRecording,
    SlotState,
    SourceState,
)
from mediaserver.journal.reader import Captured, read
from mediaserver.node import CONNECT_TIMEOUT_S, RETURN_TIMEOUT_S, Node, flat_stats

from .peers import BLUE, RED, Client, Picture, Signaling, Tone, eventually, running_node

WATCH = ["lecturer.video", "lecturer.audio"]


class Stage:
    """The node, its signaling, and clients that are closed at the end of the test."""

    def __init__(self, node: Node, signaling: Signaling) -> None:
        self.node, self.signaling = node, signaling
        self.clients: list[Client] = []

    async def join(self, session: str, client: Client, **more: Any) -> Client:
        self.clients.append(client)
        await self.signaling.join(client, session, **more)
        return client

    def plan(self, **fields: Any) -> None:
        assert self.signaling.client.send(SetPlan(lesson="lesson", **fields))

    def states(self, session: str) -> list[str]:
        heard = self.signaling.heard
        return [m.state for m in heard if isinstance(m, SessionState) and m.session == session]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        node, signaling = await stack.enter_async_context(running_node(tmp_path))
        stage = Stage(node, signaling)
        yield stage
        await asyncio.gather(*(client.close() for client in stage.clients))


@pytest.mark.parametrize("codec", ["vp8", "h264"])
async def test_a_lecture_is_seen_and_heard(stage: Stage, codec: Any) -> None:
    lecturer = Client(sends={"camera": Picture(RED), "microphone": Tone()})
    student = Client(slots=WATCH)
    sources = {"camera": 1, "microphone": 2, "board": 3}
    await stage.join("lecturer", lecturer, codec=codec, sources=sources)
    stage.plan(slots={"lecturer.video": 1, "lecturer.audio": 2})
    await stage.join("student", student, codec=codec)

    await eventually(lambda: student.shown["lecturer.video"].looks(RED), "the lecturer's picture")
    await eventually(lambda: student.shown["lecturer.audio"].loudness > 1000, "the lecturer's voice")
    heard = stage.signaling.heard
    assert stage.states("lecturer") == stage.states("student") == ["connected"]
    assert SourceState(source=1, live=True) in heard
    assert SourceState(source=2, live=True) in heard
    assert SlotState(session="student", slot="lecturer.video", source=1) in heard
    stats = (await stage.signaling.client.request(GetStats(req=0))).stats
    assert (stats["sessions"], stats["sessions_connected"], stats["sources_live"]) == (2, 2, 2)
    assert (await stage.signaling.client.request(GetStats(req=0, session="student"))).stats


async def test_sources_change_and_go_without_a_new_offer(stage: Stage) -> None:
    red, blue = Client(sends={"camera": Picture(RED)}), Client(sends={"camera": Picture(BLUE)})
    student = Client(slots=["stage.0.video"])
    await stage.join("red", red, sources={"camera": 1})
    await stage.join("blue", blue, sources={"camera": 2})
    await stage.join("student", student)
    shown = student.shown["stage.0.video"]
    for source, colour in [(1, RED), (2, BLUE), (1, RED)]:
        stage.plan(slots={"stage.0.video": source})
        await eventually(lambda colour=colour: shown.looks(colour), f"source {source}")  # type: ignore[misc]
    stage.plan(slots={})
    emptied = SlotState(session="student", slot="stage.0.video", source=0)
    await eventually(lambda: emptied in stage.signaling.heard, "the emptied slot")
    await asyncio.sleep(0.5)
    before = shown.frames
    await asyncio.sleep(0.5)
    assert shown.frames == before


async def test_nobody_is_shown_to_themselves(stage: Stage) -> None:
    me = Client(sends={"camera": Picture(RED)}, slots=["stage.0.video"])
    other = Client(slots=["stage.0.video"])
    await stage.join("me", me, sources={"camera": 1})
    await stage.join("other", other)
    stage.plan(slots={"stage.0.video": 1})
    await eventually(lambda: other.shown["stage.0.video"].looks(RED), "the picture for the other")
    assert me.shown["stage.0.video"].frames == 0


async def test_an_override_is_for_one_session(stage: Stage) -> None:
    tutor = Client(sends={"microphone": Tone()})
    one, two = Client(slots=["private"]), Client(slots=["private"])
    await stage.join("tutor", tutor, sources={"microphone": 1})
    await stage.join("one", one)
    await stage.join("two", two)
    stage.plan(overrides={"one": {"private": 1}})
    await eventually(lambda: one.shown["private"].loudness > 1000, "the tutor's voice")
    assert two.shown["private"].loudness < 100


async def test_the_floor_carries_who_speaks(stage: Stage) -> None:
    loud, silent = (
        Client(sends={"microphone": Tone(volume=0.4)}),
        Client(sends={"microphone": Tone(volume=0.0)}),
    )
    student = Client(slots=["floor.0"])
    await stage.join("silent", silent, sources={"microphone": 1})
    await stage.join("loud", loud, sources={"microphone": 2})
    await stage.join("student", student)
    stage.plan(floor=[1, 2])
    await eventually(lambda: student.shown["floor.0"].loudness > 1000, "the speaker's voice")
    assert SlotState(session="student", slot="floor.0", source=2) in stage.signaling.heard
    stage.plan(floor=[1])
    emptied = SlotState(session="student", slot="floor.0", source=0)
    await eventually(lambda: emptied in stage.signaling.heard, "the emptied floor")


async def test_signaling_goes_and_comes_back(stage: Stage, tmp_path: Path) -> None:
    student = Client(slots=WATCH)
    await stage.join("lecturer", Client(sends={"camera": Picture(RED)}), sources={"camera": 1})
    await stage.join("student", student)
    stage.plan(slots={"lecturer.video": 1})
    shown = student.shown["lecturer.video"]
    await eventually(lambda: shown.looks(RED), "the lecturer's picture")

    await stage.signaling.client.close()
    before = shown.frames
    await asyncio.sleep(1.0)
    assert shown.frames > before + 5, "media goes on without signaling"

    successor = await Signaling(f"unix:{tmp_path}/node.sock").start()
    [welcome] = successor.welcomes
    assert welcome.epoch == stage.signaling.welcomes[0].epoch
    assert {info.session: (info.state, info.sources, info.live) for info in welcome.sessions} == {
        "lecturer": ("connected", {"camera": 1}, [1]),
        "student": ("connected", {}, []),
    }
    late = Client(slots=WATCH)
    stage.clients.append(late)
    await successor.join(late, "late")
    await eventually(lambda: late.shown["lecturer.video"].looks(RED), "the plan, for who came later")
    await successor.client.close()


async def test_sessions_end(stage: Stage) -> None:
    student, leaver, lecturer = (
        Client(slots=WATCH),
        Client(slots=WATCH),
        Client(sends={"camera": Picture(RED)}),
    )
    await stage.join("lecturer", lecturer, sources={"camera": 1})
    await stage.join("student", student)
    await stage.join("leaver", leaver)
    stage.plan(slots={"lecturer.video": 1})
    for name in ("lecturer", "student", "leaver"):
        await eventually(lambda name=name: stage.states(name), f"{name}'s connection")  # type: ignore[misc]

    await leaver.connection.close()
    closed = SessionState(session="leaver", state="closed", reason="dtls_closed")
    await eventually(lambda: closed in stage.signaling.heard, "the leaver's goodbye")

    stage.signaling.client.send(CloseSession(session="student"))
    await eventually(lambda: student.connection.connectionState == "closed", "the node's goodbye")
    assert stage.states("student") == ["connected", "closed"]

    await eventually(lambda: SourceState(source=1, live=True) in stage.signaling.heard, "the camera")
    stage.signaling.client.send(EndLesson(lesson="lesson"))
    ended = SessionState(session="lecturer", state="closed", reason="lesson_ended")
    await eventually(lambda: ended in stage.signaling.heard, "the lesson's end")
    assert SourceState(source=1, live=False) in stage.signaling.heard
    stats = (await stage.signaling.client.request(GetStats(req=0))).stats
    assert (stats["sessions"], stats["lessons"]) == (0, 0)
    assert stats["channel_handler_errors"] == 0


async def test_a_forged_fingerprint_gets_no_session(stage: Stage) -> None:
    def forge(sdp: str) -> str:
        return re.sub(r"(a=fingerprint:sha-\d+) \S\S:", r"\1 00:", sdp)

    await stage.join("forged", Client(slots=WATCH), change=forge)
    closed = SessionState(session="forged", state="closed", reason="fingerprint_mismatch")
    await eventually(lambda: closed in stage.signaling.heard, "the refusal")


async def test_a_passive_offer_makes_the_node_the_dtls_client(stage: Stage) -> None:
    student = Client(slots=WATCH)
    await stage.join("lecturer", Client(sends={"camera": Picture(RED)}), sources={"camera": 1})
    await stage.join("student", student, change=lambda sdp: sdp.replace("setup:actpass", "setup:passive"))
    stage.plan(slots={"lecturer.video": 1})
    await eventually(lambda: student.shown["lecturer.video"].looks(RED), "the lecturer's picture")


async def test_levels_are_told_four_times_a_second_at_most(stage: Stage) -> None:
    await stage.join("speaker", Client(sends={"microphone": Tone()}), sources={"microphone": 1})
    await eventually(lambda: Levels in map(type, stage.signaling.heard), "a level")
    stage.signaling.heard.clear()
    await asyncio.sleep(1.0)
    levels = [message for message in stage.signaling.heard if isinstance(message, Levels)]
    assert 1 <= len(levels) <= 5
    source, level = levels[-1].levels[0]
    assert source == 1
    assert 0 < level < 40


async def test_who_never_comes_and_who_does_not_return_is_forgotten(stage: Stage) -> None:
    offer = (Path(__file__).parent / "offers" / "whep_player.sdp").read_text()
    opening = OpenSession(
        req=0, session="s", lesson="l", participant="p", codec="h264", offer=offer, defaults=WATCH
    )
    now = asyncio.get_running_loop().time
    heard = stage.signaling.heard

    await stage.signaling.client.request(opening)
    stage.node._tick(now() + CONNECT_TIMEOUT_S - 1)
    stage.node._tick(now() + CONNECT_TIMEOUT_S)
    never = SessionState(session="s", state="closed", reason="never_connected")
    await eventually(lambda: heard == [never], "the end of a session that nobody joined")

    heard.clear()
    student = Client(slots=WATCH)
    await stage.join("student", student)
    await eventually(lambda: stage.states("student") == ["connected"], "the connection")
    stage.node._on_ice(stage.node._sessions["student"], "expired", "")
    stage.node._tick(now() + RETURN_TIMEOUT_S - 1)
    await eventually(lambda: stage.states("student") == ["connected", "disconnected"], "the lost path")
    stage.node._tick(now() + RETURN_TIMEOUT_S)
    expired = SessionState(session="student", state="closed", reason="expired")
    await eventually(lambda: expired in heard, "the end of a session that did not return")


async def test_a_fault_with_one_event_costs_no_other(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def fail_first(source: int, live: bool) -> None:
        taken.append(source)
        if source == 1:
            raise RuntimeError("on purpose")

    monkeypatch.setattr(stage.node, "_on_source", fail_first)
    monkeypatch.setattr(
        stage.node, "_engine", SimpleNamespace(take_events=lambda: [("source", 1, True), ("source", 2, True)])
    )
    stage.node._take_events()
    monkeypatch.undo()
    assert taken == [1, 2]
    stats = (await stage.signaling.client.request(GetStats(req=0))).stats
    assert stats["faults"] == 1


async def test_a_fault_in_one_tick_does_not_end_the_ticks(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks: list[float] = []

    def fail(now: float) -> None:
        ticks.append(now)
        raise RuntimeError("on purpose")

    monkeypatch.setattr(stage.node, "_tick", fail)
    await eventually(lambda: len(ticks) >= 2, "another tick")


async def test_keys_that_come_after_the_end_are_left(stage: Stage) -> None:
    stage.node._on_keys(99, 7, bytes(28), bytes(28))
    stats = (await stage.signaling.client.request(GetStats(req=0))).stats
    assert stats["drop_command"] == 0


async def test_ice_restarts_keep_the_media(stage: Stage) -> None:
    student = Client(slots=WATCH)
    await stage.join("lecturer", Client(sends={"camera": Picture(RED)}), sources={"camera": 1})
    await stage.join("student", student)
    stage.plan(slots={"lecturer.video": 1})
    shown = student.shown["lecturer.video"]
    await eventually(lambda: shown.looks(RED), "the lecturer's picture")
    request = RestartIce(req=0, session="student", ufrag="abcd", pwd="x" * 24)
    answered = await stage.signaling.client.request(request)
    assert answered.restarted
    before = student.connection.remoteDescription.sdp
    ufrag = re.search("a=ice-ufrag:(.*)", answered.answer)
    assert ufrag
    assert ufrag[1].strip() not in before
    frames = shown.frames
    await eventually(lambda: shown.frames > frames + 5, "pictures over the old path")


async def test_refusals_are_typed_and_change_nothing(stage: Stage) -> None:
    request = stage.signaling.client.request
    opening = OpenSession(req=0, session="s", lesson="l", participant="p", codec="vp8", offer="nonsense")
    with pytest.raises(NodeRefused) as caught:
        await request(opening)
    assert (caught.value.code, caught.value.detail) == ("bad_sdp", "line 1: not of the form x=value")
    with pytest.raises(NodeRefused) as caught:
        await request(RestartIce(req=0, session="nobody", ufrag="abcd", pwd="x" * 24))
    assert caught.value.code == "no_such_session"

    await stage.join("first", Client(sends={"camera": Picture(RED)}), sources={"camera": 1})
    with pytest.raises(NodeRefused) as caught:
        await stage.join("second", Client(sends={"camera": Picture(RED)}), sources={"camera": 1})
    assert caught.value.code == "source_taken"
    with pytest.raises(NodeRefused) as caught:
        await stage.join("first", Client(sends={"camera": Picture(RED)}), participant="somebody else")
    assert caught.value.code == "session_taken"

    stage.signaling.client.send(Mend(session="nobody", slot="lecturer.video"))
    stage.signaling.client.send(CloseSession(session="nobody"))
    stats = (await request(GetStats(req=0))).stats
    assert (stats["sessions"], stats["lessons"], stats["offers_refused_bad_sdp"]) == (1, 1, 1)
    assert (await request(GetStats(req=0, session="nobody"))).stats == {}


async def test_a_recorded_lesson_is_kept_with_those_who_come_later(stage: Stage, tmp_path: Path) -> None:
    signaling = stage.signaling
    recording = SetRecording(lesson="lesson", on=True, folder="lesson")

    def kept() -> dict[str, int]:
        """Packets by source's label, in the one journal that there is."""
        counts: dict[str, int] = {}
        for path in (tmp_path / "journals").glob("lesson/*.pcapng"):
            for record in read(path):
                if isinstance(record, Captured) and record.protocol == "rtp":
                    label = record.interface.label
                    who = f"{label['participant']}'s {label['use']}"
                    counts[who] = counts.get(who, 0) + 1
        return counts

    await stage.join("red", Client(sends={"camera": Picture(RED)}), sources={"camera": 1})
    assert signaling.client.send(recording)
    told = JournalState(lesson="lesson", state="ok")
    await eventually(lambda: signaling.heard.count(told) == 1, "how it fares")
    await stage.join("blue", Client(sends={"microphone": Tone()}), sources={"microphone": 2})
    await eventually(lambda: {*kept()} == {"red's camera", "blue's microphone"}, "both sources")
    assert signaling.client.send(recording)
    await eventually(lambda: signaling.heard.count(told) == 2, "the same again")
    assert (await signaling.client.request(GetStats(req=0))).stats["lessons_recorded"] == 1
    assert signaling.client.send(SetRecording(lesson="lesson", on=False))
    await asyncio.sleep(0.3)
    before = kept()
    await asyncio.sleep(0.3)
    assert kept() == before
    assert len(list((tmp_path / "journals").glob("*/*"))) == 1
    assert (await signaling.client.request(GetStats(req=0))).stats["lessons_recorded"] == 0


def test_stats_are_flat() -> None:
    nested = {"a": 1, "b": True, "c": {"d": 0.5, "e": [{"f": "x"}, 7]}, "none": None}
    assert flat_stats(nested) == {"a": 1, "b": 1, "c_d": 0.5, "c_e_0_f": "x", "c_e_1": 7}


# --- the process ---------------------------------------------------------------------------------


async def start_process(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mediaserver", *arguments, stderr=asyncio.subprocess.PIPE, env={**os.environ}
    )


async def test_the_process_serves_and_stops(tmp_path: Path) -> None:
    channel = f"unix:{tmp_path}/node.sock"
    process = await start_process("--channel", channel, "--bind", "0.0.0.0:0", "--announce", "203.0.113.7")
    signaling = await Signaling(channel).start()
    client = Client(slots=WATCH)
    answered = await signaling.join(client, "s")
    first = next(line for line in answered.answer.splitlines() if line.startswith("a=candidate"))
    assert " 203.0.113.7 " in first
    await eventually(
        lambda: SessionState(session="s", state="connected") in signaling.heard, "the connection"
    )
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(5):
        assert await process.wait() == 0
    await client.close()
    await signaling.client.close()


async def test_a_killed_process_has_a_successor(tmp_path: Path) -> None:
    channel = f"unix:{tmp_path}/node.sock"
    first = await start_process("--channel", channel, "--bind", "127.0.0.1:0")
    signaling = await Signaling(channel).start()
    first.kill()
    await first.wait()
    second = await start_process("--channel", channel, "--bind", "127.0.0.1:0")
    await eventually(lambda: len(signaling.welcomes) == 2, "the successor's welcome")
    before, after = signaling.welcomes
    assert before.epoch != after.epoch
    assert after.sessions == []
    second.terminate()
    await second.wait()
    await signaling.client.close()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--channel", "nowhere"),
        ("--channel", "unix:/nonexistent/folder/node.sock", "--bind", "127.0.0.1:0"),
        ("--channel", "tcp:127.0.0.1:0", "--bind", "127.0.0.1:0", "--announce", "not an address"),
        ("--channel", "tcp:127.0.0.1:0", "--bind", "198.51.100.1:0"),
    ],
)
async def test_the_process_says_what_is_wrong(arguments: tuple[str, ...]) -> None:
    process = await start_process(*arguments)
    async with asyncio.timeout(10):
        _, stderr = await process.communicate()
    assert process.returncode == 1
    assert stderr.decode().startswith("mediaserver: ")
    assert "Traceback" not in stderr.decode()
