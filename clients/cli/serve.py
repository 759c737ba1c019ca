"""What `kelian serve` starts: the media node and signaling, each a process of its own."""

import asyncio
import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import click

from clients.cli import certificate, ports
from clients.cli.configuration import Configuration
from clients.cli.errors import BAD_CONFIGURATION, FOLDER_TAKEN, Problem
from clients.cli.supervisor import Command, Supervisor

MEDIA, SIGNALING = "media", "signaling"
SOCKET_PATH_MAX = 107  # bytes of a Unix socket's address, sockaddr_un


def prepare(configuration: Configuration) -> list[Command]:
    """Checks ports, makes folders and certificate, and says what to start. Raises Problem."""
    ports.check_http(configuration.http_host, configuration.http_port)
    ports.check_media(configuration.media_port)
    data = Path(configuration.data).absolute()
    try:
        data.mkdir(parents=True, exist_ok=True)
        channel = f"unix:{channel_path(data)}"
        settings = signaling_settings(configuration, data, channel)
    except OSError as error:
        raise Problem(
            BAD_CONFIGURATION,
            f"数据目录 {data} 不能写入；请用 --data 另选",
            f"cannot write to the data folder {data} ({error.strerror}); choose another with --data",
        ) from error
    return [
        Command(name=MEDIA, argv=media_argv(configuration, data, channel)),
        Command(
            name=SIGNALING,
            argv=[sys.executable, "-m", "signaling", "--config-json", json.dumps(settings)],
        ),
    ]


def run(commands: Sequence[Command], data: Path, url: str, greeting: str) -> None:
    """Until it is told to stop; the greeting is printed once the server at `url` is ready. Raises Problem."""

    async def supervise() -> None:
        greeter = asyncio.create_task(_greet(url, greeting))
        try:
            await Supervisor(commands).run()
        finally:
            greeter.cancel()

    with alone_in(data):
        asyncio.run(supervise())


@contextlib.contextmanager
def alone_in(data: Path) -> Iterator[None]:
    """Two servers must not share one data folder: raises Problem if another holds it."""
    with (data / "serve.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Problem(
                FOLDER_TAKEN,
                f"数据目录 {data} 正由另一个课联使用；请先停掉它，或用 --data 另选",
                f"another Kelian uses the data folder {data}; stop it, or choose another with --data",
            ) from error
        yield


async def _greet(url: str, greeting: str) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        while True:
            # Its own server, whose certificate names the school's domain perhaps, and not this address.
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with session.get(f"{url}/readyz", ssl=False) as response:
                    if response.status == 200:
                        break
            await asyncio.sleep(0.1)
    click.echo(greeting)


def media_argv(configuration: Configuration, data: Path, channel: str) -> list[str]:
    port = configuration.media_port
    argv = [sys.executable, "-m", "mediaserver", "--channel", channel]
    argv += ["--bind", f"0.0.0.0:{port}"]
    if has_ipv6():
        argv += ["--bind", f"[::]:{port}"]
    argv += ["--journals", str(data / "journals"), "--log-level", configuration.log_level]
    for address in configuration.announce:
        argv += ["--announce", address]
    return argv


def signaling_settings(configuration: Configuration, data: Path, channel: str) -> dict[str, Any]:
    """As `signaling.config.Settings` reads them."""
    files = tls_files(configuration, data)
    return {
        "host": configuration.http_host,
        "port": configuration.http_port,
        "tls_cert": str(files[0]) if files else "",
        "tls_key": str(files[1]) if files else "",
        "data": str(data),
        "api_keys": configuration.api_keys,
        "node": channel,
        "web_root": configuration.web_root,
        "codec": configuration.codec,
        "record": configuration.record == "on",
        "trusted_proxies": list(configuration.trusted_proxies),
        "cors_origins": list(configuration.cors_origins),
        "log_level": configuration.log_level,
    }


def tls_files(configuration: Configuration, data: Path) -> tuple[Path, Path] | None:
    if configuration.tls == "off":
        return None
    own = configuration.tls_files
    if own is not None:
        return Path(own[0]), Path(own[1])
    names = certificate.local_names(configuration.announce)
    return certificate.ensure(data / "tls", names, datetime.datetime.now(datetime.UTC))


def channel_path(data: Path) -> Path:
    """The socket between signaling and the media node; outside of a data folder whose path is too long."""
    path = data / "media.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_MAX:
        return path
    folder = Path(tempfile.gettempdir()) / f"kelian-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.stat()
    if state.st_uid != os.getuid() or state.st_mode & 0o077:
        raise PermissionError(1, "others can write there", str(folder))
    return folder / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.sock"


def has_ipv6() -> bool:
    """Whether this machine speaks IPv6 at all: containers often do not."""
    return Path("/proc/net/if_inet6").exists() and bool(Path("/proc/net/if_inet6").read_text().strip())
