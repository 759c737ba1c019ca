"""The table of roles, and the questions asked of it."""

from pathlib import Path

import pytest

from signaling.errors import ROLE_NAMES_ZH
from signaling.log import roles
from signaling.log.events import Role
from signaling.log.roles import RIGHTS, pool, seen_by, sees
from signaling.protocol import requests as rq
from tests.signaling.lessons import ROLES

TAGS = {kind.__struct_config__.tag for kind in rq.AnyRequest.__args__}  # type: ignore[attr-defined]


def test_every_role_has_a_row_and_every_row_names_real_requests() -> None:
    assert set(RIGHTS) == set(ROLES)
    for rights in RIGHTS.values():
        assert rights.may <= TAGS
        assert rights.may >= roles.WATCH


def test_every_request_is_somebodys() -> None:
    assert set().union(*(rights.may for rights in RIGHTS.values())) == TAGS


def test_who_may_not_send_has_no_request_for_it() -> None:
    for rights in RIGHTS.values():
        assert ("publish" in rights.may) == bool(rights.sends)
        assert not (rights.on_stage or rights.wall is not None) or rights.sends


@pytest.mark.parametrize("role", ["observer", "inspector", "parent", "technician"])
def test_who_watches_does_nothing_else(role: Role) -> None:
    assert RIGHTS[role].may == roles.WATCH


@pytest.mark.parametrize(
    ("role", "device", "stage", "wall"),
    [
        ("student", "pc", 6, 0), ("student", "phone", 4, 0), ("classroom", "room", 16, 0),
        ("tutor", "pc", 8, 0), ("lecturer", "pc", 6, 16), ("lecturer", "phone", 4, 4),
    ],
)  # fmt: skip
def test_the_pool_follows_role_and_device(role: Role, device: roles.Device, stage: int, wall: int) -> None:
    slots = pool(role, device)
    assert (slots.stage, slots.wall, slots.floor) == (stage, wall, 3)
    assert slots.lecturer
    assert slots.board
    assert slots.stage >= roles.SMALLEST_STAGE


def test_audience_and_sight_agree() -> None:
    for role in ROLES:
        audience = seen_by(role, "subject")
        for viewer in ROLES:
            told = audience.everybody or viewer in audience.roles
            assert sees(viewer, "another", role, "subject") == told
        assert sees("student", "subject", role, "subject")


def test_an_inspector_is_seen_by_ops_alone() -> None:
    assert [viewer for viewer in ROLES if sees(viewer, "v", "inspector", "i")] == ["ops"]


def test_the_document_has_the_table() -> None:
    document = (Path(__file__).parents[2] / "docs" / "roles.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in document.splitlines()
        if line.startswith("| ")
    ]
    told = {row[0]: row[1:] for row in rows[1:]}
    assert list(told) == list(RIGHTS)
    for role, rights in RIGHTS.items():
        assert told[role] == [
            ROLE_NAMES_ZH[role],
            " ".join(sorted(rights.may - roles.WATCH)),
            " ".join(rights.sends),
            "yes" if rights.on_stage else "no",
            rights.seen,
            str(rights.stage_slots),
            str(rights.wall_slots),
        ]
    for role in roles.STAFF:
        assert role in document.partition("*Staff* (")[2].partition(")")[0]
