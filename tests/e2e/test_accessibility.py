"""What axe-core finds on the pages of a lesson: nothing that keeps anybody out (serious or critical)."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Playwright

from tests.e2e.bots import Bots
from tests.e2e.person import Person
from tests.e2e.server import Server, serving

AXE = (Path(__file__).parents[2] / "clients/web/node_modules/axe-core/axe.min.js").read_text()
PHONE = (390, 844)


def barriers(page: Page) -> list[str]:
    """Each as `impact rule: the elements, and why`."""
    page.wait_for_timeout(600)  # what fades in is pale until then
    page.evaluate(AXE)
    found: list[dict[str, Any]] = page.evaluate("axe.run(document).then((found) => found.violations)")
    return [
        f"{each['impact']} {each['id']}: {node['html'][:160]} {node['failureSummary']}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A lesson with somebody on stage, a hand up, an open question and chat."""
    with serving(tmp_path_factory.mktemp("accessibility")) as server, Bots(server) as bots:
        lecturer = bots.join("lecturer", "王老师")
        anna, chen = (bots.join("student", name) for name in ("安娜", "小晨"))
        bots.run(lecturer.bring_up(anna.participant))
        bots.run(chen.raise_hand())
        bots.run(chen.say("老师，我想试试第二种方法！"))
        bots.run(lecturer.ask_quiz("一个三角形最多有几个直角？", ["没有", "1 个"]))
        yield server


@pytest.mark.parametrize(
    ("role", "viewport"),
    [
        ("lecturer", (1440, 900)),
        ("tutor", (1440, 900)),
        ("classroom", (1920, 1080)),
        ("student", (1440, 900)),
        ("student", PHONE),
        ("observer", (1440, 900)),
    ],
)
def test_nothing_keeps_anybody_out(
    playwright: Playwright, server: Server, tmp_path: Path, role: str, viewport: tuple[int, int]
) -> None:
    with ExitStack() as stack:
        person = Person(
            playwright, server, tmp_path, role, "小雨", 7, viewport=viewport, mobile=viewport == PHONE
        )
        stack.callback(person.close)
        person.page.get_by_test_id("enter").wait_for()
        assert not (found := barriers(person.page)), "\n".join(found)
        person.enter()
        person.until(lambda: person.stage() == ["安娜"], "sees who is on stage")
        assert not (found := barriers(person.page)), "\n".join(found)
        for tab in ("tab-quiz", "tab-people", "tab-marks"):
            if person.page.get_by_test_id(tab).count():
                person.click(tab)
                assert not (found := barriers(person.page)), "\n".join(found)
        person.page.keyboard.press("?")
        person.page.get_by_role("dialog").wait_for()
        assert not (found := barriers(person.page)), "\n".join(found)


def test_nor_before_and_after(playwright: Playwright, server: Server, tmp_path: Path) -> None:
    with ExitStack() as stack:
        person = Person(playwright, server, tmp_path, "observer", "小雨", 7)
        stack.callback(person.close)
        person.enter()
        person.click("leave")
        person.click("leave-confirm")
        person.until(lambda: person.phase() == "ended", "has left")
        assert not (found := barriers(person.page)), "\n".join(found)
        person.page.goto(server.url)
        assert not (found := barriers(person.page)), "\n".join(found)
