"""Speech-like sound, made once as a loop of whole seconds: syllables, pauses, and a beep on request."""

import functools
import math

import numpy as np
from numpy.typing import NDArray

RATE = 48_000  # Hz
LOOP_S = 8
BEEP_HZ = 1000
BEEP_S = 0.1  # at the start of every whole second of UTC

Samples = NDArray[np.int16]

# First three formants (Hz) of vowels that a listener takes for speech.
_VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
_SYLLABLES = 26


@functools.cache
def speech_loop(seed: int, beep: bool) -> Samples:
    """LOOP_S seconds at RATE, mono. Another seed is another voice; `beep` marks every second."""
    speech = _syllables(np.random.default_rng(seed))
    if beep:
        length = int(BEEP_S * RATE)
        tone = 0.5 * np.sin(2 * np.pi * BEEP_HZ * np.arange(length) / RATE)
        quiet = int(0.02 * RATE)  # so that the beep's edges stand alone
        for second in range(LOOP_S):
            start = second * RATE
            speech[start : start + length + quiet] = 0
            if second:
                speech[start - quiet : start] = 0
            speech[start : start + length] = tone
        speech[-quiet:] = 0
    loop: Samples = (speech * 32767).astype(np.int16)
    return loop


def loudness(samples: Samples, at_s: float) -> float:
    """0 (silence) to 1, over 20 ms of a loop: drives a drawn mouth."""
    start = int(at_s * RATE) % len(samples)
    window = samples[start : start + RATE // 50].astype(np.float32)
    return min(1.0, float(np.sqrt(np.mean(window**2))) / 6000)


def _syllables(rng: np.random.Generator) -> NDArray[np.float64]:
    sound = np.zeros(LOOP_S * RATE)
    voice_hz = rng.uniform(110, 230)
    time_s = 0.15
    for number in range(_SYLLABLES):
        length_s = rng.uniform(0.14, 0.24)
        if time_s + length_s > LOOP_S - 0.2:
            break
        start = int(time_s * RATE)
        syllable = _syllable(rng, voice_hz, int(length_s * RATE))
        sound[start : start + len(syllable)] += syllable
        # A breath after each phrase of some five syllables.
        time_s += length_s + (rng.uniform(0.35, 0.6) if number % 5 == 4 else rng.uniform(0.02, 0.08))
    return sound


def _syllable(rng: np.random.Generator, voice_hz: float, length: int) -> NDArray[np.float64]:
    """Harmonics of a gliding pitch (a tone, as Mandarin has them), weighted by one vowel's formants."""
    formants = _VOWELS[rng.integers(len(_VOWELS))]
    pitch_hz = np.linspace(voice_hz * rng.uniform(0.9, 1.3), voice_hz * rng.uniform(0.8, 1.2), length)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE
    syllable = np.zeros(length)
    for harmonic in range(1, int(3600 / voice_hz)):
        hz = harmonic * voice_hz
        peaks = [math.exp(-(((hz - formant) / 160) ** 2)) for formant in formants]
        weight = peaks[0] + peaks[1] / 2 + peaks[2] / 3
        syllable += (weight + 0.05 / harmonic) * np.sin(harmonic * phase)
    envelope = np.sin(np.linspace(0, np.pi, length)) ** 0.6
    peak = float(np.max(np.abs(syllable))) or 1.0
    shaped: NDArray[np.float64] = 0.45 * envelope * syllable / peak
    return shaped
