"""Lessons in one SQLite file: the embedded store (DESIGN: embedded default).

One thread writes (stores/writer.py), one reads; the event loop waits for neither.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from signaling.log import events as ev
from signaling.log.events import Entry
from signaling.stores import DURABLE, LessonRow, SessionRow, StoreError
from signaling.stores.database import connect_reader, empty_wal, translated
from signaling.stores.writer import Writer

T = TypeVar("T")

SOURCE_BLOCK = 256  # source ids taken from the file at once; a restart forgoes the rest
MAX_SOURCE = 2**32 - 1

_encode = msgspec.json.Encoder().encode
_decode_entry = msgspec.json.Decoder(Entry).decode
_decode_session = msgspec.json.Decoder(SessionRow).decode
_decode_choices = msgspec.json.Decoder(list[int]).decode

_LESSON = "SELECT id, log, title, codec, created_ms, started_ms, ended_ms, position FROM lessons"


class SqliteStore:
    """A LessonStore. Make it, `await open()`, and `await close()` in the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = Writer(path)
        self._reader: ThreadPoolExecutor | None = None
        self._read_connection: sqlite3.Connection | None = None
        self._next_source = 0
        self._end_of_block = 0
        self._allotting = asyncio.Lock()

    async def open(self) -> None:
        await asyncio.to_thread(self._writer.start)
        try:
            self._read_connection = await asyncio.to_thread(connect_reader, self._path)
        except StoreError:
            await self._writer.stop()
            raise
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="store-reader")

    async def close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and self._read_connection is not None:
            await asyncio.to_thread(reader.shutdown)
            self._read_connection.close()
        await self._writer.stop()  # the last to close moves the write-ahead log into the file

    @property
    def transactions(self) -> int:
        """Commits so far."""
        return self._writer.transactions

    # --- lessons and their logs -------------------------------------------------------------

    async def create(self, lesson: str, log: str, entries: Sequence[Entry]) -> LessonRow:
        first = entries[0].event if entries else None
        if not isinstance(first, ev.Created):
            raise ValueError("a log begins with its created event")
        row = LessonRow(
            id=lesson, log=log, title=first.title, codec=first.codec, created_ms=entries[0].at_ms
        )

        def work(connection: sqlite3.Connection) -> LessonRow:
            try:
                connection.execute(
                    "INSERT INTO lessons (id, log, title, codec, created_ms, position)"
                    " VALUES (?, ?, ?, ?, ?, 0)",
                    (lesson, log, row.title, row.codec, row.created_ms),
                )
            except sqlite3.IntegrityError as error:
                raise StoreError("lesson_exists", lesson=lesson) from error
            _append(connection, log, entries)
            return _lesson(connection.execute(f"{_LESSON} WHERE log = ?", (log,)).fetchone())

        return await self._writer.do(work, durable=True)

    async def append(self, log: str, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        durable = any(isinstance(entry.event, DURABLE) for entry in entries)
        await self._writer.do(lambda connection: _append(connection, log, entries), durable=durable)

    async def lesson(self, lesson: str) -> LessonRow | None:
        found = await self._one(f"{_LESSON} WHERE id = ? ORDER BY number DESC LIMIT 1", lesson)
        return None if found is None else _lesson(found)

    async def lessons(
        self, *, ended: bool | None = None, before: str | None = None, limit: int = 50
    ) -> list[LessonRow]:
        conditions, values = ["1"], list[object]()
        if ended is not None:
            conditions.append(f"ended_ms IS {'NOT ' if ended else ''}NULL")
        if before is not None:
            conditions.append("number < (SELECT number FROM lessons WHERE log = ?)")
            values.append(before)
        where = " AND ".join(conditions)
        rows = await self._all(f"{_LESSON} WHERE {where} ORDER BY number DESC LIMIT ?", *values, limit)
        return [_lesson(row) for row in rows]

    async def busy_lessons(self) -> list[LessonRow]:
        busy = "ended_ms IS NULL AND (present > 0 OR log IN (SELECT log FROM sessions))"
        return [_lesson(row) for row in await self._all(f"{_LESSON} WHERE {busy} ORDER BY number")]

    async def entries(self, log: str, after: int = 0, limit: int | None = None) -> list[Entry]:
        query = (
            "SELECT entry FROM entries WHERE lesson = (SELECT number FROM lessons WHERE log = ?) AND pos > ?"
            " ORDER BY pos LIMIT ?"
        )
        rows = await self._all(query, log, after, -1 if limit is None else limit)
        try:
            return [_decode_entry(entry) for (entry,) in rows]
        except msgspec.DecodeError as error:
            raise StoreError("store_corrupt", log=log, why=str(error)) from error

    # --- people and answers -----------------------------------------------------------------

    async def name_people(self, names: dict[str, str]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT INTO people VALUES (?, ?) ON CONFLICT DO UPDATE SET name = excluded.name",
                list(names.items()),
            )

        await self._writer.do(work)

    async def people(self, participants: Sequence[str]) -> dict[str, str]:
        wanted = _encode(list(participants)).decode()
        query = "SELECT participant, name FROM people WHERE participant IN (SELECT value FROM json_each(?))"
        return dict(await self._all(query, wanted))

    async def erase_person(self, participant: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM people WHERE participant = ?", (participant,))
            connection.execute("DELETE FROM answers WHERE participant = ?", (participant,))

        await self._writer.do(work, durable=True)
        await asyncio.to_thread(empty_wal, self._path)

    async def answer(
        self, log: str, quiz: int, participant: str, choices: Sequence[int], at_ms: int
    ) -> None:
        row = (log, quiz, participant, _encode(list(choices)).decode(), at_ms)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET choices = excluded.choices, at_ms = excluded.at_ms",
                row,
            )

        await self._writer.do(work)

    async def answers(self, log: str, quiz: int) -> dict[str, list[int]]:
        query = "SELECT participant, choices FROM answers WHERE log = ? AND quiz = ?"
        rows = await self._all(query, log, quiz)
        return {participant: _decode_choices(choices) for participant, choices in rows}

    async def answers_of(self, log: str, participant: str) -> dict[int, list[int]]:
        query = "SELECT quiz, choices FROM answers WHERE participant = ? AND log = ?"
        return {quiz: _decode_choices(choices) for quiz, choices in await self._all(query, participant, log)}

    # --- media ------------------------------------------------------------------------------

    async def allot_sources(self, count: int) -> list[int]:
        allotted: list[int] = []
        async with self._allotting:
            while len(allotted) < count:
                if self._next_source == self._end_of_block:
                    self._next_source = await self._writer.do(_take_block, durable=True)
                    self._end_of_block = self._next_source + SOURCE_BLOCK
                allotted.append(self._next_source)
                self._next_source += 1
        return allotted

    async def put_session(self, row: SessionRow) -> None:
        values = (row.session, row.log, _encode(row).decode())

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)", values)

        await self._writer.do(work)

    async def drop_session(self, session: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM sessions WHERE session = ?", (session,))

        await self._writer.do(work)

    async def session(self, session: str) -> SessionRow | None:
        found = await self._one("SELECT row FROM sessions WHERE session = ?", session)
        return None if found is None else _decode_session(found[0])

    async def sessions(self, log: str) -> list[SessionRow]:
        rows = await self._all("SELECT row FROM sessions WHERE log = ? ORDER BY session", log)
        return [_decode_session(row) for (row,) in rows]

    # --- reading ----------------------------------------------------------------------------

    async def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        rows = await self._all(query, *values)
        return rows[0] if rows else None

    async def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        connection, reader = self._read_connection, self._reader
        if connection is None or reader is None:
            raise StoreError("store_unavailable", why="the store is closed")

        def read() -> list[tuple[Any, ...]]:
            return connection.execute(query, values).fetchall()

        try:
            return await asyncio.get_running_loop().run_in_executor(reader, read)
        except sqlite3.Error as error:
            raise translated(error) from error


def _lesson(row: tuple[Any, ...]) -> LessonRow:
    names = ("id", "log", "title", "codec", "created_ms", "started_ms", "ended_ms", "position")
    return LessonRow(**dict(zip(names, row, strict=True)))


def _append(connection: sqlite3.Connection, log: str, entries: Sequence[Entry]) -> None:
    found = connection.execute("SELECT number, position FROM lessons WHERE log = ?", (log,)).fetchone()
    if found is None:
        raise StoreError("no_such_lesson", log=log)
    number, position = found
    expected = range(position + 1, position + 1 + len(entries))
    if [entry.pos for entry in entries] != list(expected):
        raise StoreError("position_taken", log=log, position=position)
    connection.executemany(
        "INSERT INTO entries VALUES (?, ?, ?)",
        [(number, entry.pos, _encode(entry).decode()) for entry in entries],
    )
    connection.execute("UPDATE lessons SET position = ? WHERE number = ?", (entries[-1].pos, number))
    for entry in entries:
        _note(connection, number, entry)


def _note(connection: sqlite3.Connection, number: int, entry: Entry) -> None:
    """What the table of lessons holds of an event."""
    match entry.event:
        case ev.Started():
            connection.execute("UPDATE lessons SET started_ms = ? WHERE number = ?", (entry.at_ms, number))
        case ev.Ended():
            connection.execute("UPDATE lessons SET ended_ms = ? WHERE number = ?", (entry.at_ms, number))
        case ev.Joined():
            connection.execute("UPDATE lessons SET present = present + 1 WHERE number = ?", (number,))
        case ev.Left():
            connection.execute("UPDATE lessons SET present = present - 1 WHERE number = ?", (number,))
        case ev.CodecChanged(codec=codec):
            connection.execute("UPDATE lessons SET codec = ? WHERE number = ?", (codec, number))


def _take_block(connection: sqlite3.Connection) -> int:
    (first,) = connection.execute("SELECT next FROM counters WHERE name = 'source'").fetchone()
    if first + SOURCE_BLOCK - 1 > MAX_SOURCE:
        raise StoreError("store_unavailable", why="all 2^32 source ids are used up")
    connection.execute("UPDATE counters SET next = ? WHERE name = 'source'", (first + SOURCE_BLOCK,))
    return int(first)
