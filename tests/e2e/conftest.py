"""Fixtures: one Playwright and one lesson with five people a module."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, sync_playwright

from tests.e2e.person import Person
from tests.e2e.server import Server, serving

LECTURER, TUTOR, ANNA, BO, CHEN = 11, 22, 33, 44, 55
ARTIFACTS = Path(__file__).parents[1] / "artifacts"


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """For one module only: as long as it lives, no test of asyncio can run in this thread."""
    with sync_playwright() as instance:
        yield instance


@dataclass
class LessonInProgress:
    server: Server
    lecturer: Person
    tutor: Person
    students: list[Person]

    @property
    def people(self) -> list[Person]:
        return [self.lecturer, self.tutor, *self.students]


class Steady:
    """Says whether pictures went on while something happened.

    A freeze is what the receiver calls one (webrtc-stats: a frame that comes three times later than
    usual, and 150 ms at least). Five browsers on two cores freeze by themselves now and then: the
    longest of three quiet seconds is allowed on top of half a second.
    """

    STALL_S = 0.5
    QUIET_MS = 3000

    def __init__(self, people: list[Person], slot: str) -> None:
        self._people, self._slot = people, slot
        self._start()
        people[0].page.wait_for_timeout(self.QUIET_MS)
        self._allowed_s = [self.STALL_S + person.flow(slot)["longest_s"] for person in people]
        self._start()

    def _start(self) -> None:
        for person in self._people:
            person.watch(self._slot)

    def check(self) -> None:
        for person, allowed_s in zip(self._people, self._allowed_s, strict=True):
            flow = person.flow(self._slot)
            assert flow["same"], f"{person.name}: the element was replaced"
            assert flow["frames"] > 5, f"{person.name}: {flow}"
            assert flow["longest_s"] <= allowed_s, f"{person.name}: {flow}, allowed {allowed_s:.2f} s"


@pytest.fixture(scope="module")
def lesson(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LessonInProgress]:
    """Lecturer with camera and microphone on, tutor, and three students, all in the lesson."""
    folder = tmp_path_factory.mktemp("lesson")
    with ExitStack() as stack:
        server = stack.enter_context(serving(folder))

        def person(role: str, name: str, sender: int) -> Person:
            someone = Person(playwright, server, folder, role, name, sender)
            stack.callback(someone.close)
            someone.enter()
            return someone

        lecturer = person("lecturer", "王老师", LECTURER)
        tutor = person("tutor", "李辅导", TUTOR)
        students = [
            person("student", name, sender) for name, sender in (("安娜", ANNA), ("小波", BO), ("小晨", CHEN))
        ]
        yield LessonInProgress(server, lecturer, tutor, students)
