"""What `kelian serve` and `kelian demo` prepare, before any process starts."""

import socket
import time
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from clients.cli import demo, links, serve
from clients.cli.cast import VARIABLE, Cast
from clients.cli.configuration import Configuration
from clients.cli.errors import BAD_CONFIGURATION, FOLDER_TAKEN, PORT_TAKEN, Problem
from clients.cli.main import cli, own_url
from signaling.auth import keys, tokens
from signaling.config import Settings, parse_settings


def prepared(data: Path, **keys: object) -> tuple[Settings, list[str]]:
    """Signaling's settings as signaling itself reads them, and the media node's arguments."""
    configuration = msgspec.structs.replace(
        Configuration(http="127.0.0.1:0", media_port=0, data=str(data)), **keys
    )
    media, signaling = serve.prepare(configuration)
    return parse_settings(signaling.argv[-1]), list(media.argv)


def test_both_processes_meet_at_one_socket_in_the_data_folder(tmp_path: Path) -> None:
    settings, media = prepared(tmp_path / "data", codec="vp8", announce=("192.0.2.1", "192.0.2.2"))
    assert settings.node == media[media.index("--channel") + 1] == f"unix:{tmp_path}/data/media.sock"
    assert settings.codec == "vp8"
    assert [media[at + 1] for at, word in enumerate(media) if word == "--announce"] == [
        "192.0.2.1",
        "192.0.2.2",
    ]
    assert Path(settings.tls_cert).read_text().startswith("-----BEGIN CERTIFICATE")
    assert Path(settings.tls_key).stat().st_mode & 0o077 == 0


def test_without_tls_and_with_the_schools_own(tmp_path: Path) -> None:
    assert prepared(tmp_path, tls="off")[0].tls_cert == ""
    own = [tmp_path / "chain.pem", tmp_path / "key.pem"]
    settings, _ = prepared(tmp_path, tls=f"{own[0]}, {own[1]}")
    assert (settings.tls_cert, settings.tls_key) == (str(own[0]), str(own[1]))


def test_a_data_folder_too_deep_for_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    settings, _ = prepared(deep)
    path = settings.node.removeprefix("unix:")
    assert len(path.encode()) <= serve.SOCKET_PATH_MAX
    assert Path(path).parent.stat().st_mode & 0o077 == 0


def test_a_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Problem, match="--data") as caught:
        prepared(tmp_path / "file" / "data")
    assert caught.value.exit_code == BAD_CONFIGURATION


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(cli, ["serve", "--data", str(tmp_path), "--http", f"127.0.0.1:{port}"])
    assert result.exit_code == PORT_TAKEN
    assert result.stderr.count("\n") == 1
    assert f"TCP {port}" in result.stderr


def test_two_servers_do_not_share_a_data_folder(tmp_path: Path) -> None:
    with serve.alone_in(tmp_path):
        with pytest.raises(Problem, match="another Kelian") as caught, serve.alone_in(tmp_path):
            pass
        assert caught.value.exit_code == FOLDER_TAKEN
    with serve.alone_in(tmp_path):
        pass


def test_the_demo_prints_links_whose_tokens_hold(tmp_path: Path) -> None:
    configuration = Configuration(data=str(tmp_path), http="127.0.0.1:7999")
    visit = demo.arrange(configuration, own_url(configuration), students=3)
    found = [line.strip() for line in visit.banner.splitlines() if "/#/join/" in line]
    secrets = keys.load(tmp_path / "keys.toml")
    roles = []
    for link in found:
        server, token = links.parse(link, None)
        assert server == "https://127.0.0.1:7999"
        roles.append(tokens.verify(secrets, token, time.time(), demo.LESSON).role)
    assert roles == ["lecturer", "tutor", "student", "observer"]
    cast = msgspec.json.decode(visit.bots.environment[VARIABLE], type=Cast)
    assert len({token for _, token in cast.students}) == 3
    assert not any(cast.lecturer[1] in word for word in visit.bots.argv)  # arguments are for all to see
