"""A sending m-line outlives its tracks, and its timestamps never go back."""

import asyncio
import fractions
import itertools

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, VideoFrame

from clients.python.feeds import AUDIO_HZ, Feed, Outlet


class Numbers(MediaStreamTrack):
    """Grey pictures of rising brightness, `count` of them, with timestamps of its own."""

    kind = "video"

    def __init__(self, first: int, count: int, pts: int) -> None:
        super().__init__()
        self._numbers = iter(range(first, first + count))
        self._pts = itertools.count(pts, 3000)

    async def recv(self) -> VideoFrame:
        number = next(self._numbers, None)
        if number is None:
            self.stop()
            raise MediaStreamError
        frame = VideoFrame.from_ndarray(np.full((24, 16), number, np.uint8), format="gray")
        frame.pts, frame.time_base = next(self._pts), fractions.Fraction(1, 90000)
        return frame


class Tone(MediaStreamTrack):
    kind = "audio"

    def __init__(self, rate: int, layout: str) -> None:
        super().__init__()
        self._rate, self._layout, self._number = rate, layout, 0

    async def recv(self) -> AudioFrame:
        samples = self._rate // 50
        shape = (1, samples * (2 if self._layout == "stereo" else 1))
        frame = AudioFrame.from_ndarray(np.full(shape, 1000, np.int16), format="s16", layout=self._layout)
        frame.sample_rate, frame.time_base = self._rate, fractions.Fraction(1, self._rate)
        frame.pts = self._number * samples
        self._number += 1
        return frame


async def test_another_track_goes_on_where_the_first_was() -> None:
    feed = Feed(lambda: None)
    outlet = Outlet("video", feed)
    feed.give(Numbers(1, 10, pts=900_000))
    times = [(await outlet.recv()).pts for _ in range(3)]
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == [3000, 3000]
    feed.give(Numbers(50, 10, pts=0))
    frame = await outlet.recv()
    assert frame.to_ndarray()[0, 0] == 50
    assert 0 < frame.pts - times[-1] < 90_000
    assert frame.time_base == fractions.Fraction(1, 90_000)


async def test_nothing_to_send_is_waited_out_and_an_end_is_told() -> None:
    ended: list[bool] = []
    feed = Feed(lambda: ended.append(True))
    outlet = Outlet("video", feed)
    waiting = asyncio.create_task(outlet.recv())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    feed.give(Numbers(7, 1, pts=0))
    assert (await waiting).to_ndarray()[0, 0] == 7
    waiting = asyncio.create_task(outlet.recv())
    await asyncio.sleep(0.01)
    assert ended == [True]
    assert not waiting.done()
    waiting.cancel()


async def test_an_outlet_that_stops_leaves_the_track_alive() -> None:
    track = Numbers(1, 10, pts=0)
    feed = Feed(lambda: None)
    feed.give(track)
    outlet = Outlet("video", feed)
    await outlet.recv()
    outlet.stop()
    with pytest.raises(MediaStreamError):
        await outlet.recv()
    assert track.readyState == "live"
    assert (await Outlet("video", feed).recv()).to_ndarray()[0, 0] == 2


async def test_sound_of_any_format_leaves_in_one() -> None:
    feed = Feed(lambda: None)
    outlet = Outlet("audio", feed)
    last = -1
    for rate, layout in ((48_000, "mono"), (16_000, "stereo"), (48_000, "stereo")):
        feed.give(Tone(rate, layout))
        for _ in range(5):
            frame = await outlet.recv()
            assert (frame.sample_rate, frame.layout.name, frame.samples) == (AUDIO_HZ, "stereo", 960)
            assert frame.pts > last
            last = frame.pts
