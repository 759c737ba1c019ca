"""Every page as its users see it, in one running lesson.

With KELIAN_SCREENSHOTS=1 the pictures in docs/screenshots are renewed; else they go to tests/artifacts.
"""

import base64
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import pytest
from aiortc.mediastreams import MediaStreamTrack
from playwright.sync_api import Playwright

from clients.python import scenes
from clients.python.media import BoardPicture, SpeechLike, TestPicture
from signaling.log.events import Use
from tests.e2e import fakes
from tests.e2e.bots import Bots
from tests.e2e.person import Person
from tests.e2e.server import Server, serving

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / (
    "docs/screenshots" if os.environ.get("KELIAN_SCREENSHOTS") else "tests/artifacts/screenshots"
)
PC, PHONE, BIG = (1440, 900), (390, 844), (1920, 1080)


class Photographer:
    def __init__(self, playwright: Playwright, server: Server, folder: Path) -> None:
        self._playwright, self._server, self._folder = playwright, server, folder

    def person(
        self,
        role: str,
        name: str,
        sender: int,
        viewport: tuple[int, int] = PC,
        *,
        mobile: bool = False,
        token: str | None = None,
    ) -> Person:
        return Person(
            self._playwright, self._server, self._folder, role, name, sender,
            viewport=viewport, mobile=mobile, token=token,
            camera=fakes.scene(self._folder, name, role, sender),
        )  # fmt: skip


def take(person: Person, name: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.png"
    person.page.screenshot(path=str(path))
    picture = cv2.imread(str(path))
    assert picture is not None
    assert picture.std() > 8, f"{name} is blank"


@pytest.fixture(scope="module")
def photographer(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Photographer]:
    """A lesson with a lecturer and two students on stage, who wait for those who look."""
    folder = tmp_path_factory.mktemp("screenshots")
    with ExitStack() as stack:
        server = stack.enter_context(serving(folder))
        bots = stack.enter_context(Bots(server))
        lecturer = bots.join("lecturer", "王老师")
        tracks: dict[Use, MediaStreamTrack] = {
            "camera": TestPicture("王老师", role="lecturer", marked=False),
            "microphone": SpeechLike("王老师"),
            "board": BoardPicture("王老师", marked=False),
        }
        bots.run(lecturer.open_media(tracks, pool=False))
        for number, name in enumerate(("安娜", "小波"), 1):
            student = bots.join("student", name)
            bots.send(student, name, number, marked=False)
            bots.run(lecturer.bring_up(student.participant))
        waiting = bots.join("student", "小晨")
        bots.run(waiting.raise_hand())
        bots.run(waiting.say("老师，我想试试第二种方法！"))
        bots.run(lecturer.say("好，请先把梯子画出来。"))
        yield Photographer(playwright, server, folder)


@pytest.mark.parametrize(
    ("role", "name", "viewport", "file"),
    [
        ("tutor", "李辅导", PC, "tutor"),
        ("classroom", "三年级一班", BIG, "classroom"),
        ("student", "小雨", PC, "student"),
        ("student", "小雪", PHONE, "student-phone"),
        ("observer", "观摩老师", PC, "observer"),
    ],
)
def test_in_the_lesson(
    photographer: Photographer, role: str, name: str, viewport: tuple[int, int], file: str
) -> None:
    person = photographer.person(role, name, 7, viewport, mobile=viewport == PHONE)
    try:
        if role != "observer":
            person.page.get_by_test_id("enter").wait_for()
            person.page.wait_for_timeout(1500)
            take(person, f"check-{file}")
        person.enter()
        for slot in ("lecturer.video", "board", "stage.0.video"):
            person.until(lambda s=slot: person.status(s) == "playing", f"sees {slot}", 20)
        person.page.wait_for_timeout(1500)
        take(person, file)
    finally:
        person.close()


def test_the_studio(playwright: Playwright, tmp_path: Path) -> None:
    """The lecturer's own lesson: slides shared, a classroom on the wall, a student on stage, a hand up."""
    with ExitStack() as stack:
        server = stack.enter_context(serving(tmp_path))
        lecturer = Person(
            playwright, server, tmp_path, "lecturer", "王老师", 9, viewport=PC,
            camera=fakes.scene(tmp_path, "王老师", "lecturer", 9), init_script=shares_slides(),
        )  # fmt: skip
        stack.callback(lecturer.close)
        lecturer.enter()
        bots = stack.enter_context(Bots(server))
        room, anna, chen = (
            bots.join(role, name)
            for role, name in (("classroom", "三年级一班"), ("student", "安娜"), ("student", "小晨"))
        )
        bots.send(room, "三年级一班", 3, marked=False)
        bots.send(anna, "安娜", 1, marked=False)
        bots.run(anna.raise_hand())
        lecturer.until(lambda: lecturer.hands() == ["安娜"], "sees the hand")
        lecturer.page.get_by_test_id(f"bring-up-{anna.participant}").first.click()
        bots.run(chen.raise_hand())
        bots.run(chen.say("老师，我想试试第二种方法！"))
        lecturer.click("share-board")
        for slot in ("stage.0.video", "wall.0"):
            lecturer.until(lambda s=slot: lecturer.status(s) == "playing", f"sees {slot}", 20)
        lecturer.page.wait_for_timeout(1500)
        take(lecturer, "studio")


def shares_slides() -> str:
    """A headless browser has no window to share: what the lecturer chooses to share is drawn here."""
    png = cv2.imencode(".png", scenes.Slides().draw(0.0, 0.0))[1]
    url = "data:image/png;base64," + base64.b64encode(png.tobytes()).decode()
    return f"""
    navigator.mediaDevices.getDisplayMedia = async () => {{
      const canvas = Object.assign(document.createElement('canvas'), {{ width: 1280, height: 720 }})
      const image = new Image()
      image.src = '{url}'
      await image.decode()
      setInterval(() => canvas.getContext('2d').drawImage(image, 0, 0), 250)
      return canvas.captureStream(4)
    }}"""


def test_before_and_after(photographer: Photographer) -> None:
    guest = photographer.person("student", "小雨", 7, token="eyJhbGciOiJIUzI1NiJ9.e30.AAAA")
    try:
        guest.page.wait_for_timeout(1500)
        if guest.page.get_by_test_id("enter").count():
            guest.click("enter")
        guest.until(lambda: guest.phase() in ("refused", "none"), "is refused")
        guest.page.wait_for_timeout(500)
        take(guest, "refused")
        guest.page.goto(guest.page.url.split("#")[0])
        guest.page.wait_for_timeout(1000)
        take(guest, "start")
    finally:
        guest.close()
