"""A receiving slot: decoded frames of whoever the server puts there, over reconnections too."""

import asyncio
import collections
import math
import time
from typing import Any, Literal

import numpy as np
from aiortc import RTCRtpTransceiver
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from signaling.protocol.replies import Pool

Frame = AudioFrame | VideoFrame
Kind = Literal["audio", "video"]

# What an unread slot keeps: the newest picture, half a second of sound.
_KEPT = {"video": 2, "audio": 25}


def names(pool: Pool) -> list[str]:
    """The slots of a pool, in the order in which they are offered."""
    offered = ["lecturer.audio", "lecturer.video"] if pool.lecturer else []
    offered += ["board"] if pool.board else []
    for index in range(pool.stage):
        offered += [f"stage.{index}.audio", f"stage.{index}.video"]
    offered += [f"floor.{index}" for index in range(pool.floor)]
    offered += ["private"] if pool.private else []
    return offered + [f"wall.{index}" for index in range(pool.wall)]


def kind_of(name: str) -> Kind:
    is_audio = name.endswith(".audio") or name.startswith("floor.") or name == "private"
    return "audio" if is_audio else "video"


class Slot:
    def __init__(self, name: str) -> None:
        self.name = name
        self.kind = kind_of(name)
        self.source = 0  # who is in it: the newest packet's CSRC; 0 before the first
        self.frames = 0  # decoded so far
        self.packets = 0
        self.latest: Frame | None = None
        self._kept: collections.deque[Frame] = collections.deque(maxlen=_KEPT[self.kind])
        self._arrival = asyncio.Event()
        self._packet_s = -math.inf
        self._pump: asyncio.Task[None] | None = None
        self._closed = False

    async def recv(self, timeout_s: float | None = None) -> Frame:
        """The next frame; a reader that is late gets the newest ones. TimeoutError; EOFError at the end."""
        async with asyncio.timeout(timeout_s):
            while not self._kept:
                if self._closed:
                    raise EOFError(self.name)
                self._arrival.clear()
                await self._arrival.wait()
        return self._kept.popleft()

    @property
    def quiet_s(self) -> float:
        """How long ago the newest packet came; infinite before the first."""
        return time.monotonic() - self._packet_s

    def bind(self, transceiver: RTCRtpTransceiver) -> None:
        """Receives from this transceiver from now on."""
        receiver: Any = transceiver.receiver
        take = receiver._handle_rtp_packet

        async def heard(packet: Any, arrival_time_ms: int) -> None:
            # aiortc has no getContributingSources: the packet's own list is read on its way in.
            if packet.csrc:
                self.source = packet.csrc[0]
            self.packets += 1
            self._packet_s = time.monotonic()
            await take(packet, arrival_time_ms)

        receiver._handle_rtp_packet = heard
        self.unbind()
        self._pump = asyncio.create_task(self._receive(receiver.track))

    def unbind(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            self._pump = None

    def close(self) -> None:
        self.unbind()
        self._closed = True
        self._arrival.set()

    async def _receive(self, track: Any) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            self.frames += 1
            self.latest = frame
            self._kept.append(frame)
            self._arrival.set()


def loudness_dbov(frame: AudioFrame) -> float:
    """The level of a frame: 0 is the loudest there is, -127 silence (RFC 6464's scale, signed)."""
    samples = frame.to_ndarray().astype(np.float64)
    power = float(np.mean(samples**2)) if samples.size else 0.0
    return max(-127.0, 20 * math.log10(math.sqrt(power) / 32768)) if power > 0 else -127.0
