"""Links that open a lesson keep the token in the fragment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.cli import links
from clients.cli.errors import Problem


@given(st.text(min_size=1))
def test_a_link_gives_back_its_token(token: str) -> None:
    link = links.join_link("https://school.example:7880/", token)
    assert links.parse(link, None) == ("https://school.example:7880", token)


def test_a_server_and_a_token() -> None:
    assert links.parse("http://localhost:7880", "t") == ("http://localhost:7880", "t")
    assert links.parse("school.example", "t") == ("https://school.example", "t")


@pytest.mark.parametrize("url", ["https://school.example", "ftp://school.example/#/join/t", "https://"])
def test_what_is_missing_is_said(url: str) -> None:
    with pytest.raises(Problem):
        links.parse(url, None)


def test_addresses_for_people() -> None:
    addresses = ["192.0.2.7", "2001:db8::7"]
    assert links.for_people("0.0.0.0", 7880, secure=True, addresses=addresses) == [
        "https://localhost:7880", "https://192.0.2.7:7880", "https://[2001:db8::7]:7880",
    ]  # fmt: skip
    assert links.for_people("127.0.0.1", 80, secure=False, addresses=addresses) == ["http://127.0.0.1:80"]
