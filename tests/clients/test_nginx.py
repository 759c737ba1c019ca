"""The nginx configuration in docs/install.md before a real server (skipped where nginx is not installed)."""

import datetime
import shutil
import socket
import ssl
import subprocess
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from clients import python as kelian
from clients.cli import certificate, tokens
from tests.e2e.server import Server, free_port

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
DOCUMENT = Path(__file__).parents[2] / "docs" / "install.md"
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def documented(server_port: int, own_port: int, files: certificate.Files) -> str:
    """The document's server block, with the ports and files of this test."""
    block = DOCUMENT.read_text().split("    # nginx\n")[1].split("\n\n## ")[0]
    server = textwrap.dedent(block[: block.index("\n    }\n") + len("\n    }\n")])
    for written, here in (
        ("listen 443 ", f"listen 127.0.0.1:{own_port} "),
        ("/etc/nginx/fullchain.pem", str(files.certificate)),
        ("/etc/nginx/key.pem", str(files.key)),
        ("http://127.0.0.1:7880", f"http://127.0.0.1:{server_port}"),
    ):
        assert written in server
        server = server.replace(written, here)
    return server


@contextmanager
def proxy(folder: Path, server_port: int) -> Iterator[str]:
    files = certificate.ensure(folder / "tls", ["localhost"], datetime.datetime.now(datetime.UTC))
    port = free_port(socket.SOCK_STREAM)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\nevents {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n"
        f"{documented(server_port, port, files)} }}\n"
    )
    with subprocess.Popen([str(NGINX), "-c", str(configuration)], stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 10
            while socket.socket().connect_ex(("127.0.0.1", port)):
                assert process.poll() is None, (folder / "error.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield f"https://localhost:{port}"
        finally:
            process.terminate()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("KELIAN_TRUSTED_PROXIES", "127.0.0.1")
    running = Server(tmp_path)
    try:
        running.wait_ready()
        yield running
    finally:
        running.close()


async def test_every_door_is_open_behind_nginx(server: Server, tmp_path: Path) -> None:
    owner = tokens.authorization(tmp_path / "keys.toml")
    with proxy(tmp_path, server.http_port) as url:
        trusted = ssl.create_default_context(cafile=str(tmp_path / "tls" / "certificate.pem"))
        connector = aiohttp.TCPConnector(ssl=trusted)
        async with aiohttp.ClientSession(url, connector=connector) as web:
            async with web.get("/") as page:
                assert page.status == 200
                assert "<html" in await page.text()
            async with web.post("/api/v1/lessons", json={"id": "m", "title": "t"}, headers=owner) as made:
                assert made.status == 201
            body = {"role": "lecturer", "name": "王老师"}
            async with web.post("/api/v1/lessons/m/tokens", json=body, headers=owner) as issued:
                ticket = await issued.json()
            assert ticket["url"].startswith(f"{url}/#/join/")  # the proxy's own name, and https
            bearer = {"Authorization": f"Bearer {ticket['token']}", "Content-Type": "application/sdp"}
            async with web.post("/whip/m", data="v=0\r\n" + "a=x\r\n" * 50_000, headers=bearer) as large:
                assert (await large.json())["code"] == "bad_sdp"  # read whole: 250 kB
            async with web.options("/whep/m") as asked:
                assert asked.status == 204
        async with kelian.join(url, ticket["token"], verify_tls=False) as lesson:
            media = await lesson.open_media(pool=False)
            assert media.connected
