"""The `kelian` command.

Commands load what they need when they run: scripts call `kelian token` often, and it needs neither
aiortc nor OpenCV, which take half a second.
"""

import asyncio
import functools
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, get_args

import click

from clients.cli import configuration, lessons, links, recordings, tokens
from clients.cli.errors import NOT_REACHED, REFUSED, Commands, Problem
from signaling.log.events import Role

ROLES = click.Choice(get_args(Role))
DURATION_S = click.IntRange(min=1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kelian")
def cli() -> None:
    """课联：实时双师课堂 | Kelian: live classrooms in real time"""


@cli.command("serve")
@configuration.options
def serve_command(**flags: Any) -> None:
    """启动服务器 | Start the server: signaling and the media node, and keep them up."""
    from clients.cli import greetings, serve

    settings = configuration.load(flags, os.environ)
    serve.run(serve.prepare(settings), Path(settings.data), own_url(settings), greetings.server(settings))


@cli.command("node")
@functools.partial(configuration.options, names=configuration.OF_NODE)
def node_command(**flags: Any) -> None:
    """只启动媒体节点 | Start a media node alone, for `kelian serve --node` on another machine."""
    from clients.cli import greetings, serve

    settings = configuration.load(flags, os.environ)
    serve.run_node(serve.prepare_node(settings), settings, greetings.node(settings))


@cli.command("demo")
@configuration.options
@click.option(
    "--students", default=2, show_default=True, help="学生机器人的人数 | how many students are played"
)
def demo_command(students: int, **flags: Any) -> None:
    """启动服务器和演示课 | Start the server with a lesson that plays itself; prints links for visitors."""
    from clients.cli import demo, serve

    # Visitors are to see the links, not the log, unless they ask for it.
    quiet = {"KELIAN_LOG_LEVEL": "warning"}
    settings = configuration.load(flags, quiet | dict(os.environ))
    commands = serve.prepare(settings)
    visit = demo.arrange(settings, own_url(settings), students)
    serve.run([*commands, visit.bots], Path(settings.data), own_url(settings), visit.banner)


@cli.command("token")
@configuration.options
@click.option("--lesson", required=True, help="课堂编号 | the lesson's id")
@click.option("--role", required=True, type=ROLES, help="角色 | role")
@click.option("--name", default="", help="姓名 | name shown to others")
@click.option("--participant", help="学校系统里的编号 | id in the school's own system")
@click.option(
    "--ttl", default=12 * 3600, show_default=True, type=DURATION_S, help="有效秒数 | seconds of validity"
)
def token_command(
    lesson: str, role: Role, name: str, participant: str | None, ttl: int, **flags: Any
) -> None:
    """签发入课凭证 | Print one access token and nothing else, signed with this server's keys."""
    settings = configuration.load(flags, os.environ)
    token = tokens.issue(
        settings.keys_file, lesson=lesson, role=role, name=name, ttl_s=ttl, participant=participant
    )
    click.echo(token)


@cli.command("publish")
@click.argument("media", metavar="FILE|test")
@click.option(
    "--url", required=True, envvar="KELIAN_URL", help="服务器或入课链接 | server, or a link to join"
)
@click.option("--token", envvar="KELIAN_TOKEN", help="入课凭证 | access token")
@click.option("--board/--no-board", help="另发演示白板 | also send a board of slides")
@click.option("--loop/--once", help="循环播放文件 | play the file again and again")
@click.option("--seconds", type=float, help="多少秒后结束 | end after so many seconds")
@click.option("--insecure", is_flag=True, help="接受自签证书 | accept a server's own certificate")
def publish_command(
    media: str, url: str, token: str | None, board: bool, loop: bool, seconds: float | None, insecure: bool
) -> None:
    """发送文件或测试画面 | Send a file, or a test picture with a voice, as camera and microphone."""
    from clients.cli.publish import publish_to

    server, token = links.parse(url, token)
    if media != "test" and not Path(media).is_file():
        raise Problem(2, f"找不到文件 {media}", f"no such file: {media}")
    _run(publish_to(server, token, media, board=board, loop=loop, seconds=seconds, verify_tls=not insecure))


@cli.command("watch")
@click.option(
    "--url", required=True, envvar="KELIAN_URL", help="服务器或入课链接 | server, or a link to join"
)
@click.option("--token", envvar="KELIAN_TOKEN", help="入课凭证 | access token")
@click.option("--seconds", type=float, help="多少秒后结束 | end after so many seconds")
@click.option(
    "--snapshot", metavar="DIR", help="保存每路最新画面 | keep each slot's newest picture there (PNG)"
)
@click.option("--insecure", is_flag=True, help="接受自签证书 | accept a server's own certificate")
def watch_command(
    url: str, token: str | None, seconds: float | None, snapshot: str | None, insecure: bool
) -> None:
    """观看并逐秒报告 | Watch, and print once a second what arrives in each slot."""
    from clients.cli.watch import watch_lesson

    server, token = links.parse(url, token)
    _run(watch_lesson(server, token, seconds=seconds, snapshot=snapshot, verify_tls=not insecure))


cli.add_command(lessons.lesson_group)
cli.add_command(recordings.recording_group)


def own_url(settings: configuration.Configuration) -> str:
    secure = settings.tls != "off"
    return links.for_people(settings.http_host, settings.http_port, secure=secure, addresses=[])[0]


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Runs a client's work; what the server refuses or breaks off becomes one line."""
    from clients.python.errors import ConnectionLost, KelianError

    try:
        asyncio.run(work)
    except ConnectionLost as error:
        if error.code == "certificate_untrusted":
            raise Problem(
                NOT_REACHED,
                "不信任服务器的证书；如果是它自签的，请加 --insecure",
                "the server's certificate is not trusted; if it made it itself, add --insecure",
            ) from error
        raise Problem(NOT_REACHED, error.zh, error.en) from error
    except KelianError as error:
        raise Problem(REFUSED, f"{error.zh}（{error.code}）", f"{error.en} ({error.code})") from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def main() -> None:
    cli(prog_name="kelian")


if __name__ == "__main__":
    main()
