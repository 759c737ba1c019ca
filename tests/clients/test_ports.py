"""A taken port is named, with the flag that changes it."""

import socket

import pytest

from clients.cli.errors import BAD_CONFIGURATION, PORT_TAKEN, Problem
from clients.cli.ports import check_http, check_media


def test_a_taken_http_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(Problem, match=rf"TCP {port} .*--http 127\.0\.0\.1:{port + 1}") as caught:
            check_http("127.0.0.1", port)
    assert caught.value.exit_code == PORT_TAKEN
    assert "已被占用" in caught.value.zh
    check_http("127.0.0.1", port)


def test_a_taken_media_port() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        with pytest.raises(Problem, match=rf"UDP {port} .*--media-port {port + 1}"):
            check_media(port)
    check_media(port)


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(Problem, match=r"192\.0\.2\.1 is not an address of this machine") as caught:
        check_http("192.0.2.1", 7880)
    assert caught.value.exit_code == BAD_CONFIGURATION
    with pytest.raises(Problem, match="no host"):
        check_http("nowhere.invalid", 7880)


def test_port_zero_is_any_free_one() -> None:
    check_http("0.0.0.0", 0)
    check_media(0)
