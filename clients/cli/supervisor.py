"""Keeps the processes of one machine up: starts them, restarts what dies, stops all cleanly.

Each child is a process of its own, so that one may be killed or crash while the other goes on. A
child that dies is started again after a wait that grows (0.1 s to 5 s) while it keeps dying. If the
supervisor itself is killed, the kernel ends the children (PR_SET_PDEATHSIG).
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from clients.cli.errors import FAILED, Problem
from clients.python.backoff import Backoff

STOP_S = 8.0  # then SIGKILL
LAST_WORDS_S = 1.0  # for the log lines of a process that has ended
START_S = 3.0  # a child that ends sooner at the very first start is not started again
LONGEST_LINE = 65536  # bytes
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

Say = Callable[[str], None]


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """How one child is started. Secrets go into `environment`: arguments are for all to see."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = {}
    vital: bool = True  # when its very first start fails, everything stops


class Supervisor:
    def __init__(self, commands: Sequence[Command], say: Say | None = None) -> None:
        """`commands` are started in this order and stopped in the reverse one."""
        self._children = [_Child(command, say or _print) for command in commands]
        self._stopping = asyncio.Event()

    def pid(self, name: str) -> int | None:
        """The process that runs now, if it does."""
        return next(child.pid for child in self._children if child.name == name)

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`, SIGINT or SIGTERM. Raises Problem if a vital child cannot be started at all."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        stopped = asyncio.create_task(self._stopping.wait())
        keepers = [asyncio.create_task(child.keep()) for child in self._children]
        try:
            await asyncio.wait([stopped, *keepers], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            for child, keeper in reversed(list(zip(self._children, keepers, strict=True))):
                await child.end(keeper)
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
        for keeper in keepers:
            if not keeper.cancelled() and (error := keeper.exception()) is not None:
                raise error


class _Child:
    def __init__(self, command: Command, say: Say) -> None:
        self.name = command.name
        self._command = command
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._ending = False
        self._backoff = Backoff(first_s=0.1, most_s=5.0, calm_s=20.0)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def keep(self) -> None:
        """Runs the child until `end`. Raises Problem if it is vital and its first start fails."""
        first = True
        while True:
            started_s = time.monotonic()
            self._backoff.up(started_s)
            code = await self._run_once()
            if self._ending:
                return
            if first and code > 0 and self._command.vital and time.monotonic() - started_s < START_S:
                raise Problem(
                    FAILED,
                    f"{self.name} 无法启动（退出码 {code}），原因见上",
                    f"{self.name} cannot start (exit code {code}); the lines above say why",
                )
            first = False
            wait_s = self._backoff.down(time.monotonic())
            self._say(f"kelian    | {self.name} {_ended(code)}, starting again in {wait_s:.1f} s")
            await asyncio.sleep(wait_s)

    async def end(self, keeper: asyncio.Task[None]) -> None:
        """Asks the process to end, and ends it after STOP_S."""
        self._ending = True
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(process.wait()), STOP_S)
            if process.returncode is None:
                process.kill()
                await process.wait()
            await asyncio.wait([keeper], timeout=LAST_WORDS_S)
        keeper.cancel()
        await asyncio.wait([keeper])

    async def _run_once(self) -> int:
        parent = os.getpid()
        self._process = await asyncio.create_subprocess_exec(
            *self._command.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self._command.environment},
            preexec_fn=lambda: _end_with(parent),
            start_new_session=True,  # Ctrl-C in the terminal reaches the supervisor, which stops in order
        )
        assert self._process.stdout is not None
        forward = asyncio.create_task(self._forward(self._process.stdout))
        try:
            code = await self._process.wait()
            # Its own children may hold the pipe open: do not wait for them.
            await asyncio.wait([forward], timeout=LAST_WORDS_S)
        finally:
            forward.cancel()
        return code

    async def _forward(self, stream: asyncio.StreamReader) -> None:
        """The child's lines, each with its name before it."""
        rest = b""
        while chunk := await stream.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._say_line(line)
            if len(rest) > LONGEST_LINE:
                self._say_line(rest)
                rest = b""
        if rest:
            self._say_line(rest)

    def _say_line(self, line: bytes) -> None:
        self._say(f"{self.name:<9} | {line.decode(errors='replace').rstrip()}")


def _end_with(parent: int) -> None:
    """In the child, before it becomes its program: the kernel tells it when the parent is gone."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def _ended(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _print(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(line, file=sys.stdout, flush=True)
