"""Which source goes into which slot of which session: a pure function of what was asked.

Signaling states a plan for a lesson: slots by name, exceptions for single sessions, and who
may be heard on the floor. Who of these sits in `floor.0`, `floor.1` ... is decided here, by
who speaks.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

NOBODY = 0

SPEAKING_DBOV = 60  # quieter than -60 dBov is a room, not a voice
YIELD_AFTER_S = 1.5  # a seat whose speaker has paused for so long may be taken
LOUDER_BY_DB = 12  # a seat whose speaker still speaks is taken only by somebody so much louder
LEAST_TENURE_S = 1.0  # ... and not before


@dataclass(frozen=True, slots=True)
class Plan:
    """The fields of SetPlan."""

    slots: Mapping[str, int] = field(default_factory=dict)
    floor: Sequence[int] = ()
    overrides: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(slots=True)
class _Seat:
    source: int
    since: float
    heard: float
    level_db: int


class Floor:
    """The loudest of the floor, each in a seat of its own for as long as it speaks.

    Seats do not follow the ranking: a speaker keeps its seat while others become louder, since
    every move costs listeners a word.
    """

    def __init__(self) -> None:
        self._seats: list[_Seat | None] = []

    def resize(self, seats: int) -> None:
        """As many seats as the largest client has slots."""
        while len(self._seats) < seats:
            self._seats.append(None)
        del self._seats[seats:]

    def restrict(self, candidates: Collection[int]) -> None:
        """Empties the seats of those who may not be heard any more."""
        self._seats = [seat if seat and seat.source in candidates else None for seat in self._seats]

    def hear(self, levels: Iterable[tuple[int, int]], candidates: Collection[int], now: float) -> None:
        """`levels`: (source, -dBov), loudest first."""
        speaking = [
            (source, level) for source, level in levels if source in candidates and level <= SPEAKING_DBOV
        ]
        seated = {seat.source: seat for seat in self._seats if seat}
        for source, level in speaking:
            if seat := seated.get(source):
                seat.heard, seat.level_db = now, level
        for source, level in speaking:
            if source not in seated and (index := self._seat_for(level, now)) is not None:
                self._seats[index] = _Seat(source, since=now, heard=now, level_db=level)

    def _seat_for(self, level_db: int, now: float) -> int | None:
        """An empty seat, else that of who is silent longest, else of who is far quieter."""
        if None in self._seats:
            return self._seats.index(None)
        taken = [(index, seat) for index, seat in enumerate(self._seats) if seat]
        if not taken:
            return None
        index, silent = min(taken, key=lambda pair: pair[1].heard)
        if now - silent.heard >= YIELD_AFTER_S:
            return index
        index, quiet = max(taken, key=lambda pair: pair[1].level_db)
        if quiet.level_db - level_db >= LOUDER_BY_DB and now - quiet.since >= LEAST_TENURE_S:
            return index
        return None

    @property
    def slots(self) -> dict[str, int]:
        return {f"floor.{index}": seat.source for index, seat in enumerate(self._seats) if seat}


def floor_seats(slots: Iterable[str]) -> int:
    """How many floor slots a client has."""
    return sum(slot.startswith("floor.") for slot in slots)


def wanted(
    slots: Iterable[str],
    session: str,
    plan: Plan,
    floor: Mapping[str, int],
    barred: Collection[int],
    known: Collection[int],
) -> dict[str, int]:
    """The source of each slot of one session.

    `barred`: the sources of its own participant. `known`: those that this node has; the plan
    may be ahead of a source or behind one. A voice that has a slot of its own here is not on the
    floor, too: it would be heard twice.
    """
    overrides = plan.overrides.get(session, {})
    result = {}
    for slot in slots:
        source = overrides.get(slot, plan.slots.get(slot, NOBODY))
        result[slot] = source if source in known and source not in barred else NOBODY
    elsewhere = {*barred, *result.values()}
    for slot in (result.keys() & floor.keys()) - overrides.keys():
        if floor[slot] in known and floor[slot] not in elsewhere:
            result[slot] = floor[slot]
    return result
