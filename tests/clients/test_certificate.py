"""A server's own certificate: what it names, how long it lives, and when it is made anew."""

import datetime
import ipaddress
import socket
import ssl
import stat
import threading
from pathlib import Path

from cryptography import x509

from clients.cli.certificate import LIFE, ensure, local_names

NOW = datetime.datetime(2026, 9, 1, 8, tzinfo=datetime.UTC)
NAMES = ["localhost", "127.0.0.1", "::1", "school.example", "192.0.2.7", "2001:db8:0::7"]


def test_names_life_and_modes(tmp_path: Path) -> None:
    files = ensure(tmp_path / "tls", NAMES, NOW)
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"localhost", "school.example"}
    assert set(names.get_values_for_type(x509.IPAddress)) == {
        ipaddress.ip_address(address) for address in ("127.0.0.1", "::1", "192.0.2.7", "2001:db8::7")
    }
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == LIFE
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600


def test_kept_while_it_serves_and_made_anew_when_it_does_not(tmp_path: Path) -> None:
    def made(names: list[str], now: datetime.datetime) -> bytes:
        return ensure(tmp_path, names, now).certificate.read_bytes()

    first = made(NAMES, NOW)
    assert made(NAMES, NOW + datetime.timedelta(days=700)) == first
    assert made(NAMES[:3], NOW) == first  # an address less is no reason to warn every visitor again
    moved = made([*NAMES, "192.0.2.8"], NOW)
    assert moved != first
    later = made(NAMES, NOW + LIFE - datetime.timedelta(days=29))
    assert later != moved
    (tmp_path / "key.pem").write_text("not a key")
    assert made(NAMES, NOW + LIFE - datetime.timedelta(days=29)) != later


def test_a_tls_client_accepts_it(tmp_path: Path) -> None:
    files = ensure(tmp_path, NAMES, datetime.datetime.now(datetime.UTC))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.certificate, files.key)
    client = ssl.create_default_context(cafile=str(files.certificate))
    near, far = socket.socketpair()

    def serve() -> None:
        with server.wrap_socket(far, server_side=True) as line:
            line.sendall(b"here")

    thread = threading.Thread(target=serve)
    thread.start()
    with client.wrap_socket(near, server_hostname="192.0.2.7") as line:
        assert line.recv(4) == b"here"
    thread.join()


def test_this_machines_names() -> None:
    names = local_names(["203.0.113.7"])
    assert {"localhost", "127.0.0.1", "::1", "203.0.113.7"} <= set(names)
    assert not any(name.startswith("fe80") for name in names)
