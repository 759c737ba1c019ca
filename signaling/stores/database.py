"""The SQLite file: its schema, how it is opened, and its errors in our words."""

import sqlite3
from pathlib import Path

from signaling.errors import KelianError
from signaling.stores import StoreError

SCHEMA_VERSION = 2

_SCHEMA = """
CREATE TABLE lessons (
  number INTEGER PRIMARY KEY,          -- in the order of making
  id TEXT NOT NULL,
  log TEXT NOT NULL UNIQUE,
  title TEXT NOT NULL,
  codec TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  started_ms INTEGER,
  ended_ms INTEGER,
  position INTEGER NOT NULL,
  present INTEGER NOT NULL DEFAULT 0   -- participants who joined and have not left
);
CREATE INDEX peopled_lessons ON lessons (number) WHERE ended_ms IS NULL AND present > 0;
CREATE UNIQUE INDEX open_lessons ON lessons (id) WHERE ended_ms IS NULL;
CREATE INDEX lessons_by_id ON lessons (id, number);
CREATE TABLE entries (
  lesson INTEGER NOT NULL REFERENCES lessons (number),
  pos INTEGER NOT NULL,
  entry TEXT NOT NULL,                 -- JSON (docs/log.md)
  PRIMARY KEY (lesson, pos)
) WITHOUT ROWID;
CREATE TABLE people (participant TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE answers (
  log TEXT NOT NULL,
  quiz INTEGER NOT NULL,
  participant TEXT NOT NULL,
  choices TEXT NOT NULL,               -- JSON list of option numbers
  at_ms INTEGER NOT NULL,
  PRIMARY KEY (log, quiz, participant)
) WITHOUT ROWID;
CREATE INDEX answers_by_participant ON answers (participant);
CREATE TABLE sessions (session TEXT PRIMARY KEY, log TEXT NOT NULL, row TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX sessions_by_log ON sessions (log);
CREATE TABLE counters (name TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES ('source', 1);
"""

# What brings a file of an earlier version to the next one.
_STEPS = {
    # Who was present is not known then: every lesson that goes on is looked at once.
    1: """
ALTER TABLE lessons ADD COLUMN present INTEGER NOT NULL DEFAULT 0;
CREATE INDEX peopled_lessons ON lessons (number) WHERE ended_ms IS NULL AND present > 0;
UPDATE lessons SET present = 1 WHERE started_ms IS NOT NULL AND ended_ms IS NULL;
""",
}


def connect(path: Path) -> sqlite3.Connection:
    """Opens the database, and makes it if there is none. Raises StoreError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    except (OSError, sqlite3.Error) as error:
        raise translated(error) from error
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA secure_delete = ON")  # an erased name is overwritten, too
        connection.execute("PRAGMA foreign_keys = ON")
        _prepare(connection, path)
    except (sqlite3.Error, StoreError) as error:
        connection.close()
        raise translated(error) from error
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A second connection, which only reads and never waits for the writer. Raises StoreError."""
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        raise translated(error) from error
    return connection


def empty_wal(path: Path) -> None:
    """Moves the write-ahead log into the file and empties it: what was erased is nowhere any more."""
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=5)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    except sqlite3.Error as error:
        raise translated(error) from error


def translated(error: Exception) -> KelianError:
    """Any error of SQLite as a StoreError that says what to do."""
    if isinstance(error, KelianError):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreError("store_corrupt", why=str(error))
    return StoreError("store_unavailable", why=str(error))


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise StoreError("store_too_new", path=str(path), version=version)
    if version > 0:
        for step in range(version, SCHEMA_VERSION):
            connection.executescript(f"BEGIN; {_STEPS[step]} PRAGMA user_version = {step + 1}; COMMIT;")
        # Reads the first page of every table: a torn or foreign file shows here, not in a lesson.
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            connection.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone()
        return
    if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None:
        raise StoreError("store_corrupt", path=str(path), why="this file is another program's database")
    connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
