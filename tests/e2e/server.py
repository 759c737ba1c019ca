"""A real `kelian serve` for the end-to-end tests: its own data folder, ports, and processes to kill."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    def __init__(self, data: Path, *, codec: str = "h264") -> None:
        self.data = data
        self.http_port = free_port(socket.SOCK_STREAM)
        self.media_port = free_port(socket.SOCK_DGRAM)
        self.url = f"http://localhost:{self.http_port}"
        self._log = (data / "serve.log").open("wb")
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "clients.cli.main", "serve", "--data", str(data),
                "--http", f"127.0.0.1:{self.http_port}", "--media-port", str(self.media_port),
                "--announce", "127.0.0.1", "--tls", "off", "--codec", codec,
            ],
            stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def wait_ready(self, timeout_s: float = 30) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"kelian serve ended:\n{self.log()}")
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as response:
                    if response.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(0.1)
        raise RuntimeError(f"not ready in {timeout_s} s:\n{self.log()}")

    def log(self) -> str:
        return (self.data / "serve.log").read_text(errors="replace")[-6000:]

    def token(self, lesson: str, role: str, name: str) -> str:
        """As a school's script would get it: `kelian token` prints one token and nothing else."""
        return subprocess.run(
            [sys.executable, "-m", "clients.cli.main", "token", "--data", str(self.data),
             "--lesson", lesson, "--role", role, "--name", name],
            check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip

    def pid_of(self, module: str) -> int | None:
        """The process that runs `python -m <module>` under this server; None while there is none."""
        for pid in _descendants(self._process.pid):
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it has ended meanwhile
                command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"-m" in command and command[command.index(b"-m") + 1] == module.encode():
                    return pid
        return None

    def kill(self, module: str) -> int:
        """SIGKILL, as the out-of-memory killer would; returns the pid that died."""
        pid = self.pid_of(module)
        assert pid is not None, f"{module} does not run"
        os.kill(pid, signal.SIGKILL)
        return pid

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def _descendants(pid: int) -> list[int]:
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            children += map(int, task.read_text().split())
    return children + [grandchild for child in children for grandchild in _descendants(child)]


@contextlib.contextmanager
def serving(data: Path, *, codec: str = "h264") -> Iterator[Server]:
    server = Server(data, codec=codec)
    try:
        server.wait_ready()
        yield server
    finally:
        server.close()


def stats(server: Server) -> dict[str, float]:
    """The numbers of /metrics by name (labels kept in the name)."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=5) as response:
        text = response.read().decode()
    rows = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in rows}
