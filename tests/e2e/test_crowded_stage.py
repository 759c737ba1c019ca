"""More people on stage than a page has places for, and more than one lecturer."""

from contextlib import ExitStack
from pathlib import Path

from aiortc.mediastreams import MediaStreamTrack
from playwright.sync_api import Playwright

from clients.python.media import BoardPicture, TestPicture
from signaling.log.events import Use
from tests.e2e import looking
from tests.e2e.bots import Bots
from tests.e2e.conftest import ARTIFACTS
from tests.e2e.person import Person
from tests.e2e.server import serving

PAIRS = 6  # of a student's page; a classroom's has all
LAST, GUEST, CO = 66, 77, 88


def test_whom_a_page_cannot_show_it_names_and_plays(playwright: Playwright, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(serving(tmp_path))
        bots = stack.enter_context(Bots(server))
        lecturer = bots.join("lecturer", "王老师")
        for number in range(PAIRS + 1):
            student = bots.join("student", f"同学{number}")
            bots.run(lecturer.bring_up(student.participant))
        bots.run(student.open_media({"microphone": looking.tone(LAST)}, pool=False))
        small = Person(playwright, server, tmp_path, "student", "小雪", GUEST)
        stack.callback(small.close)
        small.enter()
        small.until(lambda: any(small.hears(f"floor.{seat}", LAST) for seat in range(3)), "hears the last")
        assert small.page.get_by_test_id("beyond").inner_text().startswith("还有 1 位在台上")
        assert small.page.locator(f"[data-stage='{student.participant}']").count() == 1
        small.page.screenshot(path=str(ARTIFACTS / "crowded-stage.png"))
        # A page with a pair for the last hears them there, and not twice.
        wide = Person(playwright, server, tmp_path, "classroom", "三年级一班", GUEST)
        stack.callback(wide.close)
        wide.enter()
        wide.until(lambda: wide.hears(f"stage.{PAIRS}.audio", LAST), "hears the last in their pair")
        assert not any(wide.hears(f"floor.{seat}", LAST, 300) for seat in range(3))
        assert wide.page.get_by_test_id("beyond").count() == 0


def test_a_second_lecturer_sees_the_first(playwright: Playwright, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(serving(tmp_path))
        bots = stack.enter_context(Bots(server))
        first = bots.join("lecturer", "王老师")
        tracks: dict[Use, MediaStreamTrack] = {
            "camera": TestPicture("王老师", sender=CO, fps=10),
            "board": BoardPicture("王老师", marked=False),
            "microphone": looking.tone(CO),
        }
        second = Person(playwright, server, tmp_path, "lecturer", "李老师", GUEST, viewport=(1440, 900))
        stack.callback(second.close)
        second.enter()
        own = second.page.locator("[data-tile='lecturer']")
        second.until(lambda: "李老师" in own.inner_text(), "sees themselves")
        assert second.page.locator("[data-tile='board']").get_attribute("data-status") == "empty"
        bots.run(first.open_media(tracks, pool=["board"]))
        second.until(lambda: second.sees("lecturer.video", CO), "sees the other, whom the class sees", 20)
        second.until(lambda: second.status("board") == "playing", "sees the other's board")
        second.until(lambda: second.hears("lecturer.audio", CO), "hears the other")
        assert "另一位主讲在播" in second.page.get_by_test_id("live").inner_text()
        second.page.screenshot(path=str(ARTIFACTS / "second-lecturer.png"))
