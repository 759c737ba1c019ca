"""From committed entries to frames: each class of viewers gets one encoding, shared by all of it.

Two clients are of one class when they may see the same events of a batch and speak the same
subprotocol. In a lesson of a thousand a batch has a handful of classes.
"""

from collections.abc import Callable, Iterable, Sequence

from signaling.lessons.connection import Connection
from signaling.lessons.encoding import Encoding
from signaling.lessons.meters import Meters
from signaling.log.events import Entry, Role
from signaling.log.view import mentioned
from signaling.protocol.replies import AnyReply, Events, LogEvent, Person

People = Callable[[Iterable[str]], dict[str, Person]]


def log_event(entry: Entry) -> LogEvent:
    return LogEvent(pos=entry.pos, at_ms=entry.at_ms, event=entry.event, by=entry.by)


class Batch:
    """Consecutive entries on their way out. Bit i of a mask stands for `entries[i]`."""

    def __init__(self, entries: Sequence[Entry], people: People, meters: Meters) -> None:
        self.first = entries[0].pos
        self.upto = entries[-1].pos
        self._entries = entries
        self._people = people
        self._meters = meters
        self._frames: dict[tuple[int, str], bytes] = {}
        self._everybody = 0
        self._roles: dict[Role, int] = {}
        self._participants: dict[str, int] = {}
        for index, entry in enumerate(entries):
            bit = 1 << index
            if entry.audience.everybody:
                self._everybody |= bit
                continue
            for role in entry.audience.roles:
                self._roles[role] = self._roles.get(role, 0) | bit
            for participant in entry.audience.participants:
                self._participants[participant] = self._participants.get(participant, 0) | bit

    def send(self, connection: Connection) -> None:
        """Sends what this client may see and has not seen. Nothing to see costs nothing: `upto`
        of the next message covers the gap."""
        if connection.position >= self.upto:
            return
        mask = self._mask(connection)
        connection.position = self.upto
        if mask:
            connection.send_frame(self._frame(mask, connection.encoding))

    def _mask(self, connection: Connection) -> int:
        mask = (
            self._everybody
            | self._roles.get(connection.role, 0)
            | self._participants.get(connection.participant, 0)
        )
        seen = connection.position - self.first + 1  # entries of this batch that it already knows
        return mask >> seen << seen if seen > 0 else mask

    def _frame(self, mask: int, encoding: Encoding) -> bytes:
        key = (mask, encoding.name)
        frame = self._frames.get(key)
        if frame is None:
            seen = [entry for index, entry in enumerate(self._entries) if mask >> index & 1]
            frame = self._frames[key] = encoding.frame(events_reply(seen, self.upto, self._people))
            self._meters.encoded_frames += 1
        return frame


def events_reply(entries: Sequence[Entry], upto: int, people: People) -> Events:
    names = {who for entry in entries for who in mentioned(entry.event)}
    return Events(events=[log_event(entry) for entry in entries], upto=upto, people=people(names))


def broadcast(reply: AnyReply, connections: Iterable[Connection], meters: Meters) -> None:
    """One presence message to many, encoded once per subprotocol."""
    frames: dict[str, bytes] = {}
    for connection in connections:
        frame = frames.get(connection.encoding.name)
        if frame is None:
            frame = frames[connection.encoding.name] = connection.encoding.frame(reply)
            meters.encoded_frames += 1
        connection.send_frame(frame)
