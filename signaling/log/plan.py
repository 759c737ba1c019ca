"""What every slot of a lesson shall show: a pure function of its state.

Only published, unmuted sources of present participants are ever in a plan.
"""

from collections.abc import Iterator

import msgspec

from signaling.log.events import Use
from signaling.log.roles import RIGHTS, SMALLEST_STAGE
from signaling.log.state import Lesson


class Plan(msgspec.Struct, frozen=True):
    """`slots`: slot name -> source; a slot not named is empty. `floor`: microphones of which the
    loudest are heard. `overrides`: session -> slot name -> source."""

    slots: dict[str, int] = {}
    floor: list[int] = []
    overrides: dict[str, dict[str, int]] = {}


def plan(state: Lesson) -> Plan:
    if state.ended:
        return Plan()
    newest = _newest(state)
    slots = _lecturer_slots(state, newest)
    for index, who in sorted(state.stage.items()):
        _put(slots, f"stage.{index}.video", _heard(state, newest, who, "camera"))
        _put(slots, f"stage.{index}.audio", _heard(state, newest, who, "microphone"))
    for place, who in sorted(state.wall.items()):
        _put(slots, f"wall.{place}", _heard(state, newest, who, "camera"))
    return Plan(slots=slots, floor=[*_back_of_stage(state, newest), *_floor(state)])


Newest = dict[tuple[str, Use], int]


def _newest(state: Lesson) -> Newest:
    """The source published last wins: after a reconnection the older one is a dead session's."""
    return {(info.participant, info.use): source for source, info in state.sources.items()}


def _heard(state: Lesson, newest: Newest, who: str, use: Use) -> int | None:
    if state.present(who) is None or state.muted(who, use):
        return None
    return newest.get((who, use))


def _lecturer_slots(state: Lesson, newest: Newest) -> dict[str, int]:
    """The spotlighted lecturer, or the first who came and sends: also when one person is here twice,
    a browser with the microphone and an encoder with the camera. A muted lecturer keeps the slot,
    so that silence is not filled with somebody else."""
    people = state.participants.items()
    lecturers = [who for who, person in people if person.role == "lecturer" and person.present]
    lecturers.sort(key=lambda who: who != state.spotlight)
    slots: dict[str, int] = {}
    names: tuple[tuple[str, Use], ...] = (
        ("lecturer.video", "camera"),
        ("lecturer.audio", "microphone"),
        ("board", "board"),
    )
    for slot, use in names:
        owner = next((who for who in lecturers if (who, use) in newest), None)
        if owner is not None:
            _put(slots, slot, _heard(state, newest, owner, use))
    return slots


def _back_of_stage(state: Lesson, newest: Newest) -> Iterator[int]:
    """Microphones for which small pages have no stage pair. They are heard on the floor there; a session
    that has the pair is not given them twice (the node's part)."""
    for index, who in sorted(state.stage.items()):
        source = _heard(state, newest, who, "microphone")
        if index >= SMALLEST_STAGE and source is not None:
            yield source


def _floor(state: Lesson) -> Iterator[int]:
    if not state.floor_open:
        return
    on_stage = set(state.stage.values())
    for source, info in state.sources.items():
        person = state.present(info.participant)
        if (
            info.use == "microphone"
            and person is not None
            and RIGHTS[person.role].on_stage
            and info.participant not in on_stage
            and not person.mutes.get("microphone")
        ):
            yield source


def _put(slots: dict[str, int], slot: str, source: int | None) -> None:
    if source is not None:
        slots[slot] = source
