"""A lesson's journals as media files, remuxed without encoding (docs/recording.md).

Each export is a folder of its own, named by the time at which it was made: it is written under a
name that nobody looks at and renamed when it is whole, so earlier exports stay, and one that was
interrupted leaves nothing but what the next one clears away.
"""

import contextlib
import datetime
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import av

from mediaserver.journal.depacketize import Damages
from mediaserver.journal.packets import Key, Scan, Stream, scan
from mediaserver.journal.timeline import Clock, clocks
from recorder import mux, tracks
from recorder.errors import RecordingError
from recorder.tracks import Plan, Source

Format = Literal["mp4", "mkv"]
Grouping = Literal["participant", "source"]
MANIFEST = "manifest.json"
PARTIAL = ".partial-"
GAPS_LISTED = 1000  # per stream; the total is always told


class Recorded(NamedTuple):
    """A lesson with its journals and its whole exports in the usual place, oldest first."""

    id: str
    journals: tuple[Path, ...]
    exports: tuple[Path, ...]


class Export(NamedTuple):
    folder: Path
    manifest: dict[str, Any]


def journal_files(data: Path, lesson: str) -> list[Path]:
    """A lesson's journals in the order in which their nodes started. Raises RecordingError."""
    folder = data / "journals" / lesson
    found = sorted(folder.glob("*.pcapng")) if _is_name(lesson) else []
    if not found:
        raise RecordingError("no_journal", lesson)
    return found


def recorded(data: Path) -> list[Recorded]:
    """Every lesson with a journal, by id."""
    folders = sorted({path.parent for path in (data / "journals").glob("*/*.pcapng")})
    return [
        Recorded(
            folder.name,
            tuple(sorted(folder.glob("*.pcapng"))),
            tuple(sorted(path.parent for path in default_target(data, folder.name).glob(f"*/{MANIFEST}"))),
        )
        for folder in folders
    ]


def default_target(data: Path, lesson: str) -> Path:
    return data / "recordings" / lesson


def export(
    lesson: str,
    journals: Sequence[Path],
    target: Path,
    container: Format = "mp4",
    grouping: Grouping = "participant",
) -> Export:
    """Writes a new folder into `target`. Raises RecordingError, JournalError."""
    made = datetime.datetime.now(datetime.UTC)
    with _writing(), scan(journals) as journal:
        found = tracks.sources(journal)
        plans = tracks.by_source(found) if grouping == "source" else tracks.by_participant(found)
        if not plans:
            raise RecordingError("nothing_recorded", lesson)
        with _partial(target) as partial:
            times = clocks(journal.streams.values(), _sessions(found))
            files, missing = [], []
            for plan in plans:
                file = _file(partial, plan, journal, times, container)
                if file is None:
                    missing += [_source(source) for source in (*plan.video, *plan.audio)]
                else:
                    files.append(file)
            if not files:
                raise RecordingError("nothing_recorded", lesson)
            manifest = {
                "format": 1,
                "lesson": lesson,
                "made": made.isoformat(timespec="seconds"),
                "files": files,
                "without_file": missing,
                "journals": _journals(journal),
            }
            text = json.dumps(manifest, ensure_ascii=False, indent=1)
            (partial / MANIFEST).write_text(text, "utf-8")
            for path in partial.iterdir():
                _synchronize(path)
            _synchronize(partial)
            folder = _free_name(target / f"{made:%Y%m%dT%H%M%SZ}")
            partial.rename(folder)
            _synchronize(target)
    return Export(folder, manifest)


# --- one file ----------------------------------------------------------------------------------


def _file(
    partial: Path,
    plan: Plan,
    journal: Scan,
    times: Mapping[Key, Clock],
    container: Format,
) -> dict[str, Any] | None:
    """The file's entry in the manifest; None if nothing in it can be decoded."""
    codec = plan.video[0].interface.codec if plan.video else None
    kind: mux.Container = "matroska" if container == "mkv" else "webm" if codec == "vp8" else "mp4"
    name = f"{plan.name}.{'mkv' if kind == 'matroska' else kind}"
    sizes = _sizes(journal, plan, times) if codec else []
    damages = Damages()
    video = None
    if codec and sizes:
        units = tracks.pictures(journal, plan.video, times, damages)
        video = mux.Video(codec, max(sizes, key=lambda size: size[0] * size[1]), units)
    sound = tracks.sound(journal, plan.audio, times)
    if video is None and not any(True for _ in tracks.sound(journal, plan.audio, times)):
        return None
    path = partial / name
    written = mux.write(path, kind, video, sound)
    return {
        "name": name,
        "bytes": path.stat().st_size,
        "sha256": _digest(path),
        "start": _utc(written.origin_ns),
        "duration_s": round((written.end_ns - written.origin_ns) / 1e9, 3),
        "pictures": written.pictures,
        "sounds": written.sounds,
        "sizes": [f"{width}x{height}" for width, height in sizes],
        "losses": damages.losses,
        "pictures_incomplete": damages.incomplete,
        "pictures_left_out": damages.left_out,
        "sources": [_source(source) for source in (*plan.video, *plan.audio)],
    }


def _sizes(journal: Scan, plan: Plan, times: Mapping[Key, Clock]) -> list[tuple[int, int]]:
    """The sizes that pictures have, in order of their first appearance."""
    units = tracks.pictures(journal, plan.video, times, Damages())
    return list(dict.fromkeys(timed.unit.size for timed in units if timed.unit.size))


def _source(source: Source) -> dict[str, Any]:
    interface = source.interface
    return {
        "source": interface.source,
        "kind": interface.kind,
        "codec": interface.codec,
        "label": interface.label,
        "from": _utc(source.from_ns),
        "to": _utc(source.to_ns),
        "streams": [_stream(stream) for stream in source.streams],
    }


def _stream(stream: Stream) -> dict[str, Any]:
    gaps = stream.gaps()
    return {
        "ssrc": stream.key.ssrc,
        "packets": len(stream),
        "duplicates": stream.duplicates,
        "missing": sum(gap.packets for gap in gaps),
        "gaps": [
            {"from": _utc(gap.from_ns), "to": _utc(gap.to_ns), "packets": gap.packets}
            for gap in gaps[:GAPS_LISTED]
        ],
    }


def _journals(journal: Scan) -> list[dict[str, Any]]:
    return [
        {
            "name": path.name,
            "bytes": path.stat().st_size,
            "torn": path in journal.torn,
            "damages": [it.position for it in journal.damages if it.path == path],
            "dropped": [
                {
                    "source": it.interface.source,
                    "packets": it.packets,
                    "at": _utc(it.at_ns),
                    "comment": it.comment,
                }
                for it in journal.dropped
                if it.path == path
            ],
        }
        for path in journal.paths
    ]


def _sessions(found: Sequence[Source]) -> dict[Key, tuple[str, str]]:
    """Streams with equal values are stamped by one clock: one session of one participant."""
    return {
        stream.key: (source.owner, source.interface.label.get("session", ""))
        for source in found
        for stream in source.streams
    }


# --- the folder --------------------------------------------------------------------------------


@contextlib.contextmanager
def _partial(target: Path) -> Iterator[Path]:
    """A new folder that is gone when the block fails. One export at a time writes into `target`."""
    target.mkdir(parents=True, exist_ok=True)
    lock = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RecordingError("export_running", str(target)) from error
        for left in target.glob(f"{PARTIAL}*"):
            shutil.rmtree(left)
        partial = target / f"{PARTIAL}{secrets.token_hex(4)}"
        partial.mkdir(mode=0o700)  # it shows children
        try:
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)  # renamed by now, if it is whole
    finally:
        os.close(lock)


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    """What the disk or the muxer refuses becomes a RecordingError."""
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        raise RecordingError("disk_full" if full else "cannot_write", str(error)) from error


def _free_name(wanted: Path) -> Path:
    path, number = wanted, 1
    while path.exists():
        number += 1
        path = wanted.with_name(f"{wanted.name}-{number}")
    return path


def _is_name(lesson: str) -> bool:
    return bool(lesson) and "/" not in lesson and "\0" not in lesson and lesson not in (".", "..")


def _synchronize(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _utc(nanoseconds: int) -> str:
    moment = datetime.datetime.fromtimestamp(nanoseconds / 1e9, datetime.UTC)
    return moment.isoformat(timespec="milliseconds")
