"""A participant in a lesson: joins, follows its log, reconnects and resumes by itself.

    async with join("https://localhost:7880", token, verify_tls=False) as lesson:
        await lesson.raise_hand()
        async for entry in lesson.events():
            print(entry.pos, entry.event)

`state` is the lesson as this participant may see it (docs/log.md, "State"), kept current by folding
every event of the log; presence beside the log is in `slots`, `levels`, `counts`, `tally` and `journal`.
"""

import asyncio
import contextlib
import itertools
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any, Literal, TypeVar

from aiortc.mediastreams import MediaStreamTrack

from clients.python.backoff import Backoff
from clients.python.commands import Commands
from clients.python.connection import OPEN_S, Connection, VerifyTls, connect
from clients.python.errors import (
    ConnectionLost,
    Dismissed,
    KelianError,
    Refused,
    left,
    line_lost,
    no_media,
)
from clients.python.peer import Media
from clients.python.slots import Slot
from signaling.log.events import Codec, Role, Use
from signaling.log.view import fold_view
from signaling.protocol import VERSION, replies
from signaling.protocol.replies import AnyReply, LogEvent, Person
from signaling.protocol.requests import AnyRequest, CloseSession, Hello, Leave, Offer, Publish, Resume

ANSWER_S = 15.0  # a request that is not answered in this time is lost
LONGEST_WAIT_S = 1.5  # between tries to connect again: a restarted server is found at once
EVENT_QUEUE = 10_000  # an iterator that lags by more is ended
CLIENT = "kelian-python/0.1"

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_END = object()


@contextlib.asynccontextmanager
async def join(
    url: str,
    token: str,
    *,
    device: Literal["pc", "phone", "room", "bot"] = "bot",
    verify_tls: VerifyTls = True,
    wait: bool = True,
    client: str = CLIENT,
) -> AsyncIterator["Lesson"]:
    """Joins, and leaves at the end of the block.

    With `wait`, a lesson that has not started is waited for; without, NotStarted is raised as a
    KelianError with the code "lesson_not_started". Raises Refused, Dismissed or ConnectionLost.
    """
    lesson = Lesson(url, token, device=device, verify_tls=verify_tls, client=client)
    try:
        await lesson._start(wait)
        yield lesson
    finally:
        await lesson.leave()


class Lesson(Commands):
    def __init__(
        self,
        url: str,
        token: str,
        *,
        device: Literal["pc", "phone", "room", "bot"],
        verify_tls: VerifyTls,
        client: str,
    ) -> None:
        self.url = url
        self.state: dict[str, Any] = {}
        self.people: dict[str, Person] = {}
        self.position = 0  # in the log, up to which `state` is folded
        self.slots: dict[str, int] = {}  # slot name -> the source that it should show
        self.sources: dict[int, replies.SourceInfo] = {}  # of `slots`
        self.levels: list[tuple[int, int]] = []  # (source, -dBov), loudest first
        self.counts: dict[Role, int] = {}
        self.tally: replies.Tally | None = None
        self.journal = replies.Journal(state="ok")  # of staff: how the recording fares
        self.waiting_with: list[Person] | None = None  # before the lecturer comes
        self.connections = 0  # how often the WebSocket was opened
        self.media: Media | None = None
        self._token = token
        self._device = device
        self._verify_tls = verify_tls
        self._client = client
        self._welcome: replies.Welcome | None = None
        self._connection: Connection | None = None
        self._ready = asyncio.Event()  # welcomed on the present connection
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[AnyReply]] = {}
        self._iterators: set[asyncio.Queue[Any]] = set()
        self._change: asyncio.Future[None] | None = None
        self._ended: KelianError | None = None
        self._task: asyncio.Task[None] | None = None

    # --- what is known ---------------------------------------------------------------------

    @property
    def welcome(self) -> replies.Welcome:
        """The newest welcome: what this participant may do and send, and its pool of slots."""
        assert self._welcome is not None, "not joined yet"
        return self._welcome

    @property
    def participant(self) -> str:  # type: ignore[override]
        return self.welcome.participant

    @property
    def role(self) -> Role:
        return self.welcome.role

    @property
    def id(self) -> str:
        return self.welcome.lesson.id

    @property
    def codec(self) -> Codec:
        """The lesson's one video codec, as it is now."""
        codec: Codec = self.state["codec"]
        return codec

    @property
    def connected(self) -> bool:
        return self._ready.is_set()

    @property
    def over(self) -> bool:
        """Left, ended or refused for good: nothing comes back by itself."""
        return self._ended is not None

    async def until(self, condition: Callable[["Lesson"], _T], timeout_s: float | None = 10.0) -> _T:
        """Waits until `condition(lesson)` is true, and returns it. TimeoutError, or why it ended."""
        async with asyncio.timeout(timeout_s):
            while not (value := condition(self)):
                self._raise_if_ended()
                if self._change is None:
                    self._change = asyncio.get_running_loop().create_future()
                await asyncio.shield(self._change)
        return value

    async def events(self) -> AsyncIterator[LogEvent]:
        """Every event of the log from now on, once and in order, over reconnections too.

        Ends when the lesson is left; raises Dismissed when the server ends it.
        """
        queue: asyncio.Queue[Any] = asyncio.Queue(EVENT_QUEUE)
        self._iterators.add(queue)
        try:
            while True:
                self._raise_if_dismissed()
                entry = await queue.get()
                if entry is _END:
                    self._raise_if_dismissed()
                    return
                yield entry
        finally:
            self._iterators.discard(queue)

    # --- requests --------------------------------------------------------------------------

    async def request(self, request: AnyRequest) -> AnyReply:
        """Sends when the line is up, and returns the reply. Raises Refused, ConnectionLost, Dismissed."""
        await self._line_up()
        assert self._connection is not None
        future: asyncio.Future[AnyReply] = asyncio.get_running_loop().create_future()
        self._pending[request.req] = future
        try:
            await self._connection.send(request)
            async with asyncio.timeout(ANSWER_S):
                return await future
        except TimeoutError:
            raise line_lost() from None
        finally:
            self._pending.pop(request.req, None)

    async def command(self, request: AnyRequest) -> int:
        reply = await self.request(request)
        position = reply.position if isinstance(reply, replies.Ack) else 0
        if position > self.position:
            await self.until(lambda lesson: lesson.position >= position, ANSWER_S)
        return position

    def _number(self) -> int:
        return next(self._numbers)

    def _session(self) -> str:
        if self.media is None or self.media.session is None:
            raise no_media()
        return self.media.session

    # --- media -----------------------------------------------------------------------------

    async def open_media(
        self,
        send: Mapping[Use, MediaStreamTrack] | None = None,
        *,
        pool: bool | Collection[str] = True,
    ) -> Media:
        """Opens the one connection for sound and pictures, and publishes the given tracks.

        `pool`: which slots to receive: all that the role has, none, or those named. Every use that the
        role may send is offered from the start, so that `publish` needs no new offer.
        """
        if self.media is not None:
            raise ValueError("media are open already")
        self.media = Media(self, pool)
        try:
            await self.media.open()
            for use, track in (send or {}).items():
                await self.media.publish(use, track)
        except BaseException:
            await self.close_media()
            raise
        return self.media

    async def close_media(self) -> None:
        if self.media is not None:
            media, self.media = self.media, None
            await media.close()

    def slot(self, name: str) -> Slot:
        """A receiving slot, like "lecturer.video"; see `open_media`. KeyError if it was not offered."""
        if self.media is None:
            raise KeyError(f"no media are open: {name}")
        return self.media.slots[name]

    async def offer(self, sdp: str, labels: dict[str, str]) -> replies.Answer:
        reply = await self.request(Offer(req=self._number(), sdp=sdp, labels=labels))
        assert isinstance(reply, replies.Answer), reply
        return reply

    async def tell_published(self, session: str, use: Use, on: bool) -> None:
        await self.command(Publish(req=self._number(), session=session, use=use, on=on))

    async def close_session(self, session: str) -> None:
        await self.request(CloseSession(req=self._number(), session=session))

    # --- the line --------------------------------------------------------------------------

    async def _start(self, wait: bool) -> None:
        self._task = asyncio.create_task(self._run())
        await self.until(
            lambda lesson: lesson._welcome is not None or (not wait and lesson.waiting_with is not None),
            timeout_s=None,
        )
        if self._welcome is None:
            raise KelianError("lesson_not_started", "主讲老师还没有来", "the lecturer has not come yet")

    async def leave(self) -> None:
        """Closes the media, tells the server, and ends. Safe to call twice."""
        await self.close_media()
        if self._connection is not None and self._ready.is_set():
            with contextlib.suppress(KelianError, TimeoutError):
                async with asyncio.timeout(2):
                    await self.request(Leave(req=self._number()))
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._end(left())

    async def _run(self) -> None:
        backoff = Backoff(first_s=0.2, most_s=LONGEST_WAIT_S)
        while self._ended is None:
            try:
                wait_s = await self._connect_once(backoff)
            except (Refused, Dismissed) as error:
                return self._end(error)
            except ConnectionLost as error:
                if self.connections == 0:
                    return self._end(error)
                wait_s = backoff.down(time.monotonic())
            except Exception:
                _log.exception("the lesson's line failed")
                wait_s = backoff.down(time.monotonic())
            # Not all of a lesson at the same instant.
            await asyncio.sleep(wait_s * random.uniform(0.6, 1.0))

    async def _connect_once(self, backoff: Backoff) -> float:
        """One connection's life; returns how long to wait before the next."""
        async with connect(self.url, self._verify_tls) as connection:
            self._connection = connection
            self.connections += 1
            hello = self._hello()
            goodbye: replies.Goodbye | None = None
            try:
                await connection.send(hello)
                async for reply in connection.replies():
                    if isinstance(reply, replies.Goodbye):
                        goodbye = reply
                        break
                    if isinstance(reply, replies.Error) and reply.req == hello.req:
                        if reply.retry_after_ms is None:
                            raise Refused(reply)
                        return reply.retry_after_ms / 1000
                    if isinstance(reply, replies.Welcome):
                        backoff.up(time.monotonic())
                    self._take(reply)
            finally:
                self._line_down()
        if goodbye is not None and not goodbye.reconnect:
            raise Dismissed(goodbye)
        return backoff.down(time.monotonic())

    def _hello(self) -> Hello:
        known = self._welcome
        return Hello(
            req=self._number(),
            token=self._token,
            version=VERSION,
            resume=Resume(log=known.lesson.log, after=self.position) if known is not None else None,
            session=self.media.session if self.media is not None else None,
            device=self._device,
            client=self._client,
        )

    async def _line_up(self) -> None:
        self._raise_if_ended()
        if not self._ready.is_set():
            await self.until(lambda lesson: lesson._ready.is_set(), OPEN_S + ANSWER_S)

    def _line_down(self) -> None:
        self._connection = None
        self._ready.clear()
        for future in self._pending.values():
            if not future.done():
                future.set_exception(line_lost())
        self._notify()

    def _end(self, error: KelianError) -> None:
        if self._ended is None:
            self._ended = error
        for queue in self._iterators:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(_END)
        self._notify()

    def _raise_if_ended(self) -> None:
        if self._ended is not None:
            raise self._ended

    def _raise_if_dismissed(self) -> None:
        if isinstance(self._ended, Dismissed | Refused):
            raise self._ended

    def _notify(self) -> None:
        if self._change is not None:
            self._change.set_result(None)
            self._change = None

    # --- what the server says --------------------------------------------------------------

    def _take(self, reply: AnyReply) -> None:
        match reply:
            case replies.Welcome():
                self._take_welcome(reply)
            case replies.Waiting():
                self.waiting_with = reply.present
            case replies.Ack() | replies.Answer():
                self._settle(reply.req, reply)
            case replies.Error():
                self._settle(reply.req, reply)
            case replies.Events():
                self._take_events(reply)
            case replies.Slots():
                self.slots, self.sources = reply.slots, reply.sources
                self.people.update(reply.people)
            case replies.Levels():
                self.levels = reply.levels
            case replies.Counts():
                self.counts = reply.present
            case replies.Tally():
                self.tally = reply
            case replies.Journal():
                self.journal = reply
            case replies.SessionLost():
                if self.media is not None and self.media.session == reply.session:
                    self.media.lost()
            case _:
                pass
        self._notify()

    def _take_welcome(self, welcome: replies.Welcome) -> None:
        self._welcome = welcome
        self.waiting_with = None
        self.people.update(welcome.people)
        if welcome.state is not None:
            self.state = welcome.state
            self.position = welcome.position
        if welcome.session_lost and self.media is not None:
            self.media.lost()
        self._ready.set()

    def _take_events(self, message: replies.Events) -> None:
        self.people.update(message.people)
        for entry in message.events:
            if entry.pos <= self.position:
                continue  # a resume may overlap with what was on its way
            self.state = fold_view(self.state, entry)
            self.position = entry.pos
            for queue in list(self._iterators):
                if queue.full():
                    self._iterators.discard(queue)
                    _log.warning("an iterator of events lagged by %d and is ended", EVENT_QUEUE)
                    queue.get_nowait()
                    queue.put_nowait(_END)
                else:
                    queue.put_nowait(entry)
        self.position = max(self.position, message.upto)

    def _settle(self, req: int | None, reply: AnyReply) -> None:
        future = self._pending.get(req) if req is not None else None
        if future is None or future.done():
            return
        if isinstance(reply, replies.Error):
            future.set_exception(Refused(reply))
        else:
            future.set_result(reply)
