"""`python -m signaling` as a process: it starts, says what is wrong, is killed, and goes on."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from signaling.auth import keys as api_keys
from signaling.config import BadSettings, Settings, parse_settings
from tests.signaling.doors import Door


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = {"data": str(folder), "port": self.port, "log_level": "warning", "grace_ms": 3000}
        self.keys = api_keys.load_or_make(folder / "keys.toml")
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "signaling", "--config-json", json.dumps(self.settings)
        )
        async with asyncio.timeout(15), aiohttp.ClientSession() as http:
            while True:
                try:
                    async with http.get(f"{self.url}/readyz") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.03)

    async def end(self, number: int) -> int:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        return await self._process.wait()


async def test_killed_in_the_middle_of_a_lesson_it_goes_on(tmp_path: Path) -> None:
    process = Process(tmp_path)
    await process.start()
    try:
        async with Door(process.url, process.keys) as door:
            lecturer = await door.enter("lecturer", "wang")
            log = (await lecturer.hear("welcome"))["lesson"]["log"]
            await door.enter("student", "li")
            await door.enter("student", "sun")
            await lecturer.ask("quiz_ask", question="?", options=["a", "b"])
            for who, choice in (("li", 0), ("sun", 1)):
                student = await door.enter("student", who)
                await student.ask("quiz_answer", quiz=1, choices=[choice])
            position = (await lecturer.ask("bring_up", participant="li"))["position"]
            await process.end(signal.SIGKILL)
            await asyncio.sleep(0)
        await process.start()
        async with Door(process.url, process.keys) as door:
            again = await door.enter("lecturer", "wang", resume={"log": log, "after": position - 1})
            welcome = await again.hear("welcome")
            assert "state" not in welcome
            assert (await again.event("stage_entered", participant="li"))["pos"] == position
            li = await door.enter("student", "li")
            state = await li.hear("welcome")
            assert state["state"]["stage"] == {"0": "li"}
            assert state["answers"] == {1: [0]}
            await again.until(lambda m: m["t"] == "tally" and m["answered"] == 2)
            # Who does not come back within the grace is lost; the others keep their place.
            left = await again.event("left")
            assert (left["event"]["participant"], left["event"]["reason"]) == ("sun", "lost")
            await again.ask("quiz_close", quiz=1)
            assert (await li.event("quiz_closed"))["event"]["counts"] == [1, 1]
    finally:
        assert await process.end(signal.SIGTERM) == 0


async def test_stopped_it_sends_its_clients_to_reconnect(tmp_path: Path) -> None:
    process = Process(tmp_path)
    await process.start()
    async with Door(process.url, process.keys) as door:
        client = await door.enter("lecturer", "wang")
        assert await process.end(signal.SIGTERM) == 0
        goodbye = await client.hear("goodbye")
        assert (goodbye["code"], goodbye["reconnect"]) == ("server_restarting", True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{", "settings"),
        ('{"prot": 1}', "prot"),
        ('{"port": 70000}', "port"),
        ('{"tls_cert": "x.pem"}', "tls_key"),
        ('{"tls_cert": "/none.pem", "tls_key": "/none.pem"}', "certificate"),
        ('{"node": "http://x"}', "channel address"),
    ],
)
def test_bad_settings_are_one_clear_line(tmp_path: Path, settings: str, words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "signaling", "--config-json", settings],
        cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert words in done.stderr


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = {"data": str(tmp_path), "port": taken.getsockname()[1], "log_level": "error"}
        done = subprocess.run(
            [sys.executable, "-m", "signaling", "--config-json", json.dumps(settings)],
            capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{settings['port']}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_settings_have_defaults_and_read_back() -> None:
    assert parse_settings("{}") == Settings()
    assert parse_settings('{"limits": {"chat": {"per_s": 2, "burst": 3}}}').limits.chat.burst == 3
    with pytest.raises(BadSettings):
        parse_settings('{"limits": {"chat": {"per_s": 0, "burst": 3}}}')
