"""A strip in a picture that says who sent it and when, and is read back after any codec.

The strip covers the bottom twelfth of the picture, over its whole width, and is divided into
34 cells of equal width, numbered from the left. A white cell is 1, a black one 0:

    cell 0        always white (reference)
    cells 1-8     sender, most significant bit first (0-255)
    cells 9-24    milliseconds of UTC modulo 65536, most significant bit first
    cells 25-32   CRC-8 (polynomial 0x07, initial value 0x5A) of the three bytes before
    cell 33       always black (reference)

A reader takes the mean luma of the middle half of each cell, in both directions, and compares it
with the middle between the two references. All positions are fractions of the picture's size, so
that scaling does not matter; at 34 cells, a picture 170 pixels wide can still be read.

    y from 1 - 1/12 * 3/4 to 1 - 1/12 * 1/4 of the height
    x from (cell + 1/4) / 34 to (cell + 3/4) / 34 of the width
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

CELLS = 34
HEIGHT = 1 / 12  # of the picture
MILLISECONDS = 1 << 16  # the counter starts again after 65.536 s
WHITE, BLACK = 235, 16  # luma, limited range
CONTRAST = 60  # smallest difference between the references that is still a strip

Luma = NDArray[np.uint8]


class Stamp(NamedTuple):
    """What a strip says."""

    sender: int  # 0-255
    ms: int  # UTC in milliseconds, modulo MILLISECONDS


def encode(sender: int, ms: int) -> list[int]:
    """The 34 cells, 1 for white. ValueError if `sender` does not fit in eight bits."""
    if not 0 <= sender <= 255:
        raise ValueError(f"sender {sender} is not in 0..255")
    payload = bytes([sender]) + (ms % MILLISECONDS).to_bytes(2, "big")
    word = int.from_bytes(payload + bytes([_crc8(payload)]), "big")
    return [1] + [(word >> shift) & 1 for shift in range(31, -1, -1)] + [0]


def decode(cells: list[int]) -> Stamp | None:
    """The stamp in 34 cells, or None if the references or the checksum are wrong."""
    if len(cells) != CELLS or cells[0] != 1 or cells[-1] != 0:
        return None
    word = 0
    for bit in cells[1:-1]:
        word = word << 1 | bit
    data = word.to_bytes(4, "big")
    if _crc8(data[:3]) != data[3]:
        return None
    return Stamp(sender=data[0], ms=int.from_bytes(data[1:3], "big"))


def draw(luma: NDArray[Any], sender: int, ms: int) -> None:
    """Draws the strip into the luma plane (height × width), or into every channel of an image."""
    height, width = luma.shape[:2]
    edges = np.round(np.linspace(0, width, CELLS + 1)).astype(int)
    top = height - round(height * HEIGHT)
    for cell, bit in enumerate(encode(sender, ms)):
        luma[top:, edges[cell] : edges[cell + 1]] = WHITE if bit else BLACK


def read(luma: NDArray[Any]) -> Stamp | None:
    """Reads the strip of a luma plane (height × width, any size); None if there is none."""
    height, width = luma.shape[:2]
    top = int(height * (1 - HEIGHT * 3 / 4))
    bottom = max(int(height * (1 - HEIGHT / 4)), top + 1)
    rows = luma[top:bottom].mean(axis=0)
    means = []
    for cell in range(CELLS):
        left = int(width * (cell + 0.25) / CELLS)
        right = max(int(width * (cell + 0.75) / CELLS), left + 1)
        means.append(float(rows[left:right].mean()))
    if means[0] - means[-1] < CONTRAST:
        return None
    threshold = (means[0] + means[-1]) / 2
    return decode([int(mean > threshold) for mean in means])


def age_ms(stamp: Stamp, now_ms: int) -> int:
    """How long ago the picture was made: right up to half a minute, negative for the future."""
    half = MILLISECONDS // 2
    return (now_ms - stamp.ms + half) % MILLISECONDS - half


def _crc8(data: bytes) -> int:
    crc = 0x5A
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc
