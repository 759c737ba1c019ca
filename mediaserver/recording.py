"""Which lessons are recorded into which files, and how their journals fare (docs/journal.md)."""

from collections.abc import Iterable
from dataclasses import dataclass

from mediaserver._engine import Engine
from mediaserver.channel.messages import JournalState, JournalWord
from mediaserver.session import Session


@dataclass(slots=True)
class _Recording:
    file: str  # below the folder of journals
    state: JournalWord = "ok"
    detail: str = ""


class Recordings:
    """The recorded lessons of one node. Sources that come later are recorded by themselves."""

    def __init__(self, engine: Engine, file_name: str, *, possible: bool) -> None:
        """`file_name`: of this node's file in every lesson's folder. `possible`: it has such a folder."""
        self._engine = engine
        self._file_name = file_name
        self._possible = possible
        self._lessons: dict[str, _Recording] = {}
        self._by_file: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._lessons)

    def start(self, lesson: str, folder: str, sessions: Iterable[Session]) -> JournalState:
        """Again for a lesson that is recorded: tells how that goes, and changes nothing."""
        if not self._possible:
            detail = "this node was started without a folder for journals"
            return JournalState(lesson=lesson, state="failed", detail=detail)
        recording = self._lessons.get(lesson)
        if recording is None:
            recording = self._lessons[lesson] = _Recording(f"{folder}/{self._file_name}")
            self._by_file[recording.file] = lesson
            for session in sessions:
                self.opened(session)
        return JournalState(lesson=lesson, state=recording.state, detail=recording.detail)

    def stop(self, lesson: str, sessions: Iterable[Session]) -> None:
        if self._lessons.pop(lesson, None) is not None:
            for session in sessions:
                for source in session.sources.values():
                    self._engine.stop_recording(source)

    def opened(self, session: Session) -> None:
        """A session whose sources are to be recorded, if its lesson is."""
        if recording := self._lessons.get(session.lesson):
            for use, source in session.sources.items():
                label = f"use={use};participant={session.participant}"
                self._engine.record(source, recording.file, label)

    def heard(self, file: str, state: JournalWord, detail: str) -> JournalState | None:
        """What the engine says of a file. A gap is told once; the others last until the next."""
        lesson = self._by_file.get(file)
        if lesson is None:
            return None
        if (recording := self._lessons.get(lesson)) and state != "gap":
            recording.state, recording.detail = state, detail
        return JournalState(lesson=lesson, state=state, detail=detail)
