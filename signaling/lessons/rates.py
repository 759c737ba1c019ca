"""Token buckets: how often one client may ask for what."""

from signaling.config import Limits, Rate

# Requests that are none of these are clicks.
CLASSES = {"chat": "chat", "offer": "offers"}


class Bucket:
    """Full at first; time is passed in (monotonic seconds)."""

    def __init__(self, rate: Rate, now: float) -> None:
        self._per_s = rate.per_s
        self._burst = float(rate.burst)
        self._tokens = self._burst
        self._at = now

    def take(self, now: float) -> float:
        """0.0 when a token was there and is taken, otherwise the seconds until one will be."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_s)
        self._at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._per_s

    @property
    def full_at(self) -> float:
        """When this bucket will be as good as new, and may be forgotten."""
        return self._at + (self._burst - self._tokens) / self._per_s


class Rates:
    """The buckets of one connection."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._buckets = {
            "clicks": Bucket(limits.clicks, now),
            "chat": Bucket(limits.chat, now),
            "offers": Bucket(limits.offers, now),
        }

    def take(self, tag: str, now: float) -> float:
        return self._buckets[CLASSES.get(tag, "clicks")].take(now)
