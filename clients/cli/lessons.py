"""`kelian lesson create|list|end`: the REST API (docs/api.md), asked with this server's own key."""

import asyncio
import datetime
import os
from pathlib import Path
from typing import Any

import click

from clients.cli import configuration, links, tokens
from clients.cli.configuration import Configuration
from clients.cli.errors import Commands

PREFIX = "/api/v1/lessons"

_url = click.option("--url", envvar="KELIAN_URL", help="服务器，默认本机 | server; default: this machine's")
_insecure = click.option("--insecure", is_flag=True, help="接受自签证书 | accept a server's own certificate")


@click.group("lesson", cls=Commands)
def lesson_group() -> None:
    """管理课堂 | Create, list and end lessons."""


@lesson_group.command("create")
@click.argument("lesson")
@click.option("--title", default="", help="课题 | title")
@configuration.options
@_url
@_insecure
def create(lesson: str, title: str, url: str | None, insecure: bool, **flags: Any) -> None:
    """建课 | Create a lesson with this id."""
    settings = configuration.load(flags, os.environ)
    body = {"id": lesson, "title": title, "codec": settings.codec}
    click.echo(_line(_ask("POST", PREFIX, body, settings, url, insecure)))


@lesson_group.command("list")
@click.option("--all", "everything", is_flag=True, help="包括已结束的 | those that have ended, too")
@configuration.options
@_url
@_insecure
def list_lessons(everything: bool, url: str | None, insecure: bool, **flags: Any) -> None:
    """列出课堂 | List lessons, newest first: id, state, time, title."""
    settings = configuration.load(flags, os.environ)
    query = "?limit=200" if everything else "?limit=200&ended=false"
    for lesson in _ask("GET", PREFIX + query, None, settings, url, insecure)["lessons"]:
        click.echo(_line(lesson))


@lesson_group.command("end")
@click.argument("lesson")
@configuration.options
@_url
@_insecure
def end(lesson: str, url: str | None, insecure: bool, **flags: Any) -> None:
    """下课 | End a lesson for everybody."""
    settings = configuration.load(flags, os.environ)
    click.echo(_line(_ask("POST", f"{PREFIX}/{lesson}/end", None, settings, url, insecure)))


def _ask(
    method: str,
    path: str,
    body: dict[str, str] | None,
    settings: Configuration,
    url: str | None,
    insecure: bool,
) -> dict[str, Any]:
    """The answer's JSON. Raises Problem with what the server says."""
    from clients.cli import rest  # loaded when needed, see clients/cli/main.py

    headers = tokens.authorization(settings.keys_file)
    verify_tls: bool | str = not insecure
    if url is None:
        secure = settings.tls != "off"
        url = links.for_people(settings.http_host, settings.http_port, secure=secure, addresses=[])[0]
        own = Path(settings.data) / "tls" / "certificate.pem"
        if settings.tls == "self" and not insecure and own.exists():
            verify_tls = str(own)
    return asyncio.run(rest.ask(method, url.rstrip("/") + path, body, headers, verify_tls))


def _line(lesson: dict[str, Any]) -> str:
    made = datetime.datetime.fromtimestamp(lesson["created_ms"] / 1000).astimezone()
    return f"{lesson['id']:<24}{lesson['state']:<9}{made:%Y-%m-%d %H:%M}  {lesson['title']}"
