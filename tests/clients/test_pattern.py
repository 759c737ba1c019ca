"""The identifying strip is read back after scaling and after real video codecs."""

import fractions

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.python import pattern
from clients.python.pattern import Stamp

senders = st.integers(0, 255)
times = st.integers(0, 2**45)


@given(senders, times)
def test_cells_carry_sender_and_time(sender: int, ms: int) -> None:
    assert pattern.decode(pattern.encode(sender, ms)) == Stamp(sender, ms % pattern.MILLISECONDS)


@given(senders, times, st.integers(0, 33))
def test_one_wrong_cell_is_noticed(sender: int, ms: int, wrong: int) -> None:
    cells = pattern.encode(sender, ms)
    cells[wrong] ^= 1
    assert pattern.decode(cells) is None


@given(senders, times, st.integers(170, 1920), st.integers(96, 1080))
def test_read_at_any_size(sender: int, ms: int, width: int, height: int) -> None:
    luma = np.full((height, width), 90, np.uint8)
    pattern.draw(luma, sender, ms)
    assert pattern.read(luma) == Stamp(sender, ms % pattern.MILLISECONDS)


def test_a_picture_without_a_strip_says_nothing() -> None:
    assert pattern.read(np.full((360, 640), 128, np.uint8)) is None
    noise = np.random.default_rng(1).integers(0, 255, (360, 640), dtype=np.uint8)
    assert pattern.read(noise) is None


@pytest.mark.parametrize(
    ("stamp_ms", "now_ms", "age"), [(100, 180, 80), (65500, 65536 + 20, 56), (50, 20, -30)]
)
def test_age_survives_the_counters_wrap(stamp_ms: int, now_ms: int, age: int) -> None:
    assert pattern.age_ms(Stamp(1, stamp_ms % pattern.MILLISECONDS), now_ms) == age


@pytest.mark.parametrize("codec", ["libx264", "libvpx"])
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (640, 360), (320, 180)])
def test_read_after_a_codec_and_scaling(codec: str, width: int, height: int) -> None:
    rng = np.random.default_rng(7)
    stamps = [Stamp(int(rng.integers(256)), int(rng.integers(pattern.MILLISECONDS))) for _ in range(12)]
    pictures = []
    for number, stamp in enumerate(stamps):
        luma = np.full((height, width), 100, np.uint8)
        cv2.circle(luma, (width // 12 * (number + 1), height // 3), height // 5, 200, -1)
        pattern.draw(luma, *stamp)
        pictures.append(luma)
    decoded = _through(codec, pictures, bit_rate=300_000)
    assert [pattern.read(luma) for luma in decoded] == stamps
    smaller = [cv2.resize(luma, (240, 135), interpolation=cv2.INTER_AREA) for luma in decoded]
    larger = [cv2.resize(luma, (1000, 562), interpolation=cv2.INTER_LINEAR) for luma in decoded]
    assert [pattern.read(luma) for luma in smaller] == stamps
    assert [pattern.read(luma) for luma in larger] == stamps


def _through(codec: str, pictures: list[np.ndarray], bit_rate: int) -> list[np.ndarray]:
    """Encodes and decodes; luma planes in, luma planes out."""
    height, width = pictures[0].shape
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.bit_rate = width, height, "yuv420p", bit_rate
    encoder.time_base = fractions.Fraction(1, 15)
    encoder.framerate = fractions.Fraction(15, 1)
    encoder.options = (
        {"tune": "zerolatency"}
        if codec == "libx264"
        else {"deadline": "realtime", "cpu-used": "-6", "lag-in-frames": "0"}
    )
    decoder = av.CodecContext.create("h264" if codec == "libx264" else "vp8", "r")
    result = []
    for number, luma in enumerate(pictures):
        chroma = np.full((height // 2, width), 128, np.uint8)
        frame = av.VideoFrame.from_ndarray(np.vstack([luma, chroma]), format="yuv420p")
        frame.pts = number
        packets = encoder.encode(frame)
        if number == len(pictures) - 1:
            packets += encoder.encode(None)
        for packet in packets:
            result += [_luma(decoded) for decoded in decoder.decode(packet)]
    result += [_luma(decoded) for decoded in decoder.decode(None)]
    return result


def _luma(frame: av.VideoFrame) -> np.ndarray:
    plane = frame.planes[0]
    return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width].copy()
