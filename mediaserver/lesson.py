"""The sessions of one lesson on this node, and the plan that they follow."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from mediaserver.plan import Floor, Plan, floor_seats, wanted
from mediaserver.session import Session

Change = tuple[int, str, int]  # transport, mid of the slot, source or nobody: as the engine takes it


@dataclass(slots=True)
class Lesson:
    group: int  # the engine's number for it, in which speakers are ranked
    plan: Plan = field(default_factory=Plan)
    floor: Floor = field(default_factory=Floor)
    sessions: dict[str, Session] = field(default_factory=dict)
    levels: list[tuple[int, int]] = field(default_factory=list)  # the last ones that were heard
    levels_told: bool = True

    @property
    def is_idle(self) -> bool:
        return not self.sessions and self.plan == Plan()

    def follow(self, plan: Plan) -> list[Change]:
        self.plan = plan
        self.floor.restrict(set(plan.floor))
        return self.changes(self.sessions.values())

    def add(self, session: Session) -> list[Change]:
        self.sessions[session.session] = session
        self._resize_floor()
        concerned = self.sessions.values() if self._plans_any(session.sources.values()) else [session]
        return self.changes(concerned)

    def remove(self, session: Session) -> list[Change]:
        del self.sessions[session.session]
        self._resize_floor()
        sources = set(session.sources.values())
        self.floor.restrict(set(self.plan.floor) - sources)
        return self.changes(self.sessions.values()) if self._plans_any(sources) else []

    def hear(self, levels: list[tuple[int, int]], now: float) -> list[Change]:
        self.levels, self.levels_told = levels, False
        before = self.floor.slots
        self.floor.hear(levels, set(self.plan.floor), now)
        return self.changes(self.sessions.values()) if self.floor.slots != before else []

    def changes(self, sessions: Iterable[Session]) -> list[Change]:
        """What has to be assigned so that these sessions show what is wanted; noted as done."""
        known: set[int] = set()
        of_participant: dict[str, set[int]] = {}
        for session in self.sessions.values():
            for source in session.sources.values():
                known.add(source)
                of_participant.setdefault(session.participant, set()).add(source)
        floor = self.floor.slots
        changes: list[Change] = []
        for session in sessions:
            barred = of_participant.get(session.participant, set())
            now = wanted(session.mids, session.session, self.plan, floor, barred, known)
            changes += [
                (session.transport, session.mids[slot], source)
                for slot, source in now.items()
                if session.assigned[slot] != source
            ]
            session.assigned = now
        return changes

    def _resize_floor(self) -> None:
        self.floor.resize(max((floor_seats(session.mids) for session in self.sessions.values()), default=0))

    def _plans_any(self, sources: Iterable[int]) -> bool:
        plan = self.plan
        planned = {*plan.slots.values(), *plan.floor}
        planned.update(*(slots.values() for slots in plan.overrides.values()))
        return not planned.isdisjoint(sources)
