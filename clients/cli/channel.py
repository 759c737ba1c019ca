"""The channel between signaling and a media node, as people configure it: its address and its secret.

On one machine it is a Unix socket in the data folder, which its owner alone may use. Between two
machines it is TCP, guarded by a secret that both are given in a file or in the environment, never as
an argument: arguments are for all to see.
"""

import asyncio
from pathlib import Path

from clients.cli.configuration import Configuration, bad
from mediaserver.channel.address import SECRET_VARIABLE, TcpAddress, UnixAddress, parse_address

ASKED_AGAIN_S = 0.1


def address(text: str, flag: str, secret: str) -> TcpAddress | UnixAddress:
    """Raises Problem if the text is none, or if it is TCP and no secret guards it."""
    try:
        found = parse_address(text)
    except ValueError:
        raise bad(
            f"{flag} 应为 tcp:主机:端口 或 unix:/路径，而不是“{text}”",
            f"{flag} must be tcp:HOST:PORT or unix:/PATH, not {text!r}",
        ) from None
    if isinstance(found, TcpAddress) and not secret:
        raise bad(
            f"{flag} 用 TCP 时需要口令（两台机器相同）：--channel-secret-file 文件，或 {SECRET_VARIABLE}",
            f"{flag} over TCP needs a secret, the same on both machines: --channel-secret-file FILE, "
            f"or {SECRET_VARIABLE}",
        )
    return found


def secret(configuration: Configuration) -> str:
    """The file's one line if a file is named, else `channel_secret`. Raises Problem."""
    if not configuration.channel_secret_file:
        return configuration.channel_secret
    path = Path(configuration.channel_secret_file)
    try:
        text = path.read_text("utf-8").strip()
    except OSError as error:
        raise bad(f"读不了口令文件 {path}", f"cannot read the secret in {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise bad(f"口令文件 {path} 不是文本", f"the secret in {path} is not text") from error
    if not text or "\n" in text:
        raise bad(f"口令文件 {path} 应有且只有一行", f"{path} must hold the secret, on one line")
    return text


def environment(text: str) -> dict[str, str]:
    """How a process of ours is told the secret. Empty: there is none, whatever our own environment says."""
    return {SECRET_VARIABLE: text}


async def listening(where: TcpAddress | UnixAddress) -> None:
    """Until a node listens there."""
    while True:
        try:
            _, writer = await where.connect()
        except OSError:
            await asyncio.sleep(ASKED_AGAIN_S)
            continue
        writer.close()
        return
