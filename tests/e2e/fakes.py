"""Files for Chromium's fake camera and microphone, each one telling whose it is.

The picture carries the strip of `clients.python.pattern`; the sound is a tone of its own, in bursts
(a steady one would be taken for noise and suppressed).
"""

import wave
from pathlib import Path

import numpy as np

from clients.python import pattern, scenes

WIDTH, HEIGHT, FPS = 320, 180, 10
SECONDS = 6
RATE = 48_000
BURST_S, PAUSE_S = 0.24, 0.16


def tone_hz(sender: int) -> float:
    """Every sender's own: 60 Hz apart, below and above which the others are."""
    return 400.0 + 60.0 * (sender % 30)


def camera(folder: Path, sender: int) -> Path:
    """A Y4M file: the sender's shade of grey, a ball that moves, the strip (its ms is the file's)."""
    path = folder / f"camera-{sender}.y4m"
    chroma = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8).tobytes()
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for number in range(FPS * SECONDS):
            luma = np.full((HEIGHT, WIDTH), 60 + sender * 37 % 120, np.uint8)
            x = 10 + number * 5 % (WIDTH - 50)
            luma[60:100, x : x + 40] = 220
            pattern.draw(luma, sender, number * 1000 // FPS)
            file.write(b"FRAME\n" + luma.tobytes() + chroma + chroma)
    return path


def microphone(folder: Path, sender: int) -> Path:
    """A WAV file of bursts of the sender's tone."""
    path = folder / f"microphone-{sender}.wav"
    time_s = np.arange(RATE * 4) / RATE
    within = time_s % (BURST_S + PAUSE_S)
    envelope = np.clip(np.minimum(within, BURST_S - within) / 0.01, 0, 1)
    samples = (np.sin(2 * np.pi * tone_hz(sender) * time_s) * envelope * 12_000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


def scene(folder: Path, name: str, role: str, sender: int) -> Path:
    """A Y4M file of one of the SDK's drawn people, for pictures of pages that people look at."""
    drawn = scenes.Lecturer(name) if role == "lecturer" else scenes.Student(name, sender)
    path = folder / f"scene-{sender}.y4m"
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{drawn.width} H{drawn.height} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for number in range(FPS * 3):
            image = drawn.draw(number / FPS, 0.5)
            file.write(b"FRAME\n" + scenes.plain_i420(image).tobytes())
    return path
