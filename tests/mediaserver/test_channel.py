"""The channel between signaling and a media node: framing, typing, reconnecting."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.channel.address import TcpAddress, UnixAddress, parse_address
from mediaserver.channel.client import NodeClient, NodeRefused, NodeUnavailable
from mediaserver.channel.framing import MAX_FRAME_BYTES, FrameError, encode, from_node_frames, to_node_frames
from mediaserver.channel.messages import (
    CloseSession,
    FromNode,
    GetStats,
    Hello,
    Levels,
    OpenSession,
    Refused,
    SessionAnswered,
    SetPlan,
    SourceState,
    Stats,
    ToNode,
    Welcome,
)
from mediaserver.channel.server import ChannelServer

names = st.text(max_size=20)
sources = st.integers(1, 2**32 - 1)
to_node = st.one_of(
    st.builds(
        OpenSession,
        req=st.integers(0, 2**53),
        session=names,
        lesson=names,
        participant=names,
        codec=st.sampled_from(["h264", "vp8"]),
        offer=st.text(max_size=200),
        labels=st.dictionaries(names, names, max_size=4),
        sources=st.dictionaries(names, sources, max_size=4),
    ),
    st.builds(CloseSession, session=names),
    st.builds(
        SetPlan,
        lesson=names,
        slots=st.dictionaries(names, sources, max_size=8),
        floor=st.lists(sources, max_size=8),
        overrides=st.dictionaries(names, st.dictionaries(names, sources, max_size=3), max_size=3),
    ),
    st.builds(GetStats, req=st.integers(0, 100), session=names),
)


@given(st.lists(to_node, max_size=6), st.randoms(use_true_random=False))
def test_messages_survive_any_cutting_of_the_stream(messages: list[ToNode], rng: random.Random) -> None:
    stream = b"".join(encode(message) for message in messages)
    frames = to_node_frames()
    received: list[ToNode] = []
    while stream:
        cut = rng.randint(1, len(stream))
        received += frames.feed(stream[:cut])
        stream = stream[cut:]
    assert received == messages


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_waited_for(data: bytes) -> None:
    received: list[FromNode] = []
    with contextlib.suppress(FrameError):
        received += from_node_frames().feed(data)
    assert len(received) <= len(data) // 5


def test_a_frame_over_the_limit_is_refused_before_it_is_read() -> None:
    announced = (MAX_FRAME_BYTES + 1).to_bytes(4, "big")
    with pytest.raises(FrameError) as caught:
        list(to_node_frames().feed(announced))
    assert caught.value.code == "frame_too_large"


def test_a_message_over_the_limit_is_not_sent() -> None:
    with pytest.raises(FrameError):
        encode(SessionAnswered(req=1, session="s", answer="x" * MAX_FRAME_BYTES))


def test_a_message_of_the_other_direction_is_malformed() -> None:
    with pytest.raises(FrameError) as caught:
        list(to_node_frames().feed(encode(SourceState(source=1, live=True))))
    assert caught.value.code == "frame_malformed"


def test_messages_before_a_bad_frame_are_given() -> None:
    bad = msgspec.msgpack.encode({"t": "nonsense"})
    frames = to_node_frames().feed(encode(CloseSession(session="a")) + len(bad).to_bytes(4, "big") + bad)
    assert next(frames) == CloseSession(session="a")
    with pytest.raises(FrameError):
        next(frames)


def test_the_documented_example_is_of_this_vocabulary() -> None:
    document = (Path(__file__).parents[2] / "docs" / "channel.md").read_text()
    lines = document.split("```")[1].strip().splitlines()
    assert len(lines) > 10
    for line in lines:
        way, text = line[0], line[2:].encode()
        message = msgspec.json.decode(text, type=ToNode if way == ">" else FromNode)
        frames = to_node_frames() if way == ">" else from_node_frames()
        assert list(frames.feed(encode(message))) == [message]
        given, known = msgspec.json.decode(text), msgspec.json.decode(msgspec.json.encode(message))
        given.pop("version", None)  # left out when it is the only one there is
        assert given == {key: known.get(key) for key in given}, "a field that the message lacks"


def test_every_message_is_documented() -> None:
    document = (Path(__file__).parents[2] / "docs" / "channel.md").read_text()
    for union in (ToNode, FromNode):
        for message in get_args(union):
            assert f"| `{message.__struct_config__.tag}` |" in document


def test_addresses() -> None:
    assert parse_address("unix:/run/node.sock") == UnixAddress("/run/node.sock")
    assert parse_address("tcp:10.0.0.1:7000") == TcpAddress("10.0.0.1", 7000)
    assert parse_address("tcp:[::1]:7000") == TcpAddress("::1", 7000)
    for wrong in ("", "unix:", "tcp:host", "tcp:host:port", "tcp::1", "tcp:host:70000", "http://x"):
        with pytest.raises(ValueError, match="channel address"):
            parse_address(wrong)


@dataclass
class Peer:
    """What a signaling process hears of a node."""

    welcomes: list[Welcome] = field(default_factory=list)
    messages: list[FromNode] = field(default_factory=list)
    losses: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def welcome(self, message: Welcome) -> None:
        self.welcomes.append(message)
        self.changed.set()

    def message(self, message: FromNode) -> None:
        self.messages.append(message)
        self.changed.set()

    def lost(self) -> None:
        self.losses += 1
        self.changed.set()

    def client(self, address: str, secret: str = "") -> NodeClient:
        return NodeClient(
            address, secret, on_message=self.message, on_connected=self.welcome, on_lost=self.lost
        )

    async def until(self, condition: str) -> None:
        async with asyncio.timeout(5):
            while not eval(condition, {"peer": self}):
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def serving(address: str, secret: str = "", epoch: str = "one") -> AsyncIterator[ChannelServer]:
    def take(message: ToNode) -> None:
        match message:
            case OpenSession(offer="bad"):
                server.send(Refused(req=message.req, code="bad_sdp", detail="line 1"))
            case OpenSession():
                server.send(SessionAnswered(req=message.req, session=message.session, answer=message.offer))
            case GetStats(session="silent"):
                pass
            case GetStats():
                server.send(Stats(req=message.req, stats={"packets": 3}))
            case SetPlan():
                server.send(Levels(lesson=message.lesson, levels=[(7, 30)]))

    server = ChannelServer(address, secret, welcome=lambda: Welcome(epoch=epoch), on_message=take)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


def opening(offer: str) -> OpenSession:
    return OpenSession(req=0, session="s", lesson="l", participant="p", codec="vp8", offer=offer)


async def test_requests_replies_refusals_and_reports(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/node.sock"
    peer = Peer()
    async with serving(address):
        client = peer.client(address)
        client.start()
        await peer.until("peer.welcomes")
        assert peer.welcomes[0].epoch == "one"
        assert (tmp_path / "node.sock").stat().st_mode & 0o777 == 0o600

        answers = await asyncio.gather(*(client.request(opening(f"offer {n}")) for n in range(20)))
        assert [answer.answer for answer in answers] == [f"offer {n}" for n in range(20)]
        with pytest.raises(NodeRefused) as caught:
            await client.request(opening("bad"))
        assert caught.value.code == "bad_sdp"
        assert (await client.request(GetStats(req=0))).stats == {"packets": 3}

        assert client.send(SetPlan(lesson="l"))
        await peer.until("peer.messages")
        assert peer.messages == [Levels(lesson="l", levels=[(7, 30)])]
        await client.close()


async def test_client_finds_a_restarted_node_again(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/node.sock"
    peer = Peer()
    client = peer.client(address)
    client.start()
    assert not client.send(CloseSession(session="s"))
    with pytest.raises(NodeUnavailable):
        await client.request(opening("nobody there"))
    async with serving(address, epoch="one"):
        await peer.until("peer.welcomes")
        waiting = asyncio.ensure_future(client.request(GetStats(req=0, session="silent")))
        await asyncio.sleep(0)
    with pytest.raises(NodeUnavailable):
        await waiting
    assert peer.losses == 1
    async with serving(address, epoch="two"):
        await peer.until("len(peer.welcomes) == 2")
        assert [welcome.epoch for welcome in peer.welcomes] == ["one", "two"]
        assert (await client.request(GetStats(req=0))).stats
    await client.close()


async def _waits(monkeypatch: pytest.MonkeyPatch, client: NodeClient, count: int) -> list[float]:
    """How long it waits between its tries; no time passes."""
    waits: list[float] = []

    async def sleep(delay_s: float) -> None:
        waits.append(delay_s)
        if len(waits) == count:
            raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr("mediaserver.channel.client.asyncio.sleep", sleep)
        with pytest.raises(asyncio.CancelledError):
            await client.run()
    return waits


async def test_an_absent_node_is_looked_for_without_growing_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Peer().client(f"unix:{tmp_path}/node.sock")
    assert await _waits(monkeypatch, client, 200) == [0.05] * 200


async def test_a_node_that_does_not_welcome_is_asked_ever_more_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"unix:{tmp_path}/node.sock"
    async with serving(address, secret="right") as server:
        waits = await _waits(monkeypatch, Peer().client(address, "wrong"), 8)
        assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
        assert server.rejected == 8


async def test_newest_connection_wins(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/node.sock"
    old, new = Peer(), Peer()
    async with serving(address) as server:
        first, second = old.client(address), new.client(address)
        first.start()
        await old.until("peer.welcomes")
        second.start()
        await new.until("peer.welcomes")
        await old.until("peer.losses")
        await first.close()
        await new.until("len(peer.welcomes) - peer.losses == 1")
        assert server.connected
        await second.close()


async def test_wrong_secret_is_turned_away() -> None:
    async with serving("tcp:127.0.0.1:0", secret="right") as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(encode(Hello(secret="wrong")))
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        assert server.rejected == 1
        peer = Peer()
        client = peer.client(f"tcp:127.0.0.1:{server.port}", "right")
        client.start()
        await peer.until("peer.welcomes")
        await client.close()


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff",
        encode(CloseSession(session="before hello")),
        encode(Hello(version=99)),
        encode(Hello()) + b"\x00\x00\x00\x01\xc1",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_bad_bytes_close_their_connection_only(tmp_path: Path, data: bytes) -> None:
    address = f"unix:{tmp_path}/node.sock"
    async with serving(address) as server:
        reader, writer = await asyncio.open_unix_connection(f"{tmp_path}/node.sock")
        writer.write(data)
        async with asyncio.timeout(5):
            while await reader.read(65536):
                pass
        writer.close()
        assert server.frame_errors + server.rejected == 1
        peer = Peer()
        client = peer.client(address)
        client.start()
        await peer.until("peer.welcomes")
        await client.close()
