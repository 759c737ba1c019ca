"""Resume: whenever the line drops, no event is lost and none comes twice."""

import asyncio
import contextlib
import random
from typing import Any

import msgspec
import pytest

from signaling.config import Limits, Rate, Settings
from signaling.log.commands import Actor
from signaling.log.events import Role
from signaling.log.view import fold_view, view, visible
from signaling.protocol.replies import LogEvent
from signaling.web.app import Server
from tests.signaling.doors import Client, Door, Message


class Page:
    """What a page does: keeps a view and a position, and comes back with them after every drop."""

    def __init__(self, door: Door, role: Role, participant: str, json: bool) -> None:
        self.door = door
        self.actor = Actor(participant, role)
        self.json = json
        self.token = door.token(role, participant)
        self.view: dict[str, Any] = {}
        self.log = ""
        self.after = 0
        self.begins = 0  # the position of its last whole state
        self.seen: list[int] = []
        self.resumed = 0
        self.client: Client | None = None

    async def connect(self) -> None:
        client = self.client = await self.door.connect(json=self.json)
        hello: dict[str, Any] = {"token": self.token, "version": 1}
        if self.log:
            hello["resume"] = {"log": self.log, "after": self.after}
        welcome = await client.ask("hello", **hello)
        assert welcome["t"] == "welcome", welcome
        if "state" in welcome:
            self.view, self.after = welcome["state"], welcome["position"]
            self.begins, self.seen, self.log = self.after, [], welcome["lesson"]["log"]
        else:
            assert welcome["position"] == self.after
            self.resumed += 1

    def drop(self) -> None:
        """What was heard before the drop counts; what was on its way is gone."""
        client, self.client = self.client, None
        if client is not None:
            client.drop()
            self.take(client.heard)

    def take(self, heard: list[Message]) -> None:
        for message in heard:
            if message["t"] != "events":
                continue
            for raw in message.get("events", ()):
                entry = msgspec.convert(raw, LogEvent)
                assert entry.pos > self.after, f"{entry.pos} came twice or out of order"
                self.view = fold_view(self.view, entry)
                self.seen.append(entry.pos)
                self.after = entry.pos
            self.after = max(self.after, message["upto"])

    async def caught_up(self, position: int) -> None:
        """Everything visible up to `position` has come, or will within the test's patience."""
        assert self.client is not None
        await self.client.ask("ping")
        await asyncio.sleep(0.2)
        self.take(self.client.heard)
        self.client.heard.clear()


async def act(page: Page, chance: random.Random, students: list[str]) -> None:
    """One random request; refusals are fine."""
    assert page.client is not None
    who = chance.choice(students)
    request: tuple[str, dict[str, Any]] = chance.choice(
        [
            ("bring_up", {"participant": who}),
            ("take_down", {"participant": who}),
            ("mute", {"participant": who, "use": "microphone", "muted": chance.random() < 0.5}),
            ("chat", {"text": f"{chance.random()}"}),
            ("chat", {"text": f"{chance.random()}", "to": who}),
            ("set_floor", {"open": chance.random() < 0.5}),
            ("spotlight", {"participant": chance.choice([None, "wang", who])}),
            ("raise_hand", {"up": chance.random() < 0.5}),
            ("mark", {"label": "x"}),
            ("quiz_ask", {"question": "?", "options": ["a", "b"]}),
            ("quiz_close", {"quiz": 1}),
        ]
    )
    await page.client.send(request[0], **request[1])


def generous(settings: Settings) -> Settings:
    fast = Rate(per_s=1e6, burst=1_000_000)
    return msgspec.structs.replace(settings, grace_ms=60_000, limits=Limits(clicks=fast, chat=fast))


def agree(server: Server, page: Page) -> None:
    """The page's view is the server's, and it heard exactly what it may see."""
    lesson = server.registry.running("math")
    assert lesson is not None
    expected = view(lesson.state, page.actor)
    assert page.view == msgspec.json.decode(msgspec.json.encode(expected))
    later = [entry for entry in lesson._tail if entry.pos > page.begins]
    visible_now = [entry.pos for entry in later if visible(entry, page.actor)]
    assert page.seen == visible_now


@pytest.mark.parametrize("seed", range(4))
async def test_random_drops_lose_and_double_nothing(settings: Settings, seed: int) -> None:
    chance = random.Random(seed)
    students = ["li", "sun", "zhou"]
    async with Server(generous(settings)) as server, Door(server.url, server.keys) as door:
        pages = [Page(door, "lecturer", "wang", json=seed % 2 == 0), Page(door, "tutor", "zhao", json=False)]
        pages += [Page(door, "student", who, json=True) for who in students]
        for page in pages:
            await page.connect()
        for _ in range(250):
            page = chance.choice(pages)
            if page.client is None:
                await page.connect()
            elif chance.random() < 0.12:
                page.drop()
            else:
                await act(page, chance, students)
            if chance.random() < 0.1:
                await asyncio.sleep(chance.random() * 0.05)
        await asyncio.sleep(0.3)
        for page in pages:
            if page.client is None:
                await page.connect()
        lesson = server.registry.running("math")
        assert lesson is not None
        for page in pages:
            await page.caught_up(lesson.state.position)
            agree(server, page)
        assert sum(page.resumed for page in pages) >= 5
        assert lesson.state.position > 40


async def test_resume_goes_on_after_a_restart_of_the_server(settings: Settings) -> None:
    settings = generous(settings)
    async with Server(settings) as server, Door(server.url, server.keys) as door:
        page = Page(door, "lecturer", "wang", json=True)
        await page.connect()
        for i in range(20):
            assert page.client is not None
            await page.client.ask("chat", text=str(i))
        page.drop()
    async with Server(settings) as again, Door(again.url, again.keys) as door:
        page.door = door
        other = await door.enter("tutor", "zhao")
        await other.ask("chat", text="while you were away")
        await page.connect()
        assert page.resumed == 1
        await page.caught_up(0)
        agree(again, page)
        assert page.view["chat"][-1]["text"] == "while you were away"


async def test_another_log_or_a_future_position_gets_the_whole_state(door: Door) -> None:
    first = await door.enter("lecturer", "wang")
    log = (await first.hear("welcome"))["lesson"]["log"]
    for resume in ({"log": "other", "after": 1}, {"log": log, "after": 10_000}):
        again = await door.enter("lecturer", "wang", resume=resume)
        assert "state" in await again.hear("welcome")


async def test_what_is_not_for_a_students_eyes_does_not_come_by_resume(door: Door) -> None:
    lecturer = await door.enter("lecturer", "wang")
    student = await door.enter("student", "li")
    welcome = await student.hear("welcome")
    await door.enter("student", "sun")
    await lecturer.ask("chat", text="only sun", to="sun")
    await lecturer.ask("mark", label="secret")
    await lecturer.ask("chat", text="all")
    again = await door.enter(
        "student", "li", resume={"log": welcome["lesson"]["log"], "after": welcome["position"]}
    )
    await again.event("chat_said", text="all")
    assert [entry["event"]["t"] for entry in again.events] == ["chat_said"]


async def test_a_page_may_drop_at_every_point_of_its_welcome(door: Door) -> None:
    """Whatever the moment, the participant ends up present once, or lost after the grace."""
    lecturer = await door.enter("lecturer", "wang")
    for delay_ms in range(0, 12, 2):
        client = await door.connect()
        with contextlib.suppress(ConnectionError):
            await client.send("hello", token=door.token("student", "li"), version=1)
            await asyncio.sleep(delay_ms / 1000)
            client.drop()
    await lecturer.event("left", participant="li")
    kinds = [entry["event"]["t"] for entry in lecturer.events if entry["event"].get("participant") == "li"]
    assert kinds == ["joined", "left"]


async def test_who_comes_back_in_another_role_gets_the_whole_state(door: Door) -> None:
    """What a tutor knew is not what a student may go on from."""
    await door.enter("lecturer", "wang")
    tutor = await door.enter("tutor", "li")
    welcome = await tutor.hear("welcome")
    await tutor.ask("leave")
    resume = {"log": welcome["lesson"]["log"], "after": welcome["position"]}
    student = await door.enter("student", "li", resume=resume)
    known = await student.hear("welcome")
    assert "stage_counts" not in known["state"]
    student.drop()
    again = await door.enter("student", "li", resume={**resume, "after": known["position"]})
    assert "state" not in await again.hear("welcome")
