"""The channel between two machines: where it is, and the secret that guards it."""

import asyncio
import socket
from pathlib import Path

import pytest

from clients.cli import channel
from clients.cli.configuration import Configuration
from clients.cli.errors import BAD_CONFIGURATION, Problem
from mediaserver.channel.address import SILENCE_MS, TcpAddress, UnixAddress


def test_tcp_needs_a_secret_and_a_unix_socket_none() -> None:
    assert channel.address("tcp:[::1]:7883", "--node", "abc") == TcpAddress("::1", 7883)
    assert channel.address("unix:/run/node.sock", "--node", "") == UnixAddress("/run/node.sock")
    with pytest.raises(Problem, match=r"--node .*--channel-secret-file .*KELIAN_CHANNEL_SECRET") as caught:
        channel.address("tcp:127.0.0.1:7883", "--node", "")
    assert caught.value.exit_code == BAD_CONFIGURATION
    with pytest.raises(Problem, match=r"tcp:HOST:PORT or unix:/PATH, not '10\.0\.0\.2:7883'"):
        channel.address("10.0.0.2:7883", "--node", "abc")


def test_the_secret_is_the_files_one_line(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("  correct horse\n")
    named = Configuration(channel_secret_file=str(file), channel_secret="another")
    assert channel.secret(named) == "correct horse"
    assert channel.secret(Configuration(channel_secret="another")) == "another"
    for content in (b"", b"one\ntwo\n", b"\xff\xfe"):
        file.write_bytes(content)
        with pytest.raises(Problem, match=str(file)):
            channel.secret(named)
    file.unlink()
    with pytest.raises(Problem, match="No such file"):
        channel.secret(named)


async def test_a_machine_that_loses_power_is_noticed_on_either_side() -> None:
    """Nothing is closed then: both sockets have the kernel ask, and give up in time."""
    accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    server = await TcpAddress("127.0.0.1", 0).listen(lambda _, writer: accepted.put(writer))
    async with server:
        _, ours = await TcpAddress("127.0.0.1", server.sockets[0].getsockname()[1]).connect()
        theirs = await accepted.get()
        for writer in (ours, theirs):
            connection = writer.get_extra_info("socket")
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == SILENCE_MS
            writer.close()
