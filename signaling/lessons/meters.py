"""What signaling counts about itself: plain numbers, read when somebody asks (/metrics)."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

COMMIT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Histogram:
    """How often a value was at most each of these bounds, and above all of them."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@dataclass
class Meters:
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)  # (tag, "ok" | "refused")
    refusals: Counter[str] = field(default_factory=Counter)  # by code, over WebSocket and HTTP
    goodbyes: Counter[str] = field(default_factory=Counter)  # by code
    http: Counter[tuple[str, int]] = field(default_factory=Counter)  # (route, status)
    journal: Counter[str] = field(default_factory=Counter)  # what nodes said of journals, by state
    connections: int = 0
    sent_bytes: int = 0
    sent_frames: int = 0
    encoded_frames: int = 0  # of those, encoded anew; the others were shared
    received_bytes: int = 0
    events: int = 0
    commits: int = 0
    commit_s: Histogram = field(default_factory=lambda: Histogram(COMMIT_S))  # from the loop and back
    loop_lag_s: float = 0.0  # how late the last tick of the event loop was
    loop_lag_max_s: float = 0.0  # since the last scrape
