"""The supervisor, with real processes."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.cli.errors import FAILED, Problem
from clients.cli.supervisor import Command, Supervisor

SLEEP = "import time; print('ready'); time.sleep(60)"


def python(name: str, code: str, **more: bool) -> Command:
    return Command(name=name, argv=[sys.executable, "-c", code], vital=more.get("vital", True))


async def until(condition: Callable[[], bool], within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 (a condition of another process)
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] != "Z"
    except OSError:
        return False


async def test_a_killed_child_is_started_again_and_the_other_goes_on() -> None:
    lines: list[str] = []
    supervisor = Supervisor([python("one", SLEEP), python("two", SLEEP)], lines.append)
    task = asyncio.create_task(supervisor.run())
    await until(lambda: lines.count("one       | ready") == 1 and lines.count("two       | ready") == 1)
    first, other = supervisor.pid("one"), supervisor.pid("two")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: lines.count("one       | ready") == 2)
    assert supervisor.pid("one") not in (None, first)
    assert supervisor.pid("two") == other
    assert any("one was killed by SIGKILL" in line for line in lines)
    pids = [supervisor.pid("one"), supervisor.pid("two")]
    supervisor.stop()
    await task
    assert not any(alive(pid) for pid in pids if pid)
    assert sum("starting again" in line for line in lines) == 1


async def test_a_child_that_fails_at_its_first_start_stops_everything() -> None:
    lines: list[str] = []
    commands = [python("good", SLEEP), python("bad", "print('no such option'); raise SystemExit(3)")]
    supervisor = Supervisor(commands, lines.append)
    with pytest.raises(Problem, match="bad") as caught:
        await supervisor.run()
    assert caught.value.exit_code == FAILED
    assert "bad       | no such option" in lines
    assert supervisor.pid("good") is None


async def test_a_child_that_is_not_vital_is_tried_again() -> None:
    lines: list[str] = []
    supervisor = Supervisor([python("bot", "print('up'); raise SystemExit(3)", vital=False)], lines.append)
    task = asyncio.create_task(supervisor.run())
    await until(lambda: lines.count("bot       | up") == 3)
    supervisor.stop()
    await task


async def test_sigterm_is_answered_by_an_orderly_stop() -> None:
    lines: list[str] = []
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('saved'), sys.exit(0)))\n"
        "print('ready')\ntime.sleep(60)\n"
    )
    supervisor = Supervisor([python("one", code)], lines.append)
    task = asyncio.create_task(supervisor.run())
    await until(lambda: "one       | ready" in lines)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 5)
    assert lines[-1] == "one       | saved"


def test_children_end_with_a_killed_supervisor(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from clients.cli.supervisor import Command, Supervisor\n"
        f"child = Command(name='child', argv=[sys.executable, '-c', {SLEEP!r}])\n"
        "asyncio.run(Supervisor([child]).run())\n"
    )
    read_end, write_end = os.pipe()
    parent = os.posix_spawn(
        sys.executable, [sys.executable, "-c", script], {**os.environ, "PYTHONPATH": os.getcwd()},
        file_actions=[(os.POSIX_SPAWN_DUP2, write_end, 1), (os.POSIX_SPAWN_CLOSE, read_end)],
    )  # fmt: skip
    os.close(write_end)
    with os.fdopen(read_end) as output:
        assert output.readline() == "child     | ready\n"
    (child,) = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    deadline = time.monotonic() + 5
    while alive(int(child)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(int(child))
