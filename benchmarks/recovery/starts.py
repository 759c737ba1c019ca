"""How long the processes take to start, without a lesson: what no recovery can go below."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from socket import SOCK_STREAM

from tests.e2e.server import free_port

PATIENCE_S = 30.0
POLL_S = 0.01

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def node_start_s() -> float:
    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/node.sock"
        return await _start_s(
            lambda: asyncio.open_unix_connection(socket),
            "mediaserver", "--channel", f"unix:{socket}", "--bind", "127.0.0.1:0", "--log-level", "error",
        )  # fmt: skip


async def signaling_start_s() -> float:
    port = free_port(SOCK_STREAM)
    with tempfile.TemporaryDirectory() as folder:
        settings = {"data": folder, "port": port, "log_level": "error"}
        return await _start_s(
            lambda: asyncio.open_connection("127.0.0.1", port),
            "signaling", "--config-json", json.dumps(settings),
        )  # fmt: skip


async def _start_s(reachable: Callable[[], Awaitable[Streams]], *arguments: str) -> float:
    """From starting `python -m ...` to the process's taking connections."""
    began_s = time.monotonic()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *arguments)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    _, writer = await reachable()
                except OSError:
                    await asyncio.sleep(POLL_S)
                    continue
                writer.close()
                return time.monotonic() - began_s
    finally:
        process.terminate()
        await process.wait()
