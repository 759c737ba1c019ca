"""Fixtures: one Playwright for the run, one lesson with five people a module."""

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


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
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
