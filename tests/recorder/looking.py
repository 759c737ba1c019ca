"""Plays a recorded file through PyAV's decoders, and says what is to be seen and heard in it, and when."""

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from clients.python import pattern

WINDOW = 240  # samples at 48 kHz: five cycles of the beep
STEADY = 4  # windows in a row: no syllable is so pure for so long


class Shown(NamedTuple):
    at_s: float
    stamp: pattern.Stamp | None
    size: tuple[int, int]
    flash: bool


class Played(NamedTuple):
    pictures: list[Shown]
    sound_s: float  # how much sound was decoded
    beeps: list[float]  # when each begins

    @property
    def flashes(self) -> list[float]:
        """When each begins."""
        shown = [False, *(picture.flash for picture in self.pictures)]
        return [
            picture.at_s
            for before, picture in zip(shown, self.pictures, strict=False)
            if picture.flash and not before
        ]


def play(path: Path) -> Played:
    """The flash is in the picture's upper right corner, the beep is 1 kHz (clients.python.media)."""
    pictures: list[Shown] = []
    pure: list[tuple[float, bool]] = []  # each window's start, and whether it is the beep
    samples = 0
    with av.open(str(path)) as container:
        for packet in container.demux():
            for frame in packet.decode():
                at_s = float((frame.pts or 0) * (frame.time_base or Fraction(0)))
                if isinstance(frame, av.VideoFrame):
                    luma = frame.to_ndarray(format="gray")
                    side = luma.shape[0] // 20
                    flash = bool(luma[1:side, -side:-1].mean() > 160)
                    pictures.append(Shown(at_s, pattern.read(luma), (frame.width, frame.height), flash))
                elif isinstance(frame, av.AudioFrame):
                    left = frame.to_ndarray()[0]
                    samples += len(left)
                    for start in range(0, len(left) - WINDOW + 1, WINDOW):
                        pure.append((at_s + start / 48_000, _is_beep(left[start : start + WINDOW])))
    return Played(pictures, samples / 48_000, _onsets(pure))


def _is_beep(window: NDArray[np.float32]) -> bool:
    energy = np.abs(np.fft.rfft(window)) ** 2
    return bool(energy.sum() > 1 and energy[4:7].sum() > 0.9 * energy.sum())  # 800 to 1200 Hz


def _onsets(pure: list[tuple[float, bool]]) -> list[float]:
    found: list[float] = []
    for at in range(len(pure) - STEADY + 1):
        if all(beep for _start, beep in pure[at : at + STEADY]) and not (at and pure[at - 1][1]):
            found.append(pure[at][0])
    return found
