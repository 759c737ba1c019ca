"""The embedded store: what is acknowledged is there, whatever happens to the process or the file."""

import asyncio
import contextlib
import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from signaling.log import events as ev
from signaling.log.events import AnyEvent, Audience, Entry
from signaling.stores import LessonStore, SessionRow, StoreError
from signaling.stores.sqlite import MAX_SOURCE, SOURCE_BLOCK, SqliteStore
from signaling.stores.writer import Writer

ROOT = Path(__file__).parents[2]


def entry(pos: int, event: AnyEvent | None = None) -> Entry:
    return Entry(pos=pos, at_ms=1000 + pos, event=event or ev.FloorSet(open=bool(pos % 2)), by="wang")


CREATED = entry(1, ev.Created(title="勾股定理", codec="h264"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "signaling.db"


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    async with opened(path) as opened_store:
        yield opened_store


@pytest.fixture
async def lesson(store: SqliteStore) -> SqliteStore:
    """With the log "L1" of lesson "demo"."""
    await store.create("demo", "L1", [CREATED])
    return store


def code(error: pytest.ExceptionInfo[StoreError]) -> str:
    return error.value.code


# --- logs -----------------------------------------------------------------------------------


async def test_a_log_comes_back_as_it_was_after_a_restart(path: Path) -> None:
    entries = [
        CREATED,
        entry(2, ev.Started()),
        Entry(
            pos=3, at_ms=7, event=ev.Joined(participant="ming", role="student"),
            audience=Audience(everybody=False, roles=("lecturer",), participants=("ming",)),
        ),
        entry(4, ev.ChatSaid(participant="ming", text="老师好 \u2028 \"'", to="li")),
    ]  # fmt: skip
    async with opened(path) as store:
        await store.create("demo", "L1", entries[:1])
        await store.append("L1", entries[1:3])
        await store.append("L1", entries[3:])
    async with opened(path) as store:
        assert await store.entries("L1") == entries
        assert await store.entries("L1", after=2, limit=1) == entries[2:3]
        row = await store.lesson("demo")
        assert row is not None
        assert (row.log, row.title, row.started_ms, row.ended_ms, row.position) == (
            "L1", "勾股定理", 1002, None, 4,
        )  # fmt: skip
        assert await store.entries("L2") == []
        assert await store.lesson("other") is None


async def test_the_store_does_all_that_a_store_does(store: SqliteStore) -> None:
    agreed: LessonStore = store
    assert agreed is store


@pytest.mark.parametrize("positions", [[1], [3], [2, 4], [2, 2], [3, 2], [0]])
async def test_entries_must_follow_the_last_and_are_kept_whole_or_not_at_all(
    lesson: SqliteStore, positions: list[int]
) -> None:
    with pytest.raises(StoreError) as error:
        await lesson.append("L1", [entry(pos) for pos in positions])
    assert code(error) == "position_taken"
    assert await lesson.entries("L1") == [CREATED]
    await lesson.append("L1", [entry(2)])


async def test_appending_to_no_log_is_refused(lesson: SqliteStore) -> None:
    with pytest.raises(StoreError) as error:
        await lesson.append("L9", [entry(1)])
    assert code(error) == "no_such_lesson"


async def test_one_bad_append_takes_no_other_of_its_commit_with_it(lesson: SqliteStore) -> None:
    await lesson.create("two", "L2", [CREATED])
    outcomes = await asyncio.gather(
        lesson.append("L1", [entry(2)]),
        lesson.append("L2", [entry(7)]),
        lesson.append("L1", [entry(3)]),
        lesson.append("L1", [entry(3)]),
        lesson.append("L2", [entry(2)]),
        return_exceptions=True,
    )
    assert [isinstance(outcome, StoreError) for outcome in outcomes] == [False, True, False, True, False]
    assert [len(await lesson.entries(log)) for log in ("L1", "L2")] == [3, 2]


async def test_work_that_fails_midway_leaves_nothing_behind(lesson: SqliteStore) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO people VALUES ('ming', 'x')")
        connection.execute("INSERT INTO people VALUES ('ming', 'y')")

    outcomes = await asyncio.gather(
        lesson._writer.do(half), lesson.name_people({"hong": "z"}), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [StoreError, type(None)]
    assert await lesson.people(["ming", "hong"]) == {"hong": "z"}


async def test_an_id_is_free_again_when_its_lesson_has_ended(lesson: SqliteStore) -> None:
    with pytest.raises(StoreError) as error:
        await lesson.create("demo", "L2", [CREATED])
    assert code(error) == "lesson_exists"
    await lesson.append("L1", [entry(2, ev.CodecChanged(codec="vp8")), entry(3, ev.Ended())])
    row = await lesson.lesson("demo")
    assert row is not None
    assert (row.codec, row.ended_ms) == ("vp8", 1003)
    await lesson.create("demo", "L2", [CREATED])
    newest = await lesson.lesson("demo")
    assert newest is not None
    assert newest.log == "L2"
    assert len(await lesson.entries("L1")) == 3


async def test_a_log_that_does_not_begin_with_created_is_a_mistake_of_the_caller(store: SqliteStore) -> None:
    with pytest.raises(ValueError, match="created"):
        await store.create("demo", "L1", [entry(1)])


async def test_lessons_are_listed_in_pages_newest_first(store: SqliteStore) -> None:
    for number in range(5):
        await store.create(f"l{number}", f"L{number}", [CREATED])
    await store.append("L1", [entry(2, ev.Ended())])
    page = await store.lessons(limit=2)
    assert [row.id for row in page] == ["l4", "l3"]
    assert [row.id for row in await store.lessons(limit=2, before=page[-1].log)] == ["l2", "l1"]
    assert [row.id for row in await store.lessons(ended=True)] == ["l1"]
    assert [row.id for row in await store.lessons(ended=False)] == ["l4", "l3", "l2", "l0"]


async def test_what_many_ask_at_once_shares_commits(lesson: SqliteStore) -> None:
    before = lesson.transactions
    await asyncio.gather(*(lesson.answer("L1", 1, f"p{number}", [0], 5) for number in range(1000)))
    assert len(await lesson.answers("L1", 1)) == 1000
    assert lesson.transactions - before < 100


async def test_what_need_not_wait_for_the_disk_gets_there_by_itself(path: Path) -> None:
    writer = Writer(path, sync_after_s=0.02)
    writer.start()
    try:
        await writer.do(lambda connection: None)
        for _ in range(500):
            if writer.syncs:
                break
            await asyncio.sleep(0.01)
        assert writer.syncs == 1
        await asyncio.sleep(0.1)
        assert writer.syncs == 1, "with nothing new there is nothing to sync"
    finally:
        await writer.stop()


async def test_a_durable_commit_brings_what_was_before_it_to_the_disk(path: Path) -> None:
    writer = Writer(path, sync_after_s=60)
    writer.start()
    try:
        await writer.do(lambda connection: None)
        assert not writer.all_on_disk
        await writer.do(lambda connection: None, durable=True)
        assert writer.all_on_disk
    finally:
        await writer.stop()


async def test_closing_leaves_one_file(path: Path) -> None:
    await _filled(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_a_cancelled_append_is_written_all_the_same_and_harms_nobody(lesson: SqliteStore) -> None:
    task = asyncio.create_task(lesson.append("L1", [entry(2)]))
    await asyncio.sleep(0)
    task.cancel()
    await lesson.append("L1", [entry(3)])
    assert [kept.pos for kept in await lesson.entries("L1")] == [1, 2, 3]


async def test_a_closed_store_says_so_and_closes_twice(path: Path) -> None:
    async with opened(path) as store:
        await store.close()
    for asked in (store.append("L1", [entry(2)]), store.lesson("demo")):
        with pytest.raises(StoreError) as error:
            await asked
        assert code(error) == "store_unavailable"


# --- people, answers, sources, sessions -----------------------------------------------------


async def test_an_erased_person_is_nowhere_in_the_files(path: Path) -> None:
    async with opened(path) as store:
        await store.create("demo", "L1", [CREATED])
        await store.name_people({"ming": "Zhang Xiaoming Secret", "hong": "小红"})
        await store.name_people({"hong": "王小红"})
        await store.answer("L1", 1, "ming", [0], 5)
        known = {"ming": "Zhang Xiaoming Secret", "hong": "王小红"}
        assert await store.people(["ming", "hong", "x"]) == known
        await store.erase_person("ming")
        assert await store.people(["ming", "hong"]) == {"hong": "王小红"}
        assert await store.answers("L1", 1) == {}
        for file in path.parent.iterdir():
            assert b"Zhang Xiaoming" not in file.read_bytes(), file.name


async def test_the_newest_answer_counts(lesson: SqliteStore) -> None:
    await lesson.answer("L1", 1, "ming", [0], 5)
    await lesson.answer("L1", 1, "ming", [1, 2], 6)
    await lesson.answer("L1", 2, "ming", [3], 7)
    await lesson.answer("L1", 1, "hong", [0], 7)
    assert await lesson.answers("L1", 1) == {"ming": [1, 2], "hong": [0]}
    assert await lesson.answers_of("L1", "ming") == {1: [1, 2], 2: [3]}


async def test_source_ids_are_never_given_twice(path: Path) -> None:
    given: list[int] = []
    for _ in range(3):
        async with opened(path) as store:
            for batch in await asyncio.gather(*(store.allot_sources(3) for _ in range(SOURCE_BLOCK // 2))):
                given += batch
            given += await store.allot_sources(2 * SOURCE_BLOCK)
    assert len(given) == len(set(given))
    assert min(given) > 0


async def test_source_ids_end_with_an_error_not_with_zero(path: Path) -> None:
    async with opened(path):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE counters SET next = ?", (MAX_SOURCE - SOURCE_BLOCK + 1,))
    async with opened(path) as store:
        assert max(await store.allot_sources(SOURCE_BLOCK)) == MAX_SOURCE
        with pytest.raises(StoreError) as error:
            await store.allot_sources(1)
        assert code(error) == "store_unavailable"


async def test_sessions_are_remembered_until_dropped(path: Path) -> None:
    row = SessionRow(
        session="s1", log="L1", participant="wang", role="lecturer", kind="whip", sources={"camera": 7}
    )
    other = SessionRow(session="s2", log="L2", participant="x", role="student", kind="whep")
    async with opened(path) as store:
        await store.put_session(row)
        await store.put_session(other)
    async with opened(path) as store:
        assert await store.session("s1") == row
        assert await store.sessions("L1") == [row]
        await store.drop_session("s1")
        assert await store.session("s1") is None
        assert await store.sessions("L1") == []


# --- broken files, killed processes ---------------------------------------------------------


async def _opening(path: Path) -> str:
    try:
        async with opened(path) as store:
            await store.entries("L1")
    except StoreError as error:
        return error.code
    return "opened"


def _overwrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(change(path.read_bytes() if path.exists() else b""))


async def _filled(path: Path) -> None:
    async with opened(path) as store:
        await store.create("demo", "L1", [CREATED])
        await store.append("L1", [entry(pos) for pos in range(2, 500)])


async def test_a_file_that_is_no_database_is_named_so(path: Path) -> None:
    _overwrite(path, lambda _: b"this is not a database, it is a diary" * 300)
    assert await _opening(path) == "store_corrupt"


async def test_a_torn_file_is_named_so(path: Path) -> None:
    await _filled(path)
    assert await _opening(path) == "opened"
    _overwrite(path, lambda whole: whole[: len(whole) // 3])
    assert await _opening(path) == "store_corrupt"


async def test_an_overwritten_page_is_named_so(path: Path) -> None:
    await _filled(path)
    noise = random.Random(7).randbytes
    _overwrite(path, lambda whole: whole[: len(whole) // 2] + noise(len(whole) // 2))
    assert await _opening(path) == "store_corrupt"


async def test_another_programs_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE accounts (name)")
    assert await _opening(path) == "store_corrupt"
    with sqlite3.connect(path) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("accounts",)]


async def test_a_newer_versions_database_is_left_alone(path: Path) -> None:
    await _filled(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert await _opening(path) == "store_too_new"


async def test_a_place_that_cannot_be_written_is_named_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert await _opening(tmp_path / "file" / "signaling.db") == "store_unavailable"
    (tmp_path / "folder.db").mkdir()
    assert await _opening(tmp_path / "folder.db") == "store_unavailable"


async def test_a_full_disk_is_an_error_and_the_store_goes_on_afterwards(path: Path) -> None:
    async with opened(path) as store:
        await store.create("demo", "L1", [CREATED])

        async def limit(pages: int) -> None:
            await store._writer.do(
                lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()
            )

        await limit(1)  # SQLite takes the present size instead
        long = ev.ChatSaid(participant="ming", text="x" * 200_000)
        with pytest.raises(StoreError) as error:
            await store.append("L1", [entry(2, long)])
        assert code(error) == "store_unavailable"
        await limit(1_000_000)
        await store.append("L1", [entry(2)])
        assert [kept.pos for kept in await store.entries("L1")] == [1, 2]


_WRITER = """
import asyncio, sys
from pathlib import Path
from signaling.log import events as ev
from signaling.log.events import Entry
from signaling.stores.sqlite import SqliteStore

async def write(store, log):
    await store.create(log, log, [Entry(pos=1, at_ms=1, event=ev.Created(title="t", codec="h264"))])
    pos = 1
    while True:
        event = ev.Marked(participant="w") if pos % 50 == 0 else ev.FloorSet(open=bool(pos % 2))
        await store.append(log, [Entry(pos=pos + 1, at_ms=pos, event=event)])
        pos += 1
        sys.stdout.write(f"{log} {pos}\\n")
        sys.stdout.flush()

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    await asyncio.gather(*(write(store, f"L{number}") for number in range(4)))

asyncio.run(main())
"""


def _write_until_killed(path: Path, lines: int) -> dict[str, int]:
    """log -> last position that the writer said was kept."""
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        heard = [writer.stdout.readline() for _ in range(lines)]
        writer.kill()
        heard += writer.stdout.read().splitlines()
    whole = [line.split() for line in heard if len(line.split()) == 2]
    return {log: int(pos) for log, pos in whole}


async def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(path: Path) -> None:
    acknowledged = await asyncio.to_thread(_write_until_killed, path, 400)
    assert len(acknowledged) == 4
    async with opened(path) as store:
        for log, pos in acknowledged.items():
            kept = await store.entries(log)
            assert [line.pos for line in kept] == list(range(1, len(kept) + 1))
            assert len(kept) >= pos
            await store.append(log, [entry(len(kept) + 1)])


# --- what a restarted server takes up -------------------------------------------------------


async def test_only_lessons_in_which_something_goes_on_are_busy(store: SqliteStore) -> None:
    joined, left = ev.Joined(participant="ming", role="student"), ev.Left(participant="ming")
    for log in ("empty", "peopled", "left", "ended", "media"):
        await store.create(log, log, [CREATED, entry(2, ev.Started())])
        if log in ("peopled", "left", "ended"):
            await store.append(log, [entry(3, joined)])
    await store.append("left", [entry(4, left)])
    await store.append("ended", [entry(4, ev.Ended())])
    player = SessionRow(session="s", log="media", participant="~guest", role="observer", kind="whep")
    await store.put_session(player)
    assert [row.id for row in await store.busy_lessons()] == ["peopled", "media"]


async def test_a_file_of_the_first_version_is_brought_up_to_date(path: Path) -> None:
    async with opened(path) as store:
        await store.create("going", "L1", [CREATED, entry(2, ev.Started())])
        await store.create("planned", "L2", [CREATED])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "DROP INDEX peopled_lessons; ALTER TABLE lessons DROP COLUMN present; PRAGMA user_version = 1;"
        )
    for _ in range(2):
        async with opened(path) as store:
            assert [row.id for row in await store.busy_lessons()] == ["going"]  # nobody knows: look at it
            await store.append("L2", [entry(len(await store.entries("L2")) + 1)])
