"""The plan of slots: what is seen and heard, and never anything else."""

from hypothesis import given

from signaling.log import commands as cm
from signaling.log.commands import SYSTEM, Actor, Command
from signaling.log.plan import Plan, plan
from signaling.log.roles import SMALLEST_STAGE
from signaling.log.state import Lesson
from signaling.protocol import requests as rq
from tests.signaling.lessons import HONG, LI, MING, ROOM, WANG, Log, played, started

OBS_ENCODER = Actor("encoder", "lecturer")


def publish(log: Log, actor: Actor, source: int, use: cm.Use) -> None:
    log.made(actor, cm.Publish(f"s-{actor.participant}", use, source, True))


def mute(log: Log, by: Actor, whom: Actor, use: cm.Use, muted: bool = True) -> None:
    log.made(by, rq.Mute(req=1, participant=whom.participant, use=use, muted=muted))


@given(played())
def test_a_plan_has_only_published_unmuted_sources_of_those_who_are_there(
    game: tuple[Log, list[tuple[Actor, Command]]],
) -> None:
    log, steps = game
    for actor, command in steps:
        log.give(actor, command)
        _assert_sound(log.state, plan(log.state))


def _assert_sound(state: Lesson, wanted: Plan) -> None:
    assert len(wanted.slots) == len(set(wanted.slots.values()))
    assert len(wanted.floor) == len(set(wanted.floor))
    back = {who for index, who in state.stage.items() if index >= SMALLEST_STAGE}
    for source in [*wanted.slots.values(), *wanted.floor]:
        info = state.sources[source]
        assert state.present(info.participant) is not None
        assert not state.muted(info.participant, info.use)
    for slot, source in wanted.slots.items():
        use = state.sources[source].use
        assert use == (
            "board" if slot == "board" else "microphone" if slot.endswith(".audio") else "camera"
        )
        if slot.startswith("stage."):
            assert state.stage[int(slot.split(".")[1])] == state.sources[source].participant
    for source in wanted.floor:
        who = state.sources[source].participant
        assert who in back or (state.floor_open and who not in state.stage.values())
    if state.ended:
        assert wanted == Plan()


def test_a_lecture_and_a_student_on_stage() -> None:
    log = started(LI, MING)
    publish(log, WANG, 1, "camera")
    publish(log, WANG, 2, "microphone")
    publish(log, WANG, 3, "board")
    publish(log, MING, 4, "camera")
    publish(log, MING, 5, "microphone")
    lecture = {"lecturer.video": 1, "lecturer.audio": 2, "board": 3}
    assert plan(log.state) == Plan(slots={**lecture, "wall.0": 4})
    log.made(WANG, rq.BringUp(req=1, participant="ming"))
    assert plan(log.state) == Plan(slots={**lecture, "stage.0.video": 4, "stage.0.audio": 5})
    mute(log, WANG, MING, "microphone")
    assert plan(log.state).slots == {**lecture, "stage.0.video": 4}
    log.made(SYSTEM, cm.Leave("ming"))
    assert plan(log.state).slots == lecture
    log.made(WANG, rq.EndLesson(req=1))
    assert plan(log.state) == Plan()


def test_the_newest_source_of_a_use_is_shown_and_the_older_one_when_it_goes() -> None:
    log = started()
    publish(log, WANG, 1, "camera")
    log.made(WANG, cm.Publish("page-again", "camera", 2, True))
    assert plan(log.state).slots == {"lecturer.video": 2}
    log.made(SYSTEM, cm.SourceLost(2))
    assert plan(log.state).slots == {"lecturer.video": 1}


def test_a_stage_pair_may_mix_the_sessions_of_a_room() -> None:
    log = started(ROOM)
    log.made(ROOM, cm.Publish("agent", "camera", 1, True))
    log.made(ROOM, cm.Publish("kiosk", "microphone", 2, True))
    log.made(WANG, rq.BringUp(req=1, participant="room"))
    assert plan(log.state).slots == {"stage.0.video": 1, "stage.0.audio": 2}


def test_an_encoder_beside_the_lecturers_page_fills_what_the_page_does_not_send() -> None:
    log = started(OBS_ENCODER)
    publish(log, WANG, 1, "microphone")
    publish(log, OBS_ENCODER, 2, "camera")
    publish(log, OBS_ENCODER, 3, "microphone")
    assert plan(log.state).slots == {"lecturer.video": 2, "lecturer.audio": 1}
    mute(log, WANG, WANG, "microphone")
    assert plan(log.state).slots == {"lecturer.video": 2}, "silence is not filled with somebody else"
    log.made(WANG, rq.Spotlight(req=1, participant="encoder"))
    assert plan(log.state).slots == {"lecturer.video": 2, "lecturer.audio": 3}


def test_whom_small_pages_have_no_pair_for_is_heard_on_the_floor() -> None:
    everybody = [Actor(f"s{number}", "student") for number in range(SMALLEST_STAGE + 2)]
    log = started(*everybody)
    for source, actor in enumerate(everybody, start=1):
        publish(log, actor, source, "microphone")
        log.made(WANG, rq.BringUp(req=1, participant=actor.participant))
    first, second = SMALLEST_STAGE + 1, SMALLEST_STAGE + 2
    assert plan(log.state).slots[f"stage.{SMALLEST_STAGE}.audio"] == first
    assert plan(log.state).floor == [first, second]
    mute(log, WANG, everybody[-1], "microphone")
    assert plan(log.state).floor == [first]
    log.made(WANG, rq.TakeDown(req=1, participant=everybody[-2].participant))
    assert plan(log.state).floor == []


def test_the_open_floor_hears_those_off_stage() -> None:
    log = started(LI, MING, HONG)
    publish(log, WANG, 1, "microphone")
    for source, actor in enumerate((LI, MING, HONG), start=2):
        publish(log, actor, source, "microphone")
    assert plan(log.state).floor == []
    log.made(WANG, rq.SetFloor(req=1, open=True))
    log.made(WANG, rq.BringUp(req=1, participant="li"))
    mute(log, WANG, HONG, "microphone")
    assert plan(log.state) == Plan(slots={"lecturer.audio": 1, "stage.0.audio": 2}, floor=[3])
