"""What `kelian serve` and `kelian demo` prepare, before any process starts."""

import os
import socket
import time
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from clients.cli import demo, greetings, links, serve
from clients.cli.cast import VARIABLE, Cast
from clients.cli.configuration import Configuration
from clients.cli.errors import BAD_CONFIGURATION, FOLDER_TAKEN, PORT_TAKEN, Problem
from clients.cli.main import cli, own_url
from mediaserver.channel.address import SECRET_VARIABLE
from signaling.auth import keys, tokens
from signaling.config import Limits, Settings, parse_settings


def prepared(data: Path, **keys: object) -> tuple[Settings, list[str]]:
    """Signaling's settings as signaling itself reads them, and the media node's arguments."""
    configuration = msgspec.structs.replace(
        Configuration(http="127.0.0.1:0", media_port=0, data=str(data)), **keys
    )
    media, signaling = serve.prepare(configuration)
    assert SECRET_VARIABLE in media.environment  # whatever the shell's own says
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


def test_signaling_alone_joins_a_node_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("correct horse")
    configuration = Configuration(
        http="127.0.0.1:0", data=str(tmp_path), node="tcp:192.0.2.9:7883", tls="off",
        channel_secret_file=str(tmp_path / "secret"), limits=Limits(sessions_per_participant=3),
    )  # fmt: skip
    (signaling,) = serve.prepare(configuration)
    settings = parse_settings(signaling.argv[-1])
    assert settings.node == "tcp:192.0.2.9:7883"
    assert settings.limits.sessions_per_participant == 3
    assert signaling.environment[SECRET_VARIABLE] == "correct horse"
    assert not any("horse" in word for word in signaling.argv)
    greeting = greetings.server(configuration)
    for fact in ("tcp:192.0.2.9:7883", str(tmp_path / "keys.toml"), "http://127.0.0.1:0", "kelian token"):
        assert fact in greeting


def test_the_greeting_says_where_everything_is(tmp_path: Path) -> None:
    configuration = Configuration(data=str(tmp_path), http="127.0.0.1:7999", media_port=7998)
    lines = greetings.server(configuration).splitlines()
    for fact in ("https://127.0.0.1:7999", str(tmp_path), "tls/certificate.pem", "TCP 7999", "UDP 7998"):
        assert any(fact in line for line in lines)
    node = greetings.node(Configuration(channel="tcp:192.0.2.9:7883"))
    assert "kelian serve --node tcp:192.0.2.9:7883" in node
    assert "UDP 7882" in node


def test_what_is_waited_for() -> None:
    assert "same on both sides" in serve.waiting_for({"store": "ok", "media_node": "not connected"})
    assert "store: store_failed" in serve.waiting_for({"store": "store_failed", "media_node": "ok"})


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


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "ROOM_BYTES", 1 << 62)
    with pytest.raises(Problem, match=r"is full .* choose another with --data") as caught:
        prepared(tmp_path)
    assert caught.value.exit_code == BAD_CONFIGURATION
    assert "磁盘已满" in caught.value.zh


@pytest.mark.skipif(os.getuid() == 0, reason="root writes everywhere")
def test_a_data_folder_that_is_not_ours(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(Problem, match="cannot write to the data folder"):
        prepared(tmp_path, tls="off")


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
