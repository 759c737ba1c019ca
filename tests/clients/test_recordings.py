"""`kelian recording`: what it prints, where the files are, and one line when there is nothing."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clients.cli.errors import FAILED
from clients.cli.main import cli
from tests.mediaserver import journals
from tests.mediaserver.journals import Wire


@pytest.fixture(name="data")
def _data(tmp_path: Path) -> Path:
    picture = Wire(0x11, 102, 90_000)
    journals.camera(picture, "h264", seconds=1)
    sending = journals.sending(5, picture, "h264", "use=camera;participant=anna;session=s1")
    journals.write(tmp_path / "journals" / "maths", [sending])
    return tmp_path


def recording(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["recording", *arguments, "--data", str(data)])


def test_an_export_prints_its_files_and_is_listed(data: Path, tmp_path: Path) -> None:
    assert recording(data, "list").output.split()[0] == "maths"
    made = recording(data, "export", "maths")
    assert made.exit_code == 0, made.output
    file = Path(made.output.strip())
    assert file.name == "anna-camera.mp4"
    assert file.stat().st_size > 1000
    assert str(file.parent) in recording(data, "list").output

    elsewhere = recording(
        data, "export", "maths", "--to", str(tmp_path / "usb"), "--format", "mkv", "--by", "source"
    )
    assert Path(elsewhere.output.strip()).relative_to(tmp_path / "usb").name == "5-camera.mkv"


def test_a_lesson_that_was_not_recorded_is_one_line_in_two_languages(data: Path) -> None:
    for lesson in ("physics", "../journals/maths", ""):
        result = recording(data, "export", lesson)
        assert result.exit_code == FAILED
        assert result.output.count("\n") == 1
        assert "（no_journal）" in result.output
        assert "There is no journal of this lesson" in result.output


def test_damage_is_told_and_does_not_stop_it(data: Path) -> None:
    (path,) = (data / "journals" / "maths").iterdir()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + b"\xff" * 2000 + content[len(content) // 2 + 2000 :])
    result = recording(data, "export", "maths")
    assert result.exit_code == 0
    assert "有损坏" in result.output
    assert "is damaged" in result.output
