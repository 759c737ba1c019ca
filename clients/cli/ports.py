"""Are the ports free? Asked before anything starts, so that one line can say what to change."""

import errno
import socket

from clients.cli.errors import BAD_CONFIGURATION, PORT_TAKEN, Problem


def check_http(host: str, port: int) -> None:
    """Raises Problem if pages cannot be served at this address."""
    _check(host, port, socket.SOCK_STREAM, "--http", f"--http {_joined(host, port + 1)}")


def check_media(port: int) -> None:
    """Raises Problem if the UDP port for media is taken."""
    _check("0.0.0.0", port, socket.SOCK_DGRAM, "--media-port", f"--media-port {port + 1}")


def check_channel(host: str, port: int) -> None:
    """Raises Problem if a media node cannot wait for signaling at this address."""
    _check(host, port, socket.SOCK_STREAM, "--channel", f"--channel tcp:{_joined(host, port + 1)}")


def _check(host: str, port: int, kind: socket.SocketKind, flag: str, instead: str) -> None:
    if port == 0:
        return
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise Problem(
            BAD_CONFIGURATION,
            f"{flag} 里的主机“{host}”不存在",
            f"{flag}: there is no host {host!r} ({error.strerror})",
        ) from error
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            # As the server does: a port whose last connections still linger is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise _taken(error, host, port, kind, flag, instead) from error


def _taken(error: OSError, host: str, port: int, kind: socket.SocketKind, flag: str, instead: str) -> Problem:
    name = f"{'TCP' if kind == socket.SOCK_STREAM else 'UDP'} {port}"
    if error.errno == errno.EADDRINUSE:
        zh = f"端口 {name} 已被占用；请停掉占用它的程序，或换一个：{instead}"
        return Problem(
            PORT_TAKEN, zh, f"port {name} is taken; stop what uses it, or choose another: {instead}"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        zh = f"本机没有地址 {host}（{flag}）"
        return Problem(BAD_CONFIGURATION, zh, f"{host} is not an address of this machine ({flag})")
    if error.errno == errno.EACCES:
        zh = f"无权使用端口 {name}；请换 1024 以上的端口：{flag}"
        return Problem(PORT_TAKEN, zh, f"port {name} needs rights; choose one above 1024 with {flag}")
    return Problem(PORT_TAKEN, f"端口 {name} 用不了（{flag}）", f"port {name}: {error.strerror} ({flag})")


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
