"""At most once per interval, and never a last time too few: how often presence goes out."""

import asyncio
from collections.abc import Callable


class Pace:
    """`poke` runs `act` now if the last run is at least `interval_s` ago, otherwise once it is."""

    def __init__(self, interval_s: float, act: Callable[[], None]) -> None:
        self.interval_s = interval_s
        self._act = act
        self._loop = asyncio.get_running_loop()
        self._last = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def poke(self) -> None:
        if self._timer is not None:
            return
        wait_s = self._last + self.interval_s - self._loop.time()
        if wait_s > 0:
            self._timer = self._loop.call_later(wait_s, self._run)
        else:
            # Not at once but in the next turn of the loop: what comes together goes out together.
            self._timer = self._loop.call_later(0, self._run)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        self._last = self._loop.time()
        self._act()
