"""Which source goes into which slot, and who sits on the floor."""

from hypothesis import given
from hypothesis import strategies as st

from mediaserver.plan import LEAST_TENURE_S, YIELD_AFTER_S, Floor, Plan, floor_seats, wanted

SLOTS = ["lecturer.video", "stage.0.video", "stage.0.audio", "floor.0", "private"]


def test_slots_follow_the_plan_and_everything_else_is_empty() -> None:
    plan = Plan(slots={"lecturer.video": 1, "stage.0.video": 2, "wall.0": 3})
    assert wanted(SLOTS, "s", plan, {}, barred=set(), known={1, 2, 3}) == {
        "lecturer.video": 1, "stage.0.video": 2, "stage.0.audio": 0, "floor.0": 0, "private": 0,
    }  # fmt: skip


def test_overrides_are_for_one_session_and_may_empty_a_slot() -> None:
    plan = Plan(slots={"lecturer.video": 1}, overrides={"a": {"private": 2, "lecturer.video": 0}})
    of_a = wanted(SLOTS, "a", plan, {}, barred=set(), known={1, 2})
    assert (of_a["private"], of_a["lecturer.video"]) == (2, 0)
    of_b = wanted(SLOTS, "b", plan, {}, barred=set(), known={1, 2})
    assert (of_b["private"], of_b["lecturer.video"]) == (0, 1)


def test_nobody_receives_themselves() -> None:
    plan = Plan(slots={"stage.0.video": 2, "stage.0.audio": 3}, overrides={"s": {"private": 3}})
    shown = wanted(SLOTS, "s", plan, {"floor.0": 2}, barred={2, 3}, known={2, 3})
    assert set(shown.values()) == {0}


def test_sources_that_are_not_here_leave_their_slot_empty() -> None:
    plan = Plan(slots={"lecturer.video": 9})
    assert wanted(SLOTS, "s", plan, {}, barred=set(), known={1})["lecturer.video"] == 0


def test_a_voice_with_a_slot_of_its_own_is_not_on_the_floor_too() -> None:
    plan = Plan(slots={"stage.0.audio": 2, "stage.4.audio": 3}, floor=[2, 3])
    floor = {"floor.0": 2, "floor.1": 3}
    small = wanted(["floor.0", "stage.0.audio", "floor.1"], "s", plan, floor, barred=set(), known={2, 3})
    assert small == {"floor.0": 0, "stage.0.audio": 2, "floor.1": 3}
    large = wanted(["floor.1", "stage.4.audio"], "s", plan, floor, barred=set(), known={2, 3})
    assert large == {"floor.1": 0, "stage.4.audio": 3}
    private = Plan(floor=[3], overrides={"s": {"private": 3}})
    assert wanted(["floor.1", "private"], "s", private, floor, barred=set(), known={3})["floor.1"] == 0


def seated(floor: Floor) -> list[int]:
    return [floor.slots.get(f"floor.{index}", 0) for index in range(3)]


def test_speakers_keep_their_seats_while_ranks_change() -> None:
    floor = Floor()
    floor.resize(2)
    candidates = {1, 2, 3}
    floor.hear([(1, 20), (2, 30)], candidates, now=0.0)
    assert seated(floor) == [1, 2, 0]
    floor.hear([(2, 10), (1, 40)], candidates, now=0.5)
    assert seated(floor) == [1, 2, 0]


def test_a_third_speaker_waits_for_a_pause() -> None:
    floor = Floor()
    floor.resize(2)
    candidates = {1, 2, 3}
    floor.hear([(1, 20), (2, 30)], candidates, now=0.0)
    floor.hear([(3, 25), (1, 26)], candidates, now=0.5)
    assert seated(floor) == [1, 2, 0]
    floor.hear([(3, 25), (1, 26)], candidates, now=YIELD_AFTER_S)
    assert seated(floor) == [1, 3, 0], "2 was silent"


def test_a_far_louder_voice_takes_the_quietest_seat_after_its_tenure() -> None:
    floor = Floor()
    floor.resize(1)
    candidates = {1, 2}
    floor.hear([(1, 50)], candidates, now=0.0)
    floor.hear([(2, 20), (1, 50)], candidates, now=LEAST_TENURE_S - 0.1)
    assert seated(floor) == [1, 0, 0]
    floor.hear([(2, 20), (1, 50)], candidates, now=LEAST_TENURE_S)
    assert seated(floor) == [2, 0, 0]


def test_rooms_and_strangers_get_no_seat() -> None:
    floor = Floor()
    floor.resize(2)
    floor.hear([(1, 90), (7, 10)], {1}, now=0.0)
    assert floor.slots == {}


def test_who_may_not_speak_any_more_loses_the_seat_at_once() -> None:
    floor = Floor()
    floor.resize(2)
    floor.hear([(1, 20), (2, 20)], {1, 2}, now=0.0)
    floor.restrict({2})
    assert seated(floor) == [0, 2, 0]
    floor.hear([(3, 20)], {2, 3}, now=0.1)
    assert seated(floor) == [3, 2, 0]


def test_floor_seats() -> None:
    assert floor_seats(["floor.0", "floor.1", "private", "stage.0.audio"]) == 2


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(1, 6), st.integers(0, 127)), unique_by=lambda pair: pair[0]),
            st.sets(st.integers(1, 6)),
            st.floats(0.01, 1.0),
        ),
        max_size=30,
    ),
    st.integers(0, 3),
)
def test_seats_hold_each_candidate_once(
    steps: list[tuple[list[tuple[int, int]], set[int], float]], seats: int
) -> None:
    floor = Floor()
    floor.resize(seats)
    now = 0.0
    for levels, candidates, passed in steps:
        now += passed
        floor.restrict(candidates)
        floor.hear(sorted(levels, key=lambda pair: pair[1]), candidates, now)
        sources = list(floor.slots.values())
        assert len(sources) == len(set(sources)) <= seats
        assert candidates.issuperset(sources)
