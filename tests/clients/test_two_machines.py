"""`kelian serve --node` and `kelian node`, as on two machines: either side may be killed."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clients import python as kelian
from clients.cli.errors import PORT_TAKEN
from tests.e2e.server import free_port

SECRET = "correct-horse-battery"
CLI = (sys.executable, "-m", "clients.cli.main")


@contextmanager
def running(log: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output, subprocess.Popen([*CLI, *words], stdout=output, stderr=output) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(12)
            except subprocess.TimeoutExpired:
                process.kill()


def child(parent: int) -> int:
    """The one process that this supervisor keeps up."""
    (pid,) = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return int(pid)


def arguments(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def readiness(url: str) -> int:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def until_ready(url: str, wanted: int = 200) -> None:
    deadline = time.monotonic() + 30
    while (found := readiness(url)) != wanted:
        assert time.monotonic() < deadline, f"/readyz says {found}"
        time.sleep(0.1)


def token(data: Path, role: str) -> str:
    words = ("token", "--data", str(data), "--lesson", "far", "--role", role, "--name", role)
    return subprocess.run([*CLI, *words], check=True, capture_output=True, text=True).stdout.strip()


async def more_pictures(media: kelian.Media, within_s: float = 20) -> None:
    """Ten more decoded pictures of the lecturer than there are now."""
    slot = media.slots["lecturer.video"]
    goal = slot.frames + 10
    async with asyncio.timeout(within_s):
        while slot.frames < goal:  # noqa: ASYNC110 (a decoder's own count)
            await asyncio.sleep(0.05)


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(SECRET)
    return path


async def test_a_lesson_on_two_machines_outlives_the_death_of_either_side(
    tmp_path: Path, secret_file: Path
) -> None:
    channel, http = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_STREAM)
    media_port = free_port(socket.SOCK_DGRAM)
    data, url = tmp_path / "data", f"http://127.0.0.1:{http}"
    secret = ("--channel-secret-file", str(secret_file))
    here = running(
        tmp_path / "serve.log", "serve", "--data", str(data), "--http", f"127.0.0.1:{http}", "--tls", "off",
        "--node", f"tcp:127.0.0.1:{channel}", *secret,
    )  # fmt: skip
    there = running(
        tmp_path / "node.log", "node", "--channel", f"tcp:127.0.0.1:{channel}", "--announce", "127.0.0.1",
        "--media-port", str(media_port), *secret,
    )  # fmt: skip
    with there as node, here as serve:
        until_ready(url)
        for process in (serve.pid, node.pid, child(serve.pid), child(node.pid)):
            assert SECRET not in arguments(process)
        lecturer = running(
            tmp_path / "publish.log", "publish", "test", "--url", url, "--token", token(data, "lecturer")
        )
        with lecturer:
            async with kelian.join(url, token(data, "observer")) as lesson:
                media = await lesson.open_media()
                await more_pictures(media)
                for parent in (node.pid, serve.pid):
                    os.kill(child(parent), signal.SIGKILL)
                    await more_pictures(media)
                    await asyncio.to_thread(until_ready, url)
    log = (tmp_path / "serve.log").read_text()
    assert f"tcp:127.0.0.1:{channel}" in log  # the greeting says which node
    assert log.count("media node lost") == 1  # when it was killed, and not when all was stopped


def test_a_node_with_another_secret_is_not_joined_and_the_operator_is_told(
    tmp_path: Path, secret_file: Path
) -> None:
    channel, http = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_STREAM)
    media_port = free_port(socket.SOCK_DGRAM)
    other = tmp_path / "other"
    other.write_text("wrong")
    log = tmp_path / "serve.log"
    there = running(
        tmp_path / "node.log", "node", "--channel", f"tcp:127.0.0.1:{channel}",
        "--media-port", str(media_port), "--channel-secret-file", str(secret_file),
    )  # fmt: skip
    here = running(
        log, "serve", "--data", str(tmp_path / "data"), "--http", f"127.0.0.1:{http}", "--tls", "off",
        "--node", f"tcp:127.0.0.1:{channel}", "--channel-secret-file", str(other),
    )  # fmt: skip
    with there, here:
        until_ready(f"http://127.0.0.1:{http}", wanted=503)
        deadline = time.monotonic() + 20
        while "is the secret the same on both sides?" not in log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert "signaling has the wrong secret" in (tmp_path / "node.log").read_text()
        assert readiness(f"http://127.0.0.1:{http}") == 503


def test_a_taken_channel_port_is_one_line(secret_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ("node", "--channel", f"tcp:127.0.0.1:{port}", "--channel-secret-file", str(secret_file))
        result = subprocess.run([*CLI, *words], capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode == PORT_TAKEN
    assert result.stderr.count("\n") == 1
    assert f"--channel tcp:127.0.0.1:{port + 1}" in result.stderr
