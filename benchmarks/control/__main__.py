"""`python -m benchmarks.control --clients 1000`: join, a hand each, an answer each within two seconds.

The server is a process of its own; all clients are in this one. Times are as clients see them,
CPU is the server process's alone.
"""

import argparse
import asyncio
import json
import random
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from benchmarks.control.client import Client
from benchmarks.machine import cpu_seconds, machine, machine_line, resident_bytes
from signaling.auth import keys as api_keys
from signaling.auth import tokens
from signaling.log.events import Role

JOINING = 100  # clients on their way in at once
HANDS_S = 1.0
ANSWERS_S = 2.0
OPTIONS = 4
CHAT_LINES = 8
TALLY_BOUND_S = 1.0


@dataclass
class Phase:
    """One part of the run. Latencies are milliseconds from request to reply."""

    name: str
    wall_s: float
    server_cpu_s: float
    sent_bytes: int
    sent_messages: int
    encoded_messages: int
    loop_lag_max_ms: float
    latency_ms: dict[str, float] = field(default_factory=dict)


class Bench:
    def __init__(self, pid: int, http: aiohttp.ClientSession, keys: api_keys.Keys, count: int) -> None:
        self.pid = pid
        self.http = http
        self.keys = keys
        self.chance = random.Random(7)
        self.count = count
        self.clients: list[Client] = []
        self.lecturer = Client()
        self.phases: list[Phase] = []
        self.tally: dict[str, float] = {}

    async def run(self) -> None:
        await self._enter(self.lecturer, "lecturer", "lecturer")
        await self._phase("join", self._join())
        await self._phase("hand each", self._hands())
        await self._phase("answer each", self._answers())
        await self._phase("8 chat lines", self._chat())
        await self._phase("idle 3 s", self._idle())
        for client in [self.lecturer, *self.clients]:
            await client.close()

    async def _enter(self, client: Client, role: Role, participant: str) -> float:
        token = tokens.issue(
            self.keys, lesson="bench", role=role, name=participant, ttl_s=600, now=time.time(),
            participant=participant,
        )  # fmt: skip
        began = time.perf_counter()
        await client.connect(self.http)
        await client.ask("hello", token=token, version=1)
        return time.perf_counter() - began

    async def _join(self) -> list[float]:
        gate = asyncio.Semaphore(JOINING)
        self.clients = [Client() for _ in range(self.count)]

        async def join(index: int) -> float:
            async with gate:
                return await self._enter(self.clients[index], "student", f"s{index}")

        return list(await asyncio.gather(*(join(index) for index in range(self.count))))

    async def _hands(self) -> list[float]:
        async def raise_hand(client: Client) -> float:
            await asyncio.sleep(self.chance.random() * HANDS_S)
            return await client.timed("raise_hand", up=True)

        latencies = list(await asyncio.gather(*map(raise_hand, self.clients)))
        await self.lecturer.until(lambda: self.lecturer.events["hand_raised"] == self.count)
        return latencies

    async def _answers(self) -> list[float]:
        await self.lecturer.ask("quiz_ask", question="2 + 2 = ?", options=[str(n) for n in range(OPTIONS)])
        sent: list[float] = []

        async def answer(client: Client) -> float:
            await client.until(lambda: client.events["quiz_asked"] == 1)
            await asyncio.sleep(self.chance.random() * ANSWERS_S)
            sent.append(time.perf_counter())
            return await client.timed("quiz_answer", quiz=1, choices=[self.chance.randrange(OPTIONS)])

        latencies = list(await asyncio.gather(*map(answer, self.clients)))
        await self.lecturer.until(lambda: self.lecturer.tallies[-1][1] == self.count)
        self.tally = tally_delay(sent, self.lecturer.tallies)
        return latencies

    async def _chat(self) -> list[float]:
        latencies = []
        for line in range(CHAT_LINES):
            latencies.append(await self.lecturer.timed("chat", text=f"line {line}"))
            await asyncio.sleep(0.1)
        last = self.clients[-1]
        await last.until(lambda: last.events["chat_said"] == CHAT_LINES)
        return latencies

    async def _idle(self) -> list[float]:
        await asyncio.sleep(3)
        return []

    async def _phase(self, name: str, work: Any) -> None:
        before, cpu, began = await self._metrics(), cpu_seconds(self.pid), time.perf_counter()
        latencies = await work
        wall = time.perf_counter() - began
        cpu = cpu_seconds(self.pid) - cpu
        after = await self._metrics()
        self.phases.append(
            Phase(
                name=name,
                wall_s=round(wall, 3),
                server_cpu_s=round(cpu, 3),
                sent_bytes=int(after["sent_bytes_total"] - before["sent_bytes_total"]),
                sent_messages=int(after["sent_frames_total"] - before["sent_frames_total"]),
                encoded_messages=int(after["encoded_frames_total"] - before["encoded_frames_total"]),
                loop_lag_max_ms=round(after["loop_lag_max_seconds"] * 1000, 1),
                latency_ms=spread(latencies),
            )
        )

    async def _metrics(self) -> dict[str, float]:
        async with self.http.get("/metrics") as response:
            lines = (await response.text()).splitlines()
        plain = (line.split() for line in lines if line.startswith("kelian_") and "{" not in line)
        return {name.removeprefix("kelian_"): float(value) for name, value in plain}


def tally_delay(sent: list[float], tallies: list[tuple[float, int]]) -> dict[str, float]:
    """How old the newest answer missing from the lecturer's tally was, at worst and in the middle.

    For each answer: from its sending to the first tally that counts as many answers.
    """
    delays = []
    tally = iter(tallies)
    at, counted = next(tally)
    for number, began in enumerate(sorted(sent), 1):
        while counted < number:
            at, counted = next(tally)
        delays.append(at - began)
    return spread(delays)


def spread(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    told = {"p50": statistics.median(ordered), "p99": p99, "max": ordered[-1]}
    return {name: round(value * 1000, 1) for name, value in told.items()}


@asynccontextmanager
async def server(folder: Path) -> AsyncIterator[tuple[int, str]]:
    """A signaling process of its own: (pid, url)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"data": str(folder), "port": port, "log_level": "warning"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "signaling", "--config-json", json.dumps(settings)
    )
    try:
        yield process.pid, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def ready(http: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                async with http.get("/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)


async def measure(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        keys = api_keys.load_or_make(Path(folder) / "keys.toml")
        async with (
            server(Path(folder)) as (pid, url),
            aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as http,
        ):
            await ready(http)
            empty = resident_bytes(pid)
            bench = Bench(pid, http, keys, count)
            await bench.run()
            return {
                "benchmark": "control",
                "machine": machine(),
                "clients": count,
                "phases": [asdict(phase) for phase in bench.phases],
                "tally_delay_ms": bench.tally,
                "server_memory_bytes": {"empty": empty, "full": resident_bytes(pid)},
            }


def table(result: dict[str, Any]) -> str:
    lines = [
        machine_line(),
        f"{result['clients']} students and a lecturer in one lesson, msgpack, loopback",
        "",
        "| phase | wall s | server CPU s | kB sent | messages | encoded | loop lag max ms"
        " | p50 ms | p99 ms | max ms |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for it in result["phases"]:
        late = it["latency_ms"]
        lines.append(
            f"| {it['name']} | {it['wall_s']} | {it['server_cpu_s']} | {it['sent_bytes'] // 1000}"
            f" | {it['sent_messages']} | {it['encoded_messages']} | {it['loop_lag_max_ms']}"
            f" | {late.get('p50', '')} | {late.get('p99', '')} | {late.get('max', '')} |"
        )
    delay = result["tally_delay_ms"]
    memory = result["server_memory_bytes"]
    lines += [
        "",
        f"lecturer's tally behind the answers: {delay['p50']} ms, p99 {delay['p99']}, max {delay['max']}",
        f"server memory: {memory['empty'] // 1_000_000} MB empty, {memory['full'] // 1_000_000} MB after",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.control", description=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="write the result here, too")
    arguments = parser.parse_args()
    result = uvloop.run(measure(arguments.clients))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(table(result))
    if result["tally_delay_ms"]["max"] > TALLY_BOUND_S * 1000:
        print(f"the tally was more than {TALLY_BOUND_S} s behind", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
