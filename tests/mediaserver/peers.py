"""Real WebRTC clients (aiortc) and a signaling of a few lines, for tests of a whole node."""

import asyncio
import fractions
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from mediaserver._engine import Engine
from mediaserver.addresses import announced_addresses, local_addresses
from mediaserver.channel.client import NodeClient
from mediaserver.channel.messages import FromNode, OpenSession, SessionAnswered, Welcome
from mediaserver.node import Node

RED, BLUE = (220, 30, 30), (30, 30, 220)
FRAME_S = 1 / 12
SAMPLE_RATE = 48000
CHUNK = 960  # samples, 20 ms


async def eventually(condition: Callable[[], object], what: str, timeout_s: float = 10.0) -> None:
    """Waits until the condition holds; fails saying what did not come."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s} s"
        await asyncio.sleep(0.02)


class Picture(MediaStreamTrack):
    """One colour, with a bar that moves."""

    kind = "video"

    def __init__(self, colour: tuple[int, int, int]) -> None:
        super().__init__()
        self._colour = colour
        self._start = time.monotonic()
        self._count = 0

    async def recv(self) -> VideoFrame:
        await asyncio.sleep(max(0.0, self._start + self._count * FRAME_S - time.monotonic()))
        image = np.full((120, 160, 3), self._colour, np.uint8)
        image[:8, (self._count * 4) % 150 :][:, :8] = 255
        frame = VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = int(self._count * FRAME_S * 90000), fractions.Fraction(1, 90000)
        self._count += 1
        return frame


class Tone(MediaStreamTrack):
    kind = "audio"

    def __init__(self, hz: float = 440.0, volume: float = 0.3) -> None:
        super().__init__()
        self._hz, self._volume = hz, volume
        self._start = time.monotonic()
        self._count = 0

    async def recv(self) -> AudioFrame:
        await asyncio.sleep(max(0.0, self._start + self._count * CHUNK / SAMPLE_RATE - time.monotonic()))
        at = (np.arange(CHUNK) + self._count * CHUNK) / SAMPLE_RATE
        wave = (np.sin(2 * np.pi * self._hz * at) * self._volume * 32767).astype(np.int16)
        frame = AudioFrame.from_ndarray(wave.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, self._count * CHUNK
        frame.time_base = fractions.Fraction(1, SAMPLE_RATE)
        self._count += 1
        return frame


@dataclass
class Shown:
    """What a slot has shown so far."""

    frames: int = 0
    colour: tuple[float, ...] = (0.0, 0.0, 0.0)
    loudness: float = 0.0  # mean of |sample| of the last chunk

    def looks(self, colour: tuple[int, int, int]) -> bool:
        return bool(np.abs(np.subtract(self.colour, colour)).max() < 45)

    async def watch(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                if isinstance(frame, VideoFrame):
                    image = frame.to_ndarray(format="rgb24")
                    self.colour = tuple(image[40:].mean(axis=(0, 1)))
                elif isinstance(frame, AudioFrame):
                    self.loudness = float(np.abs(frame.to_ndarray().astype(np.float64)).mean())
                self.frames += 1
        except MediaStreamError:
            return


@dataclass
class Client:
    """One participant's page: sends some uses, receives some slots."""

    sends: dict[str, MediaStreamTrack] = field(default_factory=dict)
    slots: Sequence[str] = ()
    shown: dict[str, Shown] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.connection = RTCPeerConnection()
        self._names: list[tuple[Any, str]] = []
        self._watchers: list[asyncio.Task[None]] = []
        for use, track in self.sends.items():
            self._names.append((self.connection.addTransceiver(track, direction="sendonly"), use))
        for slot in self.slots:
            audio = slot.endswith("audio") or slot.startswith(("floor", "private"))
            transceiver = self.connection.addTransceiver("audio" if audio else "video", direction="recvonly")
            self._names.append((transceiver, slot))

    async def offer(self) -> tuple[str, dict[str, str]]:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        labels = {transceiver.mid: name for transceiver, name in self._names}
        return self.connection.localDescription.sdp, labels

    async def take(self, answer: str) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        for transceiver, name in self._names[len(self.sends) :]:
            self.shown[name] = Shown()
            watching = self.shown[name].watch(transceiver.receiver.track)
            self._watchers.append(asyncio.create_task(watching))

    async def close(self) -> None:
        await self.connection.close()
        for watcher in self._watchers:
            watcher.cancel()


class Signaling:
    """The other end of the channel."""

    def __init__(self, channel: str) -> None:
        self.welcomes: list[Welcome] = []
        self.heard: list[FromNode] = []
        self.client = NodeClient(
            channel, on_message=self.heard.append, on_connected=self.welcomes.append, on_lost=lambda: None
        )

    async def start(self) -> "Signaling":
        self.client.start()
        await eventually(lambda: self.welcomes, "the node's welcome")
        return self

    async def join(
        self,
        client: Client,
        session: str,
        *,
        codec: Any = "vp8",
        participant: str = "",
        sources: dict[str, int] | None = None,
        change: Callable[[str], str] = str,
    ) -> SessionAnswered:
        sdp, labels = await client.offer()
        answered = await self.client.request(
            OpenSession(
                req=0,
                session=session,
                lesson="lesson",
                participant=participant or session,
                codec=codec,
                offer=change(sdp),
                labels=labels,
                sources=sources or {},
            )
        )
        await client.take(answered.answer)
        return answered


@asynccontextmanager
async def running_node(folder: Path) -> AsyncIterator[tuple[Node, Signaling]]:
    bind = ["0.0.0.0:0"]
    channel = f"unix:{folder}/node.sock"
    candidates = announced_addresses(bind, [], local_addresses())
    node = Node(Engine(bind, f"{folder}/journals"), channel, candidates=candidates, journals=True)
    await node.start()
    signaling = await Signaling(channel).start()
    try:
        yield node, signaling
    finally:
        await signaling.client.close()
        await node.close()
