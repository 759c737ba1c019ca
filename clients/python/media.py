"""Tracks that need no camera: a lecturer, students, a board, and their voices.

All of them take their time from UTC, so that what they show and sound is known to whoever watches:
each marked picture carries the strip of `pattern` (sender and milliseconds), and with `beep` a 1 kHz
tone sounds during the first tenth of every second while the patch in its upper right corner is white.
Two tracks on one machine are therefore in step by themselves, and a receiver can measure both the
delay and the lip sync.
"""

import asyncio
import fractions
import math
import time
import zlib

from aiortc.mediastreams import AUDIO_PTIME, MediaStreamError, MediaStreamTrack
from av import AudioFrame, VideoFrame

from clients.python import scenes, sound

VIDEO_CLOCK_HZ = 90_000
LATEST_S = 0.5  # a track that is later than this skips ahead instead of catching up
_FRAME_SAMPLES = round(AUDIO_PTIME * sound.RATE)


def sender_id(name: str) -> int:
    """The number (1-255) that a name is given in the strip when nothing else is said."""
    return zlib.crc32(name.encode()) % 255 + 1


class _Paced(MediaStreamTrack):
    """Frames at fixed moments of UTC: number k is due at k × period."""

    def __init__(self, period_s: float) -> None:
        super().__init__()
        self._period_s = period_s
        self._offset_s = time.time() - time.monotonic()  # UTC that no clock adjustment makes jump
        self._first: int | None = None
        self._next = 0

    async def _due(self) -> tuple[int, float]:
        """Waits for the next frame; returns its number from 0 on and its moment in UTC seconds."""
        if self.readyState != "live":
            raise MediaStreamError
        now_s = time.monotonic() + self._offset_s
        if self._first is None:
            self._first = self._next = math.ceil(now_s / self._period_s)
        elif now_s - self._next * self._period_s > LATEST_S:
            self._next = math.ceil(now_s / self._period_s)
        number = self._next
        self._next += 1
        await asyncio.sleep(max(0.0, number * self._period_s - now_s))
        return number - self._first, number * self._period_s


class ScenePicture(_Paced):
    """A scene as a video track; `marked` with the strip of its sender and time, and the flash."""

    kind = "video"

    def __init__(
        self,
        scene: scenes.Scene,
        sender: int,
        *,
        fps: int = 15,
        voice: sound.Samples | None = None,
        marked: bool = True,
    ) -> None:
        super().__init__(1 / fps)
        self._marked = marked
        self.sender = sender
        self._scene = scene
        self._voice = voice

    async def recv(self) -> VideoFrame:
        number, utc_s = await self._due()
        loudness = sound.loudness(self._voice, utc_s) if self._voice is not None else 0.0
        image = self._scene.draw(utc_s, loudness)
        planes = scenes.i420(image, self.sender, utc_s) if self._marked else scenes.plain_i420(image)
        frame = VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = round(number * self._period_s * VIDEO_CLOCK_HZ)
        frame.time_base = fractions.Fraction(1, VIDEO_CLOCK_HZ)
        return frame


class TestPicture(ScenePicture):
    """A person: `role` "lecturer" stands before a blackboard (640×360), another sits at home (320×180)."""

    __test__ = False  # not for pytest to collect

    def __init__(
        self,
        name: str,
        *,
        role: str = "student",
        sender: int | None = None,
        fps: int = 15,
        beep: bool = False,
        marked: bool = True,
    ) -> None:
        number = sender_id(name) if sender is None else sender
        scene = scenes.Lecturer(name) if role == "lecturer" else scenes.Student(name, number)
        super().__init__(scene, number, fps=fps, voice=sound.speech_loop(number, beep), marked=marked)


class BoardPicture(ScenePicture):
    """Slides that turn (1280×720)."""

    def __init__(self, name: str, *, sender: int | None = None, fps: int = 4, marked: bool = True) -> None:
        number = sender_id(name) if sender is None else sender
        super().__init__(scenes.Slides(), number, fps=fps, marked=marked)


class SpeechLike(_Paced):
    """A voice: syllables and pauses; with `beep`, a 1 kHz tone at the start of every second."""

    kind = "audio"

    def __init__(self, name: str, *, sender: int | None = None, beep: bool = False) -> None:
        super().__init__(AUDIO_PTIME)
        number = sender_id(name) if sender is None else sender
        self._samples = sound.speech_loop(number, beep)

    async def recv(self) -> AudioFrame:
        number, utc_s = await self._due()
        start = round(utc_s / AUDIO_PTIME) * _FRAME_SAMPLES % len(self._samples)
        frame = AudioFrame.from_ndarray(
            self._samples[start : start + _FRAME_SAMPLES].reshape(1, -1), format="s16", layout="mono"
        )
        frame.pts = number * _FRAME_SAMPLES
        frame.sample_rate = sound.RATE
        frame.time_base = fractions.Fraction(1, sound.RATE)
        return frame
