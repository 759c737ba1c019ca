"""The rules, one behaviour a test, and what holds whatever anybody does in whatever order."""

import pytest
from hypothesis import given

from signaling import errors
from signaling.log import commands as cm
from signaling.log import events as ev
from signaling.log.commands import SYSTEM, Actor, Command
from signaling.log.decide import Refusal, check_answer
from signaling.log.roles import RIGHTS, STAGE_CAPACITY
from signaling.log.state import Lesson
from signaling.log.tally import Tally
from signaling.protocol import requests as rq
from tests.signaling.lessons import HONG, INSPECTOR, LI, MING, OBSERVER, OPS, ROOM, WANG, Log, played, started


@given(played())
def test_whatever_happens_the_lesson_stays_whole(game: tuple[Log, list[tuple[Actor, Command]]]) -> None:
    log, steps = game
    for actor, command in steps:
        before = log.state
        decision = log.give(actor, command)
        if isinstance(decision, Refusal):
            assert log.state is before
            assert decision.code in errors.CATALOGUE
            assert "…" not in "".join(errors.sentence(decision.code, **decision.detail))
        elif before.ended:
            pytest.fail(f"{command} was taken after the end")
        _assert_whole(log.state)


@given(played(entered=False))
def test_nothing_happens_before_the_lesson_is_made(game: tuple[Log, list[tuple[Actor, Command]]]) -> None:
    log, steps = game
    for actor, command in steps:
        decision = log.give(actor, command)
        if not log.state.created:
            assert decision == Refusal("no_such_lesson")
        if not log.state.started:
            assert log.state.sources == {}
            assert log.state.participants == {}


def _assert_whole(state: Lesson) -> None:
    on_stage = list(state.stage.values())
    assert len(on_stage) == len(set(on_stage))
    assert all(0 <= index < STAGE_CAPACITY for index in state.stage)
    for who in on_stage:
        person = state.present(who)
        assert person is not None
        assert RIGHTS[person.role].on_stage
        assert person.hand is None
    for info in state.sources.values():
        person = state.present(info.participant)
        assert person is not None
        assert info.use in RIGHTS[person.role].sends
    if state.spotlight is not None:
        lit = state.present(state.spotlight)
        assert lit is not None
        assert lit.role == "lecturer" or state.spotlight in on_stage
    assert not set(state.wall.values()) & set(on_stage)
    assert len(set(state.wall.values())) == len(state.wall)
    assert all(not quiz.open for quiz in state.quizzes[:-1])


# --- coming and going -----------------------------------------------------------------------


def test_a_lesson_starts_with_the_lecturer_and_outlasts_their_leaving() -> None:
    log = Log()
    assert log.refused(SYSTEM, cm.Join("ming", "student")) == "no_such_lesson"
    log.made(SYSTEM, cm.Create("t", "h264"))
    assert log.refused(SYSTEM, cm.Create("t", "h264")) == "lesson_exists"
    assert log.refused(SYSTEM, cm.Join("ming", "student")) == "lesson_not_started"
    assert log.made(SYSTEM, cm.Join("wang", "lecturer")) == [
        ev.Started(), ev.Joined(participant="wang", role="lecturer"),
    ]  # fmt: skip
    log.join(MING)
    log.made(SYSTEM, cm.Leave("wang", "lost"))
    assert not log.state.ended
    log.made(MING, rq.Chat(req=1, text="?"))
    assert log.made(SYSTEM, cm.Join("wang", "lecturer")) == [ev.Joined(participant="wang", role="lecturer")]


def test_joining_again_changes_nothing_and_another_role_is_refused() -> None:
    log = started(MING)
    assert log.made(SYSTEM, cm.Join("ming", "student")) == []
    assert log.refused(SYSTEM, cm.Join("ming", "tutor")) == "other_role"
    log.made(SYSTEM, cm.Leave("ming"))
    log.made(SYSTEM, cm.Join("ming", "tutor"))
    assert log.refused(MING, rq.RaiseHand(req=1, up=True)) == "not_present"


def test_leaving_the_lesson_leaves_the_stage_and_takes_the_sources_along() -> None:
    log = started(MING)
    log.made(WANG, rq.BringUp(req=1, participant="ming"))
    log.made(MING, cm.Publish("s", "camera", 7, True))
    log.made(WANG, rq.Spotlight(req=1, participant="ming"))
    assert log.made(SYSTEM, cm.Leave("ming", "lost")) == [
        ev.Unpublished(source=7),
        ev.Spotlighted(participant=None),
        ev.StageLeft(participant="ming"),
        ev.Left(participant="ming", reason="lost"),
    ]
    assert log.made(SYSTEM, cm.Leave("ming")) == []


def test_an_ended_lesson_refuses_everything() -> None:
    log = started(MING)
    log.made(WANG, rq.EndLesson(req=1))
    for actor, command in [
        (WANG, rq.EndLesson(req=1)), (MING, rq.Chat(req=1, text="x")), (SYSTEM, cm.Join("hong", "student")),
        (SYSTEM, cm.Leave("ming")), (SYSTEM, cm.SourceLost(1)),
    ]:  # fmt: skip
        assert log.refused(actor, command) == "lesson_ended"


def test_the_schools_system_and_ops_may_end_a_lesson_and_no_more() -> None:
    log = started(OPS, MING)
    assert log.refused(SYSTEM, rq.BringUp(req=1, participant="ming")) == "forbidden"
    assert log.refused(OPS, rq.Mute(req=1, participant="ming", use="camera", muted=True)) == "forbidden"
    assert log.refused(Actor("elsewhere", "ops"), rq.EndLesson(req=1)) == "not_present"
    assert log.made(SYSTEM, rq.EndLesson(req=1)) == [ev.Ended()]
    assert log.entries[-1].by is None


def test_the_codec_may_change_until_something_is_published() -> None:
    log = started()
    assert log.made(SYSTEM, cm.ChangeCodec("h264")) == []
    assert log.made(SYSTEM, cm.ChangeCodec("vp8")) == [ev.CodecChanged(codec="vp8")]
    log.made(WANG, cm.Publish("s", "camera", 1, True))
    log.made(WANG, cm.Publish("s", "camera", 1, False))
    assert log.refused(SYSTEM, cm.ChangeCodec("h264")) == "codec_fixed"


# --- hands and stage ------------------------------------------------------------------------


def test_a_hand_goes_up_once_and_down_with_the_stage() -> None:
    log = started(MING)
    assert log.made(MING, rq.RaiseHand(req=1, up=True)) == [ev.HandRaised(participant="ming")]
    assert log.made(MING, rq.RaiseHand(req=1, up=True)) == []
    assert log.made(WANG, rq.BringUp(req=1, participant="ming")) == [
        ev.HandLowered(participant="ming"), ev.StageEntered(participant="ming", index=0),
    ]  # fmt: skip
    assert log.refused(MING, rq.RaiseHand(req=1, up=True)) == "already_on_stage"
    assert log.made(MING, rq.RaiseHand(req=1, up=False)) == []


def test_only_teachers_lower_the_hands_of_others_and_nobody_raises_them() -> None:
    log = started(LI, MING, HONG)
    log.made(MING, rq.RaiseHand(req=1, up=True))
    lower = rq.RaiseHand(req=1, up=False, participant="ming")
    assert log.refused(HONG, lower) == "forbidden"
    assert log.refused(WANG, rq.RaiseHand(req=1, up=True, participant="hong")) == "forbidden"
    assert log.refused(WANG, rq.RaiseHand(req=1, up=True)) == "forbidden"
    assert log.made(LI, lower) == [ev.HandLowered(participant="ming")]


def test_stage_places_are_the_lowest_free_and_stay() -> None:
    log = started(LI, MING, HONG)
    for who in ("li", "ming", "hong"):
        log.made(WANG, rq.BringUp(req=1, participant=who))
    log.made(MING, rq.TakeDown(req=1, participant="ming"))
    assert log.state.stage == {0: "li", 2: "hong"}
    log.made(LI, rq.BringUp(req=1, participant="ming"))
    assert log.state.stage_index("ming") == 1


def test_who_cannot_come_on_stage() -> None:
    crowd = [Actor(f"s{number}", "student") for number in range(STAGE_CAPACITY + 1)]
    log = started(OBSERVER, INSPECTOR, *crowd)
    for who, code in [
        ("nobody", "no_such_participant"), ("obs", "not_for_stage"), ("wang", "not_for_stage"),
    ]:  # fmt: skip
        assert log.refused(WANG, rq.BringUp(req=1, participant=who)) == code
    assert log.refused(crowd[0], rq.BringUp(req=1, participant="s0")) == "forbidden"
    for actor in crowd[:-1]:
        log.made(WANG, rq.BringUp(req=1, participant=actor.participant))
    assert log.refused(WANG, rq.BringUp(req=1, participant=crowd[-1].participant)) == "stage_full"
    assert log.refused(WANG, rq.BringUp(req=1, participant="s0")) == "already_on_stage"


def test_one_takes_oneself_down_and_teachers_take_down_others() -> None:
    log = started(LI, MING, HONG)
    assert log.refused(WANG, rq.TakeDown(req=1, participant="ming")) == "not_on_stage"
    log.made(WANG, rq.BringUp(req=1, participant="ming"))
    assert log.refused(HONG, rq.TakeDown(req=1, participant="ming")) == "forbidden"
    assert log.made(MING, rq.TakeDown(req=1, participant="ming")) == [ev.StageLeft(participant="ming")]


def test_the_spotlight_falls_on_who_is_seen_and_goes_out_with_them() -> None:
    log = started(MING)
    assert log.refused(WANG, rq.Spotlight(req=1, participant="ming")) == "not_on_stage"
    assert log.refused(WANG, rq.Spotlight(req=1, participant="nobody")) == "no_such_participant"
    assert log.made(WANG, rq.Spotlight(req=1, participant="wang")) == [ev.Spotlighted(participant="wang")]
    assert log.made(WANG, rq.Spotlight(req=1, participant="wang")) == []
    log.made(WANG, rq.BringUp(req=1, participant="ming"))
    log.made(WANG, rq.Spotlight(req=1, participant="ming"))
    log.made(WANG, rq.TakeDown(req=1, participant="ming"))
    assert log.state.spotlight is None
    log.made(WANG, rq.Spotlight(req=1, participant="wang"))
    log.made(SYSTEM, cm.Leave("wang"))
    assert log.state.spotlight is None


def test_the_floor_opens_once() -> None:
    log = started(LI)
    assert log.refused(LI, rq.SetFloor(req=1, open=True)) == "forbidden"
    assert log.made(WANG, rq.SetFloor(req=1, open=True)) == [ev.FloorSet(open=True)]
    assert log.made(WANG, rq.SetFloor(req=1, open=True)) == []


def test_recording_is_the_lecturers_and_ends_with_the_lesson() -> None:
    log = started(LI)
    assert log.refused(LI, rq.Record(req=1, on=True)) == "forbidden"
    assert log.made(WANG, rq.Record(req=1, on=False)) == []
    assert log.made(WANG, rq.Record(req=1, on=True)) == [ev.RecordingStarted()]
    assert log.made(WANG, rq.Record(req=1, on=True)) == []
    assert log.made(SYSTEM, rq.Record(req=1, on=False)) == [ev.RecordingStopped()]
    log.made(SYSTEM, rq.Record(req=1, on=True))
    assert log.made(WANG, rq.EndLesson(req=1)) == [ev.RecordingStopped(), ev.Ended()]
    assert not log.state.recording


def test_a_lesson_may_be_recorded_from_its_start() -> None:
    log = Log()
    created = ev.Created(title="数学", codec="h264")
    assert log.made(SYSTEM, cm.Create("数学", "h264", record=True)) == [created, ev.RecordingStarted()]
    assert log.state.recording


# --- media ----------------------------------------------------------------------------------


def test_publishing_is_for_those_who_may_send_and_repeats_are_nothing() -> None:
    log = started(MING, OBSERVER)
    assert log.refused(OBSERVER, cm.Publish("s", "camera", 1, True)) == "forbidden"
    assert log.refused(MING, cm.Publish("s", "board", 1, True)) == "cannot_send"
    assert log.made(MING, cm.Publish("s", "camera", 1, False)) == []
    log.made(MING, cm.Publish("s", "camera", 1, True))
    assert log.made(MING, cm.Publish("s", "camera", 1, True)) == []
    assert log.refused(WANG, cm.Publish("s", "camera", 1, False)) == "not_your_session"
    assert log.made(MING, cm.Publish("s", "camera", 1, False)) == [ev.Unpublished(source=1)]


def test_a_new_source_of_the_same_session_and_use_replaces_the_old() -> None:
    log = started(MING)
    log.made(MING, cm.Publish("s", "camera", 1, True))
    log.made(MING, cm.Publish("other", "camera", 2, True))
    events = log.made(MING, cm.Publish("s", "camera", 3, True))
    assert events[0] == ev.Unpublished(source=1)
    assert list(log.state.sources) == [2, 3]


def test_an_encoder_publishes_by_being_live_and_ends_by_being_lost() -> None:
    log = started()
    live = cm.SourceLive("whip", 5, "camera", "wang")
    assert log.refused(SYSTEM, cm.SourceLive("whip", 5, "camera", "nobody")) == "not_present"
    assert log.made(SYSTEM, live) == [
        ev.Published(source=5, participant="wang", session="whip", use="camera")
    ]
    assert log.made(SYSTEM, live) == []
    assert log.made(SYSTEM, cm.SessionLost("another")) == []
    assert log.made(SYSTEM, cm.SessionLost("whip")) == [ev.Unpublished(source=5)]
    assert log.made(SYSTEM, cm.SourceLost(5)) == []


def _mute(who: str, muted: bool) -> rq.Mute:
    return rq.Mute(req=1, participant=who, use="microphone", muted=muted)


def test_whom_a_teacher_muted_only_a_teacher_unmutes() -> None:
    log = started(LI, MING, HONG)
    assert log.refused(HONG, _mute("ming", True)) == "forbidden"
    assert log.made(WANG, _mute("ming", True)) == [ev.Muted(participant="ming", use="microphone")]
    assert log.made(LI, _mute("ming", True)) == []
    assert log.refused(MING, _mute("ming", False)) == "muted_by_staff"
    log.made(LI, _mute("ming", False))
    assert not log.state.muted("ming", "microphone")
    assert log.made(MING, _mute("ming", False)) == []


def test_nobody_opens_a_microphone_that_its_owner_closed() -> None:
    log = started(MING)
    log.made(MING, _mute("ming", True))
    assert log.refused(WANG, _mute("ming", False)) == "muted_by_self"
    log.made(WANG, _mute("ming", True))
    log.made(WANG, _mute("ming", False))
    assert log.state.muted("ming", "microphone")
    log.made(MING, _mute("ming", False))
    assert not log.state.muted("ming", "microphone")


def test_tutors_mute_everybody_but_lecturers() -> None:
    log = started(LI, MING, INSPECTOR)
    assert log.refused(LI, _mute("wang", True)) == "forbidden"
    assert log.refused(LI, _mute("insp", True)) == "no_such_participant"
    board = rq.Mute(req=1, participant="ming", use="board", muted=True)
    assert log.refused(LI, board) == "cannot_send"


# --- chat and quiz --------------------------------------------------------------------------


def test_children_whisper_with_teachers_only() -> None:
    log = started(LI, ROOM, MING, HONG, OBSERVER)
    assert log.refused(OBSERVER, rq.Chat(req=1, text="x")) == "forbidden"
    assert log.refused(MING, rq.Chat(req=1, text="x", to="room")) == "chat_with_teachers_only"
    assert log.refused(MING, rq.Chat(req=1, text="x", to="hong")) == "chat_with_teachers_only"
    log.made(MING, rq.Chat(req=1, text="x", to="li"))
    log.made(LI, rq.Chat(req=1, text="y", to="ming"))
    assert log.refused(LI, rq.Chat(req=1, text="y", to="nobody")) == "no_such_participant"


def _ask(log: Log, multiple: bool = False) -> None:
    log.made(WANG, rq.QuizAsk(req=1, question="?", options=["a", "b", "c"], multiple=multiple))


def test_one_question_at_a_time() -> None:
    log = started(LI)
    assert log.refused(LI, rq.QuizAsk(req=1, question="?", options=["a", "b"])) == "forbidden"
    _ask(log)
    assert log.refused(WANG, rq.QuizAsk(req=1, question="?", options=["a", "b"])) == "quiz_open"
    assert log.refused(WANG, cm.CloseQuiz(2, (0, 0, 0), 0)) == "no_such_quiz"
    assert log.refused(LI, cm.CloseQuiz(1, (0, 0, 0), 0)) == "forbidden"
    log.made(WANG, cm.CloseQuiz(1, (1, 0, 0), 1))
    assert log.refused(WANG, cm.CloseQuiz(1, (0, 0, 0), 0)) == "quiz_closed"
    _ask(log)
    assert [quiz.quiz for quiz in log.state.quizzes] == [1, 2]


def test_tallies_are_told_at_most_once_a_second_and_only_when_they_change() -> None:
    log = started()
    _ask(log)
    assert len(log.made(SYSTEM, cm.Tally(1, (1, 0, 0), 1))) == 1
    assert log.made(SYSTEM, cm.Tally(1, (2, 0, 0), 2), after_ms=999) == []
    assert len(log.made(SYSTEM, cm.Tally(1, (3, 0, 0), 3), after_ms=1)) == 1
    assert log.made(SYSTEM, cm.Tally(1, (3, 0, 0), 3), after_ms=5000) == []


def test_ending_closes_an_open_question() -> None:
    log = started()
    _ask(log)
    log.made(SYSTEM, cm.Tally(1, (2, 1, 0), 3))
    assert log.made(WANG, rq.EndLesson(req=1)) == [
        ev.QuizClosed(quiz=1, counts=[2, 1, 0], answered=3), ev.Ended(),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("choices", "multiple", "code"),
    [
        ([0], False, None), ([2], False, None), ([3], False, "bad_choice"), ([0, 1], False, "bad_choice"),
        ([0, 1], True, None), ([0, 0], True, "bad_choice"), ([], True, "bad_choice"),
    ],
)  # fmt: skip
def test_answers_are_among_the_options(choices: list[int], multiple: bool, code: str | None) -> None:
    log = started(MING)
    _ask(log, multiple)
    refusal = check_answer(log.state, MING, rq.QuizAnswer(req=1, quiz=1, choices=choices))
    assert (refusal.code if refusal else None) == code


def test_who_may_answer_and_when() -> None:
    log = started(MING)
    answer = rq.QuizAnswer(req=1, quiz=1, choices=[0])

    def code(actor: Actor) -> str | None:
        refusal = check_answer(log.state, actor, answer)
        return refusal.code if refusal else None

    assert code(MING) == "no_such_quiz"
    _ask(log)
    assert code(WANG) == "forbidden"
    assert code(HONG) == "not_present"
    assert code(MING) is None
    log.made(WANG, cm.CloseQuiz(1, (0, 0, 0), 0))
    assert code(MING) == "quiz_closed"
    log.made(WANG, rq.EndLesson(req=1))
    assert code(MING) == "lesson_ended"


def test_a_tally_counts_the_newest_answer_of_each() -> None:
    tally = Tally(3, {"ming": [0]})
    tally.answer("hong", [1, 2])
    tally.answer("ming", [1])
    assert tally.counts == (0, 2, 1)
    assert tally.answered == 2
    assert tally.choices("ming") == (1,)
