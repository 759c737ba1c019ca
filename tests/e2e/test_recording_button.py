"""The studio's button: everybody sees that the lesson is recorded, staff that it cannot be saved."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, expect

from tests.e2e.conftest import ANNA, LECTURER
from tests.e2e.person import Person
from tests.e2e.server import serving

SEEN_MS = 15_000
People = tuple[Person, Person, Person, Path]


@pytest.fixture
def people(playwright: Playwright, tmp_path: Path) -> Iterator[People]:
    """A lecturer, a student, a classroom, and the server's folder."""
    with ExitStack() as stack:
        server = stack.enter_context(serving(tmp_path))

        def person(role: str, name: str, sender: int) -> Person:
            someone = Person(playwright, server, tmp_path, role, name, sender)
            stack.callback(someone.close)
            someone.enter()
            return someone

        lecturer = person("lecturer", "王老师", LECTURER)
        student = person("student", "安娜", ANNA)
        yield lecturer, student, person("classroom", "三班", 66), tmp_path


def test_recording_is_known_to_all_and_its_trouble_to_staff(people: People) -> None:
    lecturer, student, room, data = people
    journals = data / "journals" / "e2e"
    journals.write_text("in the way")
    for page in (lecturer.page, student.page, room.page):
        expect(page.get_by_test_id("recording")).to_have_count(0)
    lecturer.click("record")
    for page in (lecturer.page, student.page, room.page):
        expect(page.get_by_test_id("recording")).to_be_visible(timeout=SEEN_MS)
    expect(lecturer.page.get_by_test_id("recording")).to_have_attribute(
        "data-trouble", "failed", timeout=SEEN_MS
    )
    expect(lecturer.page.locator("[data-code=journal_failed]")).to_be_visible(timeout=SEEN_MS)
    assert student.page.get_by_test_id("recording").get_attribute("data-trouble") == ""
    journals.unlink()
    expect(lecturer.page.get_by_test_id("recording")).to_have_attribute("data-trouble", "", timeout=SEEN_MS)
    lecturer.click("record")
    for page in (lecturer.page, student.page, room.page):
        expect(page.get_by_test_id("recording")).to_have_count(0, timeout=SEEN_MS)
    assert list(journals.glob("*.pcapng"))
