"""How long to wait before the next try: twice as long after each failure, short again after calm."""


class Backoff:
    """Pure: times are given, in seconds of any monotonic clock."""

    def __init__(self, *, first_s: float = 0.2, most_s: float = 10.0, calm_s: float = 30.0) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._calm_s = calm_s
        self._next_s = first_s
        self._since: float | None = None

    def up(self, now_s: float) -> None:
        """It works since now."""
        self._since = now_s

    def down(self, now_s: float) -> float:
        """It failed now: how long to wait. Having worked for `calm_s` makes the wait short again."""
        if self._since is not None and now_s - self._since >= self._calm_s:
            self._next_s = self._first_s
        self._since = None
        wait_s = self._next_s
        self._next_s = min(self._most_s, self._next_s * 2)
        return wait_s
