"""What signaling counts about itself: plain numbers, read when somebody asks (/metrics)."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Meters:
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)  # (tag, "ok" | "refused")
    refusals: Counter[str] = field(default_factory=Counter)  # by code
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
    loop_lag_s: float = 0.0  # how late the last tick of the event loop was
    loop_lag_max_s: float = 0.0  # since the last scrape
