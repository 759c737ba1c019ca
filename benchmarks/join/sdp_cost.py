"""What an offer costs: parsing it and writing the answer, beside aiortc's parser alone.

    python benchmarks/join/sdp_cost.py [--rounds 200]

The offers are a recorded one of Chromium, its receiving sections repeated up to 13, 23 and 43
(a student's, a classroom's and a lecturer's pool). Times are CPU time of this thread.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path

from aiortc.sdp import SessionDescription

from mediaserver.sdp.answer import Endpoint, Terms, negotiate
from mediaserver.sdp.description import parse_description

RECORDED = Path(__file__).parents[2] / "tests/mediaserver/offers/chromium_student_h264.sdp"
ENDPOINT = Endpoint(
    ufrag="0123456789ab",
    pwd="0123456789abcdef0123456789abcdef",
    fingerprint=":".join(["AB"] * 32),
    candidates=[("203.0.113.7", 7882), ("192.168.1.7", 7882), ("2001:db8::7", 7882)],
    session_id=2**61,
)


def offer_of(sections: int) -> tuple[str, dict[str, str]]:
    """An offer with so many sections, and its labels: three that send, pairs, then walls."""
    head, *recorded = RECORDED.read_bytes().decode().split("m=")
    sending, video, audio = recorded[:3], recorded[3], recorded[4]
    names = ["camera", "microphone", "board", "lecturer.video", "lecturer.audio", "private"]
    chosen = [*sending, video, audio, audio]
    for index in range((sections - len(chosen)) // 2):
        names += [f"stage.{index}.video", f"stage.{index}.audio"]
        chosen += [video, audio]
    if len(chosen) < sections:
        names.append("board")
        chosen.append(video)
    mids = " ".join(str(mid) for mid in range(sections))
    bundle = "\r\n".join(
        f"a=group:BUNDLE {mids}" if line.startswith("a=group:BUNDLE") else line for line in head.split("\r\n")
    )
    text = bundle
    for mid, section in enumerate(chosen):
        lines = [f"a=mid:{mid}" if line.startswith("a=mid:") else line for line in section.split("\r\n")]
        text += "m=" + "\r\n".join(lines)
    return text, {str(mid): name for mid, name in enumerate(names)}


def median_ms(call: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.thread_time_ns()
        call()
        times.append(time.thread_time_ns() - start)
    return sorted(times)[rounds // 2] / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    print(
        f"{'sections':>8} {'kB':>6} {'parse ms':>9} {'answer ms':>10} {'both ms':>8} {'aiortc parse ms':>16}"
    )
    for sections in (13, 23, 43):
        text, labels = offer_of(sections)
        terms = Terms(codec="h264", labels=labels, sources={"camera": 1, "microphone": 2, "board": 3})
        description = parse_description(text)

        def answer() -> object:
            ssrcs = itertools.count(1)
            return negotiate(description, terms, ENDPOINT, lambda: next(ssrcs))  # noqa: B023

        parsing = median_ms(lambda: parse_description(text), rounds)  # noqa: B023
        answering = median_ms(answer, rounds)
        theirs = median_ms(lambda: SessionDescription.parse(text), max(rounds // 10, 5))  # noqa: B023
        print(
            f"{sections:>8} {len(text) / 1000:>6.1f} {parsing:>9.3f} {answering:>10.3f}"
            f" {parsing + answering:>8.3f} {theirs:>16.3f}"
        )


if __name__ == "__main__":
    main()
