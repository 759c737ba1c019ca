"""Every message of the protocol survives both encodings; no bytes do worse than be refused."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect as mi

from signaling.log.events import AnyEvent, Entry
from signaling.protocol import VERSION, requests
from signaling.protocol.replies import AnyReply, LogEvent
from signaling.protocol.requests import AnyRequest

REQUESTS = AnyRequest.__args__  # type: ignore[attr-defined]
REPLIES = AnyReply.__args__  # type: ignore[attr-defined]
EVENTS = AnyEvent.__args__  # type: ignore[attr-defined]

_json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def values(kind: mi.Type) -> st.SearchStrategy[Any]:
    """Values of a type, within what its Meta allows."""
    match kind:
        case mi.StructType():
            return st.builds(kind.cls, **{field.name: values(field.type) for field in kind.fields})
        case mi.UnionType():
            return st.one_of(*map(values, kind.types))
        case mi.StrType():
            most = min(kind.max_length or 20, 20)
            return st.text(min_size=kind.min_length or 0, max_size=most)
        case mi.IntType():
            least = kind.ge if kind.ge is not None else -(2**53)
            return st.integers(int(least), int(kind.le if kind.le is not None else 2**53))
        case mi.BoolType():
            return st.booleans()
        case mi.NoneType():
            return st.none()
        case mi.LiteralType():
            return st.sampled_from(kind.values)
        case mi.ListType():
            least, most = kind.min_length or 0, kind.max_length or 4
            return st.lists(values(kind.item_type), min_size=least, max_size=most)
        case mi.VarTupleType():
            return st.lists(values(kind.item_type), max_size=4).map(tuple)
        case mi.TupleType():
            return st.tuples(*map(values, kind.item_types))
        case mi.DictType():
            return st.dictionaries(values(kind.key_type), values(kind.value_type), max_size=3)
        case mi.AnyType():
            return _json_values
    raise AssertionError(f"no strategy for {kind}")


def messages(kind: Any) -> st.SearchStrategy[Any]:
    return values(mi.type_info(kind))


CODECS = [
    pytest.param(msgspec.msgpack.encode, msgspec.msgpack.decode, id="msgpack"),
    pytest.param(msgspec.json.encode, msgspec.json.decode, id="json"),
]


@pytest.mark.parametrize(("encode", "decode"), CODECS)
@pytest.mark.parametrize(
    ("kind", "union"),
    [
        *[pytest.param(kind, AnyRequest, id=f"request-{kind.__name__}") for kind in REQUESTS],
        *[pytest.param(kind, AnyReply, id=f"reply-{kind.__name__}") for kind in REPLIES],
        *[pytest.param(kind, AnyEvent, id=f"event-{kind.__name__}") for kind in EVENTS],
        pytest.param(Entry, Entry, id="entry"),
        pytest.param(LogEvent, LogEvent, id="log-event"),
    ],
)
def test_round_trip(kind: Any, union: Any, encode: Any, decode: Any) -> None:
    @given(messages(kind))
    def round_trip(message: Any) -> None:
        assert decode(encode(message), type=union) == message

    round_trip()


_decoders = [msgspec.msgpack.Decoder(AnyRequest).decode, msgspec.json.Decoder(AnyRequest).decode]
_refused = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _assert_decoded_or_refused(data: bytes) -> None:
    for decode in _decoders:
        try:
            message = decode(data)
        except _refused:
            continue
        assert isinstance(message, requests.Request)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    _assert_decoded_or_refused(data)


@given(messages(AnyRequest), st.data())
def test_mutated_messages_are_a_request_or_refused(message: requests.Request, data: st.DataObject) -> None:
    for encode in (msgspec.msgpack.encode, msgspec.json.encode):
        sound = encode(message)
        cut = data.draw(st.integers(0, len(sound)))
        _assert_decoded_or_refused(sound[:cut])
        index = data.draw(st.integers(0, len(sound) - 1))
        flipped = bytes((sound[index] ^ data.draw(st.integers(1, 255)),))
        _assert_decoded_or_refused(sound[:index] + flipped + sound[index + 1 :])


@pytest.mark.parametrize("depth", [10_000, 300_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    _assert_decoded_or_refused(b"[" * depth)
    _assert_decoded_or_refused(b'{"t":"leave","req":1,"x":' + b"[" * depth)
    _assert_decoded_or_refused(b"\x83\xa1t\xa5leave\xa3req\x01\xa1x" + b"\x91" * depth)


@pytest.mark.parametrize(
    "message",
    [
        {"t": "chat", "req": 1, "text": ""}, {"t": "chat", "req": 1, "text": "x" * 2001},
        {"t": "chat", "req": -1, "text": "x"}, {"t": "chat", "text": "x"}, {"t": "chat", "req": 1, "text": 5},
        {"t": "bring_up", "req": 1, "participant": ""}, {"t": "bring_up", "req": 1, "participant": "x" * 65},
        {"t": "mute", "req": 1, "participant": "x", "use": "smell", "muted": True},
        {"t": "quiz_ask", "req": 1, "question": "?", "options": ["one"]},
        {"t": "quiz_ask", "req": 1, "question": "?", "options": ["a"] * 11},
        {"t": "quiz_answer", "req": 1, "quiz": 1, "choices": []},
        {"t": "offer", "req": 1, "sdp": "x" * (512 * 1024 + 1)},
        {"t": "hello", "req": 1, "token": "x" * 4097, "version": 1},
        {"t": "join", "req": 1, "participant": "x", "role": "lecturer"}, {"t": "source_lost", "req": 1},
        {"t": 5, "req": 1}, {"req": 1}, [], None, 5, "hello",
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(message: object) -> None:
    for decode, data in zip(
        _decoders, (msgspec.msgpack.encode(message), json.dumps(message).encode()), strict=True
    ):
        with pytest.raises(msgspec.ValidationError):
            decode(data)


def test_unknown_fields_are_let_be_so_that_newer_clients_may_say_more() -> None:
    data = json.dumps({"t": "leave", "req": 1, "mood": "good"}).encode()
    assert msgspec.json.decode(data, type=AnyRequest) == requests.Leave(req=1)


def test_tags_are_unique_over_the_whole_protocol() -> None:
    tags = [kind.__struct_config__.tag for kind in (*REQUESTS, *REPLIES)]
    assert len(tags) == len(set(tags))
    assert VERSION == 1
