"""The demo's tracks show who they are, in step with UTC and with each other."""

import itertools
import time

import numpy as np

from clients.python import pattern, sound
from clients.python.media import BoardPicture, SpeechLike, TestPicture, sender_id
from clients.python.scenes import FLASH_S, i420


def luma(frame: object) -> np.ndarray:
    array = frame.to_ndarray(format="gray")  # type: ignore[attr-defined]
    return array


async def test_a_picture_names_its_sender_and_moment() -> None:
    track = TestPicture("王老师", role="lecturer", sender=7)
    frames = [await track.recv() for _ in range(4)]
    now_ms = round(time.time() * 1000)
    stamps = [pattern.read(luma(frame)) for frame in frames]
    assert all(stamp is not None and stamp.sender == 7 for stamp in stamps)
    assert 0 <= pattern.age_ms(stamps[-1], now_ms) < 500
    steps = [(later.ms - earlier.ms) % 65536 for earlier, later in itertools.pairwise(stamps)]
    assert all(66 <= step <= 67 for step in steps)
    assert [frame.pts for frame in frames] == [0, 6000, 12000, 18000]


async def test_pictures_move() -> None:
    for track in (
        TestPicture("小明"),
        TestPicture("王老师", role="lecturer"),
        BoardPicture("王老师", fps=15),
    ):
        first, second = luma(await track.recv()), luma(await track.recv())
        above = first.shape[0] * 10 // 12  # not the strip, which changes anyway
        assert np.any(first[:above] != second[:above])


def test_flash_and_beep_coincide() -> None:
    samples = sound.speech_loop(3, True).astype(float)
    second = 5
    start, length = second * sound.RATE, int(FLASH_S * sound.RATE)
    spectrum = np.abs(np.fft.rfft(samples[start : start + length]))
    assert np.argmax(spectrum) * sound.RATE / length == sound.BEEP_HZ
    edge = int(0.015 * sound.RATE)
    assert not np.any(samples[start - edge : start])
    assert not np.any(samples[start + length + 1 : start + length + edge])
    scene = TestPicture("王老师", role="lecturer", beep=True)._scene
    corner = slice(0, 40), slice(-40, None)
    for at_s, lit in ((0.0, True), (0.09, True), (0.1, False), (0.95, False)):
        moment_s = 1_700_000_000 + at_s
        patch = i420(scene.draw(moment_s, 0), 1, moment_s)[:360][corner]
        assert bool(patch.mean() > 200) is lit, at_s


async def test_speech_has_sound_and_pauses_and_is_in_step_with_utc() -> None:
    loop = sound.speech_loop(sender_id("王老师"), False)
    levels = [sound.loudness(loop, at / 50) for at in range(50 * sound.LOOP_S)]
    assert max(levels) > 0.3
    assert sum(level < 0.01 for level in levels) > 20
    track = SpeechLike("王老师")
    frames = [await track.recv() for _ in range(3)]
    expected = round(time.time() / 0.02) * 960 % len(loop)
    heard = frames[-1].to_ndarray()[0]
    near = [(expected + shift * 960) % len(loop) for shift in range(-10, 1)]
    assert any(np.array_equal(heard, loop[at : at + 960]) for at in near)
    assert [frame.pts for frame in frames] == [0, 960, 1920]


async def test_a_late_reader_skips_ahead() -> None:
    track = TestPicture("小红", sender=9, fps=30)
    await track.recv()
    track._next -= 300  # ten seconds late
    frame = await track.recv()
    stamp = pattern.read(luma(frame))
    assert stamp is not None
    assert abs(pattern.age_ms(stamp, round(time.time() * 1000))) < 200
