"""`kelian publish`: a file, or a test picture with a voice, sent into a lesson."""

import asyncio
from collections.abc import Mapping

import av
import click
from aiortc.contrib.media import MediaPlayer
from aiortc.mediastreams import MediaStreamTrack

from clients import python as kelian
from clients.cli.errors import BAD_CONFIGURATION, Problem
from clients.python.connection import VerifyTls
from clients.python.media import BoardPicture, SpeechLike, TestPicture
from signaling.log.events import Use

Tracks = Mapping[Use, MediaStreamTrack]


async def publish_to(
    server: str,
    token: str,
    media: str,
    *,
    board: bool,
    loop: bool,
    seconds: float | None,
    verify_tls: VerifyTls,
) -> None:
    """Until the file ends, the time is over, or the lesson ends. Raises Problem and KelianError."""
    async with kelian.join(server, token, verify_tls=verify_tls) as lesson:
        name = lesson.people[lesson.participant].name
        tracks = _test_tracks(name, lesson.role) if media == "test" else _file_tracks(media, loop)
        if board:
            tracks = {**tracks, "board": BoardPicture(name)}
        allowed = {use: track for use, track in tracks.items() if use in lesson.welcome.sends}
        if not allowed:
            raise Problem(5, f"角色 {lesson.role} 不能发送", f"the role {lesson.role} may not send")
        await lesson.open_media(allowed, pool=False)
        click.echo(f"正在发送 {', '.join(allowed)} | sending {', '.join(allowed)} as {name} ({lesson.role})")
        await _finished([track for use, track in allowed.items() if use != "board"], seconds)


async def _finished(tracks: list[MediaStreamTrack], seconds: float | None) -> None:
    """When all have ended, or the time is over."""
    over = asyncio.Event()

    def look() -> None:
        if all(track.readyState == "ended" for track in tracks):
            over.set()

    for track in tracks:
        track.on("ended", look)
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        return


def _test_tracks(name: str, role: str) -> Tracks:
    return {
        "camera": TestPicture(name, role=role, beep=True),
        "microphone": SpeechLike(name, beep=True),
    }


def _file_tracks(path: str, loop: bool) -> Tracks:
    try:
        player = MediaPlayer(path, loop=loop)
    except av.FFmpegError as error:
        raise Problem(
            BAD_CONFIGURATION, f"{path} 不是能播放的媒体文件", f"cannot play {path}: {error.strerror}"
        ) from error
    tracks: dict[Use, MediaStreamTrack] = {}
    if player.video is not None:
        tracks["camera"] = player.video
    if player.audio is not None:
        tracks["microphone"] = player.audio
    return tracks
