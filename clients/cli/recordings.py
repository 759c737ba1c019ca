"""`kelian recording list|export`: what was recorded on this machine, and media files of it."""

import datetime
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clients.cli import configuration
from clients.cli.errors import FAILED, Commands, Problem

if TYPE_CHECKING:  # loaded when needed, see clients/cli/main.py
    from recorder.export import Format, Grouping


@click.group("recording", cls=Commands)
def recording_group() -> None:
    """录制 | List recorded lessons, and export them as media files."""


@recording_group.command("list")
@configuration.options
def list_recordings(**flags: Any) -> None:
    """列出录制 | List recorded lessons: id, time of the last packet, size of the journals, newest export."""
    from recorder import export

    data = Path(configuration.load(flags, os.environ).data)
    for lesson in export.recorded(data):
        size = sum(path.stat().st_size for path in lesson.journals)
        last = datetime.datetime.fromtimestamp(max(path.stat().st_mtime for path in lesson.journals))
        newest = lesson.exports[-1] if lesson.exports else "—"
        click.echo(f"{lesson.id:<24}{last:%Y-%m-%d %H:%M}  {size / 1e6:8.1f} MB  {newest}")


@recording_group.command("export")
@click.argument("lesson")
@click.option("--to", "target", metavar="DIR", help="导出到 | where to; default: DATA/recordings/LESSON")
@click.option(
    "--format",
    "container",
    type=click.Choice(["mp4", "mkv"]),
    default="mp4",
    show_default=True,
    help="封装格式（VP8 的课用 WebM 代替 MP4） | container; a VP8 lesson becomes WebM instead of MP4",
)
@click.option(
    "--by",
    "grouping",
    type=click.Choice(["participant", "source"]),
    default="participant",
    show_default=True,
    help="每人一个文件，或每路一个 | a file for each participant, or for each source",
)
@configuration.options
def export_recording(
    lesson: str, target: str | None, container: "Format", grouping: "Grouping", **flags: Any
) -> None:
    """导出录制 | Export a lesson's pictures and sound without re-encoding; prints each file."""
    from mediaserver.journal.errors import JournalError
    from recorder import export
    from recorder.errors import RecordingError

    data = Path(configuration.load(flags, os.environ).data)
    try:
        journals = export.journal_files(data, lesson)
        folder = Path(target) if target else export.default_target(data, lesson)
        made = export.export(lesson, journals, folder, container, grouping)
    except (RecordingError, JournalError) as error:
        raise Problem(FAILED, f"{error.zh}（{error.code}）", f"{error.en} ({error})") from error
    for file in made.manifest["files"]:
        click.echo(made.folder / file["name"])
    for journal in made.manifest["journals"]:
        if journal["damages"]:
            click.echo(
                f"kelian: 录制日志 {journal['name']} 有损坏，损坏处的内容没有导出 | "
                f"the journal {journal['name']} is damaged; what was there is not in the export",
                err=True,
            )
