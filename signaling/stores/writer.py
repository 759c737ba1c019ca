"""One thread that writes to SQLite, with group commit.

Whatever is asked while a transaction is being written goes together into the next one: a thousand
lessons' appends cost as many commits as the disk has time for, not a thousand.

A commit that need not wait for the disk is synced within a second all the same, so that a power cut
loses no more than that.
"""

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from signaling.stores import StoreError
from signaling.stores.database import connect, translated

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

MAX_BATCH = 2000  # jobs in one transaction
SYNC_AFTER_S = 1.0


class Job:
    """One unit of work: all of it is in the transaction, or none."""

    def __init__(self, work: Work[Any], durable: bool, loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.durable = durable
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: Exception | None = None

    def settle(self) -> None:
        """In the loop's thread."""
        if self.future.done():
            return  # whoever asked was cancelled; the work is done all the same
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Writer:
    """Started by `start`, ended by `stop`, which writes what was asked before."""

    def __init__(self, path: Path, sync_after_s: float = SYNC_AFTER_S) -> None:
        self._path = path
        self._sync_after_s = sync_after_s
        self._sync_due: float | None = None  # time.monotonic(); None: all is on the disk
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.transactions = 0
        self.syncs = 0  # of commits that did not wait for the disk

    def start(self) -> None:
        """Opens the database. Raises StoreError. Blocks; not for the event loop's thread."""
        connection = connect(self._path)
        self._thread = threading.Thread(
            target=self._run, args=(connection,), name="store-writer", daemon=True
        )
        self._thread.start()

    async def do(self, work: Work[T], *, durable: bool = False) -> T:
        """The work's result, once it is committed; durable: once it is on the disk."""
        if self._thread is None:
            raise StoreError("store_unavailable", why="the store is closed")
        job = Job(work, durable, asyncio.get_running_loop())
        self._jobs.put(job)
        result: T = await job.future
        return result

    @property
    def all_on_disk(self) -> bool:
        return self._sync_due is None

    async def stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(thread.join)

    def _run(self, connection: sqlite3.Connection) -> None:
        open_ = True
        while open_:
            batch, open_ = self._batch()
            if batch:
                durable = _commit(connection, batch)
                self.transactions += 1
                if durable:
                    self._sync_due = None
                elif self._sync_due is None:
                    self._sync_due = time.monotonic() + self._sync_after_s
                _tell(batch)
            if self._sync_due is not None and time.monotonic() >= self._sync_due:
                self._sync()
        connection.close()

    def _sync(self) -> None:
        """Brings the write-ahead log to the disk. If that fails, the next durable commit says so."""
        self._sync_due = None
        self.syncs += 1
        with contextlib.suppress(OSError):
            descriptor = os.open(f"{self._path}-wal", os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _batch(self) -> tuple[list[Job], bool]:
        """Waits for a job or the time to sync, and takes all jobs that wait; False: the last batch."""
        batch: list[Job] = []
        patience = None if self._sync_due is None else max(0.0, self._sync_due - time.monotonic())
        try:
            job = self._jobs.get(timeout=patience)
        except queue.Empty:
            return batch, True
        while job is not None:
            batch.append(job)
            if len(batch) == MAX_BATCH:
                return batch, True
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False


def _commit(connection: sqlite3.Connection, batch: list[Job]) -> bool:
    """Each job in a savepoint of its own, so that one that fails takes no other with it.

    True if all is on the disk now.
    """
    durable = any(job.durable for job in batch)
    try:
        # FULL syncs the write-ahead log at commit, with all that NORMAL had left in it.
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute("BEGIN IMMEDIATE")
        for job in batch:
            _run_job(connection, job)
        connection.execute("COMMIT")
    except Exception as error:
        for job in batch:
            job.error = translated(error)
        _roll_back(connection)
        return False
    return durable


def _run_job(connection: sqlite3.Connection, job: Job) -> None:
    connection.execute("SAVEPOINT job")
    try:
        job.result = job.work(connection)
    except Exception as error:
        if not connection.in_transaction:
            raise  # SQLite rolled all of it back (disk full, I/O error)
        job.error = translated(error)
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            return  # the connection is of no more use; the next batch says so again


def _tell(batch: list[Job]) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in batch:
        loops.setdefault(job.loop, []).append(job)
    for loop, jobs in loops.items():
        try:
            loop.call_soon_threadsafe(_settle, jobs)
        except RuntimeError:
            continue  # that loop is closed: nobody waits any more


def _settle(jobs: list[Job]) -> None:
    for job in jobs:
        job.settle()
