"""Ten stage swaps between two senders whose clocks and timestamp bases differ; then lip sync is measured."""

import statistics
from pathlib import Path

import pytest
from playwright.sync_api import Playwright

from tests.e2e.bots import Bots
from tests.e2e.conftest import LECTURER
from tests.e2e.person import Person
from tests.e2e.server import serving

SYNC = Path(__file__).with_name("sync.js").read_text()
WITHIN_MS = 45
SWAPS = 10
FIRST, SECOND = 101, 102


@pytest.mark.timeout(180)
def test_lip_sync_holds_after_ten_swaps(playwright: Playwright, tmp_path: Path) -> None:
    with serving(tmp_path) as server, Bots(server) as bots:
        lecturer = Person(playwright, server, tmp_path, "lecturer", "王老师", LECTURER, init_script=SYNC)
        try:
            lecturer.enter()
            pair = [bots.join("student", name) for name in ("甲", "乙")]
            for student, name, sender in zip(pair, ("甲", "乙"), (FIRST, SECOND), strict=True):
                bots.send(student, name, sender)

            knows = "p => window.__kelian.lesson.participant(p) !== null"
            last = pair[1].participant
            lecturer.until(lambda: bool(lecturer.page.evaluate(knows, last)), "knows both")
            bring_up = "p => window.__kelian.lesson.bringUp(p)"
            take_down = "p => window.__kelian.lesson.takeDown(p)"
            descriptions = lecturer.descriptions()
            for swap in range(SWAPS + 1):
                on, off = pair[swap % 2], pair[(swap + 1) % 2]
                if swap:
                    lecturer.page.evaluate(take_down, off.participant)
                lecturer.page.evaluate(bring_up, on.participant)
                sender = (FIRST, SECOND)[swap % 2]
                lecturer.until(lambda s=sender: lecturer.sees("stage.0.video", s), f"sees swap {swap}", 8)

            # libwebrtc moves its delays by small steps, once a second (seen: 100 ms to 7 ms in 15 s; on
            # a busy machine longer). A wrong mapping of clocks would never come to rest within the bound.
            medians: list[float] = []
            for _ in range(5):
                lecturer.page.wait_for_timeout(3000)
                measured = lecturer.page.evaluate("window.__sync('stage.0.video', 'stage.0.audio', 9)")
                assert len(measured["offsets"]) >= 5, measured
                medians.append(statistics.median(measured["offsets"]))
                if abs(medians[-1]) < WITHIN_MS:
                    break
            assert abs(medians[-1]) < WITHIN_MS, medians
            assert lecturer.descriptions() == descriptions, "no SDP is exchanged"
        finally:
            lecturer.close()
