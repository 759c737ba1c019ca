"""python -m benchmarks.switching [--swaps 20] [--subscribers 4] [--json FILE]

A real `kelian serve`; two students of the SDK take turns in stage pair 0, subscribers watch it. A swap is
one click of the lecturer's: take one down and bring the other up, both requests at once.

Measured in each subscriber's slot: from the lecturer's having the `bring_up` acknowledged (and from the
click) to the first decoded picture of the new face, and the longest time without a picture.

The floor, in the same run. A switch can begin only with a key frame. x264 makes one by itself every 250
pictures; the node asks for one instead (one round trip), the sender makes its next picture a key frame, and
that takes the way that every picture takes: drawn, encoded, sent, forwarded, put together, decoded. So the
floor is the age at which pictures are seen while nothing is switched, plus the wait for the sender's next
picture: half a picture's time in the middle, a whole one at most.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Conditions, save, spread, table
from benchmarks.machine import machine_line
from benchmarks.watching import Watch, longest_gap_s, watching
from clients import python as kelian
from signaling.log.events import Role
from tests.e2e import looking
from tests.e2e.server import serving

LESSON = "switching"
SLOT = "stage.0.video"
SENDERS = (33, 44)
FPS = 15
OWN_KEY_FRAMES = 250  # x264's keyint, aiortc's too
SEEN_S = 20.0
DWELL_S = 1.5  # between swaps; the second half of it is steady


class Run:
    def __init__(self, lecturer: kelian.Lesson, faces: Sequence[kelian.Lesson], watches: list[Watch]) -> None:
        self._lecturer, self._faces, self._watches = lecturer, faces, watches
        self._chance = random.Random(7)
        self.from_ack_s: list[float] = []
        self.from_click_s: list[float] = []
        self.acked_s: list[float] = []
        self.gaps_s: list[float] = []
        self.steady_gaps_s: list[float] = []
        self.steady_ages_s: list[float] = []

    async def first_face(self) -> None:
        await self._lecturer.bring_up(self._faces[0].participant)
        await asyncio.gather(
            *(watch.first(lambda it: it.sender == SENDERS[0], SEEN_S) for watch in self._watches)
        )

    async def swap(self, old: int, new: int) -> None:
        await self._dwell()
        clicked_s = time.monotonic()
        await asyncio.gather(
            self._lecturer.take_down(self._faces[old].participant),
            self._lecturer.bring_up(self._faces[new].participant),
        )
        acked_s = time.monotonic()
        seen = await asyncio.gather(
            *(
                watch.first(lambda it: it.seen_s > clicked_s and it.sender == SENDERS[new], SEEN_S)
                for watch in self._watches
            )
        )
        self.acked_s.append(acked_s - clicked_s)
        for watch, picture in zip(self._watches, seen, strict=True):
            self.from_ack_s.append(picture.seen_s - acked_s)
            self.from_click_s.append(picture.seen_s - clicked_s)
            self.gaps_s.append(longest_gap_s(watch.pictures, clicked_s, picture.seen_s))

    async def _dwell(self) -> None:
        await asyncio.sleep(DWELL_S / 2)
        steady_s = time.monotonic()
        await asyncio.sleep(DWELL_S / 2 + self._chance.random() / FPS)  # clicks know nothing of pictures
        for watch in self._watches:
            self.steady_gaps_s.append(longest_gap_s(watch.pictures, steady_s, time.monotonic()))
            self.steady_ages_s += [it.age_s for it in watch.pictures if it.seen_s > steady_s]

    def result(self) -> dict[str, Any]:
        age = spread(self.steady_ages_s)
        return {
            "first_picture_from_ack_s": spread(self.from_ack_s),
            "first_picture_from_click_s": spread(self.from_click_s),
            "ack_from_click_s": spread(self.acked_s),
            "longest_gap_s": spread(self.gaps_s),
            "floor": {
                "steady_age_s": age,
                "steady_longest_gap_s": spread(self.steady_gaps_s),
                "picture_s": round(1 / FPS, 3),
                "median_s": round(age["median"] + 0.5 / FPS, 3),
                "max_s": round(age["max"] + 1 / FPS, 3),
                "without_key_frame_requests_median_s": round(age["median"] + OWN_KEY_FRAMES / FPS / 2, 3),
            },
        }


async def measure(swaps: int, subscribers: int) -> dict[str, Any]:
    conditions = Conditions()
    roles: list[tuple[Role, str]] = [("lecturer", "王老师"), ("student", "安娜"), ("student", "小波")]
    roles += [("student", f"学生{number}") for number in range(subscribers)]
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        async with looking.joined(server, LESSON, *roles) as (lecturer, *others):
            faces, viewers = others[:2], others[2:]
            for face, sender in zip(faces, SENDERS, strict=True):
                await face.open_media({"camera": looking.camera(str(sender), sender, FPS)}, pool=False)
            for viewer in viewers:
                await viewer.open_media(pool=[SLOT])
            async with watching(viewers, SLOT) as watches:
                run = Run(lecturer, faces, watches)
                await run.first_face()
                for number in range(swaps):
                    await run.swap(old=number % 2, new=1 - number % 2)
            offers = [person.media.opened for person in others if person.media is not None]
    return {
        "benchmark": "switching",
        **conditions.told(),
        "settings": {"swaps": swaps, "subscribers": subscribers, "fps": FPS},
        **run.result(),
        "offers_per_session": max(offers),
    }


def told(result: dict[str, Any]) -> str:
    settings, floor = result["settings"], result["floor"]
    rows = [
        ("first picture of the new face, from the ack", result["first_picture_from_ack_s"]),
        ("the same from the click", result["first_picture_from_click_s"]),
        ("the ack, from the click", result["ack_from_click_s"]),
        ("longest time without a picture", result["longest_gap_s"]),
        ("floor: age of a picture while nothing is switched", floor["steady_age_s"]),
        (f"floor: longest gap in {DWELL_S / 2} s of the same", floor["steady_longest_gap_s"]),
    ]
    return f"""\
{machine_line()}; {result["date"]}, load {result["load_before"]} before, {result["load_after"]} after
{settings["swaps"]} swaps, {settings["subscribers"]} subscribers, {FPS} pictures a second

{table(rows, "seconds")}

floor of a switch: {floor["median_s"]} s in the middle, {floor["max_s"]} s at most \
(a picture's age and the wait for the next one)
waiting for the encoder's own key frames: {floor["without_key_frame_requests_median_s"]} s in the middle
offers per session in all: {result["offers_per_session"]}"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.switching",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--subscribers", type=int, default=4)
    parser.add_argument("--json", type=Path, help="write the result here, too")
    given = parser.parse_args()
    result = asyncio.run(measure(given.swaps, given.subscribers))
    if given.json:
        save(given.json, result)
    print(told(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
