"""A real signaling server on a free port, on the event loop that it runs on in earnest."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from signaling.config import Settings
from signaling.web.app import Server
from tests.signaling.doors import Door


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(port=0, data=str(tmp_path), web_root=str(tmp_path / "pages"), grace_ms=300)


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[Server]:
    async with Server(settings) as server:
        yield server


@pytest.fixture
async def door(server: Server) -> AsyncIterator[Door]:
    async with Door(server.url, server.keys) as door:
        yield door
