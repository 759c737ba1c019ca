"""What `kelian serve` and `kelian node` start: signaling and the media node, each a process of its own.

On one machine `serve` starts both. With `node` in its configuration it starts signaling alone, which
joins the media node that `kelian node` keeps up on another machine.
"""

import asyncio
import contextlib
import datetime
import errno
import fcntl
import hashlib
import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import click
import msgspec

from clients.cli import certificate, channel, ports
from clients.cli.configuration import Configuration
from clients.cli.errors import BAD_CONFIGURATION, FOLDER_TAKEN, Problem
from clients.cli.supervisor import Command, Supervisor
from mediaserver.channel.address import TcpAddress

MEDIA, SIGNALING = "media", "signaling"
SOCKET_PATH_MAX = 107  # bytes of a Unix socket's address, sockaddr_un
ROOM_BYTES = 16 << 20  # a database and its journal; with less the first lesson would fail
PATIENCE_S = 5.0  # then people are told what the server still waits for


def prepare(configuration: Configuration) -> list[Command]:
    """Checks ports, makes folders and certificate, and says what to start. Raises Problem."""
    ports.check_http(configuration.http_host, configuration.http_port)
    secret = ""
    if configuration.node:
        secret = channel.secret(configuration)
        channel.address(configuration.node, "--node", secret)
    else:
        ports.check_media(configuration.media_port)
    data = Path(configuration.data).absolute()
    with writable(data):
        data.mkdir(parents=True, exist_ok=True)
        check_room(data)
        node = configuration.node or f"unix:{channel_path(data)}"
        settings = signaling_settings(configuration, data, node)
    signaling = Command(
        name=SIGNALING,
        argv=[sys.executable, "-m", "signaling", "--config-json", json.dumps(settings)],
        environment=channel.environment(secret),
    )
    return [signaling] if configuration.node else [media(configuration, data, node, secret), signaling]


def prepare_node(configuration: Configuration) -> Command:
    """A media node alone. Checks its ports and its secret. Raises Problem."""
    secret = channel.secret(configuration)
    where = channel.address(configuration.channel, "--channel", secret)
    if isinstance(where, TcpAddress):
        ports.check_channel(where.host, where.port)
    ports.check_media(configuration.media_port)
    data = Path(configuration.data).absolute()
    with writable(data):
        data.mkdir(parents=True, exist_ok=True)
        check_room(data)
    return media(configuration, data, configuration.channel, secret)


def run(commands: Sequence[Command], data: Path, url: str, greeting: str) -> None:
    """Until it is told to stop; the greeting is printed once the server at `url` is ready. Raises Problem."""
    with alone_in(data):
        asyncio.run(_supervise(commands, _ready(url), greeting))


def run_node(command: Command, configuration: Configuration, greeting: str) -> None:
    """Until it is told to stop; the greeting is printed once the node listens. Raises Problem."""
    where = channel.address(configuration.channel, "--channel", channel.secret(configuration))
    asyncio.run(_supervise([command], channel.listening(where), greeting))


async def _supervise(commands: Sequence[Command], ready: Awaitable[None], greeting: str) -> None:
    async def greet() -> None:
        await ready
        click.echo(greeting)

    greeter = asyncio.create_task(greet())
    try:
        await Supervisor(commands).run()
    finally:
        greeter.cancel()


def check_room(data: Path) -> None:
    """Raises OSError if files cannot be made in the folder, or none of any size."""
    if not os.access(data, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(data))
    if shutil.disk_usage(data).free < ROOM_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(data))


@contextlib.contextmanager
def writable(data: Path) -> Iterator[None]:
    """What the system says of a folder that cannot be used becomes a Problem."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Problem(
                BAD_CONFIGURATION,
                f"数据目录 {data} 所在的磁盘已满；请清理，或用 --data 另选",
                f"the disk of the data folder {data} is full (it needs 16 MiB at least); make room, "
                "or choose another with --data",
            ) from error
        raise Problem(
            BAD_CONFIGURATION,
            f"数据目录 {data} 不能写入；请用 --data 另选",
            f"cannot write to the data folder {data} ({error.strerror}); choose another with --data",
        ) from error


@contextlib.contextmanager
def alone_in(data: Path) -> Iterator[None]:
    """Two servers must not share one data folder: raises Problem if another holds it."""
    with writable(data):
        lock = (data / "serve.lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Problem(
                FOLDER_TAKEN,
                f"数据目录 {data} 正由另一个课联使用；请先停掉它，或用 --data 另选",
                f"another Kelian uses the data folder {data}; stop it, or choose another with --data",
            ) from error
        yield


async def _ready(url: str) -> None:
    """Until lessons can be entered; says once what is missing if that takes long."""
    loop = asyncio.get_running_loop()
    told_at = loop.time() + PATIENCE_S
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        while True:
            # Its own server, whose certificate names the school's domain perhaps, and not this address.
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with session.get(f"{url}/readyz", ssl=False) as response:
                    if response.status == 200:
                        return
                    missing = (await response.json())["checks"]
                    if loop.time() > told_at:
                        told_at = math.inf
                        click.echo(waiting_for(missing))
            await asyncio.sleep(0.1)


def waiting_for(checks: Mapping[str, str]) -> str:
    """One line from what /readyz says."""
    missing = ", ".join(f"{name}: {state}" for name, state in checks.items() if state != "ok")
    zh, en = "仍在等待", "still waiting for"
    if checks.get("media_node", "ok") != "ok":
        hint_zh = "：媒体节点在运行吗？防火墙放行它的端口吗？两边口令相同吗？"
        hint = ": does the media node run, is its port open, is the secret the same on both sides?"
        return f"课联 {zh}{hint_zh} | Kelian: {en} {missing}{hint}"
    return f"课联 {zh} {missing} | Kelian: {en} {missing}"


def media(configuration: Configuration, data: Path, where: str, secret: str) -> Command:
    port = configuration.media_port
    argv = [sys.executable, "-m", "mediaserver", "--channel", where]
    argv += ["--bind", f"0.0.0.0:{port}"]
    if has_ipv6():
        argv += ["--bind", f"[::]:{port}"]
    argv += ["--journals", str(data / "journals"), "--log-level", configuration.log_level]
    for address in configuration.announce:
        argv += ["--announce", address]
    return Command(name=MEDIA, argv=argv, environment=channel.environment(secret))


def signaling_settings(configuration: Configuration, data: Path, node: str) -> dict[str, Any]:
    """As `signaling.config.Settings` reads them."""
    files = tls_files(configuration, data)
    return {
        "host": configuration.http_host,
        "port": configuration.http_port,
        "tls_cert": str(files[0]) if files else "",
        "tls_key": str(files[1]) if files else "",
        "data": str(data),
        "api_keys": configuration.api_keys,
        "node": node,
        "web_root": configuration.web_root,
        "codec": configuration.codec,
        "record": configuration.record == "on",
        "trusted_proxies": list(configuration.trusted_proxies),
        "cors_origins": list(configuration.cors_origins),
        "log_level": configuration.log_level,
        "limits": msgspec.to_builtins(configuration.limits),
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
