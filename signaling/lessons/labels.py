"""Which names a client may give to the sections of its offer: uses that it sends, slots that it sees."""

from collections import Counter

from signaling.errors import KelianError
from signaling.log.events import Role, Use
from signaling.log.roles import FLOOR_SLOTS, RIGHTS, STAGE_CAPACITY, WALL_CAPACITY

USES: tuple[Use, ...] = ("camera", "microphone", "board")


def check_labels(labels: dict[str, str], role: Role) -> None:
    """Raises KelianError (bad_label) for a slot that is not this role's to see, or no label at all."""
    rights = RIGHTS[role]
    allowed: set[str] = {*USES, "lecturer.video", "lecturer.audio"}
    allowed |= {f"stage.{index}.{kind}" for index in range(STAGE_CAPACITY) for kind in ("video", "audio")}
    allowed |= {f"floor.{index}" for index in range(FLOOR_SLOTS)}
    if rights.private_slot:
        allowed.add("private")
    if rights.wall_slots:
        allowed |= {f"wall.{index}" for index in range(WALL_CAPACITY)}
    for label in labels.values():
        if label not in allowed:
            raise KelianError("bad_label", label=label[:64])
    counts = Counter(labels.values())
    counts["board"] -= 1  # a lecturer's own, and the slot for another's: the node tells them by direction
    if any(count > 1 for count in counts.values()):
        raise KelianError("bad_label", why="a label is given twice")
