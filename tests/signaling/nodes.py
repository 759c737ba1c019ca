"""A real media node in a process of its own, to be killed and started again."""

import asyncio
import signal
import sys
from pathlib import Path


class NodeProcess:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.channel = f"unix:{folder}/node.sock"
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "NodeProcess":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end(signal.SIGTERM)

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mediaserver", "--channel", self.channel, "--bind", "127.0.0.1:0",
            "--journals", f"{self._folder}/journals", "--log-level", "warning",
        )  # fmt: skip

    def give(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def end(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()
