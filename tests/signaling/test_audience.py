"""Who is told what, and that views and the events folded over them never part."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.log import commands as cm
from signaling.log import events as ev
from signaling.log.commands import SYSTEM, Actor, Command
from signaling.log.decide import Refusal
from signaling.log.events import Entry, Role
from signaling.log.state import Lesson, fold
from signaling.log.view import fold_view, hand_count, mentioned, people_in, present_counts, view, visible
from signaling.protocol import requests as rq
from signaling.protocol.replies import LogEvent
from signaling.stores import DURABLE
from tests.signaling.lessons import (
    HONG,
    INSPECTOR,
    LI,
    MING,
    OBSERVER,
    OPS,
    ROLES,
    ROOM,
    WANG,
    Log,
    played,
    started,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "log.md"


def as_client_gets_it(entry: Entry) -> LogEvent:
    """Over the wire: encoded, decoded, without the audience."""
    sent = LogEvent(pos=entry.pos, at_ms=entry.at_ms, event=entry.event, by=entry.by)
    return msgspec.json.decode(msgspec.json.encode(sent), type=LogEvent)


def folded(start: dict[str, Any], entries: list[Entry], viewer: Actor) -> dict[str, Any]:
    for entry in entries:
        if visible(entry, viewer):
            start = fold_view(start, as_client_gets_it(entry))
    return start


@pytest.mark.parametrize("role", ROLES)
@given(game=played(), cut=st.integers(0, 60), who=st.sampled_from(["p0", "p1", "p2", "p3", "p5", "stranger"]))
def test_folding_visible_events_over_a_view_gives_the_later_view(
    role: Role, game: tuple[Log, list[tuple[Actor, Command]]], cut: int, who: str
) -> None:
    log, steps = game
    viewer = Actor(who, role)
    for actor, command in steps[:cut]:
        log.give(actor, command)
    start, known = view(log.state, viewer), len(log.entries)
    kept = json.dumps(start)
    for actor, command in steps[cut:]:
        log.give(actor, command)
    end = folded(start, log.entries[known:], viewer)
    assert end == view(log.state, viewer)
    assert json.dumps(start) == kept, "folding changed the view that it was given"


@given(played())
def test_views_are_json_and_name_everybody_they_mention(
    game: tuple[Log, list[tuple[Actor, Command]]],
) -> None:
    log, steps = game
    for actor, command in steps:
        log.give(actor, command)
    for role in ROLES:
        shown = view(log.state, Actor("p3", role))
        assert json.loads(json.dumps(shown)) == shown
        text = json.dumps(shown)
        assert {who for who in log.state.participants if f'"{who}"' in text} == people_in(shown)


@given(played())
def test_events_name_everybody_they_mention(game: tuple[Log, list[tuple[Actor, Command]]]) -> None:
    log, steps = game
    for actor, command in steps:
        log.give(actor, command)
    for entry in log.entries:
        text = msgspec.json.encode(entry.event).decode()
        assert {who for who in log.state.participants if f'"{who}"' in text} == set(mentioned(entry.event))


def _seen(log: Log, viewer: Actor) -> list[ev.AnyEvent]:
    return [entry.event for entry in log.entries if visible(entry, viewer)]


def test_a_thousand_joins_and_hands_reach_the_teachers_and_no_fellow_student() -> None:
    log = started(LI, MING)
    known = len(_seen(log, MING))
    crowd = [Actor(f"s{number}", "student") for number in range(50)]
    log.join(*crowd)
    for actor in crowd:
        log.made(actor, rq.RaiseHand(req=1, up=True))
    assert len(_seen(log, MING)) == known
    assert len(_seen(log, crowd[0])) == known - 1 + 2  # not Ming's joining; its own, and its hand
    assert len(_seen(log, LI)) == len(log.entries)
    assert hand_count(log.state) == 50


def test_a_private_line_is_for_its_two_ends_alone() -> None:
    log = started(LI, ROOM, MING, HONG, OPS)
    log.made(MING, rq.Chat(req=1, text="psst", to="li"))
    entry = log.entries[-1]
    assert [visible(entry, viewer) for viewer in (MING, LI)] == [True, True]
    assert not any(visible(entry, viewer) for viewer in (WANG, ROOM, HONG, OPS, INSPECTOR))
    assert [line["text"] for line in view(log.state, MING)["chat"]] == ["psst"]
    assert view(log.state, WANG)["chat"] == []


def test_inspectors_come_and_go_unseen() -> None:
    log = started(LI, OPS, INSPECTOR)
    joined = log.entries[-1]
    assert [visible(joined, viewer) for viewer in (WANG, LI, MING)] == [False, False, False]
    assert [visible(joined, viewer) for viewer in (OPS, INSPECTOR)] == [True, True]
    assert "insp" not in people_in(view(log.state, WANG))
    assert "inspector" not in present_counts(log.state, "lecturer")
    assert present_counts(log.state, "ops")["inspector"] == 1


def test_counts_of_a_question_reach_students_when_it_is_closed() -> None:
    log = started(MING)
    log.made(WANG, rq.QuizAsk(req=1, question="?", options=["a", "b"]))
    log.made(SYSTEM, cm.Tally(1, (1, 0), 1))
    assert view(log.state, WANG)["quiz"]["counts"] == [1, 0]
    assert view(log.state, MING)["quiz"]["counts"] is None
    log.made(WANG, cm.CloseQuiz(1, (1, 1), 2))
    assert view(log.state, MING)["quiz"]["counts"] == [1, 1]


def test_the_lecturer_sees_how_often_each_was_on_stage_and_students_do_not() -> None:
    log = started(MING, OBSERVER)
    log.made(WANG, rq.BringUp(req=1, participant="ming"))
    log.made(SYSTEM, cm.Leave("ming"))
    assert view(log.state, WANG)["stage_counts"] == {"ming": 1}
    assert "stage_counts" not in view(log.state, MING)


def test_a_student_sees_only_the_sources_of_those_whom_everybody_sees() -> None:
    log = started(ROOM, MING, HONG)
    for source, actor in enumerate((WANG, ROOM, MING, HONG), start=1):
        log.made(actor, cm.Publish(f"s{source}", "camera", source, True))
    assert set(view(log.state, MING)["sources"]) == {"1", "2", "3"}
    assert set(view(log.state, WANG)["sources"]) == {"1", "2", "3", "4"}
    for source in (2, 4):
        log.made(SYSTEM, cm.SourceLost(source))
    lost = [entry for entry in log.entries if isinstance(entry.event, ev.Unpublished)]
    assert [visible(entry, MING) for entry in lost] == [True, False]


# --- the document ---------------------------------------------------------------------------


def _example() -> dict[str, Any]:
    block = re.search(r"^## Example.*?^```json\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    assert block is not None
    example: dict[str, Any] = json.loads(block[1])
    return example


def test_the_documents_example_replays() -> None:
    example = _example()
    entries = msgspec.convert(example["entries"], list[Entry])
    assert json.loads(msgspec.json.encode(entries)) == example["entries"]
    assert len(example["views"]) >= 2
    for told in example["views"]:
        viewer = msgspec.convert(told["viewer"], Actor)
        after: int = told["after"]
        assert view(fold(entries[:after]), viewer) == told["view"]
        later = [entry for entry in entries[after:] if visible(entry, viewer)]
        assert [entry.pos for entry in later] == told["events"]
        assert folded(told["view"], later, viewer) == told["end"]
        assert view(fold(entries), viewer) == told["end"]


def test_the_document_names_every_event_and_every_key_of_the_state() -> None:
    text = DOCUMENT.read_text()
    for kind in ev.AnyEvent.__args__:  # type: ignore[attr-defined]
        assert f"`{kind.__struct_config__.tag}`" in text
    for key in view(Lesson(), WANG):
        assert f"`{key}`" in text


def test_the_document_says_which_events_wait_for_the_disk() -> None:
    lines = DOCUMENT.read_text().splitlines()
    rows = [line for line in lines if line.startswith("| `") and line.endswith(" yes |")]
    assert [row.split("`")[1] for row in rows] == [kind.__struct_config__.tag for kind in DURABLE]


def test_a_refusal_is_not_an_event() -> None:
    log = started(MING)
    known = len(log.entries)
    assert isinstance(log.give(MING, rq.SetFloor(req=1, open=True)), Refusal)
    assert len(log.entries) == known
