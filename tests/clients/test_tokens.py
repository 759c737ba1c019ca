"""`kelian token` prints one token that the server's own keys verify."""

import time
from pathlib import Path

from click.testing import CliRunner

from clients.cli.errors import BAD_CONFIGURATION
from clients.cli.main import cli
from signaling.auth import keys, tokens


def test_the_token_is_the_only_output_and_verifies(tmp_path: Path) -> None:
    arguments = ["token", "--data", str(tmp_path), "--lesson", "maths-0901", "--role", "tutor"]
    result = CliRunner().invoke(cli, [*arguments, "--name", "辅导 周老师", "--ttl", "600"])
    assert result.exit_code == 0, result.output
    grant = tokens.verify(keys.load(tmp_path / "keys.toml"), result.stdout.strip(), time.time(), "maths-0901")
    assert (grant.role, grant.name) == ("tutor", "辅导 周老师")
    assert abs(grant.expires_s - time.time() - 600) < 5


def test_a_bad_lesson_id_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        cli, ["token", "--data", str(tmp_path), "--lesson", "数学", "--role", "student"]
    )
    assert result.exit_code == BAD_CONFIGURATION
    assert result.stderr.count("\n") == 1
    assert "no lesson id" in result.stderr


def test_keys_that_others_can_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text(f'[keys]\nK1 = "{"s" * 40}"\n')
    (tmp_path / "keys.toml").chmod(0o644)
    result = CliRunner().invoke(cli, ["token", "--data", str(tmp_path), "--lesson", "x", "--role", "ops"])
    assert result.exit_code == BAD_CONFIGURATION
    assert "chmod 600" in result.stderr
