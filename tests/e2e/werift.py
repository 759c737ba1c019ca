"""WHIP and WHEP clients of another implementation (werift, in `independent/`), and media for them."""

import asyncio
import contextlib
import json
import shutil
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av import AudioFrame, VideoFrame

from clients.python import pattern
from signaling.log.events import Codec

FOLDER = Path(__file__).parent / "independent"
WIDTH, HEIGHT, FPS = 192, 108, 10  # FPS as in publish.mjs
SECONDS = 6
RATE = 48_000
ENCODERS = {"h264": "libx264", "vp8": "libvpx"}
OPTIONS = {
    "h264": {"profile": "baseline", "preset": "ultrafast", "tune": "zerolatency", "x264-params": "annexb=1"},
    "vp8": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
}

Event = dict[str, Any]


def pictures(path: Path, codec: Codec, sender: int) -> Path:
    """Encoded pictures with the sender's strip, each after its length; a key frame a second."""
    context = av.CodecContext.create(ENCODERS[codec], "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.framerate, context.time_base = Fraction(FPS), Fraction(1, FPS)
    context.gop_size, context.bit_rate, context.max_b_frames = FPS, 300_000, 0
    context.options = OPTIONS[codec]
    with path.open("wb") as file:
        for number in range(FPS * SECONDS + 1):
            packets = context.encode(_picture(number, sender)) if number < FPS * SECONDS else context.encode()
            for packet in packets:
                file.write(struct.pack("!I", packet.size) + bytes(packet))
    return path


def _picture(number: int, sender: int) -> VideoFrame:
    planes = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    x = number * 7 % (WIDTH - 30)
    planes[30:60, x : x + 30] = 220
    pattern.draw(planes[:HEIGHT], sender, number * 1000 // FPS)
    frame = VideoFrame.from_ndarray(planes, format="yuv420p")
    frame.pts = number
    return frame


def sound(path: Path, hz: float) -> Path:
    """Opus packets of 20 ms of a tone, each after its length."""
    context = av.CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format = RATE, "stereo", "s16"
    context.options = {"application": "voip"}
    time_s = np.arange(RATE * 2) / RATE
    samples = np.repeat((np.sin(2 * np.pi * hz * time_s) * 9000).astype(np.int16), 2)
    with path.open("wb") as file:
        for number in range(100):
            frame = AudioFrame.from_ndarray(
                samples[number * 1920 : (number + 1) * 1920].reshape(1, -1), format="s16", layout="stereo"
            )
            frame.sample_rate, frame.pts, frame.time_base = RATE, number * 960, Fraction(1, RATE)
            for packet in context.encode(frame):
                file.write(struct.pack("!I", packet.size) + bytes(packet))
    return path


def received(path: Path) -> Iterator[tuple[int, bytes]]:
    """RTP timestamp and data of every frame that watch.mjs wrote so far."""
    data = path.read_bytes() if path.exists() else b""
    at = 0
    while at + 8 <= len(data):
        length, timestamp = struct.unpack_from("!II", data, at)
        frame = data[at + 8 : at + 8 + length]
        if len(frame) < length:
            return
        yield timestamp, frame
        at += 8 + length


def stamps(path: Path, codec: Codec) -> list[pattern.Stamp | None]:
    """What the strips of the received pictures say, after decoding them with FFmpeg."""
    decoder = av.CodecContext.create("h264" if codec == "h264" else "vp8", "r")
    shown = [
        frame for _, data in received(path) for frame in decoder.decode(av.Packet(data))
    ]  # fmt: skip
    return [pattern.read(frame.to_ndarray(format="gray")) for frame in shown]


def loudest_hz(path: Path) -> float:
    """The strongest frequency in the received sound."""
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = RATE, "stereo"
    chunks = [
        frame.to_ndarray().reshape(-1, 2)[:, 0]
        for _, data in received(path)
        for frame in decoder.decode(av.Packet(data))
    ]
    samples = np.concatenate(chunks).astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(samples)))) * RATE / len(samples)


class Peer:
    """One script of `independent/` as a process; it tells what happens in lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.events: list[Event] = []
        self._reading = asyncio.create_task(self._read())
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[Event], Any], timeout_s: float = 15) -> Event:
        """The first event that fulfils the condition."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    for event in self.events:
                        if condition(event):
                            return event
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"did not happen in {timeout_s} s; told: {self.events}") from None

    async def said(self, key: str) -> Event:
        return await self.until(lambda event: key in event)

    def order(self, word: Literal["restart", "delete"]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word.encode() + b"\n")

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.events.append(json.loads(line))
            self._changed.set()

    async def kill(self) -> None:
        """Without DELETE, as in a crash."""
        self._process.kill()
        await self._process.wait()

    async def end(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()
        self._reading.cancel()


@contextlib.asynccontextmanager
async def running(
    script: Literal["publish", "watch"], url: str, token: str, codec: Codec, video: Path, audio: Path
) -> AsyncIterator[Peer]:
    node = shutil.which("node")
    assert node is not None, "node is not installed"
    assert (FOLDER / "node_modules").is_dir(), "`make test` installs what this needs (npm ci)"
    process = await asyncio.create_subprocess_exec(
        node, str(FOLDER / f"{script}.mjs"), url, token, codec, str(video), str(audio),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    peer = Peer(process)
    try:
        yield peer
    finally:
        await peer.end()
