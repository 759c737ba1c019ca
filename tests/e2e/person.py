"""Somebody in a lesson: one real Chromium with a camera and microphone of their own."""

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import Browser, BrowserContext, Page, Playwright

from clients.python import pattern
from tests.e2e import fakes
from tests.e2e.server import Server

PROBE = Path(__file__).with_name("probe.js").read_text()
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--auto-accept-this-tab-capture",
]


class Person:
    """Opens the join link of their token, passes the device check, and is looked at by the tests."""

    def __init__(
        self,
        playwright: Playwright,
        server: Server,
        folder: Path,
        role: str,
        name: str,
        sender: int,
        *,
        lesson: str = "e2e",
        viewport: tuple[int, int] = (1280, 720),
        token: str | None = None,
        init_script: str = "",
        camera: Path | None = None,
        mobile: bool = False,
    ) -> None:
        self.role, self.name, self.sender = role, name, sender
        self.token = token or server.token(lesson, role, name)
        self.browser: Browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            headless=True,
            args=[
                *FLAGS,
                f"--use-file-for-fake-video-capture={camera or fakes.camera(folder, sender)}",
                f"--use-file-for-fake-audio-capture={fakes.microphone(folder, sender)}",
            ],
        )
        self.context: BrowserContext = self.browser.new_context(
            viewport={"width": viewport[0], "height": viewport[1]},
            locale="zh-CN",
            is_mobile=mobile,
            has_touch=mobile,
            permissions=["camera", "microphone"],
            bypass_csp=True,  # for the probes only
        )
        self.context.add_init_script(PROBE + init_script)
        self.page: Page = self.context.new_page()
        self.console: list[str] = []
        self.page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.console.append(f"pageerror: {error}"))
        self.page.goto(f"{server.url}/#/join/{self.token}")

    def enter(self) -> None:
        self.page.get_by_test_id("enter").click(timeout=20_000)
        self.until(lambda: self.phase() in ("live", "waiting"), "enters the lesson")

    def click(self, test_id: str) -> None:
        self.page.get_by_test_id(test_id).first.click(timeout=10_000)

    def bring_up(self, other: "Person") -> None:
        """By the button beside the raised hand, else by the one in the list of participants."""
        button = self.page.get_by_test_id(f"bring-up-{other.id()}")
        if not button.count():
            self.click("tab-people")
        button.first.click(timeout=10_000)

    def take_down(self, other: "Person") -> None:
        self.click(f"take-down-{other.id()}")

    # --- what the page knows -------------------------------------------------------------------

    def phase(self) -> str:
        return str(self.page.evaluate("window.__kelian?.lesson?.phase ?? 'none'"))

    def id(self) -> str:
        return str(self.page.evaluate("window.__kelian.lesson.me.id"))

    def status(self, slot: str) -> str:
        return str(self.page.evaluate("s => window.__kelian.lesson.slots[s]?.status ?? 'none'", slot))

    def stage(self) -> list[str]:
        """Names on stage, by index."""
        return list(self.page.evaluate("window.__kelian.lesson.stage.map(t => t.participant.name)"))

    def hands(self) -> list[str]:
        """Names of those whose hands are up, in order."""
        return list(self.page.evaluate("window.__kelian.lesson.hands.map(p => p.name)"))

    def descriptions(self) -> int:
        return int(self.page.evaluate("window.__descriptions"))

    # --- what is really seen and heard -----------------------------------------------------------

    def picture(self, slot: str) -> np.ndarray | None:
        url = self.page.evaluate("s => window.__probe.picture(s)", slot)
        if url is None:
            return None
        png = np.frombuffer(base64.b64decode(url.split(",")[1]), np.uint8)
        return cv2.imdecode(png, cv2.IMREAD_GRAYSCALE)

    def stamp(self, slot: str) -> pattern.Stamp | None:
        image = self.picture(slot)
        return None if image is None else pattern.read(image)

    def sees(self, slot: str, sender: int) -> bool:
        """The rendered picture in this slot is that sender's."""
        stamp = self.stamp(slot)
        return stamp is not None and stamp.sender == sender

    def frames(self, slot: str) -> int:
        return int(self.page.evaluate("s => window.__probe.frames(s)", slot))

    def hears(self, slot: str, sender: int, ms: int = 900) -> bool:
        """The loudest tone in this slot's sound is that sender's."""
        heard = self.page.evaluate("([s, ms]) => window.__probe.sound(s, ms)", [slot, ms])
        return heard is not None and heard["db"] > -60 and abs(heard["hz"] - fakes.tone_hz(sender)) < 20

    def watch(self, slot: str) -> None:
        """Begins to note frames and freezes of a slot."""
        self.page.evaluate("s => window.__probe.watch(s)", slot)

    def flow(self, slot: str) -> dict[str, Any]:
        """Since `watch`: frames, the longest freeze in seconds, the same element still?"""
        return dict(self.page.evaluate("s => window.__probe.flow(s)", slot))

    def until(self, condition: Callable[[], bool], what: str, timeout_s: float = 15) -> float:
        """Waits for the condition; returns the seconds it took."""
        started = time.monotonic()
        while not condition():
            if time.monotonic() - started > timeout_s:
                tail = "\n".join(self.console[-15:])
                raise AssertionError(f"{self.name} ({self.role}): not in {timeout_s} s: {what}\n{tail}")
            self.page.wait_for_timeout(50)
        return time.monotonic() - started

    def close(self) -> None:
        self.browser.close()
