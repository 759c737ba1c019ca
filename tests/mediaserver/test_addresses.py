"""Which addresses a node announces."""

import pytest

from mediaserver.addresses import announced_addresses, local_addresses, split_address

LOCAL = ["127.0.0.1", "192.168.1.7", "::1", "fd00::7", "fe80::1"]


def test_operators_addresses_come_first_and_loopback_last() -> None:
    assert announced_addresses(["0.0.0.0:7882", "[::]:7882"], ["203.0.113.7", "2001:db8::7"], LOCAL) == [
        "203.0.113.7", "2001:db8::7", "192.168.1.7", "fd00::7", "127.0.0.1", "::1",
    ]  # fmt: skip


def test_only_what_is_bound_is_announced() -> None:
    assert announced_addresses(["0.0.0.0:7882"], [], LOCAL) == ["192.168.1.7", "127.0.0.1"]
    assert announced_addresses(["192.168.1.7:7882"], [], LOCAL) == ["192.168.1.7"]
    assert announced_addresses(["127.0.0.1:0", "[::1]:0"], [], LOCAL) == ["127.0.0.1", "::1"]


def test_an_address_is_announced_once() -> None:
    assert announced_addresses(["0.0.0.0:7882"], ["192.168.1.7"], LOCAL) == ["192.168.1.7", "127.0.0.1"]


def test_this_machine_has_addresses() -> None:
    assert "127.0.0.1" in local_addresses()


def test_addresses_with_ports() -> None:
    assert split_address("203.0.113.7:7882") == ("203.0.113.7", 7882)
    assert split_address("[2001:db8::1]:7882") == ("2001:db8::1", 7882)


@pytest.mark.parametrize("text", ["", "203.0.113.7", "host:1", "203.0.113.7:x", "203.0.113.7:70000"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (ipaddress has sentences of its own)
        split_address(text)
