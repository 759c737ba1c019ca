"""docs/protocol.md's example, said and heard line by line."""

import re
from functools import partial
from pathlib import Path

import msgspec
import pytest

from signaling.log.roles import RIGHTS
from signaling.protocol import requests
from tests.signaling.doors import Client, Door, Message

DOCUMENT = Path(__file__).parents[2] / "docs" / "protocol.md"
LINE = re.compile(r"^(\w+)\s+([→←]) (\{.*\})$")
ROLES = {"wang": "lecturer", "li": "student"}


def example() -> list[tuple[str, str, Message]]:
    text = DOCUMENT.read_text()
    block = re.search(r"```example\n(.*?)```", text, re.DOTALL)
    assert block is not None
    lines = [LINE.match(line) for line in block.group(1).splitlines()]
    assert all(lines)
    return [(it.group(1), it.group(2), msgspec.json.decode(it.group(3))) for it in lines if it is not None]


def matches(shown: object, heard: object) -> bool:
    """Everything shown is there; what is left out of a map or at a list's ends may be anything."""
    if shown == "…":
        return True
    if isinstance(shown, dict) and isinstance(heard, dict):
        return all(key in heard and matches(value, heard[key]) for key, value in shown.items())
    if isinstance(shown, list) and isinstance(heard, list):
        return len(shown) == len(heard) and all(map(matches, shown, heard))
    return shown == heard


def brings(people: Message, entry: Message, heard: Message) -> bool:
    if heard["t"] != "events" or not any(matches(entry, it) for it in heard.get("events", ())):
        return False
    return matches(people, heard.get("people", {}))


@pytest.mark.parametrize("json", [True, False])
async def test_the_example_is_true(door: Door, json: bool) -> None:
    clients: dict[str, Client] = {}
    for who, arrow, message in example():
        client = clients.get(who) or clients.setdefault(who, await door.connect(json=json))
        if arrow == "→":
            if message["t"] == "hello":
                message["token"] = door.token(ROLES[who], who, lesson="math-7")  # type: ignore[arg-type]
            await client.send_raw(message)
        elif message["t"] == "events":  # what is shown apart may come together
            for entry in message["events"]:
                shown = message.get("people", {})
                await client.until(partial(brings, shown, entry))
        else:
            await client.until(partial(matches, message))


def test_every_request_is_in_the_document() -> None:
    table = DOCUMENT.read_text().partition("## Requests")[2].partition("## Errors")[0]
    for kind in requests.Request.__subclasses__():
        assert f"`{kind.__struct_config__.tag}`" in table
    for rights in RIGHTS.values():
        assert all(f"`{tag}`" in table for tag in rights.may)
