"""All lessons that run in this process, by id; the others are loaded from the store on demand."""

import asyncio
import secrets

import structlog

from signaling.config import Settings
from signaling.errors import KelianError
from signaling.lessons.hooks import Hooks
from signaling.lessons.lesson import RunningLesson
from signaling.lessons.media import Media
from signaling.lessons.meters import Meters
from signaling.log.commands import SYSTEM, Create
from signaling.log.decide import Refusal
from signaling.log.events import Codec
from signaling.log.state import fold
from signaling.log.tally import Tally
from signaling.stores import LessonRow, LessonStore

log = structlog.get_logger("signaling.registry")

SWEEP_S = 30.0


class Registry:
    def __init__(self, settings: Settings, store: LessonStore, meters: Meters) -> None:
        """Raises ValueError for a channel address that cannot be one."""
        self.meters = meters
        self.store = store
        self.settings = settings
        self.media = Media(settings, store, meters, self.running)
        self._lessons: dict[str, RunningLesson] = {}
        self._loading: dict[str, asyncio.Task[RunningLesson]] = {}
        self._resting: set[RunningLesson] = set()  # idle at the last sweep, and not asked for since
        self._sweeper: asyncio.Task[None] | None = None
        self._hooks = Hooks(
            planned=self.media.planned,
            left=self.media.left,
            ended=self.media.ended,
            voided=self.media.voided,
            failed=self._failed,
            live=self.media.live,
            claim=self.media.claim,
            recording=self.media.recording,
        )

    async def start(self) -> None:
        """Takes up the lessons in which something went on when the last process ended; the others are
        loaded when somebody comes. Raises StoreError."""
        for row in await self.store.busy_lessons():
            lesson = self._lessons[row.id] = await self._load(row.id)
            self.media.restore(lesson, await self.store.sessions(row.log))
            if lesson.idle and not self.media.in_lesson(lesson.id):
                del self._lessons[row.id]
        self.media.start()
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    async def close(self) -> None:
        """Sends clients to reconnect; what was decided is on disk when this returns."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for lesson in list(self._lessons.values()):
            lesson.close()
            await lesson.settled()
        await self.media.close()

    @property
    def lessons(self) -> list[RunningLesson]:
        return list(self._lessons.values())

    def running(self, lesson_id: str) -> RunningLesson | None:
        return self._lessons.get(lesson_id)

    async def get(self, lesson_id: str) -> RunningLesson:
        """The lesson of this id, running; one that does not exist yet can be waited in. StoreError."""
        lesson = self._lessons.get(lesson_id)
        if lesson is not None:
            self._resting.discard(lesson)
            return lesson
        loading = self._loading.get(lesson_id)
        if loading is None:
            loading = asyncio.get_running_loop().create_task(self._take_up(lesson_id))
            self._loading[lesson_id] = loading
            loading.add_done_callback(lambda _: self._loading.pop(lesson_id, None))
        return await asyncio.shield(loading)

    async def create(self, lesson_id: str, title: str, codec: Codec, *, record: bool) -> LessonRow:
        """Makes a lesson before anybody comes. Raises KelianError (lesson_exists), StoreError."""
        lesson = await self.get(lesson_id)
        lesson = self._lessons.get(lesson_id, lesson)  # who waited for the same one may have replaced it
        if lesson.state.ended:
            self._lessons.pop(lesson_id, None)
            lesson = self._lessons[lesson_id] = self._new(lesson_id)
        outcome = await lesson.do(SYSTEM, Create(title=title, codec=codec, record=record))
        if isinstance(outcome, Refusal):
            raise KelianError(outcome.code, **outcome.detail)
        row = await self.store.lesson(lesson_id)
        assert row is not None  # just made
        return row

    async def _take_up(self, lesson_id: str) -> RunningLesson:
        lesson = self._lessons[lesson_id] = await self._load(lesson_id)
        self.media.taken_up(lesson)
        return lesson

    async def _load(self, lesson_id: str) -> RunningLesson:
        row = await self.store.lesson(lesson_id)
        if row is None:
            return self._new(lesson_id)
        entries = await self.store.entries(row.log)
        state = fold(entries)
        names = await self.store.people(list(state.participants))
        tally = None
        if state.quiz is not None:
            tally = Tally(len(state.quiz.options), await self.store.answers(row.log, state.quiz.quiz))
        log.info("lesson loaded", lesson=lesson_id, log=row.log, position=state.position)
        return RunningLesson(
            lesson_id,
            row.log,
            entries=entries,
            state=state,
            names=names,
            tally=tally,
            store=self.store,
            settings=self.settings,
            meters=self.meters,
            hooks=self._hooks,
        )

    def _new(self, lesson_id: str) -> RunningLesson:
        return RunningLesson(
            lesson_id,
            secrets.token_hex(8),
            entries=[],
            state=fold([]),
            names={},
            tally=None,
            store=self.store,
            settings=self.settings,
            meters=self.meters,
            hooks=self._hooks,
        )

    def _failed(self, lesson: RunningLesson) -> None:
        if self._lessons.get(lesson.id) is lesson:
            del self._lessons[lesson.id]

    def sweep(self) -> None:
        """Forgets lessons in which nothing went on since the last sweep; their logs are on disk.

        Whoever was handed a lesson a moment ago, and comes in after a word with the store, still
        finds it running.
        """
        idle = {it for it in self._lessons.values() if it.idle and not self.media.in_lesson(it.id)}
        for lesson in idle & self._resting:
            lesson.close()
            self.media.forgotten(lesson)
            del self._lessons[lesson.id]
        self._resting = idle - self._resting

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep()
