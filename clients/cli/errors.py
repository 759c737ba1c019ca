"""What stops a command: one line in Chinese and English, and an exit code that scripts can test."""

from typing import Any

import click

BAD_CONFIGURATION = 2
PORT_TAKEN = 3
NOT_REACHED = 4  # no server at that address, or it went away
REFUSED = 5  # the server said no
FAILED = 6  # a process of ours ended and cannot be kept up
FOLDER_TAKEN = 7  # another server holds the data folder


class Problem(Exception):
    """Both sentences say what to do next."""

    def __init__(self, exit_code: int, zh: str, en: str) -> None:
        super().__init__(f"{zh} | {en}")
        self.exit_code = exit_code
        self.zh = zh
        self.en = en


class Commands(click.Group):
    """A group whose commands end with one line when they raise Problem, never with a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Problem as problem:
            click.echo(f"kelian: {problem}", err=True)
            ctx.exit(problem.exit_code)
