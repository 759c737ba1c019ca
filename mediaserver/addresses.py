"""The addresses under which peers reach this node."""

import ipaddress
from collections.abc import Sequence

import ifaddr


def split_address(text: str) -> tuple[str, int]:
    """ "203.0.113.7:7882" or "[2001:db8::1]:7882". Raises ValueError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    ipaddress.ip_address(host)
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f"{text!r} is not ADDRESS:PORT")
    return host, int(port)


def announced_addresses(bind: Sequence[str], announce: Sequence[str], local: Sequence[str]) -> list[str]:
    """Host candidates, best first: those that the operator names, then this machine's own.

    Of the machine's own (`local`) only those count that a socket in `bind` listens on. Loopback
    comes last: it serves browsers on this machine alone.
    """
    hosts = [ipaddress.ip_address(split_address(text)[0]) for text in bind]
    wildcards = {host.version for host in hosts if host.is_unspecified}
    own = [ipaddress.ip_address(text) for text in local]
    reachable = [address for address in own if address.version in wildcards]
    reachable += [host for host in hosts if not host.is_unspecified]
    reachable = [address for address in reachable if not address.is_link_local]
    reachable.sort(key=lambda address: (address.is_loopback, address.version))
    named = [str(ipaddress.ip_address(text)) for text in announce]
    return list(dict.fromkeys([*named, *map(str, reachable)]))


def local_addresses() -> list[str]:
    """All addresses of this machine's interfaces, as they are now."""
    found = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            found.append(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
    return found
