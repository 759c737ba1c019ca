"""python -m benchmarks.join [--rounds 200] [--json FILE]

What an offer costs: parsing it and writing the answer, beside aiortc's parser alone. The offers are a
recorded one of Chromium, its receiving sections repeated up to 13, 23 and 43 (a student's, a classroom's
and a lecturer's pool). Times are the median CPU time of this thread; the bound is 1 ms a join.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiortc.sdp import SessionDescription

from benchmarks.figures import Conditions, save
from benchmarks.machine import machine_line
from mediaserver.sdp.answer import Endpoint, Terms, negotiate
from mediaserver.sdp.description import parse_description

POOLS = {"student": 13, "classroom": 23, "lecturer": 43}  # sections
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


def measure_one(sections: int, rounds: int) -> dict[str, float]:
    text, labels = offer_of(sections)
    terms = Terms(codec="h264", labels=labels, sources={"camera": 1, "microphone": 2, "board": 3})
    description = parse_description(text)
    ssrcs = itertools.count(1)
    parsing = median_ms(lambda: parse_description(text), rounds)
    answering = median_ms(lambda: negotiate(description, terms, ENDPOINT, lambda: next(ssrcs)), rounds)
    theirs = median_ms(lambda: SessionDescription.parse(text), max(rounds // 10, 5))
    return {
        "sections": sections,
        "offer_bytes": len(text),
        "parse_ms": round(parsing, 3),
        "answer_ms": round(answering, 3),
        "both_ms": round(parsing + answering, 3),
        "aiortc_parse_ms": round(theirs, 3),
    }


def measure(rounds: int) -> dict[str, Any]:
    conditions = Conditions()
    pools = {pool: measure_one(sections, rounds) for pool, sections in POOLS.items()}
    return {"benchmark": "join", **conditions.told(), "settings": {"rounds": rounds}, "pools": pools}


def told(result: dict[str, Any]) -> str:
    lines = [
        machine_line(),
        f"{result['date']}, load {result['load_before']} before, {result['load_after']} after",
        "",
        "| pool | sections | offer kB | parse ms | answer ms | both ms | aiortc parses ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for pool, it in result["pools"].items():
        lines.append(
            f"| {pool} | {it['sections']} | {it['offer_bytes'] / 1000:.1f} | {it['parse_ms']}"
            f" | {it['answer_ms']} | {it['both_ms']} | {it['aiortc_parse_ms']} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.join",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", type=Path, help="write the result here, too")
    given = parser.parse_args()
    result = measure(given.rounds)
    if given.json:
        save(given.json, result)
    print(told(result))


if __name__ == "__main__":
    main()
