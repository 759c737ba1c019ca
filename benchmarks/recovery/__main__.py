"""python -m benchmarks.recovery [--kills 3] [--subscribers 4] [--apart 31] [--json FILE]

A real `kelian serve`, a lecturer and subscribers of the SDK in one process, who chat and raise hands.
In turn signaling and the media node are killed (SIGKILL), each `--kills` times.

Signaling: the longest gap between decoded pictures in the seconds after the kill, beside that in as
many quiet seconds just before it; the time until every WebSocket has resumed; events lost or doubled.
Media node: the time until every subscriber decodes a picture drawn after the kill. The floors are what
cannot be saved: the start of the process, and while pages set up new sessions, the time that the first join
of the same people took.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Conditions, save, spread, table
from benchmarks.machine import machine_line
from benchmarks.recovery.journal import Journal, compare
from benchmarks.recovery.starts import node_start_s, signaling_start_s
from benchmarks.watching import Watch, longest_gap_s, watching
from clients import python as kelian
from signaling.log.events import Role
from tests.e2e import looking
from tests.e2e.server import Server, serving

LESSON, LECTURER = "recovery", 11
FPS = 15
WINDOW_S = 5.0  # the quiet period, and the one after a kill of signaling
BACK_S = 30.0  # then it is no recovery
POLL_S = 0.01
SUPERVISOR_WAIT_S = 0.1  # before the first restart


class Run:
    def __init__(self, server: Server, people: Sequence[kelian.Lesson], watches: Sequence[Watch]) -> None:
        self._server, self._people, self._watches = server, people, watches
        self.quiet_gaps_s: list[float] = []
        self.gaps_s: list[float] = []
        self.resumed_s: list[float] = []  # each WebSocket
        self.all_resumed_s: list[float] = []
        self.reoffered_s: list[float] = []  # each session
        self.seen_s: list[float] = []  # each subscriber
        self.all_seen_s: list[float] = []
        self.signaling_starts_s: list[float] = []
        self.node_starts_s: list[float] = []

    async def kill_signaling(self) -> None:
        await asyncio.sleep(WINDOW_S)
        before = [person.connections for person in self._people]
        killed_s = time.monotonic()
        self._server.kill("signaling")
        back = await asyncio.gather(
            *(self._resumed(*it, killed_s) for it in zip(self._people, before, strict=True))
        )
        await asyncio.sleep(max(0.0, killed_s + WINDOW_S - time.monotonic()))
        self.resumed_s += back
        self.all_resumed_s.append(max(back))
        for watch in self._watches:
            self.quiet_gaps_s.append(longest_gap_s(watch.pictures, killed_s - WINDOW_S, killed_s))
            self.gaps_s.append(longest_gap_s(watch.pictures, killed_s, killed_s + WINDOW_S))

    async def kill_node(self) -> None:
        opened = [_opened(person) for person in self._people]
        killed_s = time.monotonic()
        self._server.kill("mediaserver")
        reoffers = [
            asyncio.create_task(self._reoffered(*it, killed_s))
            for it in zip(self._people, opened, strict=True)
        ]
        seen = await asyncio.gather(
            *(
                watch.first(lambda it: it.seen_s - it.age_s > killed_s, BACK_S)  # drawn since
                for watch in self._watches
            )
        )
        self.reoffered_s += await asyncio.gather(*reoffers)
        self.seen_s += [picture.seen_s - killed_s for picture in seen]
        self.all_seen_s.append(max(self.seen_s[-len(seen) :]))

    async def start_processes(self) -> None:
        """Beside the lesson, on the machine as it is now."""
        self.signaling_starts_s.append(await signaling_start_s())
        self.node_starts_s.append(await node_start_s())

    async def _resumed(self, person: kelian.Lesson, before: int, killed_s: float) -> float:
        await person.until(lambda it: it.connections > before and it.connected, BACK_S)
        return time.monotonic() - killed_s

    async def _reoffered(self, person: kelian.Lesson, before: int, killed_s: float) -> float:
        async with asyncio.timeout(BACK_S):
            while _opened(person) == before:  # noqa: ASYNC110 (nothing tells of it)
                await asyncio.sleep(POLL_S)
        return time.monotonic() - killed_s

    def result(self) -> dict[str, Any]:
        return {
            "signaling_killed": {
                "longest_gap_quiet_s": spread(self.quiet_gaps_s),
                "longest_gap_s": spread(self.gaps_s),
                "resumed_s": spread(self.resumed_s),
                "all_resumed_s": spread(self.all_resumed_s),
            },
            "node_killed": {
                "new_session_s": spread(self.reoffered_s),
                "picture_s": spread(self.seen_s),
                "all_see_s": spread(self.all_seen_s),
            },
        }

    def floor(self, joined_s: Sequence[float]) -> dict[str, Any]:
        signaling_s = SUPERVISOR_WAIT_S + statistics.median(self.signaling_starts_s)
        node_s = SUPERVISOR_WAIT_S + statistics.median(self.node_starts_s)
        return {
            "supervisor_wait_s": SUPERVISOR_WAIT_S,
            "signaling_start_s": spread(self.signaling_starts_s),
            "node_start_s": spread(self.node_starts_s),
            "first_join_s": spread(joined_s),
            "resumed_s": round(signaling_s, 3),
            "picture_s": round(node_s + statistics.median(joined_s), 3),
        }


def _opened(person: kelian.Lesson) -> int:
    return person.media.opened if person.media is not None else 0


async def measure(kills: int, subscribers: int, apart_s: float) -> dict[str, Any]:
    conditions = Conditions()
    roles: list[tuple[Role, str]] = [("lecturer", "王老师")]
    roles += [("student", f"学生{number}") for number in range(subscribers)]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        with serving(data) as server:
            async with looking.joined(server, LESSON, *roles) as people:
                joined_s, run, journals = await _lesson(server, people, kills, apart_s)
        events = await compare(journals, data, LESSON)
    return {
        "benchmark": "recovery",
        **conditions.told(),
        "settings": {"kills": kills, "subscribers": subscribers, "apart_s": apart_s, "fps": FPS},
        **run.result(),
        "floor": run.floor(joined_s),
        "events": events,
    }


async def _lesson(
    server: Server, people: list[kelian.Lesson], kills: int, apart_s: float
) -> tuple[list[float], Run, list[Journal]]:
    lecturer, *subscribers = people
    began_s = time.monotonic()
    await asyncio.gather(
        lecturer.open_media({"camera": looking.camera("王老师", LECTURER, FPS)}, pool=False),
        *(subscriber.open_media(pool=["lecturer.video", "lecturer.audio"]) for subscriber in subscribers),
    )
    async with watching(subscribers, "lecturer.video") as watches:
        first = await asyncio.gather(*(watch.first(lambda _: True, BACK_S) for watch in watches))
        run = Run(server, people, watches)
        journals = [Journal(person) for person in people]
        try:
            for number in range(kills):
                cycle_s = time.monotonic()
                await run.kill_signaling()
                await _sleep_until(cycle_s + apart_s / 2)
                await run.kill_node()
                await run.start_processes()
                if number < kills - 1:
                    await _sleep_until(cycle_s + apart_s)
            for journal in journals:
                await journal.quiet()
            await lecturer.say("再见")  # all are told of it, and so of everything before
            end = lecturer.position
            await asyncio.gather(*(person.until(lambda it: it.position >= end, BACK_S) for person in people))
        finally:
            for journal in journals:
                await journal.close()
    return [picture.seen_s - began_s for picture in first], run, journals


async def _sleep_until(moment_s: float) -> None:
    await asyncio.sleep(max(0.0, moment_s - time.monotonic()))


def told(result: dict[str, Any]) -> str:
    signaling, node, floor = result["signaling_killed"], result["node_killed"], result["floor"]
    settings, it = result["settings"], result["events"]
    rows = [
        (f"signaling killed: longest gap, {WINDOW_S:.0f} quiet s before", signaling["longest_gap_quiet_s"]),
        (f"signaling killed: longest gap, {WINDOW_S:.0f} s from then on", signaling["longest_gap_s"]),
        ("signaling killed: a WebSocket has resumed", signaling["resumed_s"]),
        ("signaling killed: every WebSocket has resumed", signaling["all_resumed_s"]),
        ("node killed: a new session is up", node["new_session_s"]),
        ("node killed: a subscriber sees again", node["picture_s"]),
        ("node killed: every subscriber sees again", node["all_see_s"]),
        ("floor: signaling's process starts", floor["signaling_start_s"]),
        ("floor: the node's process starts", floor["node_start_s"]),
        ("floor: first join of the same people", floor["first_join_s"]),
    ]
    return f"""\
{machine_line()}; {result["date"]}, load {result["load_before"]} before, {result["load_after"]} after
{settings["kills"]} kills of each, {settings["subscribers"]} subscribers, {FPS} pictures a second

{table(rows, "seconds")}

floor of resuming: {floor["resumed_s"]} s = the supervisor waits {SUPERVISOR_WAIT_S} s, the process starts
floor of seeing again: {floor["picture_s"]} s = the same for the node, and the first join
events: {it["in_log"]} in the log, told {it["told"]} times: {it["lost"]} lost, {it["doubled"]} doubled, \
{it["not_theirs"]} not theirs, {it["out_of_order"]} out of order; {it["state_wrong"]} states wrong
chat: {it["acknowledged_and_lost"]} lines acknowledged and lost, {it["unacknowledged"]} unacknowledged"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recovery",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kills", type=int, default=3, help="of each process")
    parser.add_argument("--subscribers", type=int, default=4)
    parser.add_argument(
        "--apart", type=float, default=31.0,
        help="seconds between two kills of one process: after 30 calm ones all waits are as the first time",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, help="write the result here, too")
    given = parser.parse_args()
    result = asyncio.run(measure(given.kills, given.subscribers, given.apart))
    if given.json:
        save(given.json, result)
    print(told(result))
    wrong = sum(
        result["events"][name]
        for name in ("lost", "doubled", "not_theirs", "out_of_order", "acknowledged_and_lost", "state_wrong")
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
