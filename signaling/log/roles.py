"""What each role may do, send and see: one table, and the questions that others ask it."""

from typing import Literal

import msgspec

from signaling.log.events import Audience, Role, Use
from signaling.protocol.replies import Pool

Device = Literal["pc", "phone", "room", "bot"]

STAGE_CAPACITY = 16  # stage pairs 0..15
WALL_CAPACITY = 16
FLOOR_SLOTS = 3
PHONE_SLOTS = 4  # a phone decodes no more pictures at once, whatever its owner's role

# Request tags, by purpose.
WATCH = frozenset({"hello", "leave", "offer", "close_session", "layers", "mend", "ping"})
SEND = frozenset({"publish", "mute"})  # one's own media
HAND = frozenset({"raise_hand", "take_down"})  # one's own hand, one's own leaving of the stage
MODERATE = frozenset({"raise_hand", "bring_up", "take_down", "mute"})  # others', too
LEAD = frozenset({"spotlight", "set_floor", "quiz_ask", "quiz_close", "record", "end_lesson"})
CHAT = frozenset({"chat"})
MARK = frozenset({"mark"})
ANSWER = frozenset({"quiz_answer"})
RUN = frozenset({"record", "end_lesson"})  # from outside of the lesson


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    may: frozenset[str]  # request tags
    sends: tuple[Use, ...] = ()
    moderates: bool = False  # other people's hands, stage and mutes
    on_stage: bool = False  # may be brought up; its off-stage microphone may be on the floor
    wall: int | None = None  # the order in which off-stage cameras get places on the wall
    staff: bool = False  # sees who is there, hands, mutes, tallies, marks, stage counts
    seen: Literal["all", "staff", "ops"] = "staff"  # who sees it come, publish and go
    stage_slots: int = 6
    wall_slots: int = 0
    private_slot: bool = False


# fmt: off
RIGHTS: dict[Role, Rights] = {
    "lecturer": Rights(
        may=WATCH | SEND | MODERATE | LEAD | CHAT | MARK, sends=("camera", "microphone", "board"),
        moderates=True, staff=True, seen="all",
        stage_slots=6, wall_slots=WALL_CAPACITY, private_slot=True),
    "tutor": Rights(
        may=WATCH | SEND | MODERATE | CHAT | MARK, sends=("camera", "microphone"),
        moderates=True, on_stage=True, wall=1, staff=True, seen="all",
        stage_slots=8, private_slot=True),
    "classroom": Rights(
        may=WATCH | SEND | HAND | CHAT | ANSWER, sends=("camera", "microphone"),
        on_stage=True, wall=0, seen="all",  # not staff: children look at its screen
        stage_slots=STAGE_CAPACITY, private_slot=True),
    "student": Rights(
        may=WATCH | SEND | HAND | CHAT | ANSWER, sends=("camera", "microphone"),
        on_stage=True, wall=2, private_slot=True),
    "observer":   Rights(may=WATCH),
    "inspector":  Rights(may=WATCH, staff=True, seen="ops"),  # 巡课 comes unannounced
    "researcher": Rights(may=WATCH | MARK),
    "parent":     Rights(may=WATCH),
    "technician": Rights(may=WATCH, staff=True),
    "ops":        Rights(may=WATCH | RUN, staff=True),
}
# fmt: on

SMALLEST_STAGE = min(PHONE_SLOTS, *(rights.stage_slots for rights in RIGHTS.values()))  # pairs of every page
STAFF: tuple[Role, ...] = tuple(role for role, rights in RIGHTS.items() if rights.staff)
EVERYBODY = Audience()


def pool(role: Role, device: Device) -> Pool:
    """The receiving slots that a page of this role on this device offers."""
    rights = RIGHTS[role]
    most = PHONE_SLOTS if device == "phone" else STAGE_CAPACITY
    return Pool(
        lecturer=True,  # lecturers, too: there may be another
        board=True,
        stage=min(rights.stage_slots, most),
        floor=FLOOR_SLOTS,
        private=rights.private_slot,
        wall=min(rights.wall_slots, most),
    )


def seen_by(role: Role, participant: str) -> Audience:
    """Who learns that a participant of this role came, published or left.

    Students' comings and goings reach staff and themselves only: a thousand joins must not become
    a million messages. Whom everybody sees on stage, everybody learns from the stage itself.
    """
    match RIGHTS[role].seen:
        case "all":
            return EVERYBODY
        case "staff":
            return staff_and(participant)
        case "ops":
            return Audience(everybody=False, roles=("ops",), participants=(participant,))


def staff_and(*participants: str) -> Audience:
    return Audience(everybody=False, roles=STAFF, participants=participants)


def sees(viewer_role: Role, viewer: str, role: Role, participant: str) -> bool:
    """Whether a viewer may know of a participant: the same answer as `seen_by` gives."""
    if viewer == participant:
        return True
    match RIGHTS[role].seen:
        case "all":
            return True
        case "staff":
            return RIGHTS[viewer_role].staff
        case "ops":
            return viewer_role == "ops"
