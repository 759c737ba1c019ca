"""A pool's slots: names, order and kinds."""

from clients.python.slots import kind_of, names
from signaling.protocol.replies import Pool


def test_a_pools_slots() -> None:
    pool = Pool(lecturer=True, board=True, stage=2, floor=1, private=True, wall=2)
    assert names(pool) == [
        "lecturer.audio", "lecturer.video", "board", "stage.0.audio", "stage.0.video", "stage.1.audio",
        "stage.1.video", "floor.0", "private", "wall.0", "wall.1",
    ]  # fmt: skip
    assert [name for name in names(pool) if kind_of(name) == "audio"] == [
        "lecturer.audio", "stage.0.audio", "stage.1.audio", "floor.0", "private",
    ]  # fmt: skip
