"""What is only true now: slots, live sources, levels, counts, tallies. Unlogged and droppable.

Each kind has its own pace, and a newer value replaces one that did not go out.
"""

from collections.abc import Callable, Collection, Iterable

from signaling.lessons.connection import Connection
from signaling.lessons.fanout import People, broadcast
from signaling.lessons.meters import Meters
from signaling.lessons.pace import Pace
from signaling.log.events import Role
from signaling.log.plan import Plan
from signaling.log.roles import RIGHTS
from signaling.log.state import Lesson
from signaling.log.tally import Tally
from signaling.log.view import hand_count, present_counts
from signaling.protocol import replies

LEVELS_S = 0.25
COUNTS_S = 1.0
TALLY_S = 0.25
WAITING_S = 0.5
WAITING_SHOWN = 200  # of those who wait, so many are told by name


class Presence:
    def __init__(
        self,
        *,
        audience: Collection[Connection],
        state: Callable[[], Lesson],
        people: People,
        live: Callable[[int], bool],
        tally: Callable[[], tuple[int, Tally] | None],
        meters: Meters,
    ) -> None:
        """`audience` is watched, not copied; `tally` is the open quiz's."""
        self._audience = audience
        self._state = state
        self._people = people
        self._is_live = live
        self._tally = tally
        self._meters = meters
        self.plan = Plan()
        self._slots_frames: dict[tuple[str, bool], bytes] = {}
        self._counts: dict[bool, replies.Counts] = {}  # for ops, for others
        self._journal = replies.Journal(state="ok")
        self._levels: list[tuple[int, int]] = []
        self._levels_pace = Pace(LEVELS_S, self._send_levels)
        self._counts_pace = Pace(COUNTS_S, self._send_counts)
        self._tally_pace = Pace(TALLY_S, self._send_tally)

    def close(self) -> None:
        for pace in (self._levels_pace, self._counts_pace, self._tally_pace):
            pace.cancel()

    def greet(self, connection: Connection) -> None:
        """All that a client who has just come in cannot know."""
        connection.send_frame(self._slots_frame(connection))
        connection.send(self._known_count(connection.role == "ops"))
        if RIGHTS[connection.role].staff and (open_quiz := self._tally()) is not None:
            connection.send(_tally_reply(*open_quiz))
        if RIGHTS[connection.role].staff and self._journal.state != "ok":
            connection.send(self._journal)

    # --- slots and sources ------------------------------------------------------------------

    def planned(self, plan: Plan) -> None:
        """What the slots shall show has changed."""
        self.plan = plan
        self._slots_frames.clear()
        for connection in self._audience:
            connection.send_frame(self._slots_frame(connection))

    def live(self, source: int, live: bool) -> None:
        if source in self._shown(wall=True):
            self._slots_frames.clear()
            broadcast(replies.Live(source=source, live=live), self._audience, self._meters)

    def _slots_frame(self, connection: Connection) -> bytes:
        wall = RIGHTS[connection.role].wall_slots > 0
        key = (connection.encoding.name, wall)
        frame = self._slots_frames.get(key)
        if frame is None:
            frame = self._slots_frames[key] = connection.encoding.frame(self._slots(wall=wall))
            self._meters.encoded_frames += 1
        return frame

    def _slots(self, *, wall: bool) -> replies.Slots:
        """The wall names children who are not on stage: only those who have one hear of it."""
        sources = self._state().sources
        shown = {
            source: replies.SourceInfo(participant=info.participant, use=info.use, live=self._is_live(source))
            for source in self._shown(wall=wall)
            if (info := sources.get(source)) is not None
        }
        return replies.Slots(
            slots={slot: source for slot, source in self.plan.slots.items() if wall or not _on_wall(slot)},
            sources=shown,
            people=self._people({info.participant for info in shown.values()}),
        )

    def _shown(self, *, wall: bool) -> set[int]:
        slots = {source for slot, source in self.plan.slots.items() if wall or not _on_wall(slot)}
        return slots | set(self.plan.floor)

    # --- recording --------------------------------------------------------------------------

    def journal(self, journal: replies.Journal) -> None:
        """A gap is told once; the other states last, and only a change of them is told."""
        if journal.state != "gap":
            if journal.state == self._journal.state:
                return
            self._journal = journal
        broadcast(journal, [it for it in self._audience if RIGHTS[it.role].staff], self._meters)

    # --- levels, counts, tally --------------------------------------------------------------

    def levels(self, levels: list[tuple[int, int]]) -> None:
        if levels or self._levels:
            self._levels = levels
            self._levels_pace.poke()

    def count(self) -> None:
        self._counts_pace.poke()

    def tally(self) -> None:
        self._tally_pace.poke()

    def _send_levels(self) -> None:
        broadcast(replies.Levels(levels=self._levels), self._audience, self._meters)

    def _known_count(self, ops: bool) -> replies.Counts:
        """What others were told last; when that is old, all are told anew within the second."""
        counts = self._counts.get(ops)
        if counts is None:
            counts = self._counts[ops] = self._count(ops)
        return counts

    def _count(self, ops: bool) -> replies.Counts:
        role: Role = "ops" if ops else "observer"
        state = self._state()
        return replies.Counts(present=present_counts(state, role), hands=hand_count(state))

    def _send_counts(self) -> None:
        for ops in (True, False):
            counts = self._count(ops)
            if self._counts.get(ops) != counts:
                self._counts[ops] = counts
                hearers = [it for it in self._audience if (it.role == "ops") == ops]
                broadcast(counts, hearers, self._meters)

    def _send_tally(self) -> None:
        if (open_quiz := self._tally()) is not None:
            staff = [it for it in self._audience if RIGHTS[it.role].staff]
            broadcast(_tally_reply(*open_quiz), staff, self._meters)


class WaitingRoom:
    """Clients who came before the lecturer, and see who else did."""

    def __init__(self, lesson: str, meters: Meters) -> None:
        self._lesson = lesson
        self._meters = meters
        self._connections: dict[Connection, None] = {}
        self._pace = Pace(WAITING_S, self._tell)

    def __len__(self) -> int:
        return len(self._connections)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._connections

    def enter(self, connection: Connection) -> None:
        """The newcomer hears at once, the others soon."""
        self._connections[connection] = None
        connection.send(self._reply(connection, self._present()))
        if len(self._connections) > 1:
            self._pace.poke()

    def leave(self, connection: Connection) -> None:
        if connection in self._connections:
            del self._connections[connection]
            self._pace.poke()

    def all(self) -> list[Connection]:
        return list(self._connections)

    def take(self, count: int) -> list[Connection]:
        """The first so many in the order of coming; they wait no more, and the others hear nothing of
        it: their turn is next."""
        taken = list(self._connections)[:count]
        for connection in taken:
            del self._connections[connection]
        return taken

    def _tell(self) -> None:
        present = self._present()
        for connection in list(self._connections):
            connection.send(self._reply(connection, present))

    def _present(self) -> list[replies.Person]:
        people = {
            it.participant: replies.Person(name=it.name, role=it.role)
            for it in self._connections
            if RIGHTS[it.role].seen != "ops"
        }
        return list(_first(people.values(), WAITING_SHOWN))

    def _reply(self, connection: Connection, present: list[replies.Person]) -> replies.Waiting:
        return replies.Waiting(
            req=connection.hello_req,
            lesson=self._lesson,
            participant=connection.participant,
            present=present,
        )


def _first(people: Iterable[replies.Person], count: int) -> list[replies.Person]:
    return [person for _, person in zip(range(count), people, strict=False)]


def _on_wall(slot: str) -> bool:
    return slot.startswith("wall.")


def _tally_reply(quiz: int, tally: Tally) -> replies.Tally:
    return replies.Tally(quiz=quiz, counts=list(tally.counts), answered=tally.answered)
