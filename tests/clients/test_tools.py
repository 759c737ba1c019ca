"""deploy/tools.sh: what is missing for a build is one line in Chinese and English."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "tools.sh"
TOOLS = ("python3", "cargo", "cc", "npm", "node")


def tools(folder: Path, *, missing: str = "", failing: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the script where only these tools exist: each succeeds, one does not, one is not there."""
    for name in TOOLS:
        if name != missing:
            tool = folder / name
            tool.write_text(f"#!/bin/sh\nexit {int(name == failing)}\n")
            tool.chmod(0o755)
    return subprocess.run(
        ["/bin/sh", str(SCRIPT)], env={"PATH": str(folder)}, capture_output=True, text=True, check=False
    )


def test_all_is_there(tmp_path: Path) -> None:
    done = tools(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("missing", "failing", "says"),
    [
        ("python3", "", "Python 3.11 or later is missing"),
        ("", "python3", "Python is too old"),
        ("cargo", "", "Rust (cargo) is missing"),
        ("cc", "", "a C compiler is missing"),
        ("npm", "", "npm is missing"),
        ("node", "", "npm is missing"),
        ("", "node", "Node is too old"),
    ],
)
def test_what_is_missing_is_one_line(tmp_path: Path, missing: str, failing: str, says: str) -> None:
    done = tools(tmp_path, missing=missing, failing=failing)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    zh, _, en = done.stderr.partition(" | Kelian: ")[2].partition(" | ")
    assert says in en
    assert zh
    assert not zh.isascii()
