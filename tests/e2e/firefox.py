"""A stock Firefox, driven by WebDriver BiDi over a WebSocket: Playwright drives only its own, patched one."""

import asyncio
import contextlib
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

EXECUTABLE = "firefox-esr"
START_S = 40.0
ANSWER_S = 40.0

PREFERENCES: dict[str, bool | int | str] = {
    # A camera and a microphone of its own making, without a question, and sound without a click.
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "media.peerconnection.ice.loopback": True,
    # Nothing is asked of anybody but the server under test.
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.newtabpage.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.search.update": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "captivedetect.canonicalURL": "",
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "network.prefetch-next": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}


class ScriptFailed(Exception):
    """What a script in the page has thrown."""


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._count = 0
        self._context = ""

    async def begin(self) -> None:
        await self._command("session.new", {"capabilities": {}})
        tree = await self._command("browsingContext.getTree", {})
        self._context = tree["contexts"][0]["context"]

    async def open(self, url: str) -> None:
        where = {"context": self._context, "url": url, "wait": "complete"}
        await self._command("browsingContext.navigate", where)

    async def run(self, script: str) -> Any:
        """The JSON of what the expression (or promise) comes to. Raises ScriptFailed."""
        result = await self._command(
            "script.evaluate",
            {
                "expression": f"Promise.resolve({script}).then(value => JSON.stringify(value ?? null))",
                "target": {"context": self._context},
                "awaitPromise": True,
                "userActivation": True,
            },
        )
        if result["type"] == "exception":
            raise ScriptFailed(result["exceptionDetails"]["text"])
        return json.loads(result["result"]["value"])

    async def add(self, script: str) -> None:
        await self.run(f"(() => {{ {script} }})()")

    async def _command(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._count += 1
        await self._socket.send_json({"id": self._count, "method": method, "params": parameters})
        async with asyncio.timeout(ANSWER_S):
            async for message in self._socket:
                answer = json.loads(message.data)
                if answer.get("id") == self._count:
                    break
            else:
                raise ConnectionError("Firefox has gone")
        if answer["type"] == "error":
            raise RuntimeError(f"{method}: {answer['error']}: {answer['message']}")
        result: dict[str, Any] = answer["result"]
        return result


@contextlib.asynccontextmanager
async def firefox(profile: Path) -> AsyncIterator[Page]:
    """A fresh Firefox with its own profile, closed at the end."""
    executable = shutil.which(EXECUTABLE)
    assert executable is not None, f"{EXECUTABLE} is not installed (.ci/run names what tests need)"
    _write(profile)
    process = await asyncio.create_subprocess_exec(
        executable, "--headless", "--no-remote", "--remote-debugging-port=0", "--profile", str(profile),
        env={**os.environ, "HOME": str(profile), "MOZ_HEADLESS": "1", "MOZ_CRASHREPORTER_DISABLE": "1"},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    reading: asyncio.Task[None] | None = None
    try:
        assert process.stderr is not None
        url = await _bidi_url(process.stderr)
        reading = asyncio.create_task(_drain(process.stderr))
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{url}/session", max_msg_size=0) as socket,
        ):
            page = Page(socket)
            await page.begin()
            yield page
    finally:
        if process.returncode is None:
            process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
        if reading is not None:
            reading.cancel()


def _write(profile: Path) -> None:
    profile.mkdir(parents=True)
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))


async def _bidi_url(output: asyncio.StreamReader) -> str:
    said = []
    async with asyncio.timeout(START_S):
        async for line in output:
            said.append(line.decode(errors="replace"))
            if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", said[-1]):
                return found[1]
    raise RuntimeError(f"Firefox did not start: {''.join(said)}")


async def _drain(output: asyncio.StreamReader) -> None:
    while await output.read(65536):
        pass
