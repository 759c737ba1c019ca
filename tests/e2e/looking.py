"""What is really seen and heard in a lesson by people of the SDK (aiortc)."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import numpy as np
from av import AudioFrame, VideoFrame

from clients import python as kelian
from clients.cli import tokens
from clients.python import pattern, scenes
from clients.python.media import ScenePicture, SpeechLike
from signaling.log.events import Role
from tests.e2e.fakes import tone_hz
from tests.e2e.server import Server
from tests.mediaserver.peers import Tone

SLOW_S = 15.0  # joins and first pictures on a busy machine


def camera(name: str, sender: int, fps: int = 8) -> ScenePicture:
    """As small as the strip bears."""
    return ScenePicture(scenes.Student(name, sender, width=192, height=108), sender, fps=fps)


def board(sender: int, fps: int = 3) -> ScenePicture:
    return ScenePicture(scenes.Slides(width=320, height=180), sender, fps=fps)


def voice(name: str) -> SpeechLike:
    """With a tone of 1 kHz at the start of every second."""
    return SpeechLike(name, beep=True)


def tone(sender: int) -> Tone:
    """This sender's own."""
    return Tone(tone_hz(sender))


def token(server: Server, lesson: str, role: Role, name: str) -> str:
    """As `kelian token` makes it, without a process: this one's event loop has pictures to make."""
    return tokens.issue(server.data / "keys.toml", lesson=lesson, role=role, name=name, ttl_s=3600)


@asynccontextmanager
async def joined(
    server: Server, lesson: str, *people: tuple[Role, str], **how: Any
) -> AsyncIterator[list[kelian.Lesson]]:
    """All of them in the lesson, in this order: the lecturer first."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(kelian.join(server.url, token(server, lesson, role, name), **how))
            for role, name in people
        ]


def stamp_of(frame: Any) -> pattern.Stamp | None:
    assert isinstance(frame, VideoFrame)
    return pattern.read(frame.to_ndarray(format="gray"))


async def seen(viewer: kelian.Lesson, slot: str, sender: int, within_s: float = SLOW_S) -> pattern.Stamp:
    """Waits for a decoded picture of this sender in this slot. Fails with what was there instead."""
    there: list[pattern.Stamp | None] = []
    try:
        async with asyncio.timeout(within_s):
            while True:
                there.append(stamp_of(await viewer.slot(slot).recv()))
                if there[-1] is not None and there[-1].sender == sender:
                    return there[-1]
    except TimeoutError:
        its = viewer.slot(slot)
        raise AssertionError(
            f"{sender} not seen in {slot} within {within_s} s; last pictures {there[-3:]}, "
            f"{its.packets} packets, source {its.source}, should be {viewer.slots.get(slot)}"
        ) from None


async def seen_by_all(viewers: Iterable[kelian.Lesson], slot: str, sender: int) -> float:
    """Returns after how many seconds the last of them saw it."""
    started_s = time.monotonic()
    await asyncio.gather(*(seen(viewer, slot, sender) for viewer in viewers))
    return time.monotonic() - started_s


async def heard(viewer: kelian.Lesson, slot: str, hz: float, within_s: float = SLOW_S) -> None:
    """Waits until a tone of this frequency is the loudest in the slot's sound."""
    peaks: list[tuple[float, float]] = []
    try:
        async with asyncio.timeout(within_s):
            while True:
                peaks.append(await _loudest(viewer.slot(slot)))
                if peaks[-1][1] > 100 and abs(peaks[-1][0] - hz) < 15:
                    return
    except TimeoutError:
        raise AssertionError(
            f"{hz} Hz not heard in {slot} within {within_s} s; loudest {peaks[-3:]}, "
            f"{viewer.slot(slot).packets} packets"
        ) from None


async def _loudest(slot: kelian.Slot, frames: int = 15) -> tuple[float, float]:
    """Of the next 0.3 s: the strongest frequency (Hz) and the mean amplitude."""
    chunks = []
    for _ in range(frames):
        frame = await slot.recv()
        assert isinstance(frame, AudioFrame)
        chunks.append(frame.to_ndarray().reshape(-1, 2)[:, 0])
    sound = np.concatenate(chunks).astype(float)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum)) * 48_000 / len(sound), float(np.abs(sound).mean())


def longest_gap_ms(stamps: list[pattern.Stamp]) -> int:
    """Between the moments at which successive pictures were made."""
    return max(
        ((b.ms - a.ms) % pattern.MILLISECONDS for a, b in itertools.pairwise(stamps)),
        default=0,
    )


async def stamps(viewer: kelian.Lesson, slot: str, into: list[pattern.Stamp]) -> None:
    """Reads every picture of a slot, until cancelled."""
    while True:
        stamp = stamp_of(await viewer.slot(slot).recv())
        if stamp is not None:
            into.append(stamp)


async def stays_silent(viewer: kelian.Lesson, slot: str, for_s: float) -> None:
    """No picture and no packet for so long."""
    its = viewer.slot(slot)
    before = its.packets, its.frames
    await asyncio.sleep(for_s)
    assert (its.packets, its.frames) == before, f"{slot} of {viewer.participant} is not empty"


def cut(lesson: kelian.Lesson) -> None:
    """As when a cable is pulled: no close frame, and the WebSocket is gone."""
    assert lesson._connection is not None
    response = lesson._connection._socket._response
    assert response.connection is not None
    assert response.connection.transport is not None
    response.connection.transport.abort()
