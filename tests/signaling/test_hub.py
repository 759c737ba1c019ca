"""A lesson with people in it: who is welcomed, who waits, who hears what."""

import asyncio
import sqlite3
from collections.abc import Sequence

import msgspec
import pytest

from signaling.config import Limits, Rate, Settings
from signaling.errors import KelianError
from signaling.log.commands import SYSTEM, SourceLive
from signaling.log.events import Entry
from signaling.protocol.requests import EndLesson
from signaling.stores import StoreError
from signaling.stores.sqlite import SqliteStore
from signaling.web.app import Server
from tests.signaling.doors import Client, Door


async def test_a_lecturer_opens_the_lesson(door: Door) -> None:
    lecturer = await door.enter("lecturer", "wang")
    welcome = await lecturer.hear("welcome")
    assert welcome["role"] == "lecturer"
    assert welcome["lesson"]["id"] == "math"
    assert welcome["state"]["participants"] == {"wang": {"role": "lecturer"}}
    assert welcome["people"] == {"wang": {"name": "Wang", "role": "lecturer"}}
    assert welcome["position"] == 3  # created, started, joined
    assert "quiz_ask" in welcome["may"]


async def test_others_wait_for_the_lecturer_and_are_let_in(door: Door) -> None:
    student = await door.enter("student", "li", json=True)
    tutor = await door.enter("tutor", "zhao")
    assert (await student.hear("waiting"))["present"] == [{"name": "Li", "role": "student"}]
    await student.until(lambda m: m["t"] == "waiting" and len(m["present"]) == 2)
    refused = await student.ask("raise_hand", up=True)
    assert refused["code"] == "lesson_not_started"
    assert (await student.ask("ping"))["t"] == "ack"
    await door.enter("lecturer", "wang")
    welcome = await student.hear("welcome")
    assert welcome["req"] == student.heard[0]["req"]
    assert "wang" in welcome["state"]["participants"]
    assert (await tutor.hear("welcome"))["role"] == "tutor"


async def test_hand_stage_and_back(door: Door) -> None:
    lecturer = await door.enter("lecturer", "wang")
    student = await door.enter("student", "li")
    other = await door.enter("student", "sun")
    assert (await student.ask("raise_hand", up=True))["t"] == "ack"
    await lecturer.event("hand_raised", participant="li")
    await lecturer.ask("bring_up", participant="li")
    entered = await other.event("stage_entered", participant="li")
    assert entered["event"]["index"] == 0
    assert entered["by"] == "wang"
    named = next(m for m in other.heard if m["t"] == "events" and entered in m["events"])
    assert named["people"]["li"]["name"] == "Li"
    assert (await other.ask("bring_up", participant="sun"))["code"] == "forbidden"
    await student.ask("take_down", participant="li")
    await other.event("stage_left", participant="li")
    assert not [e for e in other.events if e["event"]["t"] in ("hand_raised", "hand_lowered")]


async def test_a_participant_may_have_two_pages(door: Door) -> None:
    await door.enter("lecturer", "wang")
    first = await door.enter("student", "li")
    second = await door.enter("student", "li")
    await first.ask("raise_hand", up=True)
    await second.event("hand_raised", participant="li")
    await first.close()
    await asyncio.sleep(0.5)  # longer than the grace
    assert (await second.ask("raise_hand", up=False))["t"] == "ack"


async def test_who_is_gone_keeps_the_place_for_a_while(door: Door) -> None:
    lecturer = await door.enter("lecturer", "wang")
    student = await door.enter("student", "li")
    student.drop()
    again = await door.enter("student", "li")
    await asyncio.sleep(0.5)
    assert not [e for e in lecturer.events if e["event"]["t"] == "left"]
    again.drop()
    left = await lecturer.event("left", participant="li")
    assert left["event"]["reason"] == "lost"


async def test_leaving_is_said_at_once(door: Door) -> None:
    lecturer = await door.enter("lecturer", "wang")
    student = await door.enter("student", "li")
    assert (await student.ask("leave"))["t"] == "ack"
    assert (await student.hear("goodbye"))["code"] == "left"
    assert await student.closed() == 1000
    assert (await lecturer.event("left", participant="li"))["event"].get("reason", "left") == "left"


async def test_lecturer_leaves_and_returns(door: Door) -> None:
    lecturer = await door.enter("lecturer", "wang")
    student = await door.enter("student", "li")
    await lecturer.ask("leave")
    await student.event("left", participant="wang")
    again = await door.enter("lecturer", "wang")
    assert (await again.hear("welcome"))["state"]["started_ms"]
    await student.event("joined", participant="wang")
    assert (await student.ask("ping"))["t"] == "ack"


async def test_the_end_is_told_to_all(door: Door) -> None:
    lecturer = await door.enter("lecturer", "wang")
    student = await door.enter("student", "li")
    await lecturer.ask("end_lesson")
    await student.event("ended")
    assert (await student.hear("goodbye"))["code"] == "lesson_ended"
    late = await door.connect()
    refused = await late.ask("hello", token=door.token("lecturer", "wang"), version=1)
    assert refused["code"] == "lesson_ended"
    assert not (await late.hear("goodbye")).get("reconnect")


async def test_quiz_answers_are_tallied_for_staff(door: Door) -> None:
    lecturer = await door.enter("lecturer", "wang")
    students = [await door.enter("student", f"s{i}") for i in range(5)]
    await lecturer.ask("quiz_ask", question="2+2?", options=["3", "4"])
    for i, student in enumerate(students):
        await student.event("quiz_asked", quiz=1)
        assert (await student.ask("quiz_answer", quiz=1, choices=[i % 2]))["t"] == "ack"
    await lecturer.until(lambda m: m["t"] == "tally" and m["answered"] == 5)
    assert (await students[0].ask("quiz_answer", quiz=1, choices=[7]))["code"] == "bad_choice"
    assert (await students[0].ask("quiz_answer", quiz=2, choices=[0]))["code"] == "no_such_quiz"
    await students[0].ask("quiz_answer", quiz=1, choices=[1])  # thought better of it
    again = await door.enter("student", "s0")
    assert (await again.hear("welcome"))["answers"] == {1: [1]}
    await lecturer.ask("quiz_close", quiz=1)
    closed = await students[3].event("quiz_closed", quiz=1)
    assert closed["event"]["counts"] == [2, 3]
    assert closed["event"]["answered"] == 5
    assert (await students[0].ask("quiz_answer", quiz=1, choices=[0]))["code"] == "quiz_closed"
    assert not [m for m in students[3].heard if m["t"] == "tally"]
    assert not [e for e in students[3].events if e["event"]["t"] == "quiz_tallied"]


async def test_counts_reach_everybody(door: Door) -> None:
    lecturer = await door.enter("lecturer", "wang")
    for i in range(3):
        await door.enter("student", f"s{i}")
    await lecturer.until(lambda m: m["t"] == "counts" and m["present"].get("student") == 3)


async def test_two_requests_at_once_are_decided_in_order(door: Door) -> None:
    lecturer = await door.enter("lecturer", "wang")
    for i in range(5):
        await door.enter("student", f"s{i}")
    asked = [await lecturer.send("bring_up", participant=f"s{i}") for i in range(5)]
    for req in asked:
        assert (await lecturer.until(lambda m, req=req: m.get("req") == req))["t"] == "ack"
    entered = [e["event"] for e in lecturer.events if e["event"]["t"] == "stage_entered"]
    while len(entered) < 5:
        await asyncio.sleep(0.05)
        entered = [e["event"] for e in lecturer.events if e["event"]["t"] == "stage_entered"]
    assert [e["index"] for e in entered] == [0, 1, 2, 3, 4]


async def test_a_restarted_server_goes_on(server: Server, door: Door) -> None:
    lecturer = await door.enter("lecturer", "wang")
    await door.enter("student", "li")
    await lecturer.ask("bring_up", participant="li")
    await server.stop()
    assert (await lecturer.hear("goodbye"))["reconnect"]
    async with Server(server.settings) as again, Door(again.url, again.keys) as other:
        back = await other.enter("lecturer", "wang")
        state = (await back.hear("welcome"))["state"]
        assert state["stage"] == {"0": "li"}
        left = await back.event("left", participant="li")  # who does not come back is lost
        assert left["event"]["reason"] == "lost"
    await server.start()


async def test_an_idle_lesson_is_forgotten_and_found_again(server: Server, door: Door) -> None:
    lecturer = await door.enter("lecturer", "wang")
    welcome = await lecturer.hear("welcome")
    await lecturer.ask("chat", text="before")
    server.registry.sweep()
    assert server.registry.running("math") is not None  # somebody is here
    await lecturer.ask("leave")
    await lecturer.closed()
    server.registry.sweep()
    await server.registry.get("math")  # somebody is about to come in
    server.registry.sweep()
    assert server.registry.running("math") is not None
    server.registry.sweep()
    assert server.registry.running("math") is None
    resume = {"log": welcome["lesson"]["log"], "after": welcome["position"]}
    again = await door.enter("lecturer", "wang", resume=resume)
    assert "state" not in await again.hear("welcome")
    await again.event("chat_said", text="before")


async def fill_disk(server: Server, full: bool) -> None:
    """SQLite's own limit, which fails as a full disk does."""
    pages = 1 if full else 1_000_000  # never fewer than there are

    def limit(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()

    store = server.registry.store
    assert isinstance(store, SqliteStore)
    await store._writer.do(limit)


async def say_until(client: Client, code: str) -> None:
    """Chats until the answer is this code, or, for "ack", until it is taken again."""
    for _ in range(60):
        answer = await client.ask("chat", text="x" * 2000)
        if answer.get("code", answer["t"]) == code:
            return
    raise AssertionError(f"never {code}")


async def test_a_full_disk_refuses_what_it_cannot_keep_and_nobody_is_cut_off(settings: Settings) -> None:
    fast = Rate(per_s=1e6, burst=1_000_000)
    settings = msgspec.structs.replace(settings, limits=Limits(clicks=fast, chat=fast))
    async with Server(settings) as server, Door(server.url, server.keys) as door:
        lecturer = await door.enter("lecturer", "wang")
        student, going = await door.enter("student", "li"), await door.enter("student", "sun")
        await fill_disk(server, True)
        await say_until(lecturer, "store_unavailable")
        going.drop()
        await asyncio.sleep(settings.grace_ms / 1000 * 2)  # its going cannot be kept either
        before = server.registry.running("math")
        assert before is not None
        refused = await lecturer.ask("quiz_ask", question="?" * 2000, options=["a" * 200] * 10)
        assert (refused["code"], refused["retry_after_ms"]) == ("store_unavailable", 1000)
        await fill_disk(server, False)
        await say_until(lecturer, "ack")
        await lecturer.ask("quiz_ask", question="?", options=["a", "b"])
        assert (await student.ask("quiz_answer", quiz=1, choices=[1]))["t"] == "ack"
        await lecturer.event("left", participant="sun", reason="lost")  # tried again by itself
        assert server.registry.running("math") is before
        assert not [m for client in (lecturer, student) for m in client.heard if m["t"] == "goodbye"]
        kept = await server.registry.store.entries(before.log)
        assert [entry.pos for entry in kept] == list(range(1, before.state.position + 1))


async def test_a_log_that_another_process_wrote_to_is_loaded_anew(
    server: Server, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    lecturer = await door.enter("lecturer", "wang")
    student = await door.enter("student", "li")
    append = server.registry.store.append

    async def taken(log: str, entries: Sequence[Entry]) -> None:
        raise StoreError("position_taken", log=log)

    monkeypatch.setattr(server.registry.store, "append", taken)
    refused = await lecturer.ask("chat", text="lost")
    assert refused["code"] == "store_unavailable"
    for client in (lecturer, student):
        assert (await client.hear("goodbye"))["reconnect"]
        assert not [entry for entry in client.events if entry["event"]["t"] == "chat_said"]
    monkeypatch.setattr(server.registry.store, "append", append)
    back = await door.enter("lecturer", "wang")
    assert (await back.hear("welcome"))["state"]["chat"] == []
    assert (await back.ask("chat", text="kept"))["t"] == "ack"


async def test_presence_of_inspectors_is_for_ops_alone(door: Door) -> None:
    lecturer = await door.enter("lecturer", "wang")
    await door.enter("inspector", "xu")
    ops = await door.enter("ops", "root")
    counted = await ops.until(lambda m: m["t"] == "counts" and "inspector" in m["present"])
    assert counted["present"] == {"lecturer": 1, "inspector": 1, "ops": 1}
    await lecturer.until(lambda m: m["t"] == "counts" and m["present"] == {"lecturer": 1, "ops": 1})
    assert not [m for m in lecturer.heard if "inspector" in str(m)]


async def test_a_full_lesson_says_when_to_try_again(settings: Settings) -> None:
    small = msgspec.structs.replace(settings, limits=Limits(connections_per_lesson=2))
    async with Server(small) as server, Door(server.url, server.keys) as door:
        await door.enter("lecturer", "wang")
        await door.enter("student", "li")
        third = await door.connect()
        refused = await third.ask("hello", token=door.token("student", "sun"), version=1)
        assert (refused["code"], refused["retry_after_ms"]) == ("lesson_full", 10_000)
        assert (await third.hear("goodbye"))["reconnect"]


async def test_a_source_whose_session_is_gone_does_not_outlive_a_restart(settings: Settings) -> None:
    """A kill between forgetting a session and writing so leaves no picture that never moves."""
    gone = SourceLive(session="whip-gone", source=7, use="camera", participant="wang")
    async with Server(settings) as server, Door(server.url, server.keys) as door:
        await door.enter("lecturer", "wang")
        lesson = server.registry.running("math")
        assert lesson is not None
        await lesson.do(SYSTEM, gone)
        assert 7 in lesson.state.sources
    async with Server(settings) as server, Door(server.url, server.keys) as door:
        lecturer = await door.enter("lecturer", "wang")
        assert (await lecturer.hear("welcome"))["state"]["sources"] == {}


async def test_two_who_make_the_same_lesson_anew_get_one(server: Server, door: Door) -> None:
    registry = server.registry
    await registry.create("math", "first", "h264", record=False)
    lesson = await registry.get("math")
    await lesson.ended_by(SYSTEM, EndLesson(req=0))
    for _ in range(3):
        registry.sweep()
    assert registry.running("math") is None
    made = await asyncio.gather(
        *(registry.create("math", title, "h264", record=False) for title in "ab"), return_exceptions=True
    )
    refused = [error.code for error in made if isinstance(error, KelianError)]
    assert refused == ["lesson_exists"]
    assert (await registry.get("math")).state.created
