"""Plays a recorded file through PyAV's decoders, and says what is to be seen and heard in it, and when."""

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from clients.python import pattern

LOUD = 0.05  # of full scale, over a millisecond


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
    pictures: list[Shown] = []
    beeps: list[float] = []
    samples, last_loud = 0, -1.0
    with av.open(str(path)) as container:
        for packet in container.demux():
            for frame in packet.decode():
                at_s = float((frame.pts or 0) * (frame.time_base or Fraction(0)))
                if isinstance(frame, av.VideoFrame):
                    luma = frame.to_ndarray(format="gray")
                    flash = bool(luma[2 : luma.shape[0] // 2 - 2].mean() > 160)
                    pictures.append(Shown(at_s, pattern.read(luma), (frame.width, frame.height), flash))
                elif isinstance(frame, av.AudioFrame):
                    left = np.abs(frame.to_ndarray()[0])
                    samples += len(left)
                    for start in range(0, len(left) - 47, 48):
                        if left[start : start + 48].max() > LOUD:
                            moment = at_s + start / 48_000
                            if moment - last_loud > 0.3:
                                beeps.append(moment)
                            last_loud = moment
    return Played(pictures, samples / 48_000, beeps)
