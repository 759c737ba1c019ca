"""`kelian watch`: what arrives in each slot, once a second, for people who look for a fault."""

import asyncio
import contextlib
from pathlib import Path

import click
import cv2
from av import AudioFrame, VideoFrame

from clients import python as kelian
from clients.python.connection import VerifyTls
from clients.python.slots import Slot, loudness_dbov

EVERY_S = 1.0


async def watch_lesson(
    server: str, token: str, *, seconds: float | None, snapshot: str | None, verify_tls: VerifyTls
) -> None:
    """Until the time is over or the lesson ends. Raises KelianError."""
    async with kelian.join(server, token, verify_tls=verify_tls, device="pc") as lesson:
        media = await lesson.open_media()
        before = dict.fromkeys(media.slots, 0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    await asyncio.sleep(EVERY_S)
                    click.echo(report(lesson, media, before))
                    before = {name: slot.frames for name, slot in media.slots.items()}
                    if snapshot is not None:
                        _keep_pictures(media, Path(snapshot))


def report(lesson: kelian.Lesson, media: kelian.Media, before: dict[str, int]) -> str:
    """One line a slot that carries something; `before`: frames of each slot a second ago."""
    state = lesson.state
    head = f"{state['title']}  [{'media ok' if media.connected else 'no media'}]  position {lesson.position}"
    lines = [
        f"  {name:<16}{_who(lesson, slot.source):<16}{_what(slot, slot.frames - before[name])}"
        for name, slot in media.slots.items()
        if slot.frames > before[name] or name in lesson.slots
    ]
    return "\n".join([head, *lines])


def _who(lesson: kelian.Lesson, source: int) -> str:
    info = lesson.sources.get(source)
    if info is None:
        return f"#{source}"
    person = lesson.people.get(info.participant)
    return person.name if person is not None else info.participant


def _what(slot: Slot, frames: int) -> str:
    latest = slot.latest
    if latest is None or frames == 0:
        return "没有数据 nothing arrives"
    if isinstance(latest, VideoFrame):
        return f"{frames:>3} fps  {latest.width}×{latest.height}"
    assert isinstance(latest, AudioFrame)
    return f"{loudness_dbov(latest):>6.1f} dBov"


def _keep_pictures(media: kelian.Media, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, slot in media.slots.items():
        if isinstance(slot.latest, VideoFrame):
            cv2.imwrite(str(folder / f"{name}.png"), slot.latest.to_ndarray(format="bgr24"))
