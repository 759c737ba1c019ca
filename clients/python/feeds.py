"""What a participant sends in one use: tracks come and go, the sending m-line stays.

aiortc ends a sender for good when its track ends. So each connection gets an `Outlet`, which waits
while there is nothing to send, and takes frames from the `Feed` of its use, whatever track is in it.
"""

import asyncio
import fractions
import time
from collections.abc import Callable

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, AudioResampler, VideoFrame
from av.frame import Frame

AUDIO_HZ = 48_000
VIDEO_HZ = 90_000


class Feed:
    """`on_ended` is called when a track ends by itself."""

    def __init__(self, on_ended: Callable[[], None]) -> None:
        self.track: MediaStreamTrack | None = None
        self._on_ended = on_ended
        self._given = asyncio.Event()

    def give(self, track: MediaStreamTrack | None) -> None:
        self.track = track
        if track is None:
            self._given.clear()
        else:
            self._given.set()

    async def next(self) -> tuple[MediaStreamTrack, Frame]:
        """The next frame and its track; waits while there is none."""
        while True:
            await self._given.wait()
            track = self.track
            if track is None:
                continue
            try:
                frame = await track.recv()
            except MediaStreamError:
                if self.track is track:
                    self.give(None)
                    self._on_ended()
                continue
            if self.track is track and isinstance(frame, Frame):
                return track, frame


class Outlet(MediaStreamTrack):
    """One connection's end of a feed. Timestamps go on evenly when the track changes."""

    def __init__(self, kind: str, feed: Feed) -> None:
        super().__init__()
        self.kind = kind
        self._feed = feed
        self._rate = AUDIO_HZ if kind == "audio" else VIDEO_HZ
        self._started_s = time.monotonic()
        self._track: MediaStreamTrack | None = None
        self._shift: int | None = None  # in ticks: what is added to the track's own timestamps
        self._last = -1
        self._resampler: AudioResampler | None = None
        self._ready: list[AudioFrame] = []

    async def recv(self) -> Frame:
        while not self._ready:
            if self.readyState != "live":
                raise MediaStreamError
            track, frame = await self._feed.next()
            if track is not self._track:
                self._change_to(track)
            if isinstance(frame, VideoFrame):
                return self._timed(frame)
            assert isinstance(frame, AudioFrame)
            assert self._resampler is not None
            # The encoder keeps the format of its first frame: all tracks are brought to one.
            self._ready += self._resampler.resample(frame)
        return self._timed(self._ready.pop(0))

    def _change_to(self, track: MediaStreamTrack) -> None:
        self._track = track
        self._shift = None
        self._ready.clear()
        if self.kind == "audio":
            self._resampler = AudioResampler(format="s16", layout="stereo", rate=AUDIO_HZ, frame_size=960)

    def _timed(self, frame: VideoFrame | AudioFrame) -> Frame:
        """Moves the frame's time onto this outlet's, and never back."""
        ticks = round((frame.pts or 0) * fractions.Fraction(frame.time_base or 0) * self._rate)
        if self._shift is None:
            elapsed = round((time.monotonic() - self._started_s) * self._rate)
            self._shift = max(elapsed, self._last + 1) - ticks
        self._last = max(ticks + self._shift, self._last + 1)
        frame.pts = self._last
        frame.time_base = fractions.Fraction(1, self._rate)
        return frame
