"""`kelian` commands against a real server, as a person types them."""

import asyncio
import datetime
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.cli import certificate
from clients.cli.errors import NOT_REACHED, REFUSED
from tests.e2e.server import Server, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("kelian")) as running:
        yield running


def kelian(*words: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "clients.cli.main", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False)


def test_lessons_are_made_listed_and_ended(server: Server) -> None:
    here = ("--url", server.url, "--data", str(server.data))
    assert kelian("lesson", "create", "maths-1", "--title", "勾股定理", *here).stdout.startswith("maths-1 ")
    again = kelian("lesson", "create", "maths-1", *here)
    assert again.returncode == REFUSED
    assert "lesson_exists" in again.stderr
    assert again.stderr.count("\n") == 1
    listed = kelian("lesson", "list", *here).stdout
    assert "created" in listed
    assert "勾股定理" in listed
    assert "ended" in kelian("lesson", "end", "maths-1", *here).stdout
    assert "maths-1" not in kelian("lesson", "list", *here).stdout
    assert "maths-1" in kelian("lesson", "list", "--all", *here).stdout


def test_what_is_published_is_watched(server: Server, tmp_path: Path) -> None:
    token = server.token("watched", "lecturer", "王老师")
    publishing = subprocess.Popen(
        [sys.executable, "-m", "clients.cli.main", "publish", "test", "--board", "--seconds", "12",
         "--url", server.url, "--token", token],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert publishing.stdout is not None
    assert "camera, microphone, board" in publishing.stdout.readline()
    link = f"{server.url}/#/join/{server.token('watched', 'observer', '巡课')}"
    watched = kelian("watch", "--url", link, "--seconds", "4", "--snapshot", str(tmp_path))
    assert watched.returncode == 0, watched.stderr
    last = watched.stdout.rsplit("media ok", 1)[-1]
    assert "640×360" in last
    assert "1280×720" in last
    assert last.count("王老师") == 3
    assert {path.name for path in tmp_path.glob("*.png")} == {"lecturer.video.png", "board.png"}
    assert publishing.wait(20) == 0


def test_a_student_is_not_let_in_by_a_forged_token(server: Server) -> None:
    refused = kelian("watch", "--url", server.url, "--token", "abc", "--seconds", "1")
    assert refused.returncode == REFUSED
    assert "token_invalid" in refused.stderr
    assert refused.stderr.count("\n") == 1


async def test_a_certificate_of_the_servers_own_is_explained(tmp_path: Path) -> None:
    files = certificate.ensure(tmp_path, ["127.0.0.1"], datetime.datetime.now(datetime.UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        untrusted = await asyncio.to_thread(kelian, "watch", "--url", url, "--token", "abc")
    assert untrusted.returncode == NOT_REACHED
    assert "--insecure" in untrusted.stderr
    assert untrusted.stderr.count("\n") == 1


def test_no_server() -> None:
    absent = kelian("watch", "--url", "http://127.0.0.1:1", "--token", "abc")
    assert absent.returncode == NOT_REACHED
    assert absent.stderr.count("\n") == 1
